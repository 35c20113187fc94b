//! What an attempt waits for between the taking of its task and its start: free memory, room in its budgets, a machine
//! that is not too busy, its turn at the rate, and a permit of its group.

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::engine::limits::budget::{Budget, Reservation};
use crate::engine::limits::due::{DueTimes, WaitsFor};
use crate::engine::limits::free_memory::FreeMemory;
use crate::engine::limits::load::Load;
use crate::engine::limits::rate::{RateLimiter, Turn};
use crate::job::{Group, GroupPermit, Pace};
use crate::task::{Cancel, Moment};

/// The limits that every attempt of a stage waits for; most stages have none.
#[derive(Debug)]
pub struct Admission {
    limiter: Option<RateLimiter>,
    /// When attempts were due, if there is a rate.
    pub due: Option<DueTimes>,
    free_memory: Option<Arc<FreeMemory>>,
    load: Option<Arc<Load>>,
    group: Option<Group>,
    budget: Option<Arc<Budget>>,
    /// Whose attempt is the next one of the stage to enter the group, or to take a turn at a slow rate.
    next: Semaphore,
}

/// An attempt that may start. To be dropped when it has ended, since others may wait for its permit.
#[derive(Debug)]
pub struct Admitted {
    #[expect(dead_code, reason = "it is only held")]
    permit: Option<GroupPermit>,
    /// What it has reserved of its budgets, if there are any.
    pub reservation: Option<Reservation>,
    /// Its turn at a slow rate.
    turn: Option<Turn>,
}

impl Admission {
    /// The limits of a stage that starts now.
    pub fn new(
        pace: Option<Pace>,
        free_memory: Option<Arc<FreeMemory>>,
        load: Option<Arc<Load>>,
        group: Option<Group>,
        budget: Option<Arc<Budget>>,
    ) -> Self {
        Self {
            limiter: pace.map(RateLimiter::new),
            due: pace.map(DueTimes::new),
            free_memory,
            load,
            group,
            budget,
            next: Semaphore::new(1),
        }
    }

    /// Whether every attempt may start at once, so that a worker may be given several tasks.
    pub fn is_open(&self) -> bool {
        self.group.is_none() && !self.has_others()
    }

    /// Waits until one attempt may start. `None` if the job is being stopped, so that nothing starts any more.
    pub async fn admit(&self, cancel: &Cancel) -> Option<Admitted> {
        if self.group.is_some() || self.limiter.as_ref().is_some_and(RateLimiter::is_slow) {
            return self.admit_in_order(cancel).await;
        }
        loop {
            let reservation = self.room(cancel).await.ok()?;
            // Last, so that nothing else delays a start that has its turn.
            if let Some(limiter) = &self.limiter
                && !limiter.acquire(cancel).await
            {
                return None;
            }
            // That may have taken long, and memory may be short by now: then the attempt has to wait again.
            if !self.is_short() {
                return Some(admitted(None, reservation, None));
            }
        }
    }

    /// An attempt that was admitted has nothing to start: its turn is for the next one.
    pub fn give_back(&self, admitted: &mut Option<Admitted>) {
        if let (Some(limiter), Some(turn)) =
            (&self.limiter, admitted.take().and_then(|admitted| admitted.turn))
        {
            limiter.give_back(turn);
        }
    }

    /// Waits for free memory, budgets and load, and reserves what the attempt needs of budgets, if there are any.
    ///
    /// # Errors
    /// If the job is being stopped.
    async fn room(&self, cancel: &Cancel) -> Result<Option<Reservation>, Stopped> {
        if let Some(free_memory) = &self.free_memory
            && !self.noting(WaitsFor::Memory, free_memory.enter(cancel)).await
        {
            return Err(Stopped);
        }
        let reservation = match &self.budget {
            Some(budget) => {
                let reserved = self.noting(WaitsFor::Budget, budget.reserve(cancel)).await;
                Some(reserved.ok_or(Stopped)?)
            }
            None => None,
        };
        if let Some(load) = &self.load
            && !self.noting(WaitsFor::Load, load.enter(cancel)).await
        {
            return Err(Stopped);
        }
        Ok(reservation)
    }

    /// Waits, and notes for how long if there is a rate that may be missed because of that.
    pub async fn noting<T>(&self, what: WaitsFor, wait: impl Future<Output = T>) -> T {
        let Some(due) = &self.due else { return wait.await };
        let began = Moment::now();
        let done = wait.await;
        due.waited(what, began.elapsed());
        done
    }

    /// The same in a group, whose places are for what runs, since other jobs wait for them, and at a slow rate, whose turns
    /// are for those that have a task. So one attempt of the stage at a time waits until all other limits would let it start,
    /// and then for a place; only with that does it take its turn. If it cannot start any more, since the place was long in
    /// coming, it gives that back and waits again.
    async fn admit_in_order(&self, cancel: &Cancel) -> Option<Admitted> {
        if let Some(group) = &self.group
            && !self.has_others()
        {
            return Some(admitted(Some(group.enter(cancel).await?), None, None));
        }
        let _next = tokio::select! {
            biased;
            () = cancel.draining() => return None,
            next = self.next.acquire() => next.ok()?,
        };
        loop {
            drop(self.room(cancel).await.ok()?);
            if let Some(limiter) = &self.limiter
                && !limiter.ready(cancel).await
            {
                return None;
            }
            let permit = match &self.group {
                Some(group) => Some(self.noting(WaitsFor::Group, group.enter(cancel)).await?),
                None => None,
            };
            let reservation = self.budget.as_ref().map(Budget::reserve_now);
            if matches!(reservation, Some(None))
                || self.load.as_ref().is_some_and(|load| load.is_high())
                || self.is_short()
            {
                continue;
            }
            let turn = self.limiter.as_ref().map(RateLimiter::try_acquire);
            if !matches!(turn, Some(None)) {
                return Some(admitted(permit, reservation.flatten(), turn.flatten()));
            }
        }
    }

    fn is_short(&self) -> bool {
        self.free_memory.as_ref().is_some_and(|free_memory| free_memory.is_short())
    }

    /// Whether there are limits besides the group.
    fn has_others(&self) -> bool {
        self.limiter.is_some()
            || self.free_memory.is_some()
            || self.load.is_some()
            || self.budget.is_some()
    }
}

/// The job is being stopped, and nothing starts any more.
struct Stopped;

/// The attempt may start now.
fn admitted(
    permit: Option<GroupPermit>,
    reservation: Option<Reservation>,
    turn: Option<Turn>,
) -> Admitted {
    if let Some(reservation) = &reservation {
        reservation.begin(Moment::now());
    }
    Admitted { permit, reservation, turn }
}

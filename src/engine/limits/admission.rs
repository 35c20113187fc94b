//! What an attempt waits for between the taking of its task and its start: free memory, a machine that is not too busy,
//! a permit of its group, room in its budgets, and its turn at the rate.

use std::sync::Arc;

use crate::engine::limits::budget::{Budget, Reservation};
use crate::engine::limits::due::DueTimes;
use crate::engine::limits::free_memory::FreeMemory;
use crate::engine::limits::load::Load;
use crate::engine::limits::rate::RateLimiter;
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
}

/// An attempt that may start. To be dropped when it has ended, since others may wait for its permit.
#[derive(Debug)]
pub struct Admitted {
    #[expect(dead_code, reason = "it is only held")]
    permit: Option<GroupPermit>,
    /// What it has reserved of its budgets, if there are any.
    pub reservation: Option<Reservation>,
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
        }
    }

    /// Whether every attempt may start at once, so that a worker may be given several tasks.
    pub fn is_open(&self) -> bool {
        self.limiter.is_none()
            && self.free_memory.is_none()
            && self.load.is_none()
            && self.group.is_none()
            && self.budget.is_none()
    }

    /// Waits until one attempt may start. `None` if the job is being stopped, so that nothing starts any more.
    pub async fn admit(&self, cancel: &Cancel) -> Option<Admitted> {
        loop {
            if let Some(free_memory) = &self.free_memory
                && !free_memory.enter(cancel).await
            {
                return None;
            }
            let permit = match &self.group {
                Some(group) => Some(group.enter(cancel).await?),
                None => None,
            };
            let reservation = match &self.budget {
                Some(budget) => Some(budget.reserve(cancel).await?),
                None => None,
            };
            if let Some(load) = &self.load
                && !load.enter(cancel).await
            {
                return None;
            }
            // Last, so that nothing else delays a start that has its turn.
            if let Some(limiter) = &self.limiter
                && !limiter.acquire(cancel).await
            {
                return None;
            }
            // That may have taken long, and memory may be short by now: then the attempt has to wait again.
            if !self.free_memory.as_ref().is_some_and(|free_memory| free_memory.is_short()) {
                if let Some(reservation) = &reservation {
                    reservation.begin(Moment::now());
                }
                return Some(Admitted { permit, reservation });
            }
        }
    }
}

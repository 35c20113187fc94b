//! What an attempt waits for after a task has been taken and before it starts: memory, a place in its group, then its
//! turn at the rate.

use std::sync::Arc;

use crate::engine::limits::free_memory::FreeMemory;
use crate::engine::limits::rate::RateLimiter;
use crate::job::{Group, GroupPermit, Pace};
use crate::task::Cancel;

/// What every attempt of a job waits for; for most jobs, nothing.
#[derive(Debug)]
pub struct Admission {
    limiter: Option<RateLimiter>,
    free_memory: Option<Arc<FreeMemory>>,
    group: Option<Group>,
}

/// An attempt that may start. To be dropped when it has ended: others may wait for its place.
#[derive(Debug)]
pub struct Admitted(#[expect(dead_code, reason = "it is held, not looked at")] Option<GroupPermit>);

impl Admission {
    /// For a job that starts now.
    pub fn new(
        pace: Option<Pace>,
        free_memory: Option<Arc<FreeMemory>>,
        group: Option<Group>,
    ) -> Self {
        Self { limiter: pace.map(RateLimiter::new), free_memory, group }
    }

    /// Whether every attempt may start at once, so that a worker may be given several tasks.
    pub fn is_open(&self) -> bool {
        self.limiter.is_none() && self.free_memory.is_none() && self.group.is_none()
    }

    /// Waits until one attempt may start. `None`: the job is being stopped, and nothing starts any more.
    pub async fn admit(&self, cancel: &Cancel) -> Option<Admitted> {
        loop {
            if let Some(free_memory) = &self.free_memory
                && !free_memory.enter(cancel).await
            {
                return None;
            }
            let place = match &self.group {
                Some(group) => Some(group.enter(cancel).await?),
                None => None,
            };
            // Last, so that nothing else can delay a start that has its turn.
            if let Some(limiter) = &self.limiter
                && !limiter.acquire(cancel).await
            {
                return None;
            }
            // All that may have been long in coming, and memory short by now: then it is lost.
            if !self.free_memory.as_ref().is_some_and(|free_memory| free_memory.is_short()) {
                return Some(Admitted(place));
            }
        }
    }
}

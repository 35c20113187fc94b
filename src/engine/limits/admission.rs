//! What an attempt waits for after a task has been taken and before it starts: memory, a place in its group, then its
//! turn at the rate.

use std::sync::Arc;

use crate::engine::cancel::Cancel;
use crate::engine::group::{Group, Place};
use crate::engine::headroom::Headroom;
use crate::engine::limiter::Limiter;
use crate::job::Pace;

/// What every attempt of a job waits for; for most jobs, nothing.
#[derive(Debug)]
pub struct Admission {
    limiter: Option<Limiter>,
    headroom: Option<Arc<Headroom>>,
    group: Option<Group>,
}

/// An attempt that may start. To be dropped when it has ended: others may wait for its place.
#[derive(Debug)]
pub struct Admitted(#[expect(dead_code, reason = "it is held, not looked at")] Option<Place>);

impl Admission {
    /// For a job that starts now.
    pub fn new(pace: Option<Pace>, headroom: Option<Arc<Headroom>>, group: Option<Group>) -> Self {
        Self { limiter: pace.map(Limiter::new), headroom, group }
    }

    /// Whether every attempt may start at once, so that a worker may be given several tasks.
    pub fn is_open(&self) -> bool {
        self.limiter.is_none() && self.headroom.is_none() && self.group.is_none()
    }

    /// Waits until one attempt may start. `None`: the job is being stopped, and nothing starts any more.
    pub async fn admit(&self, cancel: &Cancel) -> Option<Admitted> {
        loop {
            if let Some(headroom) = &self.headroom
                && !headroom.enter(cancel).await
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
            if !self.headroom.as_ref().is_some_and(|headroom| headroom.is_short()) {
                return Some(Admitted(place));
            }
        }
    }
}

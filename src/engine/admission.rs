//! What an attempt waits for after a task has been taken and before it starts: memory, then its turn at the rate.

use std::sync::Arc;

use crate::engine::cancel::Cancel;
use crate::engine::headroom::Headroom;
use crate::engine::limiter::Limiter;
use crate::job::Pace;

/// What every attempt of a job waits for; for most jobs, nothing.
#[derive(Debug)]
pub struct Admission {
    limiter: Option<Limiter>,
    headroom: Option<Arc<Headroom>>,
}

impl Admission {
    /// For a job that starts now.
    pub fn new(pace: Option<Pace>, headroom: Option<Arc<Headroom>>) -> Self {
        Self { limiter: pace.map(Limiter::new), headroom }
    }

    /// Whether every attempt may start at once, so that a worker may be given several tasks.
    pub fn is_open(&self) -> bool {
        self.limiter.is_none() && self.headroom.is_none()
    }

    /// Waits until one attempt may start. False: the job is being stopped, and nothing starts any more.
    pub async fn admit(&self, cancel: &Cancel) -> bool {
        loop {
            if let Some(headroom) = &self.headroom
                && !headroom.enter(cancel).await
            {
                return false;
            }
            let Some(limiter) = &self.limiter else { return true };
            if !limiter.acquire(cancel).await {
                return false;
            }
            // The turn may have been long in coming, and memory short by now: then the turn is lost.
            if !self.headroom.as_ref().is_some_and(|headroom| headroom.is_short()) {
                return true;
            }
        }
    }
}

//! `limits.group`: how many attempts may run at once over all jobs that share something, such as a database.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::task::Cancel;

/// Attempts that share a limit, of whatever jobs they are. Clones share it, too.
#[derive(Clone, Debug)]
pub struct Group {
    name: String,
    limit: u32,
    /// Handed out in the order in which it is asked for, so that no job starves another.
    places: Arc<Semaphore>,
}

/// An attempt's place in its group, which is free again when this is dropped.
#[derive(Debug)]
pub struct GroupPermit(
    #[expect(dead_code, reason = "it is held, not looked at")] OwnedSemaphorePermit,
);

impl Group {
    /// A group in which nothing runs yet; `limit` is above 0.
    pub fn new(name: impl Into<String>, limit: u32) -> Self {
        Self { name: name.into(), limit, places: Arc::new(Semaphore::new(limit as usize)) }
    }

    /// As job files call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many attempts may run at once.
    pub fn limit(&self) -> u32 {
        self.limit
    }

    /// Waits for a place. `None`: the job is being stopped, and nothing starts any more.
    pub async fn enter(&self, cancel: &Cancel) -> Option<GroupPermit> {
        tokio::select! {
            biased;
            () = cancel.draining() => None,
            place = Arc::clone(&self.places).acquire_owned() => place.ok().map(GroupPermit),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::{Cause, Level};

    #[tokio::test]
    async fn who_is_one_too_many_waits_for_a_place_or_a_stop() {
        let (group, cancel) = (Group::new("db", 1), Cancel::default());
        let first = group.clone().enter(&cancel).await.unwrap();
        let mut second = std::pin::pin!(group.enter(&cancel));
        assert!(ready_now(second.as_mut()).await.is_none());
        drop(first);
        let second = second.await.unwrap();
        let mut third = std::pin::pin!(group.enter(&cancel));
        assert!(ready_now(third.as_mut()).await.is_none());
        cancel.raise(Level::Drain, Cause::Signal(2));
        assert!(third.await.is_none());
        drop(second);
    }

    /// What the future has come to, if it is ready now.
    async fn ready_now<T>(future: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            value = future => Some(value),
            () = std::future::ready(()) => None,
        }
    }
}

//! What a waiting slot looks at, so that one of them keeps the time and those that are shut out are counted.

use async_channel::Receiver;

use super::Feed;
use super::source::{Numbered, Source};
use crate::task::Moment;

/// What a slot waits for besides a change.
pub(super) struct Watch<'a> {
    feed: &'a Feed,
    /// Set if there is room for new inputs and they come through a channel.
    pub receiver: Option<Receiver<Numbered>>,
    is_shut_out: bool,
    /// Set if this slot keeps the time.
    pub due: Option<Moment>,
}

impl<'a> Watch<'a> {
    pub fn begin(feed: &'a Feed) -> Self {
        let mut state = feed.lock();
        let is_shut_out = state.is_full();
        let receiver = match &state.source {
            Source::Channel { receiver, .. } if !is_shut_out => Some(receiver.clone()),
            _ => None,
        };
        let due = state.retries.next_due().filter(|_| !state.timed);
        state.timed |= due.is_some();
        state.shut_out += usize::from(is_shut_out);
        Self { feed, receiver, is_shut_out, due }
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        let mut state = self.feed.lock();
        state.shut_out -= usize::from(self.is_shut_out);
        if self.due.is_some() {
            state.timed = false;
        }
    }
}

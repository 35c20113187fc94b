//! Children that wait for a process below them that is stopped, such as a program in a script: neither would go on.

use std::time::Duration;

use rustix::process::Pid;

use crate::sys::usage::Standstill;

/// How often it is looked: that takes a look at all processes below a child.
pub(super) const LOOK_BELOW: Duration = Duration::from_millis(2_500);

/// How often in a row a tree must be found the same: what does anything may resume the one that is stopped.
const TIMES: u8 = 3;

/// What was found below a child: the tree in which one is stopped, and how often in a row it was so.
#[derive(Default)]
pub(super) struct Below(Option<(Standstill, u8)>);

impl Below {
    /// Looks once more; whether nothing will go on by itself.
    pub(super) fn is_at_a_standstill(&mut self, child: Pid) -> bool {
        self.0 = Standstill::of(child).map(|now| match &self.0 {
            Some((before, times)) if *before == now => (now, times + 1),
            _ => (now, 1),
        });
        self.0.as_ref().is_some_and(|(_, times)| *times == TIMES)
    }
}

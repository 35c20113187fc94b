//! Groups that have been told to end: their processes have time for that, also when the child itself has ended already,
//! such as a shell around the program that does the work.

use std::time::Duration;

use rustix::event::Timespec;
use rustix::process::{Signal, getpid};

use super::{Child, Port, has_ended};
use crate::sys::living_groups;
use crate::task::Moment;

/// How often it is looked whether anything of such a group is left.
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 10_000_000 };

/// A look at many processes takes its time; this many times as long nothing is looked at.
const REST: u32 = 4;

/// What becomes of a group when its child ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Group {
    /// Nobody has told it to end gently, or the time for that is over.
    #[default]
    NotWaitedFor,
    /// It has been told to end.
    Told,
    /// The same, and the child itself has ended. It is not reaped, so that the number of the group is not given away.
    Outlives,
    /// The same, and the time is over.
    Over,
}

impl Group {
    /// Whether a child that has ended is kept for its group.
    pub(super) fn is_waited_for(self) -> bool {
        self != Self::NotWaitedFor
    }

    fn outlives(self) -> bool {
        matches!(self, Self::Outlives | Self::Over)
    }

    /// It has been sent KILL.
    pub(super) fn end(&mut self) {
        *self = if self.outlives() { Self::Over } else { Self::NotWaitedFor };
    }
}

impl Child {
    /// Whether it has ended since it was looked at last, so that its group is what is waited for from now on.
    pub(super) fn is_outlived_now(&mut self) -> bool {
        let is_new = !self.group.outlives() && has_ended(self);
        if is_new {
            self.group = Group::Outlives;
        }
        is_new
    }
}

impl Port {
    /// Tells the child's group to end, and gives it time up to KILL.
    pub(super) fn terminate(&mut self) {
        if let Some(child) = &mut self.child
            && !child.group.is_waited_for()
        {
            child.group = Group::Told;
        }
        self.signal(Signal::TERM.as_raw());
    }
}

/// How long nothing may happen until the children are looked at again, if there are any.
pub(super) fn patience(ports: &[Option<Port>]) -> Option<&'static Timespec> {
    let children = ports.iter().flatten().filter_map(|port| port.child.as_ref());
    let looks =
        children.map(|child| if child.group.outlives() { &LOOK } else { &super::STOP_CHECK });
    looks.min_by_key(|look| look.tv_nsec)
}

/// When it is looked next.
pub(super) struct NextLook(Moment);

impl NextLook {
    pub(super) fn now() -> Self {
        Self(Moment::now())
    }

    /// Which of these children can be reaped: nothing of their groups is left, or may be any more.
    pub(super) fn over(&mut self, ports: &mut [Option<Port>]) -> Vec<usize> {
        let outlived =
            |port: &Port| port.child.as_ref().is_some_and(|child| child.group.outlives());
        if !ports.iter().flatten().any(outlived) || Moment::now() < self.0 {
            return Vec::new();
        }
        let start = Moment::now();
        let living = living_groups(getpid());
        let pause = (start.elapsed() * REST).max(Duration::from_nanos(LOOK.tv_nsec as u64));
        self.0 = Moment::now() + pause;
        let mut over = Vec::new();
        for (index, port) in ports.iter_mut().enumerate() {
            let Some(child) = port.as_mut().and_then(|port| port.child.as_mut()) else { continue };
            let is_left = child.group == Group::Outlives && living.contains(&child.pid);
            if child.group.outlives() && !is_left {
                child.group = Group::NotWaitedFor;
                over.push(index);
            }
        }
        over
    }
}

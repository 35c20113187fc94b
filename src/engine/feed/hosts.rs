//! `limits.per_host`: a task whose host is busy is parked, so that it blocks neither a slot nor the tasks of other
//! hosts.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;

use crate::task::Task;

/// Returns the host of a task, if it has one. A task without a host is not limited.
pub type HostOf = Box<dyn Fn(&Task) -> Option<String> + Send>;

/// The name of a host.
pub(super) type HostName = Arc<str>;

/// The running and parked tasks of each host.
pub struct Hosts {
    limit: usize,
    host_of: HostOf,
    /// The hosts that have tasks.
    busy: HashMap<HostName, Host>,
    /// Hosts where a parked task may run now, one entry per task.
    free: VecDeque<HostName>,
    parked: usize,
}

#[derive(Debug, Default)]
struct Host {
    running: usize,
    parked: VecDeque<Task>,
}

impl Hosts {
    /// At most `limit` tasks of a host run at once.
    pub fn new(limit: usize, host_of: HostOf) -> Self {
        Self { limit, host_of, busy: HashMap::new(), free: VecDeque::new(), parked: 0 }
    }

    /// How many tasks are parked.
    pub(super) fn parked(&self) -> usize {
        self.parked
    }

    /// Admits `task` and adds its host to `held`, or parks it.
    pub(super) fn admit(&mut self, task: Task, held: &mut Vec<HostName>) -> Option<Task> {
        let Some(name) = (self.host_of)(&task) else { return Some(task) };
        let name = match self.busy.get_key_value(&*name) {
            Some((name, _)) => Arc::clone(name),
            None => name.into(),
        };
        let host = self.busy.entry(Arc::clone(&name)).or_default();
        if host.running < self.limit {
            host.running += 1;
            held.push(name);
            return Some(task);
        }
        host.parked.push_back(task);
        self.parked += 1;
        None
    }

    /// Records that a task of this host has ended.
    pub(super) fn release(&mut self, name: HostName) {
        let Some(host) = self.busy.get_mut(&name) else { return };
        host.running -= 1;
        if !host.parked.is_empty() {
            self.free.push_back(name);
        } else if host.running == 0 {
            self.busy.remove(&name);
        }
    }

    /// A parked task that may run now; its host is added to `held`.
    pub(super) fn pop_free(&mut self, held: &mut Vec<HostName>) -> Option<Task> {
        while let Some(name) = self.free.pop_front() {
            let limit = self.limit;
            let Some(host) = self.busy.get_mut(&name).filter(|host| host.running < limit) else {
                continue;
            };
            if let Some(task) = host.parked.pop_front() {
                host.running += 1;
                self.parked -= 1;
                held.push(name);
                return Some(task);
            }
        }
        None
    }

    /// Whether a parked task may run now.
    pub(super) fn has_free(&self) -> bool {
        !self.free.is_empty()
    }

    /// Any parked task, which will not run any more.
    pub(super) fn pop_any(&mut self) -> Option<Task> {
        let task = self.busy.values_mut().find_map(|host| host.parked.pop_front())?;
        self.parked -= 1;
        Some(task)
    }
}

impl fmt::Debug for Hosts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hosts")
            .field("limit", &self.limit)
            .field("busy", &self.busy)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::Fields;

    fn hosts(limit: usize) -> Hosts {
        let host_of = |task: &Task| {
            let host = String::from_utf8_lossy(task.fields.get(0)).into_owned();
            Some(host).filter(|host| host != "none")
        };
        Hosts::new(limit, Box::new(host_of))
    }

    fn task(number: u64, host: &str) -> Task {
        Task::new(number, Fields::single(host))
    }

    #[test]
    fn a_full_host_parks_its_own_tasks_only() {
        let (mut hosts, mut held) = (hosts(2), Vec::new());
        let mut admitted = |number, host| hosts.admit(task(number, host), &mut held).is_some();
        assert!(admitted(1, "a") && admitted(2, "a") && !admitted(3, "a") && !admitted(4, "a"));
        assert!(admitted(5, "b") && admitted(6, "none") && admitted(7, "none"));
        assert_eq!((hosts.parked(), held.len()), (2, 3));
        assert!(hosts.pop_free(&mut held).is_none());
        hosts.release(held.remove(0));
        assert_eq!(hosts.pop_free(&mut held).unwrap().number, 3);
        assert!(hosts.pop_free(&mut held).is_none());
        assert_eq!(hosts.pop_any().unwrap().number, 4);
        assert_eq!(hosts.parked(), 0);
        held.drain(..).for_each(|name| hosts.release(name));
        assert!(hosts.busy.is_empty(), "hosts are forgotten");
    }
}

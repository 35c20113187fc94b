//! Hosts: how many requests each is sent at once (`limits.per_host`, or a limit that finds itself), and which are left
//! alone for a while since they have said that they are too busy. A task whose host is busy is parked, so that it holds
//! up neither a slot nor other hosts' tasks.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::room::Waiting;
use crate::config::Bounds;
use crate::engine::limits::adaptive::Controller;
use crate::task::{Moment, Task};

/// Returns the host of a task, if it has one. A task without a host is not limited.
pub type HostOf = Box<dyn Fn(&Task) -> Option<String> + Send>;

/// The name of a host.
pub(super) type HostName = Arc<str>;

/// No server means a longer pause.
const LONGEST: Duration = Duration::from_hours(1);

/// The pauses after a refusal without a `Retry-After`: the first, and the longest of those that follow.
const PAUSES: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(8));

/// So many changes of limits are remembered.
const HISTORY: usize = 100_000;

/// How many tasks of a host may run at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostLimit {
    /// All that there are slots for.
    None,
    /// This many.
    Fixed(usize),
    /// As many as it bears.
    Adaptive(Bounds),
}

/// How many tasks each host has, running and parked.
pub struct Hosts {
    limit: HostLimit,
    host_of: HostOf,
    /// Times of the controllers count from here.
    origin: Moment,
    /// Hosts without tasks are left out, unless their limit is to be remembered.
    busy: HashMap<HostName, Host>,
    /// Hosts where a parked task may run now, one entry per task.
    free: VecDeque<HostName>,
    parked: Waiting,
    /// Hosts that have refused and not answered since.
    refusing: HashMap<HostName, Refusing>,
    refusals: u64,
    answers: u64,
    history: Vec<LimitChange>,
}

#[derive(Debug, Default)]
struct Host {
    running: usize,
    parked: VecDeque<Task>,
    controller: Option<Controller>,
}

/// A host that has refused.
#[derive(Debug)]
struct Refusing {
    /// It is left alone until then.
    until: Moment,
    /// How often it has refused after a pause.
    in_row: u32,
}

/// A limit that has changed.
#[derive(Clone, Debug, PartialEq)]
pub struct LimitChange {
    /// Since the start of the stage.
    pub at: Duration,
    /// Whose.
    pub host: Arc<str>,
    /// From here on.
    pub limit: usize,
    /// How many ran then.
    pub running: usize,
    /// How many refusals there were by then, from all hosts.
    pub refusals: u64,
}

/// What becomes of a task that wants to run.
#[derive(Debug)]
pub(super) enum Admitted {
    /// It may.
    Yes(Task),
    /// Its host is left alone until then.
    Later(Task, Moment),
    /// It is parked until one of its host's has ended.
    Parked,
}

/// How an attempt ended, as far as its host goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// It was answered.
    Answered,
    /// It was refused: the server is too busy, and asks to be left alone for so long, if it says.
    Refused(Option<Duration>),
}

impl Hosts {
    /// At most as many tasks of a host as `limit` says run at once.
    pub fn new(limit: HostLimit, host_of: HostOf) -> Self {
        Self {
            limit,
            host_of,
            origin: Moment::now(),
            busy: HashMap::new(),
            free: VecDeque::new(),
            parked: Waiting::default(),
            refusing: HashMap::new(),
            refusals: 0,
            answers: 0,
            history: Vec::new(),
        }
    }

    /// The tasks that are parked.
    pub(super) fn parked(&self) -> Waiting {
        self.parked
    }

    /// Whether limits find themselves.
    pub(super) fn is_adaptive(&self) -> bool {
        matches!(self.limit, HostLimit::Adaptive(_))
    }

    /// Whether the end of every attempt has to be told.
    pub(super) fn listens(&self) -> bool {
        self.is_adaptive() || !self.refusing.is_empty()
    }

    /// Admits `task` and notes its host in `held`; or parks it.
    pub(super) fn admit(&mut self, task: Task, now: Moment, held: &mut Vec<HostName>) -> Admitted {
        if self.limit == HostLimit::None && self.refusing.is_empty() {
            return Admitted::Yes(task); // most jobs: nobody needs the name
        }
        let Some(name) = (self.host_of)(&task) else { return Admitted::Yes(task) };
        if let Some(refusing) = self.refusing.get(&*name).filter(|host| host.until > now) {
            return Admitted::Later(task, refusing.until);
        }
        if self.limit == HostLimit::None {
            return Admitted::Yes(task);
        }
        let name = match self.busy.get_key_value(&*name) {
            Some((name, _)) => Arc::clone(name),
            None => name.into(),
        };
        let host = self.busy.entry(Arc::clone(&name)).or_default();
        if host.running < host.limit(self.limit) {
            host.running += 1;
            held.push(name);
            return Admitted::Yes(task);
        }
        self.parked.add(&task);
        host.parked.push_back(task);
        Admitted::Parked
    }

    /// Until when the host of `task` is left alone, if it is.
    pub(super) fn paused(&self, task: &Task, now: Moment) -> Option<Moment> {
        if self.refusing.is_empty() {
            return None;
        }
        let host = self.refusing.get(&*(self.host_of)(task)?)?;
        Some(host.until).filter(|until| *until > now)
    }

    /// Records that a task of this host has ended.
    pub(super) fn release(&mut self, name: HostName) {
        let Some(host) = self.busy.get_mut(&name) else { return };
        host.running -= 1;
        if !host.parked.is_empty() {
            self.free.push_back(name);
        } else if host.running == 0 && host.controller.is_none() {
            self.busy.remove(&name);
        }
    }

    /// A parked task that may run now; its host is added to `held`.
    pub(super) fn pop_free(&mut self, held: &mut Vec<HostName>) -> Option<Task> {
        while let Some(name) = self.free.pop_front() {
            let limit = self.limit;
            let Some(host) = self.busy.get_mut(&name) else { continue };
            if !host.has_room(limit) {
                continue;
            }
            if let Some(task) = host.parked.pop_front() {
                host.running += 1;
                self.parked.remove(&task);
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

    /// All parked tasks, which will not run any more.
    pub(super) fn take_parked(&mut self) -> impl Iterator<Item = Task> {
        self.parked = Waiting::default();
        self.busy.values_mut().flat_map(|host| host.parked.drain(..))
    }

    /// An attempt at `task`, which started at `started`, has ended. Says until when its host is left alone, if it is.
    pub(super) fn ended(
        &mut self,
        task: &Task,
        started: Moment,
        now: Moment,
        reply: Reply,
    ) -> Option<Moment> {
        let name: HostName = (self.host_of)(task)?.into();
        let pause = self.control(&name, started, now, reply);
        let Reply::Refused(asked) = reply else {
            // What was sent before the pause says nothing about the time after it.
            if self.refusing.get(&name).is_some_and(|host| host.until <= now) {
                self.refusing.remove(&name);
            }
            return None;
        };
        self.refusals += 1;
        Some(self.leave_alone(name, now, pause, asked))
    }

    /// A host that a redirect had led to has refused: it is left alone, too.
    pub(super) fn refused_by(&mut self, name: HostName, now: Moment, asked: Option<Duration>) {
        self.leave_alone(name, now, None, asked);
    }

    /// Leaves a host alone that has refused: for as long as it has `asked`, or its controller says, or for longer each time.
    /// Says until when.
    fn leave_alone(
        &mut self,
        name: HostName,
        now: Moment,
        pause: Option<Duration>,
        asked: Option<Duration>,
    ) -> Moment {
        let host = self.refusing.entry(name).or_insert(Refusing { until: now, in_row: 0 });
        if host.until <= now {
            host.in_row += 1; // else it is the same episode
        }
        let doubled = 2_u32.saturating_pow((host.in_row - 1).min(16));
        let own = || pause.unwrap_or_else(|| PAUSES.0.saturating_mul(doubled).min(PAUSES.1));
        let until = now + asked.map_or_else(own, |asked| asked.min(LONGEST));
        if host.until <= now || asked.is_some() {
            host.until = host.until.max(until);
        }
        host.until
    }

    /// Tells the controller of a host; says how long to leave it alone after a refusal.
    fn control(
        &mut self,
        name: &HostName,
        started: Moment,
        now: Moment,
        reply: Reply,
    ) -> Option<Duration> {
        let HostLimit::Adaptive(bounds) = self.limit else { return None };
        let host = self.busy.entry(Arc::clone(name)).or_default();
        let controller = host.controller.get_or_insert_with(|| Controller::new(bounds));
        let before = controller.limit();
        let (sent, at) = (started.since(self.origin), now.since(self.origin));
        let pause = if reply == Reply::Answered {
            self.answers += 1;
            controller.answered(sent, at, host.running);
            None
        } else {
            Some(controller.refused(sent, at))
        };
        let limit = controller.limit();
        // One that has grown has room for parked tasks.
        let room = limit.saturating_sub(host.running).min(host.parked.len());
        let running = host.running;
        if limit > before {
            (0..room).for_each(|_| self.free.push_back(Arc::clone(name)));
        }
        if limit != before && self.history.len() < HISTORY {
            let (host, refusals) = (Arc::clone(name), self.refusals);
            self.history.push(LimitChange { at, host, limit, running, refusals });
        }
        pause
    }

    /// What limits that find themselves came to: in words, and how they came there.
    pub(super) fn found(&self) -> Option<(String, Vec<LimitChange>)> {
        if !self.is_adaptive() {
            return None;
        }
        let mut limits: Vec<_> = self
            .busy
            .iter()
            .filter_map(|(name, host)| Some((name, host.controller.as_ref()?.limit())))
            .collect();
        limits.sort_by(|(a, x), (b, y)| y.cmp(x).then(a.cmp(b)));
        let shown: Vec<_> =
            limits.iter().take(3).map(|(name, limit)| format!("{limit} for {name}")).collect();
        let more = limits.len().saturating_sub(3);
        let more = if more > 0 { format!(" and {more} more hosts") } else { String::new() };
        let all = self.answers + self.refusals;
        let refused = match self.refusals {
            0 => String::new(),
            count => format!("; {count} of {all} requests were refused"),
        };
        let words = match &shown[..] {
            [] => "concurrency found itself: nothing was asked".into(),
            _ => format!("concurrency settled at {}{more}{refused}", shown.join(", ")),
        };
        Some((words, self.history.clone()))
    }

    /// How often hosts have refused.
    pub(super) fn refusals(&self) -> u64 {
        self.refusals
    }
}

impl Host {
    fn limit(&mut self, limit: HostLimit) -> usize {
        match limit {
            HostLimit::None => usize::MAX,
            HostLimit::Fixed(limit) => limit,
            HostLimit::Adaptive(bounds) => {
                self.controller.get_or_insert_with(|| Controller::new(bounds)).limit()
            }
        }
    }

    fn has_room(&mut self, limit: HostLimit) -> bool {
        self.running < self.limit(limit)
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
        Hosts::new(HostLimit::Fixed(limit), Box::new(host_of))
    }

    fn task(number: u64, host: &str) -> Task {
        Task::new(number, Fields::single(host))
    }

    #[test]
    fn a_full_host_parks_its_own_tasks_only() {
        let (mut hosts, mut held) = (hosts(2), Vec::new());
        let now = Moment::now();
        let mut admitted = |number, host| {
            matches!(hosts.admit(task(number, host), now, &mut held), Admitted::Yes(_))
        };
        assert!(admitted(1, "a") && admitted(2, "a") && !admitted(3, "a") && !admitted(4, "a"));
        assert!(admitted(5, "b") && admitted(6, "none") && admitted(7, "none"));
        assert_eq!((hosts.parked().tasks, held.len()), (2, 3));
        assert!(hosts.pop_free(&mut held).is_none());
        hosts.release(held.remove(0));
        assert_eq!(hosts.pop_free(&mut held).unwrap().number, 3);
        assert!(hosts.pop_free(&mut held).is_none());
        assert!(hosts.take_parked().map(|task| task.number).eq([4]));
        assert_eq!(hosts.parked(), Waiting::default());
        held.drain(..).for_each(|name| hosts.release(name));
        assert!(hosts.busy.is_empty(), "hosts are forgotten");
    }

    #[test]
    fn a_host_that_refuses_is_left_alone_and_the_others_are_not() {
        let host_of = |task: &Task| Some(String::from_utf8_lossy(task.fields.get(0)).into_owned());
        let mut hosts = Hosts::new(HostLimit::None, Box::new(host_of));
        let (now, mut held) = (Moment::now(), Vec::new());
        let later = |millis| now + Duration::from_millis(millis);
        assert!(matches!(hosts.admit(task(1, "a"), now, &mut held), Admitted::Yes(_)));
        let until = hosts.ended(&task(1, "a"), now, now, Reply::Refused(None));
        assert_eq!(until, Some(later(250)));
        // Another one of the same episode changes nothing, unless the server asks for more.
        assert_eq!(hosts.ended(&task(2, "a"), now, later(10), Reply::Refused(None)), until);
        let asked = Some(Duration::from_millis(500));
        assert_eq!(
            hosts.ended(&task(2, "a"), now, later(10), Reply::Refused(asked)),
            Some(later(510))
        );
        assert!(
            matches!(hosts.admit(task(3, "a"), later(20), &mut held), Admitted::Later(_, until) if until == later(510))
        );
        assert!(matches!(hosts.admit(task(4, "b"), later(20), &mut held), Admitted::Yes(_)));
        assert!(matches!(hosts.admit(task(3, "a"), later(510), &mut held), Admitted::Yes(_)));
        // A refusal after the pause makes the next one longer; an answer makes it forgotten.
        assert_eq!(
            hosts.ended(&task(3, "a"), now, later(600), Reply::Refused(None)),
            Some(later(1100))
        );
        assert_eq!(hosts.ended(&task(3, "a"), now, later(1200), Reply::Answered), None);
        assert!(!hosts.listens());
        let years = Reply::Refused(Some(Duration::from_hours(99_999)));
        assert_eq!(hosts.ended(&task(3, "a"), now, now, years), Some(now + LONGEST));
    }

    #[test]
    fn a_limit_that_has_grown_has_room_for_what_was_parked() {
        let host_of = |_: &Task| Some("a".to_owned());
        let bounds = Bounds { min: 1, max: 4 };
        let mut hosts =
            Hosts::new(HostLimit::Adaptive(Bounds { max: 1, ..bounds }), Box::new(host_of));
        let (now, mut held) = (Moment::now(), Vec::new());
        assert!(matches!(hosts.admit(task(1, ""), now, &mut held), Admitted::Yes(_)));
        for number in 2..6 {
            assert!(matches!(hosts.admit(task(number, ""), now, &mut held), Admitted::Parked));
        }
        hosts.busy.get_mut("a").unwrap().controller = Some(Controller::new(bounds));
        // Four were meant to be the start of this range; the parked ones come as others end.
        hosts.release(held.pop().unwrap());
        assert!(hosts.pop_free(&mut held).is_some() && hosts.pop_free(&mut held).is_none());
        assert_eq!(hosts.parked().tasks, 3);
        assert!(hosts.found().unwrap().0.starts_with("concurrency settled at 4 for a"));
    }
}

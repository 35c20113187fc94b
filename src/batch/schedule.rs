//! Decides which job is next: pure bookkeeping.

use std::num::NonZeroUsize;

use crate::task::Exit;

/// What a job requires of the order.
#[derive(Clone, Debug, Default)]
pub(super) struct Terms {
    /// The indices of the jobs that it needs, all lower than its own.
    pub needs: Vec<usize>,
    /// Whether it runs alone.
    pub exclusive: bool,
}

/// The jobs of a batch and the state of each.
#[derive(Debug)]
pub(super) struct Schedule {
    jobs: Vec<(Terms, State)>,
    at_once: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Waiting,
    Running,
    /// Jobs that need it may run.
    Ok,
    /// It did not end ok, or was skipped.
    NotOk,
}

/// The next step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Start this job; it counts as running from now on.
    Start(usize),
    /// Skip this job, since `need` did not end ok.
    Skip { job: usize, need: usize },
    /// Wait until a job ends.
    Wait,
    /// All jobs are done.
    Over,
}

impl Schedule {
    /// A schedule of jobs with these terms, at most `at_once` of them running at any time.
    pub fn new(jobs: impl IntoIterator<Item = Terms>, at_once: NonZeroUsize) -> Self {
        let jobs = jobs.into_iter().map(|terms| (terms, State::Waiting)).collect();
        Self { jobs, at_once: at_once.get() }
    }

    /// The next step.
    pub fn next(&mut self) -> Next {
        for job in 0..self.jobs.len() {
            let (terms, State::Waiting) = &self.jobs[job] else { continue };
            if let Some(&need) = terms.needs.iter().find(|&&need| self.jobs[need].1 == State::NotOk)
            {
                self.jobs[job].1 = State::NotOk;
                return Next::Skip { job, need };
            }
            if terms.needs.iter().any(|&need| self.jobs[need].1 != State::Ok) {
                continue;
            }
            // An exclusive job waits until it can be alone, and the jobs after it wait for its turn.
            if !self.has_room() || (terms.exclusive && self.running() > 0) {
                return Next::Wait;
            }
            self.jobs[job].1 = State::Running;
            return Next::Start(job);
        }
        self.stop()
    }

    /// The next step if nothing new may start.
    pub fn stop(&self) -> Next {
        if self.running() > 0 { Next::Wait } else { Next::Over }
    }

    /// Records that a job has ended.
    pub fn ended(&mut self, job: usize, exit: Exit) {
        let is_ok = matches!(exit, Exit::Ok | Exit::Nothing);
        self.jobs[job].1 = if is_ok { State::Ok } else { State::NotOk };
    }

    fn running(&self) -> usize {
        self.jobs.iter().filter(|(_, state)| *state == State::Running).count()
    }

    fn has_room(&self) -> bool {
        let is_alone =
            |(terms, state): &(Terms, State)| *state == State::Running && terms.exclusive;
        self.running() < self.at_once && !self.jobs.iter().any(is_alone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(at_once: usize, jobs: &[(&[usize], bool)]) -> Schedule {
        let terms =
            jobs.iter().map(|&(needs, exclusive)| Terms { needs: needs.to_vec(), exclusive });
        Schedule::new(terms, NonZeroUsize::new(at_once).unwrap())
    }

    #[test]
    fn one_after_another() {
        let mut jobs = schedule(1, &[(&[], false), (&[], false)]);
        assert_eq!(jobs.next(), Next::Start(0));
        assert_eq!(jobs.next(), Next::Wait);
        jobs.ended(0, Exit::NotOk);
        assert_eq!(jobs.next(), Next::Start(1));
        jobs.ended(1, Exit::Ok);
        assert_eq!(jobs.next(), Next::Over);
    }

    #[test]
    fn side_by_side_but_not_before_what_is_needed() {
        let mut jobs = schedule(2, &[(&[], false), (&[0], false), (&[], false), (&[], false)]);
        assert_eq!((jobs.next(), jobs.next()), (Next::Start(0), Next::Start(2)));
        assert_eq!(jobs.next(), Next::Wait);
        jobs.ended(0, Exit::Ok);
        assert_eq!((jobs.next(), jobs.next()), (Next::Start(1), Next::Wait));
    }

    #[test]
    fn what_needs_a_failed_job_is_skipped_and_so_is_what_needs_that() {
        let mut jobs = schedule(1, &[(&[], false), (&[0], false), (&[1], false), (&[], false)]);
        assert_eq!(jobs.next(), Next::Start(0));
        jobs.ended(0, Exit::NotOk);
        assert_eq!(jobs.next(), Next::Skip { job: 1, need: 0 });
        assert_eq!(jobs.next(), Next::Skip { job: 2, need: 1 });
        assert_eq!(jobs.next(), Next::Start(3));
    }

    #[test]
    fn an_exclusive_job_is_alone_and_is_not_overtaken() {
        let mut jobs = schedule(3, &[(&[], false), (&[], true), (&[], false)]);
        assert_eq!((jobs.next(), jobs.next()), (Next::Start(0), Next::Wait));
        jobs.ended(0, Exit::Ok);
        assert_eq!((jobs.next(), jobs.next()), (Next::Start(1), Next::Wait));
        jobs.ended(1, Exit::Ok);
        assert_eq!(jobs.next(), Next::Start(2));
    }

    #[test]
    fn what_is_stopped_only_waits_for_what_runs() {
        let mut jobs = schedule(1, &[(&[], false), (&[], false)]);
        assert_eq!((jobs.next(), jobs.stop()), (Next::Start(0), Next::Wait));
        jobs.ended(0, Exit::Ok);
        assert_eq!(jobs.stop(), Next::Over);
    }
}

//! What a pilot decides, from made-up evidence.

use super::*;
use crate::model::level::Seen;

const FUNCTION: Work = Work::Function { gil: true, coroutine: false, thread_safe: true };

/// One whose author says nothing of threads.
const PLAIN: Work = Work::Function { gil: true, coroutine: false, thread_safe: false };

fn ms(millis: f64) -> Duration {
    Duration::from_secs_f64(millis / 1e3)
}

/// `ended` tasks have run for `run` each, a `share` of that on a processor; `left` are left.
fn evidence(work: Work, (ended, run, share): (u64, f64, f64), left: Option<u64>) -> Evidence {
    let sum = ms(run * ended as f64);
    Evidence {
        work,
        ended,
        run: sum,
        cpu: Some(sum.mul_f64(share)),
        look: None,
        startup: ms(30.0),
        left,
        cores: 2,
        slots: if work == Work::Command { 2 } else { 1 },
        spare: 0,
        most: 100,
        set: None,
        idle: None,
        room: None,
    }
}

fn decided(evidence: &Evidence) -> Option<(Model, usize)> {
    evidence.decide().map(|decision| (decision.model, decision.concurrency))
}

/// One task runs, and has used this share of its time so far.
fn looked(work: Work, share: f64, busy: f64, left: Option<u64>) -> Evidence {
    let look = Some(Look { share, busy: ms(busy) });
    Evidence { look, ..evidence(work, (0, 0.0, 0.0), left) }
}

#[test]
fn what_an_interpreter_does_once_is_not_taken_for_its_tasks() {
    let seen = |(ended, run, share), look, idle| {
        let look = Some(Look { share: look, busy: ms(50.0) });
        decided(&Evidence {
            look,
            idle: Some(idle),
            ..evidence(FUNCTION, (ended, run, share), Some(60))
        })
    };
    assert_eq!(seen((1, 50.0, 0.002), 0.3, 0.8), Some((Model::Threads, 32)));
    assert_eq!(
        seen((1, 50.0, 0.002), 0.4, 0.0),
        Some((Model::Threads, 32)),
        "on a busy machine, too"
    );
    assert_eq!(
        seen((1, 50.0, 0.5), 0.99, 0.0),
        Some((Model::Processes, 2)),
        "others took its processor"
    );
    assert_eq!(seen((9, 1.0, 0.2), 0.99, 0.8), Some((Model::Processes, 2)), "tasks are short");
}

#[test]
fn what_a_first_coroutine_does_once_is_not_taken_for_computing() {
    let coroutine = Work::Function { gil: true, coroutine: true, thread_safe: false };
    let seen = |share, busy| decided(&looked(coroutine, share, busy, Some(40)));
    assert_eq!(seen(0.9, 6.0), None);
    assert_eq!(seen(0.1, 6.0), Some((Model::Async, 40)));
    assert_eq!(seen(0.9, 60.0), Some((Model::Processes, 2)));
}

#[test]
fn functions() {
    let seen = |run, share, left| decided(&evidence(FUNCTION, (3, run, share), left));
    assert_eq!(seen(41.0, 0.97, Some(40)), Some((Model::Processes, 2)));
    assert_eq!(seen(50.0, 0.01, Some(60)), Some((Model::Threads, 32)));
    assert_eq!(seen(50.0, 0.01, Some(4)), Some((Model::Threads, 4)));
    assert_eq!(seen(40.0, 0.5, Some(60)), Some((Model::Processes, 4)));
    // Three of a microsecond are not enough to tell, and twenty are done before anything else has started.
    assert_eq!(seen(0.001, 1.0, Some(20)), None);
    assert_eq!(seen(1.0, 1.0, Some(20)), None);
    assert_eq!(seen(1.0, 1.0, Some(2000)), Some((Model::Processes, 2)));
    let coroutine = Work::Function { gil: true, coroutine: true, thread_safe: false };
    let seen = |run, share, left| decided(&evidence(coroutine, (3, run, share), left));
    assert_eq!(seen(50.0, 0.01, Some(1000)), Some((Model::Async, 100)));
    assert_eq!(seen(50.0, 0.99, Some(1000)), Some((Model::Processes, 2)));
    // What looks as if it waited a little does not wait enough for threads under the GIL.
    let few = Evidence { startup: ms(300.0), ..looked(FUNCTION, 0.86, 32.0, Some(6)) };
    assert_eq!(decided(&few), None);
    let free = Work::Function { gil: false, coroutine: false, thread_safe: true };
    let free = evidence(free, (3, 41.0, 0.97), Some(40));
    assert_eq!(decided(&free).map(|(model, _)| model), Some(Model::Threads));
}

#[test]
fn plain_functions_have_their_interpreter_to_themselves() {
    let seen = |startup, run, share, left| {
        let evidence = evidence(PLAIN, (3, run, share), left);
        decided(&Evidence { startup: ms(startup), ..evidence })
    };
    assert_eq!(seen(1.0, 50.0, 0.01, Some(60)), Some((Model::Processes, 60)));
    assert_eq!(seen(1.0, 50.0, 0.01, Some(6000)), Some((Model::Processes, 64)));
    assert_eq!(seen(5.0, 50.0, 0.01, Some(60)), Some((Model::Processes, 30)));
    assert_eq!(seen(3.0, 50.0, 0.01, Some(4)), Some((Model::Processes, 4)));
    // Those that take long to start are fewer.
    assert_eq!(seen(30.0, 50.0, 0.01, Some(60)), Some((Model::Processes, 15)));
    assert_eq!(seen(30.0, 41.0, 0.97, Some(40)), Some((Model::Processes, 2)));
    // Without a GIL, the working folder is still everybody's.
    let free = Work::Function { gil: false, coroutine: false, thread_safe: false };
    let free = evidence(free, (3, 41.0, 0.97), Some(40));
    assert_eq!(decided(&free).map(|(model, _)| model), Some(Model::Processes));
}

#[test]
fn long_tasks_tell_before_they_end() {
    let seen = |share, busy, left| decided(&looked(FUNCTION, share, busy, left));
    assert_eq!(seen(1.0, 5.0, Some(40)), None);
    assert_eq!(seen(1.0, 16.0, Some(40)), Some((Model::Processes, 2)));
    assert_eq!(seen(0.0, 16.0, Some(40)), Some((Model::Threads, 32)));
    assert_eq!(seen(0.5, 16.0, Some(40)), None);
    // That a plain one waits shows sooner: few join it then.
    let plain = |share, busy| decided(&looked(PLAIN, share, busy, Some(40)));
    assert_eq!(plain(0.0, 4.0), None);
    assert_eq!(plain(0.0, 6.0), Some((Model::Processes, 2)));
    assert_eq!(plain(1.0, 6.0), None);
    // Two that may be over before another interpreter has started, and then may not.
    assert_eq!(seen(1.0, 16.0, Some(2)), None);
    assert_eq!(seen(1.0, 100.0, Some(2)), Some((Model::Processes, 2)));
}

#[test]
fn what_was_decided_early_is_confirmed_or_grows() {
    let early = looked(FUNCTION, 1.0, 16.0, Some(40)).decide().unwrap();
    assert!(!early.is_final);
    assert_eq!(looked(FUNCTION, 1.0, 30.0, Some(40)).confirm(&early), None);
    let confirmed = |share, run| {
        let evidence = evidence(FUNCTION, (1, run, share), Some(40));
        let decision = evidence.confirm(&early).unwrap();
        (decision.model, decision.concurrency, decision.is_final)
    };
    assert_eq!(confirmed(1.0, 50.0), (Model::Processes, 2, true));
    assert_eq!(confirmed(0.25, 200.0), (Model::Processes, 8, true));
    assert!(looked(FUNCTION, 0.0, 16.0, Some(40)).decide().unwrap().is_final);
}

#[test]
fn an_unknown_number_is_waited_out() {
    let seen = |ended| decided(&evidence(FUNCTION, (ended, 1.0, 1.0), None));
    assert_eq!(seen(3), None);
    assert_eq!(seen(100), Some((Model::Processes, 2)));
}

#[test]
fn commands() {
    let seen = |run, share, left| decided(&evidence(Work::Command, (4, run, share), left));
    assert_eq!(seen(300.0, 0.98, Some(8)), Some((Model::Threads, 2)));
    assert_eq!(seen(200.0, 0.01, Some(20)), Some((Model::Threads, 16)));
    assert_eq!(seen(200.0, 0.01, Some(3)), Some((Model::Threads, 3)));
    assert_eq!(seen(200.0, 0.5, Some(20)), Some((Model::Threads, 4)));
    assert_eq!(seen(1.0, 0.4, Some(1000)), Some((Model::Threads, 2)));
    let crowded = Evidence { idle: Some(0.0), ..evidence(Work::Command, (4, 200.0, 0.5), None) };
    assert_eq!(decided(&crowded), Some((Model::Threads, 2)));
    let crowded = Evidence { room: Some(5), ..evidence(Work::Command, (4, 200.0, 0.0), None) };
    assert_eq!(decided(&crowded), Some((Model::Threads, 5)));
    assert_eq!(decided(&looked(Work::Command, 0.0, 30.0, None)), None);
    // Those that run now have just started: the ones that ended tell what they are like.
    let look = Some(Look { share: 0.05, busy: ms(300.0) });
    let early = looked(Work::Command, 0.9, 60.0, Some(5)).decide().unwrap();
    let later = Evidence { look, ..evidence(Work::Command, (1, 300.0, 0.98), Some(5)) };
    assert_eq!(later.confirm(&early).map(|decision| decision.concurrency), Some(2));
    assert_eq!(decided(&later), Some((Model::Threads, 2)));
    // They were slow to start beside others, and wait after that.
    let early = looked(Work::Command, 0.22, 60.0, Some(20)).decide().unwrap();
    assert_eq!((early.concurrency, early.is_final), (10, false));
    let later = evidence(Work::Command, (2, 300.0, 0.01), Some(18)).confirm(&early).unwrap();
    assert_eq!((later.concurrency, later.is_final), (16, true));
}

#[test]
fn what_the_user_sets_is_kept() {
    let seen = |share| {
        let evidence = evidence(FUNCTION, (3, 50.0, share), Some(100));
        decided(&Evidence { set: Some(5), most: 5, ..evidence })
    };
    assert_eq!(seen(0.0), Some((Model::Threads, 5)));
    assert_eq!(seen(1.0), Some((Model::Processes, 5)));
}

#[test]
fn reasons() {
    let words = |evidence: Evidence| evidence.decide().unwrap().reason;
    assert_eq!(
        words(evidence(FUNCTION, (3, 41.0, 0.97), Some(40))),
        "auto: cpu 97 % of 41 ms, GIL on, 2 cores: processes"
    );
    assert_eq!(
        words(looked(FUNCTION, 0.0, 16.0, Some(40))),
        "auto: cpu 0 % of the first 16 ms, GIL on, 2 cores: threads"
    );
    let few = evidence(FUNCTION, (3, 0.5, 1.0), Some(0)).conclude(0);
    assert_eq!((few.model, few.concurrency), (Model::Sequential, 1));
    assert_eq!(
        few.reason,
        "auto: cpu 100 % of 500 µs, GIL on, 2 cores: done before another slot would have helped, sequential"
    );
}

#[test]
fn what_starts_beside_the_pilot() {
    assert_eq!(spare_slots(false, 100, 2, None), 1);
    assert_eq!(spare_slots(false, 100, 2, Some(8 << 30)), 1);
    assert_eq!(spare_slots(false, 100, 2, Some(1 << 20)), 0, "memory is short");
    assert_eq!(spare_slots(false, 100, 1, None), 0);
    assert_eq!(spare_slots(false, 1, 2, None), 0, "one at a time, as set");
    assert_eq!(spare_slots(true, 100, 2, None), 0);
}

#[test]
fn what_is_ready_begins_with_tasks_that_last() {
    let begins = |work, busy, left| {
        let spare = Evidence { spare: 1, ..looked(work, 1.0, busy, left) };
        spare.spare_begins()
    };
    assert!(begins(PLAIN, 3.0, Some(9)));
    assert!(begins(PLAIN, 3.0, None));
    assert!(!begins(PLAIN, 0.5, Some(9)), "they may be done by then");
    assert!(!begins(PLAIN, 3.0, Some(0)));
    assert!(!begins(FUNCTION, 3.0, Some(9)), "threads may join");
    let coroutine = Work::Function { gil: true, coroutine: true, thread_safe: false };
    assert!(!begins(coroutine, 3.0, Some(9)), "coroutines may join");
    let ready = Evidence { spare: 1, ..evidence(PLAIN, (3, 41.0, 0.97), Some(2)) };
    assert_eq!(decided(&ready), Some((Model::Processes, 2)), "nothing has to start for it");
    let done = ready.conclude(1);
    assert_eq!((done.model, done.concurrency), (Model::Processes, 2));
    assert_eq!(done.reason, "auto: cpu 97 % of 41 ms, GIL on, 2 cores: processes");
}

#[test]
fn before_a_task_has_ended_few_join_those_that_wait() {
    let seen = |busy| Evidence { spare: 1, ..looked(PLAIN, 0.0, busy, Some(200)) };
    let early = seen(16.0).decide().unwrap();
    assert_eq!((early.concurrency, early.is_final), (3, false));
    let later = seen(160.0).confirm(&early).unwrap();
    assert_eq!((later.concurrency, later.is_final), (12, false));
    assert_eq!(seen(160.0).confirm(&later), None);
    // It has computed after that.
    let ended = Evidence { spare: 1, ..evidence(PLAIN, (1, 400.0, 0.5), Some(200)) };
    let last = ended.confirm(&early).unwrap();
    assert_eq!((last.concurrency, last.is_final), (4, true));
}

#[test]
fn a_level_is_looked_for_where_processes_wait() {
    let may_grow = |evidence: Evidence| {
        let decision = evidence.decide().unwrap();
        let calm = Seen { at: ms(1e3), ended: 1000, ..Seen::default() };
        let mut level = evidence.level(&decision)?;
        level.step(&calm);
        Some(level.step(&Seen { at: ms(2e3), ended: 9000, ..calm }).is_some())
    };
    let waits = evidence(Work::Command, (4, 200.0, 0.01), Some(900));
    assert_eq!(may_grow(waits.clone()), Some(true));
    assert_eq!(may_grow(Evidence { set: Some(16), ..waits }), None);
    assert_eq!(may_grow(evidence(Work::Command, (4, 200.0, 0.98), Some(900))), Some(false));
    assert_eq!(may_grow(evidence(PLAIN, (3, 200.0, 0.01), Some(900))), Some(true));
    assert_eq!(may_grow(evidence(FUNCTION, (3, 200.0, 0.01), Some(900))), None, "threads");
}

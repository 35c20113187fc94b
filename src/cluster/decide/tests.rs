//! Every line of the table, then random histories: whatever happens to elements, each task gets one row, and it ends.

use proptest::prelude::*;

use super::*;

const HISTORY: History = History {
    has_begun: true,
    rows: 5,
    rows_before: 3,
    in_vain: 0,
    ran: Duration::from_mins(1),
    said_to_run: Duration::from_mins(1),
    ended: Duration::ZERO,
    is_stopped: false,
};

const TERMS: Terms = Terms {
    tries: 3,
    has_rows: true,
    pause: Duration::from_secs(5),
    is_stopping: false,
    resumes: false,
    setup: LATE,
};

fn ended(how: How, code: u8) -> Found {
    Found::Ended { how, code, node: "n1".into() }
}

fn waiting(outlook: Outlook) -> Found {
    Found::Waiting { reason: "Why".into(), outlook }
}

fn at_once(decision: &Decision) -> bool {
    matches!(decision, Decision::Again(pause, _) if pause.is_zero())
}

#[test]
fn a_link_is_stronger_than_any_word_of_the_scheduler() {
    for found in [
        ended(How::OutOfMemory, 137),
        ended(How::Cancelled, 0),
        Found::Absent,
        Found::Forgotten,
        Found::Running { node: "n1".into() },
    ] {
        assert_eq!(decide(true, &found, &HISTORY, &TERMS), Decision::Collect, "{found:?}");
    }
}

#[test]
fn what_waits_or_runs_is_waited_for() {
    let running = Found::Running { node: String::new() };
    for found in [
        waiting(Outlook::Passes),
        waiting(Outlook::Never("time")),
        waiting(Outlook::HeldByHand),
        running,
    ] {
        assert_eq!(decide(false, &found, &HISTORY, &TERMS), Decision::Wait, "{found:?}");
    }
    let held = decide(false, &waiting(Outlook::Held), &HISTORY, &TERMS);
    assert_eq!(held, Decision::TakeAway("Why".into()));
}

#[test]
fn a_file_may_be_late() {
    let done = ended(How::Completed, 0);
    assert_eq!(decide(false, &done, &HISTORY, &TERMS), Decision::Wait);
    let late = History { ended: LATE, ..HISTORY };
    assert!(at_once(&decide(false, &done, &late, &TERMS)));
}

#[test]
fn what_a_rule_has_stopped_is_not_started_again_whatever_the_scheduler_has_forgotten() {
    let history = History { is_stopped: true, ..HISTORY };
    for found in [Found::Forgotten, Found::Absent, ended(How::Failed, EXIT_STOPPED)] {
        for resumes in [false, true] {
            let terms = Terms { resumes, ..TERMS };
            let decision = decide(false, &found, &history, &terms);
            assert_eq!(decision, Decision::StopRun(Fatal::Rule), "{found:?}");
        }
    }
    assert_eq!(decide(true, &Found::Forgotten, &history, &TERMS), Decision::Collect);
}

#[test]
fn what_was_stopped_or_lost_is_started_again() {
    for found in [
        ended(How::Failed, EXIT_LATER),
        ended(How::Failed, 137),
        ended(How::NodeLost, 0),
        ended(How::TimeLimit, 0),
        ended(How::Preempted, 9),
        ended(How::OutOfMemory, 137),
        ended(How::NotStarted, 0),
        ended(How::Deadline, 0),
        Found::Forgotten,
        Found::Absent,
    ] {
        let decision = decide(false, &found, &HISTORY, &TERMS);
        assert!(at_once(&decision), "{found:?}: {decision:?}");
        let stopping = Terms { is_stopping: true, ..TERMS };
        let decision = decide(false, &found, &HISTORY, &stopping);
        assert!(matches!(decision, Decision::Withdrawn(_)), "{found:?}: {decision:?}");
    }
}

#[test]
fn starts_in_vain_are_rarer_and_rarer_and_then_given_up() {
    let in_vain = |in_vain| History {
        rows_before: HISTORY.rows,
        in_vain,
        ran: Duration::from_secs(1),
        ..HISTORY
    };
    let lost = ended(How::NodeLost, 0);
    let pause = |history| match decide(false, &lost, &history, &TERMS) {
        Decision::Again(pause, _) => Some(pause.as_secs()),
        _ => None,
    };
    assert_eq!([0, 1, 2].map(|starts| pause(in_vain(starts))), [Some(10), Some(20), None]);
    let given_up = decide(false, &lost, &in_vain(2), &TERMS);
    assert_eq!(
        given_up,
        Decision::GiveUp(
            "3 starts in a row without a new row, the last one: its node was lost".into()
        )
    );
    let new_row = History { rows_before: HISTORY.rows - 1, ..in_vain(2) };
    assert_eq!(pause(new_row), Some(5));
}

#[test]
fn what_is_wrong_everywhere_stops_the_run() {
    let first = Terms { has_rows: false, ..TERMS };
    for (code, fatal) in [
        (EXIT_USAGE, Fatal::Usage),
        (126, Fatal::CannotRun(126)),
        (127, Fatal::CannotRun(127)),
        (132, Fatal::CannotRun(132)),
    ] {
        let found = ended(How::Failed, code);
        assert_eq!(decide(false, &found, &HISTORY, &first), Decision::StopRun(fatal));
        assert!(at_once(&decide(false, &found, &HISTORY, &TERMS)), "{code}: it worked elsewhere");
    }
    for (code, fatal) in [(EXIT_DISK, Fatal::Disk), (EXIT_STOPPED, Fatal::Rule)] {
        let found = decide(false, &ended(How::Failed, code), &HISTORY, &TERMS);
        assert_eq!(found, Decision::StopRun(fatal));
    }
}

#[test]
fn a_node_that_does_not_see_the_results_stops_the_run() {
    let running = Found::Running { node: "n2".into() };
    let first = Terms { has_rows: false, ..TERMS };
    let long = LATE + Duration::from_secs(1);
    let unseen = History { has_begun: false, rows: 0, said_to_run: long, ..HISTORY };
    assert_eq!(decide(false, &running, &unseen, &first), Decision::StopRun(Fatal::Unseen));
    // It has a folder, or others have, or its setup takes a while.
    for (history, terms) in [
        (History { has_begun: true, ..unseen }, first),
        (unseen, TERMS),
        (unseen, Terms { setup: LATE * 2, ..first }),
        (History { said_to_run: LATE, ..unseen }, first),
    ] {
        assert_eq!(decide(false, &running, &history, &terms), Decision::Wait);
    }
}

#[test]
fn somebodys_will_is_done() {
    let cancelled = decide(false, &ended(How::Cancelled, 0), &HISTORY, &TERMS);
    assert!(matches!(cancelled, Decision::Withdrawn(_)));
    let never_ran = History { has_begun: false, rows: 0, rows_before: 0, ..HISTORY };
    assert!(matches!(decide(false, &Found::Absent, &never_ran, &TERMS), Decision::Withdrawn(_)));
}

#[test]
fn what_was_cancelled_before_a_resume_runs_now() {
    let resumes = Terms { resumes: true, ..TERMS };
    let never_ran = History { has_begun: false, rows: 0, rows_before: 0, ..HISTORY };
    for (found, history) in [
        (ended(How::Cancelled, 0), HISTORY),
        (ended(How::Failed, EXIT_DISK), never_ran),
        (ended(How::Failed, EXIT_USAGE), never_ran),
        (Found::Absent, never_ran),
    ] {
        assert!(at_once(&decide(false, &found, &history, &resumes)), "{found:?}");
        let stopping = Terms { is_stopping: true, ..resumes };
        let decision = decide(false, &found, &history, &stopping);
        assert!(!at_once(&decision), "{found:?}: {decision:?}");
    }
    // Its own rules hold for the whole job, whoever watches.
    for (code, fatal) in [(EXIT_STOPPED, Fatal::Rule), (EXIT_DEADLINE, Fatal::Deadline)] {
        let found = decide(false, &ended(How::Failed, code), &HISTORY, &resumes);
        assert_eq!(found, Decision::StopRun(fatal));
    }
}

/// A shard as it really is: what the driver knows of it comes only through `decide`.
struct Shard {
    tasks: u64,
    rows: u64,
    rows_before: u64,
    in_vain: u32,
    starts: u32,
    is_linked: bool,
}

/// What befalls a start: how many new rows it makes, and how it ends.
type Fate = (u64, u8);

impl Shard {
    /// Lives through one start, and says what the scheduler says afterwards.
    fn live(&mut self, (new, end): Fate) -> Found {
        self.starts += 1;
        self.rows_before = self.rows;
        self.rows = self.tasks.min(self.rows + new);
        if self.rows == self.tasks && end % 8 != 7 {
            self.is_linked = true; // whatever happens to it after that
        }
        match end % 8 {
            0 => ended(How::NodeLost, 0),
            1 => ended(How::Failed, EXIT_LATER),
            2 => Found::Forgotten,
            3 => ended(How::TimeLimit, 0),
            4 => ended(How::Failed, 137),
            5 if self.is_linked => ended(How::Completed, 0),
            6 => ended(How::OutOfMemory, 0),
            _ => ended(How::Preempted, 9),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    /// Whatever befalls its starts, a shard is collected once with all rows, or given up after `tries` starts in a row
    /// without a new row; it is never started again while it may be alive.
    #[test]
    fn a_shard_ends_collected_or_given_up(
        tasks in 1..40_u64,
        fates in prop::collection::vec((0..12_u64, any::<u8>()), 1..60),
    ) {
        let mut shard =
            Shard { tasks, rows: 0, rows_before: 0, in_vain: 0, starts: 0, is_linked: false };
        let mut fates = fates.into_iter().cycle();
        loop {
            let alive = Found::Running { node: "n1".into() };
            let found = shard.live(fates.next().unwrap());
            let history = History {
                has_begun: true,
                rows: shard.rows,
                rows_before: shard.rows_before,
                in_vain: shard.in_vain,
                ran: Duration::from_secs(1),
                said_to_run: Duration::from_secs(1),
                ended: LATE,
                is_stopped: false,
            };
            let terms = TERMS;
            if !shard.is_linked {
                prop_assert_eq!(decide(false, &alive, &history, &terms), Decision::Wait);
            }
            match decide(shard.is_linked, &found, &history, &terms) {
                Decision::Collect => {
                    prop_assert_eq!(shard.rows, tasks);
                    break;
                }
                Decision::Again(..) => {
                    prop_assert!(!shard.is_linked);
                    shard.in_vain =
                        if shard.rows > shard.rows_before { 0 } else { shard.in_vain + 1 };
                    prop_assert!(shard.in_vain < 3);
                }
                Decision::GiveUp(_) => {
                    prop_assert!(!shard.is_linked && shard.in_vain == 2);
                    prop_assert_eq!(shard.rows, shard.rows_before);
                    break;
                }
                other => prop_assert!(false, "{:?}", other),
            }
            // Each start brings a row, or is one of at most two in a row that do not.
            prop_assert!(u64::from(shard.starts) <= 3 * (tasks + 1));
        }
    }
}

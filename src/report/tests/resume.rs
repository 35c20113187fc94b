//! Resuming what an earlier run has left, at every point where it may have ended.

use std::os::unix::fs::FileExt;

use proptest::prelude::*;

use super::*;
use crate::report::store::state;
use crate::task::Fields;

const RESUME: Begin = Begin::Resume(Resume {
    rerun: Rerun::Unfinished,
    changes: Changes::Refused,
    rest: Rest::Dropped,
});

/// A record of this input: `failed` if it starts with `f`, `timeout` if it starts with `t`, else `ok`.
fn of(number: u64, input: &str) -> Record {
    let mut record = record(number);
    record.task.fields = Fields::single(input);
    record.outcome.status = match input.as_bytes().first() {
        Some(b'f') => Status::Failed,
        Some(b't') => Status::Timeout,
        _ => Status::Ok,
    };
    record.outcome.result = b"first".to_vec();
    record
}

/// Runs `inputs`, each unless it is finished; returns those that ran.
fn run<'a>(report: &Report, inputs: &[&'a str]) -> Vec<&'a str> {
    let kept = report.kept();
    let mut buffer = report.buffer();
    let mut ran = Vec::new();
    for (number, &input) in (1..).zip(inputs) {
        if !kept.as_ref().is_some_and(|kept| kept.keep(number, &Fields::single(input), || true)) {
            let mut record = of(number, input);
            record.outcome.result = b"again".to_vec();
            buffer.put(&record);
            ran.push(input);
        }
    }
    if let Some(kept) = kept {
        kept.inputs_ended();
    }
    ran
}

/// Leaves a partial with these inputs, as a killed runner does.
fn leave_partial(fixture: &mut Fixture, inputs: &[&str]) {
    fixture.begin = Begin::Fresh;
    let report = fixture.start().unwrap();
    let mut buffer = report.buffer();
    for (number, input) in (1..).zip(inputs) {
        buffer.put(&of(number, input));
    }
    drop(report);
    fixture.begin = RESUME;
}

/// Resumes with these inputs and finishes; returns those that ran, and the summary.
fn resume_run<'a>(fixture: &mut Fixture, inputs: &[&'a str]) -> (Vec<&'a str>, Summary) {
    fixture.begin = RESUME;
    let report = fixture.start().unwrap();
    let ran = run(&report, inputs);
    (ran, report.finish(facts()).unwrap())
}

fn refusal(fixture: &Fixture) -> String {
    let error = fixture.start().unwrap_err();
    assert!(error.is_refusal(), "{error}");
    error.to_string()
}

/// The report's rows as `task input result`.
fn rows(text: &str) -> Vec<String> {
    let mut reader = ::csv::Reader::from_reader(text.as_bytes());
    reader
        .records()
        .map(|row| row.unwrap())
        .map(|row| format!("{} {} {}", &row[0], &row[1], &row[12]))
        .collect()
}

#[test]
fn a_finished_input_is_found_wherever_it_is_now() {
    let mut fixture = Fixture::new();
    leave_partial(&mut fixture, &["o1", "t2", "f3", "o4", "gone", "o1"]);
    let (ran, summary) = resume_run(&mut fixture, &["new", "f3", "o1", "t2", "o4"]);
    assert_eq!(ran, ["new", "t2"]);
    let text = fixture.read("a.csv").unwrap();
    assert_eq!(
        rows(&text),
        ["1 new again", "2 f3 first", "3 o1 first", "4 t2 again", "5 o4 first"]
    );
    assert_eq!(summary.reason, "set in the job file; resumed: 3 of 5 kept");
    assert_eq!(summary.notes, ["2 finished rows are dropped: their inputs no longer exist"]);
    assert_eq!(summary.totals.tally.total(), 5);
    assert_eq!(summary.totals.tally.get(Status::Failed), 1);
    assert_eq!(summary.run.unwrap().max, Duration::from_millis(1500));
    assert_eq!(summary.totals.cpu.unwrap().user, Duration::from_nanos(5 * 41));
    assert_eq!(fixture.read("a.csv.partial"), None);
}

#[test]
fn a_finished_report_is_resumed_as_well() {
    let mut fixture = Fixture::new();
    let report = fixture.start().unwrap();
    run(&report, &["o1", "t2", "o3"]);
    report.finish(facts()).unwrap();
    let (ran, _) = resume_run(&mut fixture, &["o3", "t2", "o1"]); // from a report that is in order
    assert_eq!(ran, ["t2"]);
    let (ran, _) = resume_run(&mut fixture, &["t2", "o1", "o4"]); // from one that was put in order
    assert_eq!(ran, ["t2", "o4"]);
    let text = fixture.read("a.csv").unwrap();
    assert_eq!(rows(&text), ["1 t2 again", "2 o1 again", "3 o4 again"]);
    let (ran, summary) = resume_run(&mut fixture, &["o1", "o4"]);
    assert_eq!(ran, [""; 0]);
    assert_eq!(summary.totals.tally.get(Status::Ok), 2);
}

#[test]
fn a_kill_between_the_report_and_its_state_costs_nothing() {
    let mut fixture = Fixture::new();
    resume_run(&mut fixture, &["o1", "o2", "o3"]);
    resume_run(&mut fixture, &["o3", "o2", "o1"]);
    // What is on the disk while the third report is made is what a kill leaves beside it.
    let mut report = fixture.start().unwrap();
    assert!(run(&report, &["o2", "o3", "o1"]).is_empty());
    let mut recorder = report.close().unwrap();
    report.kept().unwrap().close(Vec::new);
    let path = report.job.report();
    let publish =
        Publish { order: Order::Input, path: &path, delimiter: b',', took: Duration::ZERO };
    let mut left = None;
    let files = ["a.csv.partial", ".a.state"].map(|name| fixture.results().join(name));
    publish
        .publish(&mut recorder, |_| {
            left.get_or_insert_with(|| files.clone().map(|file| fs::read(file).unwrap()));
        })
        .unwrap();
    drop((report, recorder));
    for (file, bytes) in files.iter().zip(left.unwrap()) {
        fs::write(file, bytes).unwrap();
    }
    let (ran, _) = resume_run(&mut fixture, &["o1", "o2", "o3"]);
    assert_eq!(ran, [""; 0]);
    assert_eq!(rows(&fixture.read("a.csv").unwrap()).len(), 3);
}

#[test]
fn what_failed_runs_again_when_asked_for() {
    let mut fixture = Fixture::new();
    leave_partial(&mut fixture, &["f1", "o2", "f1"]);
    let resume = Resume { rerun: Rerun::Failed, changes: Changes::Refused, rest: Rest::Dropped };
    fixture.begin = Begin::Resume(resume);
    let report = fixture.start().unwrap();
    assert_eq!(run(&report, &["f1", "o2"]), ["f1"]);
    drop(report); // killed: both rows of f1 are in the partial now
    let (ran, _) = resume_run(&mut fixture, &["f1", "o2"]);
    assert_eq!(ran, [""; 0]);
    let text = fixture.read("a.csv").unwrap();
    assert_eq!(rows(&text), ["1 f1 again", "2 o2 first"], "the last one counts");
}

#[test]
fn nothing_there_is_a_fresh_start() {
    let mut fixture = Fixture::new();
    let (ran, _) = resume_run(&mut fixture, &["o1"]);
    assert_eq!(ran, ["o1"]);
    let mut fixture = Fixture::new();
    fs::create_dir(fixture.results()).unwrap();
    fs::write(fixture.results().join("a.csv.partial"), "task,inp").unwrap();
    assert_eq!(resume_run(&mut fixture, &["o1"]).0, ["o1"]);
}

#[test]
fn rows_stay_although_not_all_inputs_were_read() {
    let mut fixture = Fixture::new();
    leave_partial(&mut fixture, &["o1", "o2", "o3"]);
    let report = fixture.start().unwrap();
    assert!(report.kept().unwrap().keep(1, &Fields::single("o2"), || true));
    report.finish(facts()).unwrap();
    let text = fixture.read("a.csv").unwrap();
    assert_eq!(rows(&text), ["1 o2 first", "2 o1 first", "3 o3 first"]);
}

#[test]
fn a_resumed_run_that_did_nothing_leaves_all_as_it_was() {
    let mut fixture = Fixture::new();
    leave_partial(&mut fixture, &["o1"]);
    drop(fixture.start().unwrap());
    assert_eq!(resume_run(&mut fixture, &["o1"]).0, [""; 0]);
    drop(fixture.start().unwrap());
    assert_eq!(fixture.read("a.csv.partial"), None);
    fixture.begin = Begin::Anew;
    drop(fixture.start().unwrap()); // a run that could not start takes nothing from it either
    assert_eq!(resume_run(&mut fixture, &["o1"]).0, [""; 0]);
}

#[test]
fn a_partial_from_the_moment_of_its_replacement_is_known() {
    let mut fixture = Fixture::new();
    let report = fixture.start().unwrap();
    let mut buffer = report.buffer();
    buffer.put(&of(2, "o2"));
    wait_until(|| report.counts().ended() == 1);
    buffer.put(&of(1, "o1"));
    wait_until(|| report.counts().ended() == 2);
    let partial = fixture.read("a.csv.partial").unwrap();
    report.finish(facts()).unwrap();
    fs::write(fixture.results().join("a.csv.partial"), partial).unwrap();
    assert_eq!(resume_run(&mut fixture, &["o1", "o2"]).0, [""; 0]);
}

#[test]
fn another_job_is_refused() {
    let mut fixture = Fixture::new();
    leave_partial(&mut fixture, &["o1"]);
    fixture.identity = [1; 32];
    assert!(
        refusal(&fixture)
            .contains("have changed since; keep the finished tasks with --accept-changes")
    );
    let resume =
        Resume { rerun: Rerun::Unfinished, changes: Changes::Accepted, rest: Rest::Dropped };
    fixture.begin = Begin::Resume(resume);
    let report = fixture.start().unwrap();
    assert_eq!(run(&report, &["o1", "o2"]), ["o2"]);
    drop(report);
    assert_eq!(resume_run(&mut fixture, &["o1", "o2"]).0, [""; 0]); // what was accepted stays accepted
}

#[test]
fn a_foreign_file_is_refused_and_kept() {
    let mut fixture = Fixture::new();
    leave_partial(&mut fixture, &["o1", "o2"]);
    let path = fixture.results().join("a.csv.partial");
    let text = fixture.read("a.csv.partial").unwrap();
    for (changed, said) in [
        (text.replace("first", "FIRST"), "its row 1 is not what the runner wrote"),
        (text.replacen("input", "other", 1), "belongs to a different file"),
    ] {
        fs::write(&path, &changed).unwrap();
        let message = refusal(&fixture);
        assert!(message.contains(said) && message.contains("--fresh"), "{message}");
        assert_eq!(fixture.read("a.csv.partial").unwrap(), changed);
    }
    fs::write(&path, &text).unwrap();
    fs::remove_file(fixture.results().join(".a.state")).unwrap();
    assert!(refusal(&fixture).contains("is missing or damaged"));
}

#[test]
fn only_one_runner_resumes() {
    let mut fixture = Fixture::new();
    leave_partial(&mut fixture, &["o1"]);
    let report = fixture.start().unwrap();
    assert!(refusal(&fixture).contains("is being written by another runner"));
    drop(report);
    resume_run(&mut fixture, &["o1"]);
    let report = fixture.start().unwrap(); // from the finished report
    assert!(refusal(&fixture).contains("is being written by another runner"));
    drop(report);
}

#[test]
fn rubbish_at_the_end_is_cut_off() {
    let mut fixture = Fixture::new();
    for rubbish in [&b"3,\"half"[..], &[0; 5000], b"\xff\xfe,\"\"\n,\n", b"9,x,ok\n"] {
        leave_partial(&mut fixture, &["o1", "o2"]);
        for name in ["a.csv.partial", ".a.state"] {
            let file = fs::OpenOptions::new().append(true).open(fixture.results().join(name));
            std::io::Write::write_all(&mut file.unwrap(), rubbish).unwrap();
        }
        let (ran, summary) = resume_run(&mut fixture, &["o1", "o2"]);
        assert_eq!(ran, [""; 0]);
        assert!(summary.notes[0].starts_with(&format!("cut {} bytes", rubbish.len())));
    }
    leave_partial(&mut fixture, &["o1", "o2"]);
    let path = fixture.results().join("a.csv.partial");
    let length = fs::metadata(&path).unwrap().len();
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(&[0; 9], length - 9).unwrap(); // a block that never reached the disk
    assert_eq!(resume_run(&mut fixture, &["o1", "o2"]).0, ["o2"]);
}

/// A row that is torn near its end may still be text, as long as it should be.
#[test]
fn rubbish_in_place_of_the_end_of_the_last_row_is_cut_off() {
    for rubbish in [&b"xyz"[..], b"xyz\xff\xfe", b"xyz\n\0\0\0\0"] {
        let mut fixture = Fixture::new();
        leave_partial(&mut fixture, &["o1", "o2"]);
        let path = fixture.results().join("a.csv.partial");
        let text = fs::read(&path).unwrap();
        fs::write(&path, [&text[..text.len() - 3], rubbish].concat()).unwrap();
        assert_eq!(resume_run(&mut fixture, &["o1", "o2"]).0, ["o2"]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Whatever a kill leaves of both files, whole rows are kept, each for its own input, and all others run again.
    #[test]
    fn any_prefix_resumes(
        inputs in prop::collection::vec("[oft][,\"\n0-9]{0,4}", 1..20),
        partial_cut in any::<prop::sample::Index>(),
        state_cut in any::<prop::sample::Index>(),
        cut in 0..4_u8,
    ) {
        let mut fixture = Fixture::new();
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        leave_partial(&mut fixture, &inputs);
        let mut whole = u64::MAX;
        for (name, at, bit) in [("a.csv.partial", partial_cut, 1), (".a.state", state_cut, 2)] {
            let path = fixture.results().join(name);
            let length = fs::metadata(&path).unwrap().len();
            if cut & bit > 0 {
                let at = at.index(length as usize + 1) as u64;
                let at = if bit == 2 { at.max(state::entries_end(0)) } else { at };
                fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(at).unwrap();
                if bit == 2 {
                    whole = (at - state::entries_end(0)) / state::ENTRY as u64;
                }
            }
        }
        let partial = fixture.read("a.csv.partial").unwrap();
        let report = fixture.start().unwrap();
        let ran = run(&report, &inputs);
        let summary = report.finish(facts()).unwrap();
        let text = fixture.read("a.csv").unwrap();
        let rows = rows(&text);
        prop_assert_eq!(rows.len(), inputs.len());
        let mut again = 0;
        for (number, (row, input)) in (1..).zip(rows.iter().zip(&inputs)) {
            prop_assert!(row.starts_with(&format!("{number} {input} ")), "{row}");
            again += usize::from(row.ends_with("again"));
        }
        prop_assert_eq!(again, ran.len());
        prop_assert_eq!(summary.totals.tally.total() as usize, inputs.len());
        // No whole row is lost without need.
        let mut reader = ::csv::Reader::from_reader(partial.as_bytes());
        let finished = reader
            .records()
            .map_while(Result::ok)
            .take(whole as usize)
            .filter(|row| row.len() == 15 && (&row[2] == "ok" || &row[2] == "failed"))
            .count();
        prop_assert!(inputs.len() - ran.len() + 1 >= finished);
    }
}

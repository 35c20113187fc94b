//! kill -9 of the runner, again and again, until the jobs are done. What is promised then:
//!
//! - every task has exactly one row, and its side effect is there;
//! - a task whose row was in the partial when the runner was killed has not run again: its row is the same at the end,
//!   and its side effect was not repeated;
//! - any other task runs again, whatever it had done (at least once, and at most once more than the runner was killed);
//! - no child is left.
//!
//! `RUNNER_CRASH_SECONDS=3600` does it for an hour (default 20 s), `RUNNER_CRASH_SEED` repeats a run.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use fastrand::Rng;
use tempfile::TempDir;

use crate::support::{Report, runner, wait_until};

const TASKS: usize = 2_000;

/// A line into a file of its own for every start of a task.
const COMMANDS: &str = r#"
    [inputs]
    lines = "in.txt"
    [workload.command]
    shell = 'echo x >> "did/$input"'
    [limits]
    concurrency = 4
"#;

const COMPUTATIONS: &str = r#"
    model = "processes"
    [inputs]
    range = { from = 1, to = 20000 }
    [workload.compute]
    function = "count_down"
    arg = 20000
    [limits]
    concurrency = 3
"#;

/// A task's row but for its number, which may change: `input` is what it is known by.
type Rows = HashMap<String, Vec<String>>;

#[test]
fn whatever_is_killed_nothing_is_lost_and_nothing_done_twice() {
    campaign(20, |rng| format!("done after {} kills", Campaign::new(rng).run()));
}

/// Runs `round` again and again, for `RUNNER_CRASH_SECONDS` or else so many seconds, but at least once.
pub fn campaign(seconds: u64, mut round: impl FnMut(&mut Rng) -> String) {
    let variable = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seconds = variable("RUNNER_CRASH_SECONDS").unwrap_or(seconds);
    let seed = variable("RUNNER_CRASH_SEED").unwrap_or_else(|| fastrand::u64(..));
    println!("RUNNER_CRASH_SEED={seed}");
    let start = Instant::now();
    let mut rng = Rng::with_seed(seed);
    let mut rounds = 0;
    while rounds == 0 || start.elapsed() < Duration::from_secs(seconds) {
        let done = round(&mut rng);
        rounds += 1;
        println!("round {rounds}: {done}");
    }
}

/// Two jobs from their first task to their last.
struct Campaign<'a> {
    folder: TempDir,
    rng: &'a mut Rng,
    inputs: Vec<String>,
    /// Rows that were there when the runner was killed, and how often each command had run.
    kept: HashMap<&'static str, Rows>,
    lines: HashMap<String, usize>,
}

impl<'a> Campaign<'a> {
    fn new(rng: &'a mut Rng) -> Self {
        let folder = TempDir::new().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        write("commands.toml", COMMANDS);
        write("computations.toml", COMPUTATIONS);
        fs::create_dir(folder.path().join("did")).unwrap();
        let inputs = (0..TASKS).map(|number| format!("task-{number}")).collect();
        Self { folder, rng, inputs, kept: HashMap::new(), lines: HashMap::new() }
    }

    fn run(mut self) -> usize {
        let mut kills = 0;
        loop {
            self.rng.shuffle(&mut self.inputs); // what is finished is not found by its place
            fs::write(self.path("in.txt"), self.inputs.join("\n")).unwrap();
            let mut child = self.spawn();
            let until = Instant::now() + Duration::from_millis(self.rng.u64(20..1500));
            let ended = loop {
                match child.try_wait().unwrap() {
                    None if Instant::now() < until => std::thread::sleep(Duration::from_millis(1)),
                    ended => break ended,
                }
            };
            if ended.is_none() {
                child.kill().unwrap();
            }
            let output = child.wait_with_output().unwrap();
            no_child_is_left(self.folder.path());
            if let Some(status) = ended {
                let said = String::from_utf8_lossy(&output.stderr).into_owned();
                assert_eq!(status.code(), Some(0), "{said}");
                self.check_end(kills);
                return kills;
            }
            kills += 1;
            self.note();
        }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn spawn(&self) -> Child {
        let mut command = runner();
        command.args(["--resume", "-q", "commands.toml", "computations.toml"]);
        command.current_dir(self.folder.path()).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the runner starts")
    }

    /// Notes what must not change any more, and sometimes tears the end as a power cut would.
    fn note(&mut self) {
        for job in ["commands", "computations"] {
            let partial = self.path(&format!("results/{job}.csv.partial"));
            let Ok(mut text) = fs::read(&partial) else { continue };
            // Before the first row there is no state either, and nothing behind the header that could be torn.
            let state = self.path(&format!("results/.{job}.state"));
            let started = fs::metadata(state).is_ok_and(|meta| meta.len() > 0);
            match self.rng.u8(..4) {
                _ if !started => (),
                0 => text.truncate(text.len() - self.rng.usize(..text.len().clamp(1, 300))),
                1 => text.extend((0..self.rng.usize(..300)).map(|_| self.rng.u8(..))),
                2 => text.extend([0; 100]),
                _ => (),
            }
            fs::write(&partial, &text).unwrap();
            let rows = whole_rows(&text);
            // Until the next kill nothing but these rows may be relied upon: a torn one runs again.
            if job == "commands" {
                self.lines = rows.keys().map(|input| (input.clone(), self.ran(input))).collect();
            }
            self.kept.insert(job, rows);
        }
    }

    /// How often a command has run.
    fn ran(&self, input: &str) -> usize {
        fs::read_to_string(self.path("did").join(input)).map_or(0, |text| text.lines().count())
    }

    fn check_end(&self, kills: usize) {
        for (job, tasks) in [("commands", TASKS), ("computations", 20_000)] {
            let report = Report::read(&self.path(&format!("results/{job}.csv")));
            assert_eq!(report.rows.len(), tasks);
            assert!(report.column("status").iter().all(|status| status == "ok"));
            let numbers: Vec<_> = (1..=tasks).map(|number| number.to_string()).collect();
            assert_eq!(report.column("task"), numbers);
            if job == "commands" {
                assert_eq!(report.column("input"), self.inputs);
            }
            let rows = by_input(&report.rows);
            assert_eq!(rows.len(), tasks, "every task has one row");
            for (input, row) in self.kept.get(job).into_iter().flatten() {
                assert_eq!(&rows[input], row, "the row of {input} was there, and has changed");
            }
            assert!(!self.path(&format!("results/{job}.csv.partial")).exists());
        }
        for input in &self.inputs {
            let ran = self.ran(input);
            assert!((1..=kills + 1).contains(&ran), "{input} ran {ran} times in {kills} kills");
            if let Some(&before) = self.lines.get(input) {
                assert_eq!(ran, before, "{input} was done, and ran again");
            }
        }
    }
}

/// Waits until nothing works in `folder` any more, as everything does that a run there has started.
pub fn no_child_is_left(folder: &Path) {
    let folder = fs::canonicalize(folder).unwrap();
    wait_until("no child is left", || {
        let mut processes = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
        let here = |path: &Path| fs::read_link(path.join("cwd")).is_ok_and(|cwd| cwd == folder);
        (!processes.any(|process| here(&process.path()))).then_some(())
    });
}

/// The rows of a partial that are whole.
fn whole_rows(text: &[u8]) -> Rows {
    let end = text.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
    let mut reader = csv::Reader::from_reader(&text[..end]);
    let rows: Vec<Vec<String>> = reader
        .records()
        .map_while(Result::ok) // rubbish has no fifteen cells, or is no UTF-8
        .map(|row| row.iter().map(String::from).collect())
        .collect();
    by_input(&rows)
}

fn by_input(rows: &[Vec<String>]) -> Rows {
    rows.iter().map(|row| (row[1].clone(), row[2..].to_vec())).collect()
}

//! `--on`: a job in shards, here with processes of this machine for a cluster. Whatever dies, each task has one row.

mod errors;
mod processes;
mod slurm;
mod whole_job;

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use crate::support::{Ran, Report, TestJob};

/// Ten allocations would be too many for tests.
pub const SMALL: [&str; 6] =
    ["--on", "processes", "--set", "cluster.nodes=2", "--set", "cluster.shards=4"];

/// A line into `ran` for every start of a task; odd tasks take a while.
pub const NOTED: &str = r#"
    [inputs]
    range = { from = 1, to = 40 }
    [workload.command]
    shell = 'echo "$input" >> ran; if [ $((input % 2)) = 1 ]; then sleep 0.05; fi; echo "$((input * input))"'
    [limits]
    concurrency = 2
"#;

/// Checks that every task has one row with the right result, in order.
#[track_caller]
pub fn squares(report: &Report, tasks: u64) {
    let rows = report.select("task,input,status,result");
    let right: Vec<_> = (1..=tasks).map(|n| format!("{n},{n},ok,{}", n * n)).collect();
    assert_eq!(rows, right);
}

/// How often each task was started.
pub fn starts(folder: &Path) -> HashMap<String, usize> {
    let text = fs::read_to_string(folder.join("ran")).unwrap_or_default();
    let mut starts = HashMap::new();
    text.lines().for_each(|line| *starts.entry(line.to_owned()).or_default() += 1);
    starts
}

/// Nothing is left of a run but its reports.
#[track_caller]
pub fn is_over(ran: &Ran) {
    assert!(!ran.path("results/.job.run").exists(), "{}", ran.stderr());
    assert!(!ran.path("results/job.csv.partial").exists(), "{}", ran.stderr());
}

pub fn small(text: &str) -> TestJob {
    TestJob::new(text).args(SMALL)
}

//! The result of a finished job, for `summary.csv`, the final table and the exit code.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::base::number::Sum;
use crate::report::stats::{Spread, Totals};
use crate::report::write::recorder::Recorder;
use crate::report::write::remarks::Failure;
use crate::report::{Before, JobFacts, RunFacts, ServiceTimes};
use crate::task::{Exit, Moment, Status};

/// What `reason` says of a job that was stopped because enough of its tasks were ok.
pub const ENOUGH: &str = "stopped when enough tasks were ok";

/// The result of a finished job.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Its name.
    pub job: String,
    /// The name of the model; `staged` if each stage has its own.
    pub model: &'static str,
    pub concurrency: usize,
    /// Why this model; never empty.
    pub reason: String,
    /// Counts and sums. Processor time and peak memory are the runner's if no task was measured by itself.
    pub totals: Totals,
    /// The sums of the columns that have a total, with their names.
    pub column_totals: Vec<(String, Sum)>,
    /// How many of the tasks kept their rows from an earlier run.
    pub kept: u64,
    /// How many tasks of this run ended, other than by being cancelled or skipped.
    pub ended: u64,
    /// What an earlier driver has done of the run.
    pub before: Before,
    /// How long the user waited.
    pub wall: Duration,
    /// The part of `wall` before the pool was ready.
    pub startup: Duration,
    /// The part of `wall` that services took.
    pub services: ServiceTimes,
    /// How long computations held an event loop that other tasks shared.
    pub held: Duration,
    /// Run times of the last attempts of all tasks that were started; `None` if none was.
    pub run: Option<Spread>,
    /// Queue times of the same tasks.
    pub queue: Option<Spread>,
    /// The 99th percentile of run times that count from when the tasks were due, where there is a rate.
    pub due_p99: Option<Duration>,
    pub started: SystemTime,
    pub finished: SystemTime,
    /// The finished report.
    pub report: PathBuf,
    /// The first few different failures.
    pub failures: Vec<Failure>,
    /// Whether the job was stopped because enough of its tasks are ok.
    pub is_enough: bool,
    /// Further notes for the terminal.
    pub notes: Vec<String>,
    /// Which of `[[stages]]` is the bottleneck; `None` for a job without stages.
    pub busy: Option<String>,
    /// What was made of the report for people.
    pub pages: Vec<PathBuf>,
    /// Warnings, such as cells that are too long for a spreadsheet.
    pub warnings: Vec<String>,
}

impl Summary {
    /// What there is to say of it for programs; `exit` is the job's.
    pub fn as_event(&self, exit: Exit) -> Value {
        let seconds = |time: Option<Duration>| time.map(|time| time.as_secs_f64());
        let mut event = json!({
            "job": self.job,
            "exit": exit.code(),
            "model": self.model,
            "concurrency": self.concurrency,
            "reason": self.reason,
            "tasks": self.totals.tally.total(),
            "kept": self.kept,
        });
        for status in Status::ALL {
            event[status.name()] = json!(self.totals.tally.get(status));
        }
        let failure = |failure: &Failure| {
            let status = failure.status.name();
            json!({ "task": failure.task, "status": status, "error": failure.error })
        };
        event["wall_s"] = json!(self.wall.as_secs_f64());
        event["tasks_per_s"] = json!(self.tasks_per_second());
        event["run_p50_s"] = json!(seconds(self.run.map(|run| run.p50)));
        event["run_p99_s"] = json!(seconds(self.run.map(|run| run.p99)));
        event["peak_rss_bytes"] = json!(self.totals.peak_rss);
        event["report"] = json!(self.report.to_string_lossy());
        event["failures"] = self.failures.iter().map(failure).collect();
        event["notes"] = json!(self.notes);
        event["warnings"] = json!(self.warnings);
        event
    }

    pub(super) fn of(job: &JobFacts, facts: RunFacts, recorder: Recorder) -> Self {
        let finished = Moment::now();
        let ended = ended(&recorder, facts.before.rows);
        let mut totals = recorder.totals;
        totals.cpu = totals.cpu.or(facts.cpu);
        totals.peak_rss = totals.peak_rss.max(facts.worker_peak).or(facts.own_peak);
        let reason = Some(facts.reason).filter(|reason| !reason.trim().is_empty());
        let mut reason = reason.unwrap_or_else(|| "set in the job file".into());
        if facts.is_enough {
            reason = format!("{reason}; {ENOUGH}");
        }
        Self {
            job: job.name.clone(),
            model: facts.model,
            concurrency: facts.concurrency,
            reason,
            totals,
            column_totals: Vec::new(),
            kept: 0,
            ended,
            before: facts.before,
            wall: finished.since(facts.started) + facts.before.wall,
            startup: facts.startup,
            services: facts.services,
            held: facts.held,
            run: recorder.run.spread(),
            queue: recorder.queue.spread(),
            due_p99: facts.due_p99,
            started: facts.calendar.time(facts.started) - facts.before.wall,
            finished: facts.calendar.time(finished),
            report: job.report(),
            failures: Vec::new(),
            notes: facts.notes,
            is_enough: facts.is_enough,
            busy: facts.busy,
            pages: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// How the job ended: with enough tasks that are ok, the others do not matter.
    pub fn exit(&self) -> Exit {
        if self.is_enough { Exit::Ok } else { Exit::of_tasks(&self.totals.tally) }
    }

    /// These tasks per second of `wall`.
    pub fn tasks_per_second(&self) -> Option<f64> {
        (!self.wall.is_zero()).then(|| self.ended as f64 / self.wall.as_secs_f64())
    }
}

/// How many tasks of this run ended, other than by being cancelled or skipped; `before` of its rows were written by earlier
/// drivers.
fn ended(recorder: &Recorder, before: u64) -> u64 {
    let of_totals = |status| recorder.totals.tally.get(status);
    let of_driver = |status| recorder.counts.get(status);
    let idle = [Status::Cancelled, Status::Skipped];
    let own_idle: u64 = idle.map(of_driver).iter().sum();
    // The totals have the kept rows, too, and what is kept may have been cancelled or skipped.
    let all_idle: u64 = idle.map(of_totals).iter().sum();
    let kept_idle = all_idle.saturating_sub(own_idle);
    recorder.counts.ended().saturating_sub(own_idle) + before.saturating_sub(kept_idle)
}

//! How an attempt ended, and what came of it.

use std::any::Any;
use std::fs::File;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use crate::base::{Piece, mask};
use crate::sys::CpuTime;
use crate::task::{Moment, NoPayload, Payload, PayloadKind};

/// How a task ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It succeeded.
    Ok,
    /// It ended by itself and reported a failure, or did not meet what the job expects.
    Failed,
    /// It took longer than `limits.timeout` and was ended.
    Timeout,
    /// It was ended by a signal that the runner did not send, or its worker died.
    Crashed,
    /// It was ended, or never started, because the job was stopped.
    Cancelled,
    /// It did not have to run: what it creates is there.
    Skipped,
}

impl Status {
    /// Every status, in the order of the summary's columns.
    pub const ALL: [Status; 6] = [
        Status::Ok,
        Status::Failed,
        Status::Timeout,
        Status::Crashed,
        Status::Cancelled,
        Status::Skipped,
    ];

    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Status::Ok => "ok",
            Status::Failed => "failed",
            Status::Timeout => "timeout",
            Status::Crashed => "crashed",
            Status::Cancelled => "cancelled",
            Status::Skipped => "skipped",
        }
    }
}

/// The outcome of an attempt. What was not measured is `None` and becomes an empty cell.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// How it ended.
    pub status: Status,
    /// Whether the work itself started at all. If not, its times mean nothing.
    pub has_run: bool,
    /// When the work itself started.
    pub started: Moment,
    /// How long the work itself took.
    pub run: Duration,
    /// Processor time of this attempt alone.
    pub cpu: Option<CpuTime>,
    /// Peak resident memory of this attempt alone, in bytes.
    pub peak_rss: Option<u64>,
    /// Exit code (or HTTP status).
    pub code: Option<i32>,
    /// The cell `result`, before the report makes it safe.
    pub result: Vec<u8>,
    /// Whether `result` is text or the JSON of a value, for which it is empty if the value is null.
    pub result_kind: PayloadKind,
    /// The captured output, which `[columns]` read. Empty if it is the same as `result`.
    pub output: Vec<u8>,
    /// What it hands on to the next stage, if there is one; if it is `None`, that is `result`.
    pub payload: Option<Arc<Payload>>,
    /// The size of the whole output, captured or not.
    pub output_bytes: Option<u64>,
    /// The cause of a failure, then the end of standard error. Empty if there is nothing to report.
    pub error: String,
    /// How many worker processes it has killed, in this attempt and earlier ones.
    pub workers_lost: u32,
    /// `None` if all of it is empty. Boxed, since an outcome is moved several times on its way to the report.
    pub rare: Option<Box<RareParts>>,
}

/// The parts of an outcome that most outcomes lack.
#[derive(Clone, Debug, Default)]
pub struct RareParts {
    /// The output as UTF-8 for `[columns]`, where that differs from `output`.
    pub text: Option<Vec<u8>>,
    /// The values of `[columns]`, if the workload has found them itself; else they are found in the output.
    pub columns: Option<Vec<Option<Vec<u8>>>>,
    /// What is shown of columns, by their places, whose values have a part of a secret.
    pub shown: Vec<(usize, Vec<u8>)>,
    /// The response headers that `[columns]` read. Empty except for http.
    pub headers: Box<[(String, Vec<u8>)]>,
    /// The whole output, if it is to be printed and is longer than `output`.
    pub whole_output: Option<Arc<File>>,
    /// Why the whole output is not there to be printed, if it should be.
    pub unkept: Option<Box<str>>,
    /// Whether its output has been printed while it ran.
    pub is_printed: bool,
    /// The hash of the whole output, if runs are compared.
    pub output_hash: Option<u64>,
    /// What is to be said of its result, once for all like it.
    pub note: Option<Box<str>>,
    /// How long to wait before the next attempt, if a server has asked for that.
    pub retry_after: Option<Duration>,
    /// The host that has refused, where a redirect had led to it.
    pub refused_by: Option<Box<str>>,
    /// What the next attempt can continue from; only its workload knows what it is.
    pub left: Option<Arc<dyn Any + Send + Sync>>,
}

impl Outcome {
    /// An outcome with nothing measured beyond its times.
    pub fn new(status: Status, started: Moment, run: Duration) -> Self {
        Self {
            status,
            started,
            has_run: true,
            run,
            cpu: None,
            peak_rss: None,
            code: None,
            result: Vec::new(),
            result_kind: PayloadKind::Bytes,
            output: Vec::new(),
            payload: None,
            output_bytes: None,
            error: String::new(),
            workers_lost: 0,
            rare: None,
        }
    }

    /// The parts that most outcomes lack.
    pub fn rare(&self) -> &RareParts {
        static NONE: LazyLock<RareParts> = LazyLock::new(RareParts::default);
        self.rare.as_deref().unwrap_or_else(|| &NONE)
    }

    /// The same, to be set.
    pub fn rare_mut(&mut self) -> &mut RareParts {
        self.rare.get_or_insert_default()
    }

    /// The same, taken out.
    pub fn take_rare(&mut self) -> RareParts {
        self.rare.take().map(|parts| *parts).unwrap_or_default()
    }

    /// What `[columns]` and rules read: the output as text.
    pub fn readable(&self) -> &[u8] {
        let kept = if self.output.is_empty() { &self.result } else { &self.output };
        self.rare().text.as_ref().unwrap_or(kept)
    }

    /// The values of `[columns]`, of which some are not shown as they are.
    pub fn values_of(&mut self, found: Vec<Option<Piece>>) -> Vec<Option<Vec<u8>>> {
        let value = |(place, piece): (usize, Option<Piece>)| {
            let Piece { value, shown } = piece?;
            if let Some(shown) = shown {
                self.rare_mut().shown.push((place, shown));
            }
            Some(value)
        };
        found.into_iter().enumerate().map(value).collect()
    }

    /// What is shown of the column at `place`, if that is not its value.
    pub fn shown(&self, place: usize) -> Option<&[u8]> {
        let shown = self.rare().shown.iter().find(|(of, _)| *of == place);
        shown.map(|(_, shown)| &shown[..])
    }

    /// Keeps secrets out of everything that is written down.
    pub fn mask(&mut self) {
        if !mask::is_in_use() {
            return;
        }
        mask::apply_to_string(&mut self.error);
        mask::apply_to(&mut self.result);
        mask::apply_to(&mut self.output);
    }

    /// Turns it into a failure because there is no payload for the next stage.
    pub fn withhold(&mut self, why: &NoPayload) {
        if self.status == Status::Ok {
            self.status = Status::Failed;
            self.error = why.to_string();
        }
        self.payload = None;
    }

    /// Makes it a failure for this reason; if it is one already, the reason is noted.
    pub fn fail(&mut self, reason: &str) {
        if self.status == Status::Ok {
            self.status = Status::Failed;
        }
        self.note(reason);
    }

    /// Adds to the end of what there is to say.
    pub fn append(&mut self, note: &str) {
        if !self.error.is_empty() {
            self.error.push_str("; ");
        }
        self.error.push_str(note);
    }

    /// There would have been another attempt, but the job was stopped: it is for another run to make it.
    pub fn cut_short(&mut self) {
        self.status = Status::Cancelled;
        self.append("the job was stopped before the next attempt");
    }

    /// Adds to the start of what there is to say.
    pub fn note(&mut self, note: &str) {
        if !self.error.is_empty() {
            self.error.insert_str(0, "; ");
        }
        self.error.insert_str(0, note);
    }

    /// A failure that happened before the work could start.
    pub fn not_started(error: impl Into<String>) -> Self {
        let error = error.into();
        Self { error, has_run: false, ..Self::new(Status::Failed, Moment::now(), Duration::ZERO) }
    }
}

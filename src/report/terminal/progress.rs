//! Progress on standard error while a job runs: a bar on a terminal, elsewhere a line now and then.

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, Instant};

use indicatif::{HumanCount, MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};

use crate::base::lock;
use crate::base::{event, mask};
use crate::report::Before;
use crate::report::stats::Counts;
use crate::report::status::StatusFile;
use crate::report::terminal::human_duration;
use crate::task::{Meter, Status};

/// When the first line is printed, so that short jobs print none. The interval doubles with each line.
const FIRST_LINE: Duration = Duration::from_secs(5);

/// When the status file is written first, so that short jobs write none.
const FIRST_STATUS: Duration = Duration::from_millis(200);

/// The longest time between two lines.
const LONGEST_SILENCE: Duration = Duration::from_mins(5);

/// The bars of all running jobs. The control thread ticks ten times a second; a lower limit here would only drop its
/// ticks.
static BARS: LazyLock<MultiProgress> =
    LazyLock::new(|| MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(20)));

/// How progress is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// A bar if standard error is a terminal, else lines.
    #[default]
    Auto,
    /// Nothing.
    Off,
}

/// The progress of one job. Shared by the control thread, which ticks it, and threads that print lines.
#[derive(Debug)]
pub struct Progress {
    job: String,
    total: Option<u64>,
    counts: Arc<Counts>,
    /// The meters of `[[stages]]`; empty for a job without stages.
    meters: Vec<Arc<Meter>>,
    started: Instant,
    display: Display,
    /// For programs and other terminals: once a second.
    seconds: Mutex<Seconds>,
    /// What is known of a job that runs elsewhere.
    elsewhere: Option<Arc<Elsewhere>>,
    /// How many rows of this run were collected before.
    before: u64,
}

/// What is known of a job that runs elsewhere: rows that have not come yet, and what its scheduler says.
#[derive(Debug, Default)]
pub struct Elsewhere {
    rows: AtomicU64,
    words: Mutex<String>,
    /// Whether it goes on there without this process.
    is_left: AtomicBool,
}

impl Elsewhere {
    /// There are this many rows elsewhere.
    pub fn set_rows(&self, rows: u64) {
        self.rows.store(rows, Ordering::Relaxed);
    }

    /// Up to this many of those rows have come.
    pub fn take_rows(&self, rows: u64) {
        let rest = |before: u64| Some(before.saturating_sub(rows));
        let _ = self.rows.fetch_update(Ordering::Relaxed, Ordering::Relaxed, rest);
    }

    /// The scheduler is at this.
    pub fn set_words(&self, words: String) {
        *lock(&self.words) = words;
    }

    /// This process ends, and the job does not.
    pub fn leave(&self) {
        self.is_left.store(true, Ordering::Relaxed);
    }

    fn tail(&self) -> String {
        let words = lock(&self.words);
        if words.is_empty() { String::new() } else { format!("  {words}") }
    }
}

/// What happens once a second.
#[derive(Debug, Default)]
struct Seconds {
    /// How many have passed.
    passed: u64,
    /// Whether the file has been written.
    is_written: bool,
    file: Option<StatusFile>,
}

#[derive(Debug)]
enum Display {
    Bar {
        job: ProgressBar,
        /// A line for each stage.
        stages: Vec<ProgressBar>,
    },
    Lines(Mutex<Schedule>),
    Off,
}

impl Progress {
    /// Shows the progress of `job` from now on; `total` is the number of its tasks, if known.
    pub fn new(
        job: &str,
        total: Option<u64>,
        counts: Arc<Counts>,
        meters: Vec<Arc<Meter>>,
        mode: Mode,
    ) -> Self {
        let display = match mode {
            Mode::Off => Display::Off,
            Mode::Auto if io::stderr().is_terminal() => bars(job, total, &meters),
            Mode::Auto => Display::Lines(Mutex::new(Schedule::new())),
        };
        let (started, seconds) = (Instant::now(), Mutex::default());
        let (job, elsewhere) = (job.to_owned(), None);
        Self { job, total, counts, meters, started, display, seconds, elsewhere, before: 0 }
    }

    /// Notes the progress in this file, too.
    #[must_use]
    pub fn with_file(self, file: StatusFile) -> Self {
        lock(&self.seconds).file = Some(file);
        self
    }

    /// Counts what is elsewhere, too, and what was done before.
    pub fn go_on(&mut self, elsewhere: Arc<Elsewhere>, before: Before) {
        self.elsewhere = Some(elsewhere);
        self.started = self.started.checked_sub(before.wall).unwrap_or(self.started);
        self.before = before.rows;
    }

    /// How many of all that are done are neither ok nor cancelled.
    fn failed(&self) -> u64 {
        self.counts.failed() + self.counts.kept_failed()
    }

    fn rows_elsewhere(&self) -> u64 {
        self.elsewhere.as_ref().map_or(0, |elsewhere| elsewhere.rows.load(Ordering::Relaxed))
    }

    fn tail(&self) -> String {
        self.elsewhere.as_ref().map(|elsewhere| elsewhere.tail()).unwrap_or_default()
    }

    /// Updates the display. To be called about ten times a second.
    pub fn tick(&self) {
        match &self.display {
            Display::Bar { job: bar, stages, .. } => {
                let elapsed = self.started.elapsed();
                for (line, meter) in stages.iter().zip(&self.meters) {
                    line.set_message(stage_line(meter, elapsed));
                }
                let (ok, failed) = (self.counts.get(Status::Ok), self.failed());
                let tail = self.tail();
                // Before the message, which draws: what is ok is never more than what has ended.
                bar.set_position(self.counts.kept() + self.counts.ended() + self.rows_elsewhere());
                bar.set_message(format!(
                    "{} ok / {} failed{tail}",
                    HumanCount(ok),
                    HumanCount(failed)
                ));
                bar.tick();
            }
            Display::Lines(schedule) => {
                let elapsed = self.started.elapsed();
                if lock(schedule).is_due(elapsed) {
                    self.println(&self.line(elapsed));
                }
            }
            Display::Off => (),
        }
        self.tell_programs();
    }

    /// Writes an event and the status file, once a second.
    fn tell_programs(&self) {
        let elapsed = self.started.elapsed();
        let mut seconds = lock(&self.seconds);
        let is_second = elapsed.as_secs() > seconds.passed;
        // `runner status` need not wait for a whole one.
        let is_first = !seconds.is_written && elapsed >= FIRST_STATUS;
        if !is_second && !is_first {
            return;
        }
        (seconds.passed, seconds.is_written) = (elapsed.as_secs(), true);
        let status = self.status(elapsed);
        if is_second {
            event::emit("progress", || status.clone());
        }
        if let Some(file) = &mut seconds.file {
            file.write(status);
        }
    }

    /// How far the job is, for programs.
    fn status(&self, elapsed: Duration) -> Value {
        let mut status = json!({
            "job": self.job,
            "elapsed_s": event::seconds(elapsed),
            "tasks": self.total,
            "done": self.counts.kept() + self.counts.ended() + self.rows_elsewhere(),
            "kept": self.counts.kept(),
        });
        for kind in Status::ALL {
            status[kind.name()] = json!(self.counts.get(kind));
        }
        status["tasks_per_s"] = json!((self.rate(elapsed) * 1e3).round() / 1e3);
        status["left_s"] = self.left(elapsed).map_or(Value::Null, event::seconds);
        if self.elsewhere.is_some() {
            status["uncollected"] = json!(self.rows_elsewhere());
        }
        if !self.meters.is_empty() {
            let stage = |meter: &Arc<Meter>| {
                let busy = meter.busy_percent(elapsed).round();
                json!({ "stage": meter.name, "done": meter.ended(), "busy_percent": busy })
            };
            status["stages"] = self.meters.iter().map(stage).collect();
        }
        status["waits"] = self.counts.waits().map_or(
            Value::Null,
            |(host, left)| json!({ "host": host, "left_s": event::seconds(left) }),
        );
        status["line"] = json!(self.line(elapsed));
        status
    }

    /// Tasks per second so far.
    fn rate(&self, elapsed: Duration) -> f64 {
        let ended = self.counts.ended() + self.rows_elsewhere() + self.before;
        ended as f64 / elapsed.as_secs_f64()
    }

    /// How long the rest takes, as far as the tasks so far tell; `None` before one has ended.
    fn left(&self, elapsed: Duration) -> Option<Duration> {
        let ended = self.counts.ended() + self.rows_elsewhere();
        let total = self.total.filter(|_| ended > 0)?;
        let left = total.saturating_sub(ended + self.counts.kept());
        Some(Duration::from_secs_f64((left as f64 / self.rate(elapsed)).min(1e9)))
    }

    /// Prints how far the job is, now.
    pub fn print(&self) {
        self.println(&self.line(self.started.elapsed()));
    }

    /// Ends the display: the bar is removed, printed lines stay.
    pub fn finish(&self) {
        let is_left = |elsewhere: &Arc<Elsewhere>| elsewhere.is_left.load(Ordering::Relaxed);
        if let Some(mut file) = lock(&self.seconds).file.take() {
            match &self.elsewhere {
                Some(elsewhere) if is_left(elsewhere) => {
                    file.leave(self.status(self.started.elapsed()));
                }
                _ => file.end(),
            }
        }
        if let Display::Bar { job, stages, .. } = &self.display {
            for bar in stages.iter().chain([job]) {
                bar.finish_and_clear();
                BARS.remove(bar);
            }
        }
    }

    /// Prints a line to standard error, above the bar if there is one. Lines are printed even if progress is off.
    pub fn println(&self, line: &str) {
        match &self.display {
            Display::Bar { .. } => aside(|| say(line)),
            _ => say(line),
        }
    }

    fn line(&self, elapsed: Duration) -> String {
        let ended = self.counts.ended() + self.rows_elsewhere();
        let of_total = self.total.map(|total| format!(" of {}", HumanCount(total)));
        let left = self.left(elapsed).map(|left| format!(", {} left", human_duration(left)));
        let stages = self.meters.iter().map(|meter| format!("; {}", stage_line(meter, elapsed)));
        let waits = self.counts.waits().map(|(host, left)| {
            format!("; `{host}` has refused and is left alone for {}", human_duration(left))
        });
        format!(
            "{}: {}{} tasks, {} failed, {}/s{}{}{}{}",
            self.job,
            HumanCount(self.counts.kept() + ended),
            of_total.unwrap_or_default(),
            HumanCount(self.failed()),
            human_rate(self.rate(elapsed)),
            left.unwrap_or_default(),
            stages.collect::<String>(),
            waits.unwrap_or_default(),
            self.tail()
        )
    }
}

/// Removes the bar of a job that panics.
impl Drop for Progress {
    fn drop(&mut self) {
        self.finish();
    }
}

/// Prints to standard error, with the bars, if there are any, hidden meanwhile.
pub fn aside(print: impl FnOnce()) {
    if io::stderr().is_terminal() { BARS.suspend(print) } else { print() }
}

/// `rate` with a sensible number of digits.
pub(crate) fn human_rate(rate: f64) -> String {
    if rate < 10.0 { format!("{rate:.1}") } else { HumanCount(rate.round() as u64).to_string() }
}

/// Prints a line. Standard error may be closed, which is not a reason to stop.
fn say(line: &str) {
    let line = mask::apply(line.as_bytes());
    let _ = writeln!(io::stderr(), "{}", String::from_utf8_lossy(&line));
}

/// The progress of a stage: `fetch 1,200 done, 97 % busy`.
fn stage_line(meter: &Meter, elapsed: Duration) -> String {
    let (name, busy) = (&meter.name, meter.busy_percent(elapsed));
    format!("{name} {} done, {busy:.0} % busy", HumanCount(meter.ended()))
}

/// A bar for the job, and below it a line for each stage.
fn bars(job: &str, total: Option<u64>, meters: &[Arc<Meter>]) -> Display {
    let job = bar(job, total);
    let style = ProgressStyle::with_template("  {msg}").expect("the template is a constant");
    let line = |_| {
        // `BARS` decides where it is drawn.
        let line = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        BARS.add(line.with_style(style.clone()))
    };
    let stages = meters.iter().map(line).collect();
    Display::Bar { job, stages }
}

fn bar(job: &str, total: Option<u64>) -> ProgressBar {
    let width = console::Term::stderr().size_checked().map_or(80, |(_, columns)| columns.into());
    // indicatif leaves the colour out if NO_COLOR is set.
    let template = match (total, width) {
        (Some(_), 100..) => "{prefix} {bar:30.cyan} {human_pos}/{human_len}  {msg}  {rate}/s{left}",
        (Some(_), 80..) => "{prefix} {bar:10.cyan} {human_pos}/{human_len}  {msg}  {rate}/s{left}",
        (Some(_), _) => "{prefix} {human_pos}/{human_len}  {msg}{left}",
        (None, 80..) => "{prefix} {spinner:.cyan} {human_pos} tasks  {msg}  {rate}/s  {elapsed}",
        (None, _) => "{prefix} {human_pos} tasks  {msg}",
    };
    let job = console::truncate_str(job, (width / 4).max(8), "…");
    let rate = |state: &indicatif::ProgressState, out: &mut dyn std::fmt::Write| {
        let _ = out.write_str(&human_rate(state.per_sec()));
    };
    let first = std::sync::OnceLock::new();
    // Before a task has ended nobody knows; the rows of an earlier run are there from the start.
    let left = move |state: &indicatif::ProgressState, out: &mut dyn std::fmt::Write| {
        if state.pos() > *first.get_or_init(|| state.pos()) {
            let _ = write!(out, "  {:#} left", indicatif::HumanDuration(state.eta()));
        }
    };
    let style = ProgressStyle::with_template(template)
        .expect("the template is a constant")
        .with_key("rate", rate)
        .with_key("left", left)
        .progress_chars("━╸─");
    // `BARS` decides where it is drawn.
    let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::hidden());
    BARS.add(bar.with_style(style).with_prefix(job.into_owned()))
}

/// When lines are due.
#[derive(Debug)]
struct Schedule {
    next: Duration,
    interval: Duration,
}

impl Schedule {
    fn new() -> Self {
        Self { next: FIRST_LINE, interval: FIRST_LINE }
    }

    fn is_due(&mut self, elapsed: Duration) -> bool {
        let due = elapsed >= self.next;
        if due {
            self.next = elapsed + self.interval;
            self.interval = LONGEST_SILENCE.min(self.interval * 2);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::stats::Totals;
    use crate::task::{Moment, Outcome};

    #[test]
    fn lines_become_rarer() {
        let mut schedule = Schedule::new();
        let due = (0..=2_000).filter(|&second| schedule.is_due(Duration::from_secs(second)));
        assert_eq!(
            due.collect::<Vec<_>>(),
            [5, 10, 20, 40, 80, 160, 320, 620, 920, 1220, 1520, 1820]
        );
    }

    #[test]
    fn a_line_says_how_far_and_how_long() {
        let mut totals = Totals::default();
        for number in 0..1200 {
            let status = if number < 3 { Status::Failed } else { Status::Ok };
            totals.add(&Outcome::new(status, Moment::from_nanos(0), Duration::ZERO));
        }
        let counts = Arc::<Counts>::default();
        let progress =
            |total| Progress::new("photos", total, Arc::clone(&counts), Vec::new(), Mode::Off);
        let line = |total| progress(total).line(Duration::from_secs(5));
        assert_eq!(line(Some(4800)), "photos: 0 of 4,800 tasks, 0 failed, 0.0/s");
        counts.add(&totals.tally);
        assert_eq!(line(Some(4800)), "photos: 1,200 of 4,800 tasks, 3 failed, 240/s, 15 s left");
        assert_eq!(line(None), "photos: 1,200 tasks, 3 failed, 240/s");
        counts.wait("a.test".into(), Moment::now() + Duration::from_mins(10));
        let said = line(None);
        assert!(said.contains("240/s; `a.test` has refused and is left alone for "), "{said}");
        counts.wait("a.test".into(), Moment::now());
        assert_eq!(line(None), "photos: 1,200 tasks, 3 failed, 240/s");
    }
}

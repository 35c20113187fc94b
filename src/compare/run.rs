//! One run of a job under one model: its preparation, its figures, and the hash of its results.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tempfile::TempDir;
use xxhash_rust::xxh3::xxh3_64;

use crate::base::diagnostic::reason;
use crate::compare::contenders::Contender;
use crate::csv::columns::{COLUMNS_BEFORE, COLUMNS_LAST};
use crate::engine::control::Control;
use crate::engine::run;
use crate::engine::run::{RunError, SharedLauncher};
use crate::job::Job;
use crate::report::terminal::progress::Mode;
use crate::report::{Begin, Options, Standing, Summary};
use crate::task::{Cause, Exit, Status};
use crate::workload::written::WrittenFiles;
use crate::workload::{Workload, command};

/// The figures of one run.
#[derive(Clone, Debug)]
pub struct Run {
    /// Its round, from 1.
    pub round: u32,
    /// Its position in that round, from 1.
    pub position: usize,
    /// When it began.
    pub started: SystemTime,
    /// From the start of the job to its finished report, without the time for its services.
    pub wall: Duration,
    /// The part of `wall` before the pool was ready.
    pub startup: Duration,
    /// How many tasks there were.
    pub tasks: u64,
    /// How many of them are ok.
    pub ok: u64,
    /// How many of them ended by themselves: neither cancelled nor skipped.
    pub ended: u64,
    /// Whether the run did all that it was to do: all tasks are ok, or as many as are enough.
    pub is_done: bool,
    /// Processor time of all tasks, if it was measured.
    pub cpu: Option<Duration>,
    /// Peak memory of the process that used most, in bytes.
    pub peak_rss: Option<u64>,
    /// The total run time of all tasks, if any ran.
    pub running: Option<Duration>,
    /// The p50 and the p99 of the run times of single tasks.
    pub run_times: Option<(Duration, Duration)>,
    /// How long computations held the event loop.
    pub held: Duration,
    /// The hash of all results; of repeats that do not give the same ones, each hash once.
    pub results: Vec<u64>,
    /// The first task whose result differs from that of the first run.
    pub differs_at: Option<u64>,
    /// The message of the first failure.
    pub failure: Option<String>,
}

/// Why measuring ends.
#[derive(Debug)]
pub enum Stop {
    /// A signal came.
    Signal(i32),
    /// There is nothing to run.
    Nothing,
    /// Something failed: the message, and the exit code that it leads to.
    Failed(String, Exit),
}

/// Less than this is as short as the system's own noise.
const MEASURABLE: Duration = Duration::from_millis(50);
const MOST_REPEATS: usize = 25;

/// The beginning of the names of folders for the reports of a comparison.
const PREFIX: &str = ".compare-";

/// The name of the file in such a folder that is locked as long as its comparison goes on.
const OWNER: &str = "owner";

/// Makes and locks the file of the owner of `folder`: it is there only once it is locked.
fn owned(folder: &Path) -> io::Result<File> {
    let new = folder.join("owner.new");
    let file = File::create(&new)?;
    file.lock()?;
    fs::rename(new, folder.join(OWNER))?;
    Ok(file)
}

/// Removes the folders of comparisons that were killed. What cannot be removed stays.
fn remove_left(results: &Path) {
    for entry in fs::read_dir(results).into_iter().flatten().flatten() {
        let is_such = entry.file_name().to_string_lossy().starts_with(PREFIX);
        let owner = entry.path().join(OWNER);
        if is_such && File::open(owner).is_ok_and(|owner| owner.try_lock().is_ok()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Runs and measures jobs.
pub struct Bench<'a> {
    control: &'a Control,
    launcher: SharedLauncher,
    /// The folder for their reports, which does not affect the user's own.
    folder: TempDir,
    /// Held as long as the folder is used.
    _owner: Option<File>,
    prepare: Option<&'a str>,
}

impl<'a> Bench<'a> {
    /// A bench whose reports go to the disk of the folder `results`.
    ///
    /// # Errors
    /// If nothing can be written there; the message says so.
    pub fn new(
        control: &'a Control,
        results: &Path,
        prepare: Option<&'a str>,
    ) -> Result<Self, String> {
        let cannot = |error| format!("failed to write `{}`: {}", results.display(), reason(&error));
        fs::create_dir_all(results).map_err(cannot)?;
        remove_left(results);
        let folder = tempfile::Builder::new().prefix(PREFIX).tempdir_in(results);
        let folder = folder.map_err(cannot)?;
        let owner = owned(folder.path()).ok();
        Ok(Self { control, launcher: SharedLauncher::default(), folder, _owner: owner, prepare })
    }

    /// The signal that ended the comparison, if one did.
    pub fn signal(&self) -> Option<i32> {
        self.control.signal()
    }

    /// Runs this contender once. Its results are compared with `first_results`, or stored there if they are the first
    /// ones.
    ///
    /// # Errors
    /// Why measuring ends.
    pub fn run(
        &self,
        contender: &Contender,
        first_results: &mut Option<Vec<u64>>,
    ) -> Result<Run, Stop> {
        self.prepare(&contender.job)?;
        let written = Arc::new(WrittenFiles::default());
        let summary = match self.execute(&contender.job, &written) {
            Ok(summary) => summary,
            // What it has done until then is the result for this model.
            Err(RunError::Ended(Cause::Deadline, summary)) => *summary,
            Err(error) => {
                let message = format!("under {}: {error}", contender.name());
                return Err(self.stop(Stop::Failed(message, error.exit())));
            }
        };
        if let Some(signal) = self.signal() {
            return Err(Stop::Signal(signal)); // the run was cut short, so its figures mean nothing
        }
        if summary.totals.tally.total() == 0 {
            return Err(Stop::Nothing);
        }
        let mut rows = row_hashes(&summary.report, &contender.job, &written)
            .map_err(|error| Stop::Failed(error, Exit::Internal))?;
        let first = first_results.get_or_insert_with(|| rows.clone());
        if summary.is_enough {
            take_as(&mut rows, first);
        }
        Ok(measured(&summary, &rows, first))
    }

    /// Runs this contender as often as it takes to measure it: what is over in no time is repeated, and the times are the
    /// means. With `--prepare` it runs once: what that prepares is for one run.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn measure(
        &self,
        contender: &Contender,
        first_results: &mut Option<Vec<u64>>,
    ) -> Result<Run, Stop> {
        let mut runs = vec![self.run(contender, first_results)?];
        let mut wall = runs[0].wall;
        while self.prepare.is_none() && wall < MEASURABLE && runs.len() < MOST_REPEATS {
            let run = self.run(contender, first_results)?;
            wall += run.wall;
            runs.push(run);
        }
        Ok(mean(&runs))
    }

    /// Runs the user's command of `--prepare`.
    fn prepare(&self, job: &Job) -> Result<(), Stop> {
        let Some(command) = self.prepare else { return Ok(()) };
        let failed = |why: String, exit| Stop::Failed(format!("--prepare: {why}"), exit);
        // Run like any command, so that nothing that it starts outlives the runner.
        let spec = command::shell(command, "prepare", &job.folder)
            .map_err(|error| failed(format!("`sh`: {error}"), Exit::Usage))?;
        let prepare =
            Job::once("prepare", Workload::Command(spec), &job.folder, self.folder.path());
        let prepare = Arc::new(prepare);
        let summary = self
            .execute(&prepare, &Arc::default())
            .map_err(|error| self.stop(failed(error.to_string(), error.exit())))?;
        if summary.totals.tally.all_ok() {
            return Ok(());
        }
        let failure = first_failure(&summary).unwrap_or_default();
        Err(self.stop(failed(format!("`{command}` failed: {failure}"), Exit::Usage)))
    }

    fn execute(&self, job: &Arc<Job>, written: &Arc<WrittenFiles>) -> Result<Summary, RunError> {
        let options = Options {
            results: self.folder.path().to_owned(),
            begin: Begin::Fresh,
            output: None,
            progress: Mode::Off,
            claims: Arc::default(),
            standing: Standing::Compared,
            written: Some(Arc::clone(written)),
            identities: None,
        };
        run::run(job, &options, self.control, &self.launcher)
    }

    /// Returns the signal instead, if there was one: its consequences are not a failure.
    fn stop(&self, otherwise: Stop) -> Stop {
        self.signal().map_or(otherwise, Stop::Signal)
    }
}

/// Takes the results of tasks that did not end in both runs for those of the first one: which tasks a job ends with when
/// enough are ok is for chance to say.
fn take_as(rows: &mut Vec<u64>, first: &[u64]) {
    rows.resize(first.len(), CANCELLED);
    for (row, first) in rows.iter_mut().zip(first) {
        if *row == CANCELLED || *first == CANCELLED {
            *row = *first;
        }
    }
}

fn measured(summary: &Summary, rows: &[u64], first: &[u64]) -> Run {
    let services = summary.services;
    let bytes: Vec<u8> = rows.iter().flat_map(|row| row.to_le_bytes()).collect();
    let other = rows.iter().zip(first).position(|(row, first)| row != first);
    let differs_at =
        other.or_else(|| (rows.len() != first.len()).then(|| rows.len().min(first.len())));
    Run {
        round: 0,
        position: 0,
        started: summary.started,
        wall: summary.wall.saturating_sub(services.start + services.end),
        startup: summary.startup.saturating_sub(services.start),
        tasks: summary.totals.tally.total(),
        ok: summary.totals.tally.get(Status::Ok),
        ended: summary.ended,
        is_done: summary.exit() == Exit::Ok,
        cpu: summary.totals.cpu.map(|cpu| cpu.user + cpu.system),
        peak_rss: summary.totals.peak_rss,
        running: summary.run.map(|run| run.mean * summary.totals.tally.total() as u32),
        run_times: summary.run.map(|run| (run.p50, run.p99)),
        held: summary.held,
        results: vec![xxh3_64(&bytes)],
        differs_at: differs_at.map(|index| index as u64 + 1),
        failure: first_failure(summary),
    }
}

/// Several runs in one measurement, of which there must be at least one. Of what is not a time, the worst counts.
fn mean(runs: &[Run]) -> Run {
    let count = runs.len() as u32;
    let first = &runs[0];
    let average = |time: fn(&Run) -> Duration| runs.iter().map(time).sum::<Duration>() / count;
    let of_some = |time: fn(&Run) -> Option<Duration>| {
        runs.iter().map(time).sum::<Option<Duration>>().map(|sum| sum / count)
    };
    let mut results: Vec<u64> = Vec::new();
    for &hash in runs.iter().flat_map(|run| &run.results) {
        if !results.contains(&hash) {
            results.push(hash);
        }
    }
    Run {
        wall: average(|run| run.wall),
        startup: average(|run| run.startup),
        held: average(|run| run.held),
        cpu: of_some(|run| run.cpu),
        running: of_some(|run| run.running),
        run_times: of_some(|run| Some(run.run_times?.0)).zip(of_some(|run| Some(run.run_times?.1))),
        ok: runs.iter().map(|run| run.ok).min().unwrap_or(first.ok),
        ended: runs.iter().map(|run| run.ended).min().unwrap_or(first.ended),
        is_done: runs.iter().all(|run| run.is_done),
        peak_rss: runs.iter().filter_map(|run| run.peak_rss).max(),
        results,
        differs_at: runs.iter().filter_map(|run| run.differs_at).min(),
        failure: runs.iter().find_map(|run| run.failure.clone()),
        ..first.clone()
    }
}

fn first_failure(summary: &Summary) -> Option<String> {
    let failure = summary.failures.first()?;
    let error = failure.error.lines().next().unwrap_or_default();
    Some(match error {
        "" => failure.status.name().to_owned(),
        error => error.to_owned(),
    })
}

/// Stands for the result of a task that was cancelled.
const CANCELLED: u64 = 0;

/// The hash of each task's result, in input order: status, the stage in which it ended, code, result, length of the
/// output, the job's own columns and the content of the files that it has written. Times and memory differ from run to run, and so may the text of an error.
fn row_hashes(report: &Path, job: &Job, written: &WrittenFiles) -> Result<Vec<u64>, String> {
    let cannot = |error: csv::Error| format!("failed to read `{}`: {error}", report.display());
    let mut reader = csv::Reader::from_path(report).map_err(cannot)?;
    let header = reader.byte_headers().map_err(cannot)?.clone();
    let after = COLUMNS_BEFORE.len() + job.fields.len();
    let place = |name: &str| {
        let names = header.iter().enumerate().skip(after);
        names.into_iter().find_map(|(index, column)| (column == name.as_bytes()).then_some(index))
    };
    // The stage in which a task ended is part of its result; a job without stages has no such column, but may have one
    // of its own.
    let stage = job.is_staged().then(|| place("stage")).flatten();
    let status = place("status");
    let fixed: Vec<usize> = ["status", "code", "result", "output_bytes"]
        .into_iter()
        .filter_map(place)
        .chain(stage)
        .collect();
    let columns = place("output_bytes").map_or(header.len(), |index| index + 1);
    let mut rows = Vec::new();
    let mut text = Vec::new();
    let mut record = csv::ByteRecord::new();
    while reader.read_byte_record(&mut record).map_err(cannot)? {
        text.clear();
        let last = record.len().saturating_sub(COLUMNS_LAST.len());
        for cell in fixed.iter().copied().chain(columns..last).filter_map(|index| record.get(index))
        {
            text.extend_from_slice(&(cell.len() as u64).to_le_bytes()); // ("ab", "c") is not ("a", "bc")
            text.extend_from_slice(cell);
        }
        let task =
            record.get(0).and_then(|cell| std::str::from_utf8(cell).ok()?.parse::<u64>().ok());
        if let Some(content) = task.and_then(|task| written.of(task)) {
            text.extend_from_slice(&content.to_le_bytes());
        }
        let is_cancelled = status.and_then(|index| record.get(index)) == Some(b"cancelled");
        let hash = if is_cancelled { CANCELLED } else { xxh3_64(&text) };
        rows.push((task.unwrap_or(0), hash));
    }
    rows.sort_unstable_by_key(|&(task, _)| task); // a report may be in order of completion
    Ok(rows.into_iter().map(|(_, hash)| hash).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Overrides;
    use crate::job;

    #[test]
    fn only_folders_of_comparisons_that_are_gone_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in [".compare-gone", ".compare-runs", ".compare-begins", "compare-mine"] {
            fs::create_dir(at(name)).unwrap();
        }
        drop(owned(&at(".compare-gone")).unwrap());
        let runs = owned(&at(".compare-runs")).unwrap();
        fs::write(at("compare-mine/owner"), "").unwrap();
        remove_left(folder.path());
        assert!(!at(".compare-gone").exists());
        for name in [".compare-runs", ".compare-begins", "compare-mine"] {
            assert!(at(name).exists(), "{name}");
        }
        drop(runs);
    }

    #[test]
    fn only_results_count() {
        let folder = tempfile::tempdir().unwrap();
        let job = "[inputs]\nvalues = [1, 2]\n[workload.command]\nshell = 'x'\n[columns.n]\nregex = 'x'\n";
        let file = folder.path().join("job.toml");
        fs::write(&file, job).unwrap();
        let job = job::read(&[file], &Overrides::default()).unwrap().remove(0);
        let header = "task,input,status,attempts,started_utc,queue_s,run_s,cpu_user_s,cpu_sys_s,peak_rss_bytes,slot,\
                      code,result,output_bytes,n,error\n";
        let hashes = |rows: &str| {
            let path = folder.path().join("job.csv");
            fs::write(&path, format!("{header}{rows}")).unwrap();
            row_hashes(&path, &job, &WrittenFiles::default()).unwrap()
        };
        let one = hashes("1,1,ok,1,t,0,1,1,1,9,1,0,a,1,x,\n2,2,ok,1,t,0,1,1,1,9,1,0,b,1,,\n");
        let same = hashes("2,2,ok,2,u,3,2,2,2,8,2,0,b,1,,e\n1,1,ok,1,t,0,1,1,1,9,1,0,a,1,x,\n");
        assert_eq!(one, same, "in any order, with other figures");
        for row in [
            "ok,1,t,0,1,1,1,9,1,0,a,1,y,",
            "ok,1,t,0,1,1,1,9,1,0,a,2,x,",
            "failed,1,t,0,1,1,1,9,1,0,a,1,x,",
        ] {
            let other = hashes(&format!("1,1,{row}\n2,2,ok,1,t,0,1,1,1,9,1,0,b,1,,\n"));
            assert_ne!(one[0], other[0], "{row}");
            assert_eq!(one[1], other[1]);
        }
    }
}

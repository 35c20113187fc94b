//! The node's side: one element of a submission runs one start of a shard with the engine of a local run. It goes on
//! from the rows of the starts before it, and is done when every task of its has a row.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use std::{env, fs};

use crate::base::diagnostic::complain;
use crate::cluster::decide::{EXIT_DISK, EXIT_LATER, EXIT_STOPPED, EXIT_USAGE};
use crate::cluster::folder::{END_NOTE, EndNote, RunFolder, START_NOTE, StartNote};
use crate::cluster::plan::Plan;
use crate::cluster::share::divide;
use crate::cluster::snapshot::SnapshotReader;
use crate::config::StopAfter;
use crate::engine::control::Control;
use crate::engine::made;
use crate::engine::run::{self, RunError, SharedLauncher};
use crate::job::{Job, read_elsewhere};
use crate::launcher;
use crate::model::limit_cores;
use crate::report::node_name;
use crate::report::parts::{self, PartFiles};
use crate::report::terminal::progress::Mode;
use crate::report::{Begin, Options, Standing, Summary};
use crate::task::Cause;
use crate::workload::claims::Claims;

/// Why a start did not do all of its shard.
struct Failure {
    message: String,
    code: u8,
}

fn usage(message: impl Into<String>) -> Failure {
    Failure { message: message.into(), code: EXIT_USAGE }
}

fn disk(path: &Path, error: &std::io::Error) -> Failure {
    Failure { message: format!("failed to write `{}`: {error}", path.display()), code: EXIT_DISK }
}

/// Runs the element with this index of a submission of the run in `folder`. Returns the exit code.
pub fn run(folder: &Path, submission: u32, index: u32) -> u8 {
    match try_run(&RunFolder::at(folder), submission, index) {
        Ok(code) => code,
        Err(Failure { message, code }) => {
            complain(message);
            code
        }
    }
}

fn try_run(folder: &RunFolder, submission: u32, index: u32) -> Result<u8, Failure> {
    let (shard, start) = element(folder, submission, index).map_err(usage)?;
    if folder.links().is_ok_and(|links| links.contains_key(&shard)) {
        return Ok(0);
    }
    let plan = Plan::read(folder).map_err(usage)?;
    let plan = plan.ok_or_else(|| usage(format!("`{}` is gone", folder.plan().display())))?;
    let work = folder.make_start(shard, start).map_err(|error| disk(&folder.work(), &error))?;
    note_start(folder, &work).map_err(|error| disk(&work, &error))?;
    limit_to_the_allocation();
    // The first elements of all are not more than run at once: no start was before theirs.
    let is_first = submission == 1 && index < plan.nodes;
    let job = Start { folder, plan: &plan, shard, work: &work, is_first };
    job.run()
}

/// One start of a shard.
struct Start<'a> {
    folder: &'a RunFolder,
    plan: &'a Plan,
    shard: u32,
    /// Its folder.
    work: &'a Path,
    /// Whether no start was there before, in whose place it runs.
    is_first: bool,
}

impl Start<'_> {
    fn run(&self) -> Result<u8, Failure> {
        let done = Arc::<OnceLock<HashSet<u64>>>::default();
        let mut job = self.plan_job(&done)?;
        let name = job.name.clone();
        let into = PartFiles::new(self.work, &name);
        let earlier = self.earlier(&name);
        let seed = self.plan.seed;
        let carried = parts::carry_on(&into, &earlier, &job, seed)
            .map_err(|error| Failure { message: error.to_string(), code: EXIT_DISK })?;
        let all = self.plan.shares.count(self.shard);
        if carried.len() as u64 == all {
            return self.publish();
        }
        let _ = done.set(carried);
        self.carry_made(&job).map_err(|error| disk(self.work, &error))?;
        self.limit(&mut job)?;
        let job = Arc::new(job);
        let ran = self.run_tasks(&job);
        let finished = parts::finished(&into, &job, seed)
            .map_err(|error| Failure { message: error.to_string(), code: EXIT_DISK })?;
        if finished.len() as u64 == all {
            return self.publish();
        }
        ran.map(|()| EXIT_LATER)
    }

    /// The job with the inputs of this shard.
    fn plan_job(&self, done: &Arc<OnceLock<HashSet<u64>>>) -> Result<Job, Failure> {
        let done = Arc::clone(done);
        let is_done = move |number| done.get().is_some_and(|done| done.contains(&number));
        let dealt = self.plan.dealt(self.folder, self.shard, Arc::new(is_done));
        read_elsewhere(&self.plan.elsewhere(), Arc::new(dealt)).map_err(|mistakes| {
            mistakes.print();
            usage("the job cannot be planned on this node")
        })
    }

    /// The starts before this one that have rows, the best first.
    fn earlier(&self, job: &str) -> Vec<PartFiles> {
        let starts = self.folder.starts().unwrap_or_default();
        let of_this = starts.into_iter().filter(|start| start.shard == self.shard);
        let others = of_this.filter(|start| start.path != self.work);
        let mut files: Vec<_> = others.map(|start| PartFiles::new(&start.path, job)).collect();
        files.retain(|files| files.about_rows() > 0);
        files.sort_by_key(|files| std::cmp::Reverse(files.about_rows()));
        files
    }

    /// Begins with what is known of the files that tasks make.
    fn carry_made(&self, job: &Job) -> std::io::Result<()> {
        if job.creates.is_none() {
            return Ok(());
        }
        let mut starts = self.folder.starts()?;
        starts.retain(|start| start.shard == self.shard && start.path != self.work);
        starts.sort_by_key(|start| start.start);
        let earlier: Vec<_> = starts.into_iter().map(|start| start.path).collect();
        let results = self.folder.path().parent().unwrap_or(Path::new("."));
        let (inputs, at) = (self.folder.inputs(), self.folder.inputs_at());
        let tasks = SnapshotReader::open(&inputs, &at, self.plan.shares.of(self.shard))?;
        let tasks = tasks.map(|task| task.map(|task| (task.number, task.fields)));
        made::parts::carry_on(job, (results, &earlier), self.work, tasks)
    }

    /// Divides limits, and leaves to the driver what concerns all shards.
    fn limit(&self, job: &mut Job) -> Result<(), Failure> {
        divide(job, self.plan.nodes).map_err(usage)?;
        self.charge_budgets(job);
        // What the start before it has left of the burst is not known here.
        let paces = job.stages.iter_mut().filter_map(|stage| stage.limits.pace.as_mut());
        paces.for_each(|pace| pace.is_charged |= !self.is_first);
        job.limits.stop_after = StopAfter::Never;
        job.limits.enough = None;
        job.limits.deadline = self.plan.deadline_ms.map(|deadline| {
            Duration::from_millis(deadline.saturating_sub(since_1970()))
                .max(Duration::from_millis(1))
        });
        Ok(())
    }

    /// What starts have used that ended within the time of a budget is not known here: it is taken to be all.
    fn charge_budgets(&self, job: &mut Job) {
        if !has_budget_of_a_time(job) {
            return;
        }
        let ended = fs::read_to_string(self.folder.last_end()).ok();
        let ended = ended.and_then(|text| text.trim().parse().ok());
        let ended = ended.map(|at| since_1970().saturating_sub(at)).map(Duration::from_millis);
        // One that was lost has said nothing; its rows tell how long it has lived.
        let lost = self.earlier(&job.name).into_iter().filter_map(|files| files.written());
        let lost = lost.filter_map(|at| at.elapsed().ok()).min();
        let ago = ended.into_iter().chain(lost).min();
        let limits = job.stages.iter_mut().flat_map(|stage| &mut stage.limits.budgets);
        limits.flat_map(|budget| &mut budget.limits).for_each(|limit| {
            limit.is_charged = limit.per.zip(ago).is_some_and(|(per, ago)| ago < per);
        });
    }

    /// Says, for those that follow, that an attempt may have started just now.
    fn note_last_end(&self, job: &Job) {
        if has_budget_of_a_time(job) {
            let now = since_1970().to_string();
            let _ = self.folder.write(&self.folder.last_end(), now.as_bytes()); // the disk is full: nothing runs
        }
    }

    /// What tasks do not write: the files of the reports of the whole run, beside which those of this start are.
    fn claims(&self) -> Claims {
        let claims = Claims::default();
        for (job, files) in &self.plan.reserved {
            claims.reserve(job, files.iter().cloned());
        }
        claims
    }

    fn run_tasks(&self, job: &Arc<Job>) -> Result<(), Failure> {
        launcher::raise_open_files();
        let control = Control::start_in_a_shard().map_err(|error| Failure {
            message: format!("failed to handle signals: {error}"),
            code: 1,
        })?;
        let options = Options {
            results: self.work.to_owned(),
            begin: Begin::Part,
            output: None,
            progress: Mode::Off,
            claims: Arc::new(self.claims()),
            standing: if self.plan.is_forced { Standing::Forced } else { Standing::Kept },
            written: None,
            identities: Some(self.plan.identities()),
        };
        let ran = run::run(job, &options, &control, &SharedLauncher::default());
        self.note_last_end(job);
        match ran {
            Ok(summary) => {
                self.note_end(&summary, None);
                Ok(())
            }
            Err(error) => {
                let is_rule = matches!(error, RunError::Ended(Cause::Failures(_), _));
                let (message, code) = (error.to_string(), error.exit().code());
                if let Some(summary) = error.into_summary() {
                    self.note_end(&summary, is_rule.then(|| message.clone()));
                }
                Err(Failure { message, code: if is_rule { EXIT_STOPPED } else { code } })
            }
        }
    }

    fn note_end(&self, summary: &Summary, stopped: Option<String>) {
        let note = EndNote {
            ended_ms: since_1970(),
            model: summary.model.to_owned(),
            concurrency: summary.concurrency,
            reason: summary.reason.clone(),
            startup_ms: summary.startup.as_millis() as u64,
            notes: summary.notes.clone(),
            stopped,
            peak_rss: summary.totals.peak_rss,
        };
        // Only figures: the rows are there.
        let _ = serde_json::to_vec(&note).map(|bytes| fs::write(self.work.join(END_NOTE), bytes));
    }

    fn publish(&self) -> Result<u8, Failure> {
        let published = self.folder.publish(self.shard, self.work);
        published.map_err(|error| disk(&self.folder.link(self.shard), &error))?;
        Ok(0)
    }
}

fn has_budget_of_a_time(job: &Job) -> bool {
    let budgets = job.stages.iter().flat_map(|stage| &stage.limits.budgets);
    budgets.flat_map(|budget| &budget.limits).any(|limit| limit.per.is_some())
}

/// Which start of which shard the element with this index is.
fn element(folder: &RunFolder, submission: u32, index: u32) -> Result<(u32, u32), String> {
    let path = folder.submission(submission, "list");
    let list = fs::read_to_string(&path)
        .map_err(|error| format!("failed to read `{}`: {error}", path.display()))?;
    parse_list(&list)
        .and_then(|list| list.get(index as usize).copied())
        .ok_or_else(|| format!("`{}` has no element {index}", path.display()))
}

/// The shards and starts in the list of a submission, by index.
pub fn parse_list(list: &str) -> Option<Vec<(u32, u32)>> {
    let element = |line: &str| {
        let (shard, start) = line.split_once(' ')?;
        Some((shard.parse().ok()?, start.parse().ok()?))
    };
    list.lines().map(element).collect()
}

/// Milliseconds since 1970.
pub fn since_1970() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

fn note_start(folder: &RunFolder, work: &Path) -> std::io::Result<()> {
    let system = rustix::system::uname();
    let note = StartNote {
        node: node_name(),
        arch: system.machine().to_string_lossy().into_owned(),
        started_ms: since_1970(),
    };
    let bytes = serde_json::to_vec(&note)?;
    folder.write(&PathBuf::from(work).join(START_NOTE), &bytes)
}

/// A scheduler need not enforce what it grants, and `cores` means what it grants.
fn limit_to_the_allocation() {
    let granted = ["SLURM_CPUS_PER_TASK", "SLURM_CPUS_ON_NODE"].into_iter();
    let mut granted = granted.filter_map(|name| env::var(name).ok()?.parse().ok());
    if let Some(cores) = granted.find(|&cores: &usize| cores > 0) {
        limit_cores(cores);
    }
}

//! Driving a run to its end, and what becomes of its report then.

use std::sync::Arc;
use std::time::Duration;

use super::{Ended, Site, command, failed, unwritten};
use crate::cluster::budgets::JobBudgets;
use crate::cluster::collect::Collector;
use crate::cluster::engine;
use crate::cluster::folder::EndNote;
use crate::cluster::journal::Journal;
use crate::cluster::ledger::Ledger;
use crate::cluster::plan::Plan;
use crate::cluster::shard::since_1970;
use crate::cluster::watch::{Driver, EndedBefore, Watched};
use crate::engine::limits::watchdog::Watchdog;
use crate::engine::run::{RunError, SharedLauncher};
use crate::model::Model;
use crate::report::parts::{self, PartFiles};
use crate::report::status::StatusFile;
use crate::report::terminal;
use crate::report::terminal::progress::{self, Progress};
use crate::report::{Before, Options, Report, RunFacts, STAGED, ServiceTimes};
use crate::task::{Calendar, Cancel, Cause, Exit, Moment};

/// A run that is being driven.
pub(super) struct Running<'a> {
    pub(super) site: &'a Site<'a>,
    pub(super) options: &'a Options,
    pub(super) cancel: &'a Arc<Cancel>,
    pub(super) started: Moment,
    /// What drivers before this one have done.
    pub(super) before: Before,
    pub(super) calendar: Calendar,
}

impl Running<'_> {
    /// Drives the run of `plan` to its end; `begin` tells the collector what is there already.
    pub(super) fn drive(
        &self,
        report: Report,
        plan: &Plan,
        begin: impl FnOnce(&mut Collector<'_>) -> Result<(), RunError>,
    ) -> Result<Ended, RunError> {
        let Site { job, engine, folder, .. } = self.site;
        let elsewhere = Arc::<progress::Elsewhere>::default();
        let (total, mode) = (Some(plan.tasks), self.options.progress);
        let file = StatusFile::new(&self.options.results, &job.name, &job.file).on(&self
            .site
            .call
            .place
            .to_string());
        let progress = Progress::new(&job.name, total, report.counts(), Vec::new(), mode);
        let mut progress = progress.with_file(file);
        progress.go_on(Arc::clone(&elsewhere), self.before);
        let deadline =
            plan.deadline_ms.map(|at| Duration::from_millis(at.saturating_sub(since_1970())));
        let watchdog =
            Watchdog::new(Moment::now(), deadline, None, None).called(job.limits.deadline);
        let launcher = SharedLauncher::default();
        let attached =
            self.site.control.attach(Arc::clone(self.cancel), progress, watchdog, launcher);
        let before = self.ended_before(&report, plan)?;
        let mut collector = Collector::new(job, folder, plan, &report);
        begin(&mut collector)?;
        let quiet = self.options.progress == progress::Mode::Off;
        let say = |words: String| {
            if !quiet {
                progress::aside(|| terminal::note(&format!("{}: {words}\n", job.name)));
            }
        };
        let mut ledger = Ledger::read(folder, &plan.run)
            .map_err(|error| failed(error.to_string(), Exit::Usage))?;
        ledger.find(*engine).map_err(|engine::Unknown(words)| {
            failed(format!("{} does not answer: {words}", engine.name()), Exit::Usage)
        })?;
        let path = self.options.results.join(format!("{}.cluster.csv", job.name));
        // Where nothing is left to do, what was noted before stays.
        let goes_on = !ledger.submissions.is_empty() || plan.shares.tasks() == 0;
        let journal = Journal::open(&path, goes_on).map_err(unwritten(&path))?;
        let budgets = JobBudgets::of(job, &report);
        report.forget_spending(); // what shards use is in their rows
        let mut driver = Driver::new(
            (job, plan, folder),
            *engine,
            self.cancel,
            &elsewhere,
            &say,
            ledger,
            collector,
            journal,
            budgets,
        );
        driver.command = command(job, folder);
        driver.tries = job.cluster.tries;
        driver.before = before;
        driver.detaches = self.site.call.detaches;
        let watched = driver.watch();
        let watched = watched.map_err(|error| {
            failed(format!("`{}`: {error}", folder.path().display()), Exit::NotWritten)
        })?;
        match watched {
            Watched::Left => {
                drop(driver);
                elsewhere.leave();
                drop(attached);
                self.leave(report, plan)
            }
            Watched::Failed(message, exit) => {
                let rows = driver.collector.put_rows();
                drop(driver);
                drop(attached);
                Err(self.give_up(report, message, exit, rows))
            }
            Watched::Ended => {
                let Driver { mut collector, state, .. } = driver;
                let why = |shard| state.why(shard);
                let cancelled = collector.cancel_others(why);
                cancelled.map_err(|error| failed(error.to_string(), Exit::NotWritten))?;
                let ends = std::mem::take(&mut collector.ends);
                drop(collector);
                drop(attached);
                self.finish(report, plan, &ends)
            }
        }
    }

    /// How tasks have ended that rules of the job count, and that other drivers or runs have put into the report.
    fn ended_before(&self, report: &Report, plan: &Plan) -> Result<EndedBefore, RunError> {
        let job = self.site.job;
        let mut before =
            EndedBefore { ok: report.kept().map_or(0, |kept| kept.ok()), ..EndedBefore::default() };
        if report.began_with() > plan.began_with {
            let files = PartFiles::new(&self.options.results, &job.name);
            let add = |_, status| before.in_run.add(status);
            parts::rows_since(&files, job, plan.seed, plan.began_with, add)?;
        }
        Ok(before)
    }

    /// Leaves the run to its elements.
    fn leave(&self, report: Report, plan: &Plan) -> Result<Ended, RunError> {
        report.leave()?;
        let (job, shards) = (&self.site.job.name, plan.shares.shards());
        let exit = self.site.control.signal().map_or(Exit::Ok, Exit::Signal);
        if self.options.progress != progress::Mode::Off {
            let file = self.site.job.file.display();
            let on = self.site.call.place;
            progress::aside(|| {
                terminal::note(&format!(
                    "{job}: {shards} shards go on; `runner --on {on} --resume {file}` collects their rows\n"
                ));
            });
        }
        Ok((None, exit))
    }

    /// Ends a run that cannot go on. What is finished stays in the partial; without any row, nothing stays.
    fn give_up(&self, report: Report, message: String, exit: Exit, rows: u64) -> RunError {
        let kept = rows > 0 || report.began_with() > 0;
        if !kept {
            drop(report);
        } else if let Err(error) = report.leave() {
            return RunError::Report(error);
        }
        if let Err(error) = self.site.remove() {
            return error;
        }
        match rows {
            0 => failed(message, exit),
            1 => failed(format!("{message}; the 1 row so far is kept: resume with --resume"), exit),
            _ => failed(
                format!("{message}; the {rows} rows so far are kept: resume with --resume"),
                exit,
            ),
        }
    }

    fn finish(&self, report: Report, plan: &Plan, ends: &[EndNote]) -> Result<Ended, RunError> {
        let summary = report.finish(self.facts(plan, ends))?;
        // The report is whole; what is left of the folder, which a lost node may hold open, is no run any more.
        let _ = self.site.folder.remove();
        if let Some(cause @ (Cause::Deadline | Cause::Input(_))) = self.cancel.cause() {
            return Err(RunError::Ended(cause.clone(), Box::new(summary)));
        }
        let exit = summary.exit();
        Ok((Some(Box::new(summary)), exit))
    }

    /// What the report cannot know by itself.
    fn facts(&self, plan: &Plan, ends: &[EndNote]) -> RunFacts {
        let job = self.site.job;
        let at_once = plan.nodes.min(plan.shares.shards()) as usize;
        let first = ends.first();
        let model =
            first.and_then(|end| Model::ALL.into_iter().find(|model| model.name() == end.model));
        let model = match model {
            _ if job.is_staged() => STAGED,
            Some(model) => model.name(),
            None => job.stages.first().map_or(STAGED, |stage| stage.model.name()),
        };
        let slots = ends.iter().map(|end| end.concurrency).max().unwrap_or(0);
        let shards = plan.shares.shards();
        let mut reason = format!("{}: {shards} shards, {at_once} at once", self.site.call.place);
        if let Some(first) = first {
            reason = format!("{reason}, {slots} tasks at once in each; {}", first.reason);
        }
        let startup = ends.iter().map(|end| Duration::from_millis(end.startup_ms)).max();
        let mut notes: Vec<String> = job.inputs.notes();
        for note in ends.iter().flat_map(|end| &end.notes) {
            // A shard's log is not the job's.
            if !notes.contains(note) && !note.starts_with("the output of the workers is in ") {
                notes.push(note.clone());
            }
        }
        notes.truncate(10);
        let log = self.options.results.join(format!("{}.log", job.name));
        if log.metadata().is_ok_and(|meta| meta.len() > 0) {
            notes.push(format!("what shards have printed is in {}", log.display()));
        }
        RunFacts {
            started: self.started,
            before: self.before,
            startup: startup.unwrap_or_default(),
            services: ServiceTimes::default(),
            held: Duration::ZERO,
            calendar: self.calendar,
            model,
            concurrency: slots * at_once,
            reason,
            cpu: None,
            worker_peak: ends.iter().filter_map(|end| end.peak_rss).max(),
            own_peak: None,
            due_p99: None,
            notes,
            saw_a_part: false,
            is_enough: matches!(self.cancel.cause(), Some(Cause::Enough(_))),
            busy: None,
        }
    }
}

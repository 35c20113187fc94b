//! Stopping a run: by its own rules, or because somebody asked.

use super::{Driver, Stage};
use crate::cluster::engine::Stop;
use crate::cluster::folder::StartFolder;
use crate::cluster::ledger::Submission;
use crate::config::StopAfter;
use crate::report::parts::{self, PartFiles};
use crate::task::{Cause, Level, Status, Tally};

impl Driver<'_> {
    /// Stops the run if its own rules say so: too many failures, enough successes, or a budget that is used up.
    pub(super) fn judge_ends(&mut self) {
        self.judge_budgets();
        let limits = &self.job.limits;
        let mut tally = self.collector.tally;
        let running = self.tally_of_running();
        tally.merge(&running);
        self.progress.set_rows(running.total());
        let now_ok = tally.get(Status::Ok) + tally.get(Status::Skipped);
        // A driver that has died counts as this one: the run is the same.
        tally.merge(&self.before.in_run);
        let failed =
            [Status::Failed, Status::Timeout, Status::Crashed].map(|status| tally.get(status));
        let failed: u64 = failed.iter().sum();
        let ended = tally.total() - tally.get(Status::Cancelled);
        if failed > 0
            && let Some(running) = limits.stop_after.reached(failed, ended)
        {
            let (level, what) = running.stop();
            if self.cancel.level() < level {
                let message = format!("stopping: {failed} of {ended} tasks have failed: {what}");
                self.cancel.raise(level, Cause::Failures(message));
            }
        }
        let ok = now_ok + self.before.ok;
        if let Some(enough) = limits.enough.filter(|enough| ok >= enough.count) {
            let (level, what) = enough.running.stop();
            if self.cancel.level() < level {
                self.cancel
                    .raise(level, Cause::Enough(format!("stopping: {ok} tasks are ok: {what}")));
            }
        }
    }

    /// A rule of the job has stopped a shard, and so all of them.
    pub(super) fn stop_by_rule(&mut self, message: String) {
        let (level, _) = self.job.limits.on_stop.stop();
        if self.cancel.level() < level {
            self.cancel.raise(level, Cause::Failures(message));
        }
    }

    /// Stops the run if a budget of the whole job is used up, which is counted in the rows that there are.
    fn judge_budgets(&mut self) {
        if !self.budgets.has_any() || self.cancel.level() > Level::Run {
            return;
        }
        let mut spent = self.collector.spent().to_vec();
        for start in self.current_starts() {
            let files = PartFiles::new(&start.path, &self.job.name);
            // What cannot be read now is counted the next time.
            let more = parts::spent(&files, self.job, self.plan.seed).unwrap_or_default();
            self.budgets.merge(&mut spent, &more);
        }
        if let Some(message) = self.budgets.used_up(&spent) {
            self.cancel.raise(Level::Drain, Cause::Failures(message));
        }
    }

    /// The starts that run now, as far as is known.
    fn current_starts(&self) -> Vec<StartFolder> {
        let mut starts = self.folder.starts().unwrap_or_default();
        starts.retain(|start| {
            let shard = self.state.shards.get(start.shard as usize);
            shard.is_some_and(|shard| shard.stage == Stage::Submitted && shard.start == start.start)
        });
        starts
    }

    /// How tasks of running shards have ended so far, by their state files.
    fn tally_of_running(&self) -> Tally {
        let mut tally = Tally::default();
        let counts_statuses =
            self.job.limits.enough.is_some() || self.job.limits.stop_after != StopAfter::default();
        for start in self.current_starts() {
            let files = PartFiles::new(&start.path, &self.job.name);
            if counts_statuses {
                for (status, count) in Status::ALL.into_iter().zip(files.about_statuses()) {
                    (0..count).for_each(|_| tally.add(status));
                }
            } else {
                tally.add_many(Status::Ok, files.about_rows());
            }
        }
        tally
    }

    /// Does what the user, a limit or a failure asks for: elements are drained or killed, nothing is started again.
    pub(super) fn heed_stop(&mut self) {
        let wanted = match (self.cancel.level(), &self.state.failed) {
            (Level::Kill, _) | (_, Some(_)) => Stop::Kill,
            (Level::Drain, None) => Stop::Drain,
            (Level::Run, None) => return,
        };
        for shard in &mut self.state.shards {
            if let Stage::Ready(_) = shard.stage {
                shard.stage = Stage::Dropped("the run was stopped".into());
            }
        }
        self.settle_unclear();
        if self.state.stopped == Some(wanted) {
            return;
        }
        let mut all_told = true;
        for submission in self.ledger.submissions.iter().filter(|submission| submission.live() > 0)
        {
            let live = submission.live.iter().zip(0..).filter(|(live, _)| **live);
            let indexes: Vec<u32> = live.map(|(_, index)| index).collect();
            let Some(id) = &submission.id else { continue };
            all_told &= self.engine.stop(id, &indexes, wanted).is_ok();
        }
        if all_told {
            self.state.stopped = Some(wanted);
        }
    }

    /// While the run is being stopped, a submission that may have come through is looked for, and not tried again.
    fn settle_unclear(&mut self) {
        let is_unclear = |one: &Submission| one.id.is_none() && one.live() > 0;
        let Some(place) = self.ledger.submissions.iter().position(is_unclear) else { return };
        match self.engine.find(&self.ledger.submissions[place].name) {
            Ok(Some(id)) if self.ledger.note(place, id.clone()).is_ok() => {
                self.state.stopped = None;
            }
            Ok(None) => {
                let submission = &mut self.ledger.submissions[place];
                submission.live.fill(false);
                for (shard, _) in submission.elements.clone() {
                    let reason = "the run was stopped".into();
                    self.state.shards[shard as usize].stage = Stage::Dropped(reason);
                }
            }
            _ => {} // it is asked again
        }
    }
}

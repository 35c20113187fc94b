//! The driver: it submits shards, watches files and scheduler, starts again what was lost, and collects rows, until every
//! task has a row, or nothing more will come.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{fs, io, thread};

use crate::cluster::collect::{Collector, tail};
use crate::cluster::decide::{Decision, EXIT_LATER, Fatal, History, LATE, Terms, decide};
use crate::cluster::engine::{Engine, Found, How, Id, NotSubmitted, States, Stop, Unknown};
use crate::cluster::folder::{
    self, END_NOTE, EndNote, RunFolder, START_NOTE, StartFolder, StartNote,
};
use crate::cluster::journal::{Entry, Journal};
use crate::cluster::ledger::{Ledger, Submission};
use crate::cluster::plan::Plan;
use crate::cluster::reason::Outlook;
use crate::cluster::shard::since_1970;
use crate::config::StopAfter;
use crate::job::Job;
use crate::report::parts::PartFiles;
use crate::report::terminal::progress::Elsewhere;
use crate::task::{Cancel, Cause, Exit, Level, Status, Tally};

/// How often the driver looks whether it is to stop.
const TICK: Duration = Duration::from_millis(50);

/// How long a submission waits after the scheduler had too many, or gave no answer.
const PAUSE: Duration = Duration::from_secs(15);

/// How often a submission of which it is unclear whether it came through is tried.
const TRIES: u32 = 5;

/// How long elements may take to end after the run has failed.
const END_PATIENCE: Duration = Duration::from_mins(1);

/// Waiting for so long is worth a line.
const LONG_WAITS: [Duration; 3] =
    [Duration::from_mins(1), Duration::from_mins(5), Duration::from_mins(30)];

/// How the watch ended.
#[derive(Debug)]
pub enum Watched {
    /// Nothing more will come: tasks without a row do not run.
    Ended,
    /// The driver leaves; the elements go on.
    Left,
    /// The run cannot go on; in words, and the exit code.
    Failed(String, Exit),
}

/// What a driver works with.
pub struct Driver<'a> {
    /// The job.
    pub job: &'a Job,
    /// What is to be done.
    pub plan: &'a Plan,
    /// Where it is done.
    pub folder: &'a RunFolder,
    /// Who does it.
    pub engine: &'a dyn Engine,
    /// How it is stopped.
    pub cancel: &'a Arc<Cancel>,
    /// What the user sees.
    pub progress: &'a Elsewhere,
    /// How lines are said meanwhile.
    pub say: &'a dyn Fn(String),
    /// What was submitted.
    pub ledger: Ledger,
    /// Where rows go.
    pub collector: Collector<'a>,
    /// Where starts are noted.
    pub journal: Journal,
    /// The command that an element runs, but for its own number.
    pub command: Vec<String>,
    /// How many starts in a row may bring no new row.
    pub tries: u32,
    /// Whether the driver leaves once all is submitted.
    pub detaches: bool,
    /// What it remembers.
    pub state: State,
}

/// What a driver remembers.
#[derive(Default)]
pub struct State {
    shards: Vec<Shard>,
    /// How many of them are done.
    done: usize,
    /// How many elements an array may have; 0 if that is not known.
    most: u32,
    submit_after: Option<Instant>,
    unclear: u32,
    stopped: Option<Stop>,
    failed: Option<(String, Exit)>,
    failed_at: Option<Instant>,
    /// When something ran last, or nothing waited.
    waits_since: Option<Instant>,
    waits_said: usize,
    unknown_said: Option<Instant>,
    hopeless: u32,
    /// Nodes and how often short starts have failed there, by shard.
    bad_nodes: HashMap<String, Vec<u32>>,
}

impl State {
    /// Why tasks of a shard have no row.
    pub fn why(&self, shard: u32) -> String {
        match &self.shards[shard as usize].stage {
            Stage::Dropped(reason) => reason.clone(),
            _ => "the run was stopped".into(),
        }
    }
}

/// Where a shard is.
#[derive(Clone, Debug, PartialEq)]
enum Stage {
    /// To be submitted at this time.
    Ready(Instant),
    /// Submitted, and not known to have ended.
    Submitted,
    /// All its rows are in the report.
    Done,
    /// It is not started again, for this reason.
    Dropped(String),
}

#[derive(Clone, Debug)]
struct Shard {
    stage: Stage,
    /// The number of its last start; 0 if there was none.
    start: u32,
    rows_before: u64,
    in_vain: u32,
    runs_since: Option<Instant>,
    ended_since: Option<Instant>,
}

impl<'a> Driver<'a> {
    /// A driver of a run that may have been begun by another one.
    #[expect(clippy::too_many_arguments, reason = "each is one thing that a driver works with")]
    pub fn new(
        (job, plan, folder): (&'a Job, &'a Plan, &'a RunFolder),
        engine: &'a dyn Engine,
        cancel: &'a Arc<Cancel>,
        progress: &'a Elsewhere,
        say: &'a dyn Fn(String),
        mut ledger: Ledger,
        collector: Collector<'a>,
        journal: Journal,
    ) -> Self {
        let now = Instant::now();
        let new = Shard {
            stage: Stage::Ready(now),
            start: 0,
            rows_before: 0,
            in_vain: 0,
            runs_since: None,
            ended_since: None,
        };
        let mut shards = vec![new; plan.shares.shards() as usize];
        for submission in &mut ledger.submissions {
            submission.at_once = submission.at_once.min(plan.nodes);
            if submission.id.is_none() {
                submission.live.fill(false); // it did not come through, and is made anew
                continue;
            }
            for &(shard, start) in &submission.elements {
                if let Some(shard) = shards.get_mut(shard as usize) {
                    (shard.start, shard.stage) = (shard.start.max(start), Stage::Submitted);
                }
            }
        }
        for submission in &mut ledger.submissions {
            for (live, &(shard, start)) in submission.live.iter_mut().zip(&submission.elements) {
                // A start that another one has followed is not waited for.
                *live &= shards.get(shard as usize).is_some_and(|shard| shard.start == start);
            }
        }
        let state = State { shards, ..State::default() };
        Self {
            job,
            plan,
            folder,
            engine,
            cancel,
            progress,
            say,
            ledger,
            collector,
            journal,
            command: Vec::new(),
            tries: 3,
            detaches: false,
            state,
        }
    }

    /// Watches until nothing more will come, or somebody wants to leave.
    ///
    /// # Errors
    /// If files of the run cannot be read or written.
    pub fn watch(&mut self) -> io::Result<Watched> {
        let (first, last) = self.engine.interval();
        let mut interval = first;
        loop {
            if matches!(self.cancel.cause(), Some(Cause::Signal(libc::SIGHUP))) {
                return Ok(Watched::Left);
            }
            let (before, level) = (self.collector.rows(), self.cancel.level());
            self.round()?;
            if let Some(watched) = self.is_over()? {
                return Ok(watched);
            }
            let has_news = self.collector.rows() > before;
            interval = if has_news { first } else { last.min(interval.mul_f64(1.25)) };
            self.pause(interval, level);
        }
    }

    /// One look at everything.
    fn round(&mut self) -> io::Result<()> {
        self.judge_ends();
        self.heed_stop();
        self.collect_done()?;
        let open = self.ledger.open();
        let states = if open.is_empty() { Ok(States::default()) } else { self.engine.poll(&open) };
        match states {
            Ok(states) => self.settle(&states)?,
            Err(unknown) => self.say_unknown(&unknown),
        }
        if self.state.failed.is_none() && self.cancel.level() == Level::Run {
            self.submit_ready()?;
            self.use_all_allocations();
        }
        self.collector.remove_collected();
        Ok(())
    }

    /// Waits, unless the run is being stopped further than to this level.
    fn pause(&self, interval: Duration, level: Level) {
        let until = Instant::now() + interval;
        while Instant::now() < until && self.cancel.level() == level {
            thread::sleep(TICK.min(interval));
        }
    }

    /// Whether the watch has ended, and how.
    fn is_over(&mut self) -> io::Result<Option<Watched>> {
        let is_waiting = |shard: &Shard| matches!(shard.stage, Stage::Submitted);
        let has_live = self.state.shards.iter().any(is_waiting);
        if let Some((message, exit)) = &self.state.failed {
            let since = *self.state.failed_at.get_or_insert_with(Instant::now);
            if !has_live || since.elapsed() > END_PATIENCE {
                let failed = Watched::Failed(message.clone(), *exit);
                self.collect_parts()?;
                return Ok(Some(failed));
            }
            return Ok(None);
        }
        let has_ready =
            self.state.shards.iter().any(|shard| matches!(shard.stage, Stage::Ready(_)));
        if !has_live && !has_ready {
            self.collect_parts()?;
            return Ok(Some(Watched::Ended));
        }
        Ok((self.detaches && !has_ready && self.state.unclear == 0).then_some(Watched::Left))
    }

    /// Collects the rows of shards that will not be done.
    fn collect_parts(&mut self) -> io::Result<()> {
        let is_done = |shard: u32| self.state.shards[shard as usize].stage == Stage::Done;
        let mut starts = self.folder.starts()?;
        starts.retain(|start| !is_done(start.shard));
        starts.sort_by_key(|start| (start.shard, std::cmp::Reverse(start.start)));
        for start in starts {
            self.collector.collect_part(start.shard, &start.path)?;
        }
        Ok(())
    }

    /// Stops the run if its own rules say so: too many failures, or enough successes.
    fn judge_ends(&mut self) {
        let limits = &self.job.limits;
        let mut tally = self.collector.tally;
        let running = self.tally_of_running();
        tally.merge(&running);
        self.progress.set_rows(running.total());
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
        let ok = tally.get(Status::Ok) + tally.get(Status::Skipped);
        if let Some(enough) = limits.enough.filter(|enough| ok >= enough.count) {
            let (level, what) = enough.running.stop();
            if self.cancel.level() < level {
                self.cancel
                    .raise(level, Cause::Enough(format!("stopping: {ok} tasks are ok: {what}")));
            }
        }
    }

    /// How tasks of running shards have ended so far, by their state files.
    fn tally_of_running(&self) -> Tally {
        let mut tally = Tally::default();
        let Ok(starts) = self.folder.starts() else { return tally };
        let counts_statuses =
            self.job.limits.enough.is_some() || self.job.limits.stop_after != StopAfter::default();
        for start in starts {
            let shard = self.state.shards.get(start.shard as usize);
            let is_current = shard
                .is_some_and(|shard| shard.stage == Stage::Submitted && shard.start == start.start);
            if !is_current {
                continue;
            }
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
    fn heed_stop(&mut self) {
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

    /// Collects the shards that are linked.
    fn collect_done(&mut self) -> io::Result<()> {
        let links = self.folder.links()?;
        if links.len() == self.state.done {
            return Ok(());
        }
        let starts = self.starts()?;
        for (shard, folder) in links {
            let known = self.state.shards.get(shard as usize);
            if known.is_none_or(|known| known.stage == Stage::Done) {
                continue;
            }
            if self.collector.collect(shard, &folder)? {
                self.note_done(shard, &folder, starts.get(&shard).map_or(&[], Vec::as_slice))?;
            } else {
                (self.say)(format!("shard {shard} starts again: its result is not whole"));
                fs::remove_file(self.folder.link(shard))?;
                self.start_again(shard, Duration::ZERO);
            }
        }
        Ok(())
    }

    /// The starts of all shards, by shard.
    fn starts(&self) -> io::Result<HashMap<u32, Vec<StartFolder>>> {
        let mut starts = HashMap::<_, Vec<_>>::new();
        for start in self.folder.starts()? {
            starts.entry(start.shard).or_default().push(start);
        }
        Ok(starts)
    }

    fn note_done(&mut self, shard: u32, folder: &Path, starts: &[StartFolder]) -> io::Result<()> {
        let start = starts.iter().find(|start| start.path == folder).map(|start| start.start);
        let start = start.unwrap_or(self.state.shards[shard as usize].start);
        // One without a folder was collected, and noted, by a driver before this one.
        if folder.exists() {
            self.journal_entry(shard, start, Some(folder), ("done", None))?;
        }
        self.end_element(shard);
        self.state.shards[shard as usize].stage = Stage::Done;
        self.state.done += 1;
        self.collector.discard(starts.iter().map(|start| start.path.clone()));
        Ok(())
    }

    /// Notes that the element of a shard's last start is not waited for any more.
    fn end_element(&mut self, shard: u32) {
        let start = self.state.shards[shard as usize].start;
        if let Some((place, element)) = self.ledger.element(shard, start) {
            self.ledger.submissions[place].live[element.index as usize] = false;
        }
    }

    fn start_again(&mut self, shard: u32, pause: Duration) {
        self.end_element(shard);
        let shard = &mut self.state.shards[shard as usize];
        (shard.runs_since, shard.ended_since) = (None, None);
        shard.stage = Stage::Ready(Instant::now() + pause);
    }

    /// Settles what the scheduler says of the elements.
    fn settle(&mut self, states: &States) -> io::Result<()> {
        // After the scheduler was asked: what had ended by then has its link.
        let (links, starts) = (self.folder.links()?, self.starts()?);
        let has_rows = self.collector.rows() > 0
            || starts.values().flatten().any(|start| self.about_rows(&start.path) > 0);
        let mut seen = Seen::default();
        for shard in 0..self.plan.shares.shards() {
            if self.state.shards[shard as usize].stage != Stage::Submitted {
                continue;
            }
            let start = self.state.shards[shard as usize].start;
            let Some((_, element)) = self.ledger.element(shard, start) else { continue };
            let found = states.of(&element);
            seen.note(&found);
            if links.contains_key(&shard) {
                continue; // it is collected next
            }
            let own = starts.get(&shard).map_or(&[][..], Vec::as_slice);
            self.settle_shard(shard, &found, own, has_rows)?;
        }
        if seen.is_hopeless() && self.state.failed.is_none() {
            self.state.hopeless += 1;
        } else {
            self.state.hopeless = 0;
        }
        if self.state.hopeless > 1
            && let Some((reason, key)) = &seen.never
        {
            let engine = self.engine.name();
            let message = format!(
                "{engine} will never start it: {reason}; change `cluster.{key}`, then run it again"
            );
            self.fail(message, Exit::Usage);
        }
        self.say_waits(&seen);
        self.progress.set_words(seen.words(self.engine.name()));
        Ok(())
    }

    fn settle_shard(
        &mut self,
        shard: u32,
        found: &Found,
        starts: &[StartFolder],
        has_rows: bool,
    ) -> io::Result<()> {
        let now = Instant::now();
        let terms = Terms {
            tries: self.tries,
            has_rows,
            pause: self.engine.pause(),
            is_stopping: self.cancel.level() > Level::Run || self.state.failed.is_some(),
        };
        let state = &mut self.state.shards[shard as usize];
        let current = starts.iter().find(|start| start.start == state.start);
        match found {
            Found::Running { node } => {
                let since = *state.runs_since.get_or_insert(now);
                if current.is_none() && !terms.has_rows && since.elapsed() > LATE {
                    let results = self.folder.path().display();
                    let message = format!(
                        "{node} does not see `{results}`: the folder of the results must be on the shared file system"
                    );
                    self.fail(message, Exit::Usage);
                }
                return Ok(());
            }
            Found::Waiting {
                outlook: Outlook::Passes | Outlook::Never(_) | Outlook::HeldByHand,
                ..
            } => {
                return Ok(());
            }
            _ => {}
        }
        let ended_since = *state.ended_since.get_or_insert(now);
        let (rows_before, in_vain) = (state.rows_before, state.in_vain);
        let note = current.and_then(|start| folder::note::<StartNote>(&start.path, START_NOTE));
        let ran =
            note.map(|note| Duration::from_millis(since_1970().saturating_sub(note.started_ms)));
        let history = History {
            has_begun: current.is_some(),
            rows: starts.iter().map(|start| self.about_rows(&start.path)).max().unwrap_or(0),
            rows_before,
            in_vain,
            ran: ran.unwrap_or_default(),
            ended: ended_since.elapsed(),
        };
        let current = current.map(|start| start.path.clone());
        let decision = decide(false, found, &history, &terms);
        self.act(shard, decision, found, &history, current.as_deref())
    }

    fn about_rows(&self, folder: &Path) -> u64 {
        PartFiles::new(folder, &self.job.name).about_rows()
    }

    fn act(
        &mut self,
        shard: u32,
        decision: Decision,
        found: &Found,
        history: &History,
        folder: Option<&Path>,
    ) -> io::Result<()> {
        let start = self.state.shards[shard as usize].start;
        if let Decision::Wait | Decision::Collect = decision {
            return Ok(());
        }
        let (state, code, node) = match found {
            Found::Ended { how, code, node } => (format!("{how:?}"), Some(*code), node.as_str()),
            Found::Waiting { reason, .. } => (reason.clone(), None, ""),
            _ => ("unknown to the scheduler".into(), None, ""),
        };
        let log = self.folder_log(shard, start);
        let said = log.as_deref().map(last_words).unwrap_or_default();
        let has_log = log.as_ref().is_some_and(|log| log.exists());
        self.journal_entry(shard, start, folder, (&state, code))?;
        match decision {
            Decision::Wait | Decision::Collect => {}
            Decision::Again(pause, reason) => {
                let new = history.rows > history.rows_before;
                self.note_vain(shard, history, node, new);
                if code != Some(EXIT_LATER) || !new {
                    let all = self.plan.shares.count(shard);
                    let on = if node.is_empty() { String::new() } else { format!(" on {node}") };
                    let said = if said.is_empty() { said } else { format!(" ({said})") };
                    (self.say)(format!(
                        "shard {shard} starts again, {} of {all} rows so far: {reason}{on}{said}",
                        history.rows
                    ));
                }
                self.start_again(shard, pause);
            }
            Decision::TakeAway(reason) => {
                if let Some((_, element)) = self.ledger.element(shard, start)
                    && self.engine.stop(&element.id, &[element.index], Stop::Kill).is_ok()
                {
                    (self.say)(format!("shard {shard} is submitted again: {reason}"));
                    self.start_again(shard, Duration::ZERO);
                }
            }
            Decision::GiveUp(reason) => {
                let said = if said.is_empty() { said } else { format!(" ({said})") };
                (self.say)(format!("shard {shard} is given up: {reason}{said}"));
                self.end_element(shard);
                self.state.shards[shard as usize].stage = Stage::Dropped(reason);
            }
            Decision::Withdrawn(reason) => {
                self.end_element(shard);
                self.state.shards[shard as usize].stage = Stage::Dropped(reason);
            }
            Decision::StopRun(fatal) => {
                self.end_element(shard);
                self.state.shards[shard as usize].stage =
                    Stage::Dropped("the run has failed".into());
                self.fail_by(fatal, node, &said, has_log);
            }
        }
        Ok(())
    }

    /// Counts starts in vain, and nodes on which short starts fail.
    fn note_vain(&mut self, shard: u32, history: &History, node: &str, has_new: bool) {
        let state = &mut self.state.shards[shard as usize];
        state.in_vain = if has_new { 0 } else { history.in_vain + 1 };
        if !has_new && history.ran < Duration::from_secs(10) && !node.is_empty() {
            let shards = self.state.bad_nodes.entry(node.to_owned()).or_default();
            if !shards.contains(&shard) {
                shards.push(shard);
            }
        }
    }

    /// Nodes where two shards or more have failed at once.
    fn excluded(&self) -> Vec<String> {
        let bad = self.state.bad_nodes.iter().filter(|(_, shards)| shards.len() > 1);
        let mut nodes: Vec<_> = bad.map(|(node, _)| node.clone()).collect();
        nodes.sort();
        nodes
    }

    fn fail_by(&mut self, fatal: Fatal, node: &str, said: &str, has_log: bool) {
        let program = self.command.first().map_or("the runner", String::as_str);
        let node = if node.is_empty() { "a node" } else { node };
        let said = if said.is_empty() { String::new() } else { format!(": {said}") };
        let unseen = "the folder of the results must be on a file system that all nodes see";
        let (message, exit) = match fatal {
            Fatal::Disk => (format!("rows cannot be written on {node}{said}"), Exit::NotWritten),
            Fatal::Usage if has_log => (format!("the job cannot run on {node}{said}"), Exit::Usage),
            Fatal::Usage => (format!("the job cannot run on {node}{said}; {unseen}"), Exit::Usage),
            Fatal::CannotRun(127) => (
                format!("{node} has no `{program}`{said}: {unseen}; or set `cluster.runner`"),
                Exit::Usage,
            ),
            Fatal::CannotRun(_) => (
                format!(
                    "{node} cannot run `{program}`{said}; set `cluster.runner` to one that it can run"
                ),
                Exit::Usage,
            ),
            Fatal::Deadline => {
                self.cancel.raise(Level::Kill, Cause::Deadline);
                return;
            }
        };
        self.fail(message, exit);
    }

    fn fail(&mut self, message: String, exit: Exit) {
        if self.state.failed.is_none() {
            self.state.failed = Some((message, exit));
            self.heed_stop();
        }
    }

    fn folder_log(&self, shard: u32, start: u32) -> Option<PathBuf> {
        let (place, element) = self.ledger.element(shard, start)?;
        let number = self.ledger.submissions[place].number;
        Some(self.folder.element_log(number, element.index))
    }

    fn journal_entry(
        &mut self,
        shard: u32,
        start: u32,
        folder: Option<&Path>,
        (state, exit): (&str, Option<u8>),
    ) -> io::Result<()> {
        let note = |name| folder.and_then(|folder| folder::note::<StartNote>(folder, name));
        let started = note(START_NOTE).unwrap_or_default();
        let ended = folder.and_then(|folder| folder::note::<EndNote>(folder, END_NOTE));
        let element = self.ledger.element(shard, start).map(|(_, element)| element);
        let log = self.folder_log(shard, start).unwrap_or_default();
        let title = format!("shard {shard}, start {start}, {}", started.node);
        let has_log = self.collector.keep_logs(&title, folder, &log);
        let entry = Entry {
            shard,
            start,
            engine_id: element.map(|at| format!("{}_{}", at.id.0, at.index)).unwrap_or_default(),
            node: started.node,
            state: state.to_owned(),
            exit: exit.or((state == "done").then_some(0)),
            tasks: self.plan.shares.count(shard),
            rows: folder.map_or(0, |folder| self.about_rows(folder)),
            started_ms: Some(started.started_ms).filter(|ms| *ms > 0),
            ended_ms: ended.map(|note| note.ended_ms),
            log: if has_log { format!("{}.log", self.job.name) } else { String::new() },
        };
        self.journal.add(&entry)
    }

    /// Submits the shards whose time has come, as far as allocations are free.
    fn submit_ready(&mut self) -> io::Result<()> {
        let now = Instant::now();
        if self.state.submit_after.is_some_and(|after| after > now) || self.find_unclear()? {
            return Ok(());
        }
        let free = self.plan.nodes.saturating_sub(self.ledger.running_at_most());
        let is_due = |shard: &Shard| matches!(shard.stage, Stage::Ready(due) if due <= now);
        let shards = (0..).zip(&self.state.shards).filter(|(_, shard)| is_due(shard));
        let ready: Vec<u32> = shards.map(|(shard, _)| shard).collect();
        if free == 0 || ready.is_empty() {
            return Ok(());
        }
        if self.state.most == 0 {
            match self.engine.most_elements() {
                Ok(most) => self.state.most = most.max(1),
                Err(unknown) => {
                    self.say_unknown(&unknown);
                    return Ok(());
                }
            }
        }
        for chunk in ready.chunks(self.state.most as usize) {
            let part = u64::from(free) * chunk.len() as u64 / ready.len() as u64;
            if !self.submit(chunk, (part as u32).max(1))? {
                break;
            }
        }
        Ok(())
    }

    /// Submits these shards as one array. Returns whether others may be submitted now.
    fn submit(&mut self, shards: &[u32], at_once: u32) -> io::Result<bool> {
        let starts = self.folder.starts()?;
        let rows = |shard: u32| {
            let own = starts.iter().filter(|start| start.shard == shard);
            own.map(|start| self.about_rows(&start.path)).max().unwrap_or(0)
        };
        let rows: Vec<_> = shards.iter().map(|&shard| rows(shard)).collect();
        let begun = |shard: u32| {
            let own = starts.iter().filter(|start| start.shard == shard);
            own.map(|start| start.start).max().unwrap_or(0)
        };
        let elements = shards
            .iter()
            .map(|&shard| (shard, self.state.shards[shard as usize].start.max(begun(shard)) + 1));
        let elements: Vec<_> = elements.collect();
        let at_once = at_once.min(shards.len() as u32);
        let script = |number: u32| {
            let mut command = self.command.clone();
            command.push(number.to_string());
            self.engine.script(&command)
        };
        let place = self.ledger.intend(elements.clone(), at_once, script)?;
        let request = self.ledger.request(place, &self.excluded());
        for ((shard, start), rows) in elements.into_iter().zip(rows) {
            let state = &mut self.state.shards[shard as usize];
            (state.start, state.rows_before, state.stage) = (start, rows, Stage::Submitted);
        }
        let submitted = self.engine.submit(&request);
        self.submitted(place, submitted)
    }

    fn submitted(&mut self, place: usize, submitted: Result<Id, NotSubmitted>) -> io::Result<bool> {
        let elements = self.ledger.submissions[place].elements.len() as u32;
        match submitted {
            Ok(id) => {
                self.state.unclear = 0;
                self.ledger.note(place, id)?;
                return Ok(true);
            }
            Err(NotSubmitted::Refused { words, key, help }) => {
                self.take_back()?;
                let key = key.map(|key| format!("; see `cluster.{key}`")).unwrap_or_default();
                let help = help.map(|help| format!(" ({help})")).unwrap_or_default();
                let engine = self.engine.name();
                self.fail(format!("{engine} does not take it: {words}{key}{help}"), Exit::Usage);
            }
            Err(NotSubmitted::Full(words)) => {
                self.take_back()?;
                let has_live = self.ledger.submissions.iter().any(|all| all.live() > 0);
                if elements == 1 && !has_live {
                    let engine = self.engine.name();
                    self.fail(format!("{engine} takes no more jobs: {words}"), Exit::Usage);
                }
                self.state.most = (elements / 2).max(1);
                self.state.submit_after = has_live.then(|| Instant::now() + PAUSE);
            }
            Err(NotSubmitted::TooLarge(words)) => {
                self.take_back()?;
                if elements == 1 {
                    self.fail(
                        format!("{} does not take it: {words}", self.engine.name()),
                        Exit::Usage,
                    );
                }
                self.state.most = (elements / 2).max(1);
            }
            Err(NotSubmitted::Unclear(words)) => {
                self.state.unclear += 1;
                if self.state.unclear >= TRIES {
                    let engine = self.engine.name();
                    self.fail(format!("{engine} does not answer: {words}"), Exit::Usage);
                }
                self.state.submit_after = Some(Instant::now() + self.pause_of_unclear());
            }
        }
        Ok(false)
    }

    fn pause_of_unclear(&self) -> Duration {
        Duration::from_secs(1 << (2 * self.state.unclear).min(5))
    }

    /// The last submission was refused: its shards are ready again.
    fn take_back(&mut self) -> io::Result<()> {
        let elements = self.ledger.submissions.last().map(|last| last.elements.clone());
        for (shard, start) in elements.unwrap_or_default() {
            let shard = &mut self.state.shards[shard as usize];
            (shard.stage, shard.start) = (Stage::Ready(Instant::now()), start - 1);
        }
        self.ledger.take_back()
    }

    /// Looks for a submission of which it is unclear whether it came through. Returns whether it still is.
    fn find_unclear(&mut self) -> io::Result<bool> {
        let Some(place) = self
            .ledger
            .submissions
            .iter()
            .position(|one| one.id.is_none() && one.live() > 0 && self.state.unclear > 0)
        else {
            return Ok(false);
        };
        match self.engine.find(&self.ledger.submissions[place].name.clone()) {
            Ok(Some(id)) => {
                self.state.unclear = 0;
                self.ledger.note(place, id)?;
                Ok(false)
            }
            Ok(None) => {
                // It did not come through. The next try has the same name, so that it is found if it did after all.
                let request = self.ledger.request(place, &self.excluded());
                let submitted = self.engine.submit(&request);
                Ok(!self.submitted(place, submitted)?)
            }
            Err(unknown) => {
                self.say_unknown(&unknown);
                self.state.submit_after = Some(Instant::now() + PAUSE);
                Ok(true)
            }
        }
    }

    /// Lets the newest array use the allocations that older ones need no more.
    fn use_all_allocations(&mut self) {
        let free = self.plan.nodes.saturating_sub(self.ledger.running_at_most());
        let mut waiting = self.ledger.submissions.iter_mut().rev();
        let Some(submission) = waiting.find(|one| one.id.is_some() && one.live() > one.at_once)
        else {
            return;
        };
        let at_once = submission.at_once + free;
        if free > 0
            && let Some(id) = &submission.id
            && self.engine.set_at_once(id, at_once).is_ok()
        {
            submission.at_once = at_once;
        }
    }

    fn say_unknown(&mut self, unknown: &Unknown) {
        let is_new = self.state.unknown_said.is_none_or(|at| at.elapsed() > Duration::from_mins(1));
        if is_new {
            self.state.unknown_said = Some(Instant::now());
            let Unknown(words) = unknown;
            (self.say)(format!(
                "{} does not answer, which changes nothing: {words}",
                self.engine.name()
            ));
        }
    }

    /// Says it if nothing has run for long.
    fn say_waits(&mut self, seen: &Seen) {
        if seen.running > 0 || seen.waiting == 0 {
            (self.state.waits_since, self.state.waits_said) = (None, 0);
            return;
        }
        let since = *self.state.waits_since.get_or_insert_with(Instant::now);
        let long = LONG_WAITS.get(self.state.waits_said);
        if let Some(long) = long.filter(|long| since.elapsed() >= **long) {
            self.state.waits_said += 1;
            let (minutes, reason) = (long.as_secs() / 60, &seen.reason);
            (self.say)(format!(
                "{} has started nothing for {minutes} min: {reason}",
                self.engine.name()
            ));
        }
    }
}

/// What one look at the scheduler has shown.
#[derive(Default)]
struct Seen {
    running: u32,
    waiting: u32,
    reason: String,
    never: Option<(String, &'static str)>,
    may_start: bool,
}

impl Seen {
    fn note(&mut self, found: &Found) {
        match found {
            Found::Running { .. } => self.running += 1,
            Found::Waiting { reason, outlook } => {
                self.waiting += 1;
                // That siblings run is the least interesting reason.
                if self.reason.is_empty() || self.reason == "JobArrayTaskLimit" {
                    self.reason.clone_from(reason);
                }
                match outlook {
                    Outlook::Never(key) => self.never = Some((reason.clone(), key)),
                    _ => self.may_start = true,
                }
            }
            Found::Ended { how: How::Completed, .. } => {}
            _ => self.may_start = true, // it may be started again
        }
    }

    /// Whether all that there is waits for what never comes.
    fn is_hopeless(&self) -> bool {
        self.never.is_some() && self.running == 0 && !self.may_start
    }

    fn words(&self, engine: &str) -> String {
        match (self.running, self.waiting) {
            (running, 0) => format!("{engine}: {running} run"),
            (running, waiting) => {
                format!("{engine}: {running} run, {waiting} wait ({})", self.reason)
            }
        }
    }
}

/// The last lines of what an element has printed, in one.
fn last_words(log: &Path) -> String {
    /// So many lines, of so many characters in all.
    const LINES: usize = 3;
    const LONGEST: usize = 400;
    let bytes = tail(log);
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<_> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let text = lines[lines.len().saturating_sub(LINES)..].join("; ");
    let start = text.char_indices().rev().nth(LONGEST).map_or(0, |(at, _)| at);
    crate::base::diagnostic::visible(&text[start..])
}

//! The driver: it submits shards, watches files and scheduler, starts again what was lost, and collects rows, until every
//! task has a row, or nothing more will come.

mod seen;
mod settle;
mod stopping;
mod submit;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{fs, io, thread};

use crate::cluster::budgets::JobBudgets;
use crate::cluster::collect::Collector;
use crate::cluster::engine::{Engine, States, Stop, Unknown};
use crate::cluster::folder::{RunFolder, StartFolder};
use crate::cluster::journal::Journal;
use crate::cluster::ledger::Ledger;
use crate::cluster::plan::Plan;
use crate::job::Job;
use crate::report::terminal::progress::Elsewhere;
use crate::task::{Cancel, Cause, Exit, Level, Tally};
use seen::Waits;

/// How often the driver looks whether it is to stop.
const TICK: Duration = Duration::from_millis(50);

/// How long a submission waits after the scheduler had too many, or gave no answer.
const PAUSE: Duration = Duration::from_secs(15);

/// How often a submission of which it is unclear whether it came through is tried.
const TRIES: u32 = 5;

/// How long elements may take to end after the run has failed.
const END_PATIENCE: Duration = Duration::from_mins(1);

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
    /// What all shards together may use.
    pub budgets: JobBudgets,
    /// How tasks have ended before this driver.
    pub before: EndedBefore,
    /// The command that an element runs, but for its own number.
    pub command: Vec<String>,
    /// How many starts in a row may bring no new row.
    pub tries: u32,
    /// Whether the driver leaves once all is submitted.
    pub detaches: bool,
    /// What it remembers.
    pub state: State,
}

/// How tasks have ended before a driver has begun.
#[derive(Clone, Copy, Debug, Default)]
pub struct EndedBefore {
    /// Those that drivers before it have put into the report of this run.
    pub in_run: Tally,
    /// How many rows are ok that the report has, of whichever run.
    pub ok: u64,
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
    /// How many elements an array has now, since there was room for no more and nothing that could end.
    half: Option<u32>,
    /// What the scheduler takes, as far as is known.
    room: Option<Room>,
    /// Whether the scheduler has not been heard yet by this driver, which goes on with a run.
    resumes: bool,
    stopped: Option<Stop>,
    failed: Option<(String, Exit)>,
    failed_at: Option<Instant>,
    waits: Waits,
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

/// The scheduler has taken no more jobs than these.
#[derive(Clone, Copy, Debug)]
struct Room {
    /// How many elements there were.
    live: u32,
    /// Until when that holds: others may have been in the way.
    until: Instant,
}

#[derive(Clone, Debug)]
struct Shard {
    stage: Stage,
    /// The number of its last start; 0 if there was none.
    start: u32,
    rows_before: u64,
    in_vain: u32,
    /// How many results of it could not be used.
    unusable: u32,
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
        budgets: JobBudgets,
    ) -> Self {
        let now = Instant::now();
        let new = Shard {
            stage: Stage::Ready(now),
            start: 0,
            rows_before: 0,
            in_vain: 0,
            unusable: 0,
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
        let resumes = !ledger.submissions.is_empty();
        let state = State { shards, resumes, ..State::default() };
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
            budgets,
            before: EndedBefore::default(),
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
        starts.sort_by_key(|start| (start.shard, start.start));
        for of_shard in starts.chunk_by(|one, next| one.shard == next.shard) {
            let folders: Vec<_> = of_shard.iter().map(|start| start.path.clone()).collect();
            self.collector.keep_made(of_shard[0].shard, &folders, None)?;
            self.collector.keep_outputs(&folders)?;
        }
        for start in starts.into_iter().rev() {
            self.collector.collect_part(start.shard, &start.path)?;
        }
        Ok(())
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
            let collected = self.collector.collect(shard, &folder)?;
            if let Err(why) = collected {
                fs::remove_file(self.folder.link(shard))?;
                self.do_again(shard, &why);
            } else {
                let rule = self.collector.ends.last().and_then(|end| end.stopped.clone());
                if let Some(message) = rule {
                    self.stop_by_rule(message); // it was the last task of the shard that did it
                }
                // Until they are counted again, those that were seen there would count twice.
                self.progress.take_rows(self.plan.shares.count(shard));
                self.note_done(shard, &folder, starts.get(&shard).map_or(&[], Vec::as_slice))?;
            }
        }
        Ok(())
    }

    /// Starts a shard again whose result cannot be used; not for ever, since it may be as unusable each time.
    fn do_again(&mut self, shard: u32, why: &str) {
        let state = &mut self.state.shards[shard as usize];
        state.unusable += 1;
        if state.unusable < self.tries {
            (self.say)(format!("shard {shard} starts again: {why}"));
            return self.start_again(shard, Duration::ZERO);
        }
        (self.say)(format!("shard {shard} is given up: {why}"));
        self.end_element(shard);
        self.state.shards[shard as usize].stage =
            Stage::Dropped(format!("{} results cannot be used, the last one: {why}", self.tries));
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
        let mut starts: Vec<_> = starts.iter().collect();
        starts.sort_by_key(|start| (start.path == folder, start.start)); // the one that counts is the last
        let folders: Vec<_> = starts.iter().map(|start| start.path.clone()).collect();
        self.collector.keep_made(shard, &folders, Some(folder))?;
        self.collector.keep_outputs(&folders)?;
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
}

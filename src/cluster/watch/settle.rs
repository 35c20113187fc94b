//! What the scheduler says of the elements, and what follows from it for their shards.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::seen::Seen;
use super::{Driver, Stage};
use crate::cluster::collect::tail;
use crate::cluster::decide::{Decision, EXIT_LATER, Fatal, History, LATE, Terms, decide};
use crate::cluster::engine::{Found, States, Stop};
use crate::cluster::folder::{self, END_NOTE, EndNote, START_NOTE, StartFolder, StartNote};
use crate::cluster::journal::Entry;
use crate::cluster::reason::Outlook;
use crate::cluster::shard::since_1970;
use crate::report::parts::PartFiles;
use crate::task::{Cause, Exit, Level};

/// How long a setup may take before the node is taken not to see the folder of the results.
const LONG_SETUP: Duration = Duration::from_mins(15);

impl Driver<'_> {
    /// Settles what the scheduler says of the elements.
    pub(super) fn settle(&mut self, states: &States) -> io::Result<()> {
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
        self.state.resumes = false;
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
        if let Some(words) = self.state.waits.words(&seen, self.engine.name(), Instant::now()) {
            (self.say)(words);
        }
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
        let state = &mut self.state.shards[shard as usize];
        let current = starts.iter().find(|start| start.start == state.start);
        let (mut said_to_run, mut ended) = (Duration::ZERO, Duration::ZERO);
        match found {
            Found::Running { .. } if current.is_some() => return Ok(()),
            Found::Running { .. } => said_to_run = state.runs_since.get_or_insert(now).elapsed(),
            Found::Waiting { outlook: Outlook::Held, .. } => {}
            Found::Waiting { .. } => return Ok(()),
            _ => ended = state.ended_since.get_or_insert(now).elapsed(),
        }
        let (rows_before, in_vain) = (state.rows_before, state.in_vain);
        let terms = Terms {
            tries: self.tries,
            has_rows,
            pause: self.engine.pause(),
            is_stopping: self.cancel.level() > Level::Run || self.state.failed.is_some(),
            resumes: self.state.resumes,
            // A setup may load what takes minutes; it runs before there is a folder.
            setup: if self.job.cluster.setup.is_some() { LONG_SETUP } else { LATE },
        };
        let note = current.and_then(|start| folder::note::<StartNote>(&start.path, START_NOTE));
        let ran =
            note.map(|note| Duration::from_millis(since_1970().saturating_sub(note.started_ms)));
        let history = History {
            has_begun: current.is_some(),
            rows: starts.iter().map(|start| self.about_rows(&start.path)).max().unwrap_or(0),
            rows_before,
            in_vain,
            ran: ran.unwrap_or_default(),
            said_to_run,
            ended,
            is_stopped: current
                .and_then(|start| folder::note::<EndNote>(&start.path, END_NOTE))
                .is_some_and(|end| end.stopped.is_some()),
        };
        let current = current.map(|start| start.path.clone());
        let decision = decide(false, found, &history, &terms);
        self.act(shard, decision, found, &history, current.as_deref())
    }

    pub(super) fn about_rows(&self, folder: &Path) -> u64 {
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
            Found::Running { node } => ("Running".into(), None, node.as_str()),
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
                let reason = reason + &said;
                (self.say)(format!("shard {shard} is given up: {reason}"));
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
                let end = folder.and_then(|folder| folder::note::<EndNote>(folder, END_NOTE));
                match (fatal, end.and_then(|end| end.stopped)) {
                    (Fatal::Rule, Some(message)) => self.stop_by_rule(message),
                    _ => self.fail_by(fatal, node, &said, has_log),
                }
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
    pub(super) fn excluded(&self) -> Vec<String> {
        let bad = self.state.bad_nodes.iter().filter(|(_, shards)| shards.len() > 1);
        let mut nodes: Vec<_> = bad.map(|(node, _)| node.clone()).collect();
        nodes.sort();
        nodes
    }

    pub(super) fn fail_by(&mut self, fatal: Fatal, node: &str, said: &str, has_log: bool) {
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
            Fatal::Unseen => {
                let results = self.folder.path().display();
                let message = format!("{node} does not see `{results}`: {unseen}");
                (message, Exit::Usage)
            }
            Fatal::Deadline => {
                self.cancel.raise(Level::Kill, Cause::Deadline);
                return;
            }
            Fatal::Rule => {
                let message = "stopping: a rule of the job has stopped a shard".to_owned();
                return self.stop_by_rule(message);
            }
        };
        self.fail(message, exit);
    }

    pub(super) fn fail(&mut self, message: String, exit: Exit) {
        if self.state.failed.is_none() {
            self.state.failed = Some((message, exit));
            self.heed_stop();
        }
    }

    pub(super) fn folder_log(&self, shard: u32, start: u32) -> Option<PathBuf> {
        let (place, element) = self.ledger.element(shard, start)?;
        let number = self.ledger.submissions[place].number;
        Some(self.folder.element_log(number, element.index))
    }

    pub(super) fn journal_entry(
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
}

/// The last lines of what an element has printed, in one.
fn last_words(log: &Path) -> String {
    /// At most this number of lines, and of characters in all.
    const LINES: usize = 3;
    const LONGEST: usize = 400;
    let bytes = tail(log);
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<_> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let text = lines[lines.len().saturating_sub(LINES)..].join("; ");
    let start = text.char_indices().rev().nth(LONGEST).map_or(0, |(at, _)| at);
    crate::base::diagnostic::visible(&text[start..])
}

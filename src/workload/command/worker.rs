//! Runs the commands of one slot, one at a time.

mod cells;
mod rendered;

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rendered::Command;

use super::ends::Ends;
use super::kills::KillWatch;
use super::plan::Plan;
use super::search::Search;
use super::stream::{Progress, Spill, Stream};
use super::{Keep, Setup, Spec, outcome};
use crate::base::diagnostic::reason;
use crate::base::mask;
use crate::launcher::patiently;
use crate::launcher::{Ended, Exit, Launcher, Port};
use crate::sys::usage;
use crate::task::{Attempt, Limit, Moment, Outcome, Status, Stop, Task, clock};
use crate::workload::columns::StreamName;

/// How long a child may run before its output is watched: most end before it would have paid. Short enough that one
/// that fills a pipe is not held up for long.
const UNWATCHED: Duration = Duration::from_millis(1);

/// How long output is read after the child has gone, if another process holds it open.
const LEFT_OPEN: Duration = Duration::from_millis(200);

/// How often a file is looked at that another process has open.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// How long a killed child may take to end: it may hang in the kernel, on a dead disk for example.
const DYING: Duration = Duration::from_secs(10);

/// Standard error of up to this size is in memory until its file is written.
const SMALL_LOG: usize = 64 << 10;

const DENIED: &str = "it is another user's (set-user-ID), so it could not be sent a signal";

const LEFT_OPEN_NOTE: &str =
    "stopped reading the output: a process that the command has left behind held it open";

const LEFT_WRITING_NOTE: &str =
    "the output may change yet: a process that the command has left behind still has its file open";

/// Runs commands in one slot. What it needs for a start is kept from task to task.
pub struct Worker {
    plan: Arc<Plan>,
    launcher: Arc<Launcher>,
    /// `None` after the launcher has died, or a child that could not be killed.
    port: Option<Port>,
    command: Command,
    stdout: Stream,
    stderr: Stream,
    setup: Setup,
}

/// How the wait for a child ended, and what was done to end it.
struct Finish {
    ended: io::Result<Ended>,
    stop: Option<Stop>,
    /// What was watched meanwhile; nothing, if it was over at once.
    kills: Option<KillWatch>,
}

impl Worker {
    /// A worker for one slot; must be made on the slot's loop.
    ///
    /// # Errors
    /// If there are no descriptors left, or the launcher has died and no other can be started.
    pub fn new(spec: &Spec, launcher: Arc<Launcher>, setup: &Setup) -> io::Result<Self> {
        let plan = Arc::clone(&spec.0);
        let of = |stream: StreamName| {
            let columns = setup.columns.iter().cloned().enumerate();
            Search::new(
                columns.filter(|(_, column)| column.stream == stream).collect(),
                plan.encoding,
            )
        };
        let stderr = of(StreamName::Stderr);
        let (output_spill, errors_spill) = match &setup.logs {
            // What may have a secret in it has no name before it is masked.
            Some(_) if mask::is_in_use() => (Spill::Temporary, Spill::Temporary),
            Some(logs) => {
                (Spill::In(Arc::clone(&logs.folder)), Spill::In(Arc::clone(&logs.folder)))
            }
            None if setup.keep == Keep::Everything => (Spill::Temporary, Spill::Nowhere),
            None => (Spill::Nowhere, Spill::Nowhere),
        };
        let kept_errors = match stderr {
            Some(_) => plan.capture,
            None if setup.logs.is_some() => plan.capture.min(SMALL_LOG),
            None => 0,
        };
        Ok(Self {
            port: Some(launcher.port()?),
            launcher,
            command: Command::default(),
            stdout: Stream::new(plan.capture, output_spill)
                .collecting(setup.max_payload)
                .hashing(setup.written.is_some())
                .searching(of(StreamName::Stdout)),
            stderr: Stream::new(kept_errors, errors_spill).searching(stderr),
            setup: setup.clone(),
            plan,
        })
    }

    /// Attempts one task.
    pub async fn run(&mut self, task: &Task, attempt: &Attempt<'_>) -> Outcome {
        match self.attempt(task, attempt).await {
            Ok(outcome) => outcome,
            Err(message) => {
                // An earlier attempt may have got farther, but the last one counts.
                self.setup.logs.iter().for_each(|logs| logs.forget(task.number));
                Outcome::not_started(message)
            }
        }
    }

    /// An error is why there was nothing to start.
    async fn attempt(&mut self, task: &Task, attempt: &Attempt<'_>) -> Result<Outcome, String> {
        let values = &attempt.values(task);
        self.command.render(&self.plan, values)?;
        let mut ends = {
            let streams = [&mut self.stdout, &mut self.stderr];
            Ends::open(&self.plan, values, &self.setup, streams)?
        };
        if let Some(live) = &self.setup.live {
            self.stdout.show(live, values);
        }
        if let Some(stop) = unready(&ends, attempt).await {
            return Ok(self.not_read(task.number, stop, attempt));
        }
        let asked = Moment::now();
        let mut port = self.start(&ends).await.map_err(|error| {
            format!("failed to start `{}`: {}", self.command.name(), reason(&error))
        })?;
        ends.release();
        let finish = self.follow(&mut port, attempt, asked).await;
        let ended = match finish.ended {
            Ok(ended) => ended,
            Err(error) => return Ok(lost(asked, finish.stop, &error)),
        };
        let is_denied = port.is_denied();
        self.port = Some(port);
        let left = self.read_rest(&ends, ended.ended).await;
        let is_printed = self.stdout.show_rest();
        let mut outcome = self.outcome(&ended, finish.stop, attempt.limit(), left);
        if let Some(kills) = finish.kills {
            kills.tell(&mut outcome);
        }
        if is_denied {
            outcome.append(&format!("it ran on to its own end: {DENIED}"));
        }
        if ended.left_behind {
            self.setup.still_running.fetch_add(1, Ordering::Relaxed);
            outcome.append(&format!("a process of it still runs: {DENIED}"));
        }
        if is_printed {
            outcome.rare_mut().is_printed = true;
        }
        let output_bytes = ends.output_bytes(self.stdout.kept().total());
        outcome.output_bytes = output_bytes.filter(|_| outcome.cpu.is_some());
        if let Some(hash) = self.stdout.hash().filter(|_| ends.captured()[0]) {
            outcome.rare_mut().output_hash = Some(hash);
        }
        self.find_columns(&ends, &mut outcome);
        self.keep_answer(&ends, &mut outcome);
        match self.stdout.take_payload() {
            Some(Ok(payload)) => outcome.payload = Some(Arc::new(payload)),
            Some(Err(no_payload)) => outcome.withhold(&no_payload),
            None => {}
        }
        if outcome.has_run {
            let is_ok = outcome.status == Status::Ok;
            let finished = match &self.setup.written {
                Some(written) if is_ok => {
                    let place = (task.number, self.setup.stage);
                    ends.note(written, task.making.as_deref(), place)
                }
                Some(_) => Ok(()),
                None => ends.finish(is_ok, &self.setup.claims),
            };
            if let Err(error) = finished {
                outcome.fail(&error);
            }
        }
        if let Some(Err(error)) = self.keep_logs(values.task, outcome.status, &ends) {
            outcome.append(&error);
        }
        self.hand_over_output(&mut outcome);
        Ok(outcome)
    }

    /// The outcome of an attempt whose standard input nobody has written.
    fn not_read(&self, task: u64, (stop, since): (Stop, Moment), attempt: &Attempt<'_>) -> Outcome {
        self.setup.logs.iter().for_each(|logs| logs.forget(task));
        let stopped = stop.words(attempt.limit());
        let error = format!("{stopped}: no program writes to the pipe that is its standard input");
        let outcome = Outcome::new(stop.status(), since, since.elapsed());
        Outcome { error, has_run: false, ..outcome }
    }

    /// Keeps the whole output in files, if it is to be kept.
    fn keep_logs(&mut self, task: u64, status: Status, ends: &Ends) -> Option<Result<(), String>> {
        let logs = self.setup.logs.as_ref()?;
        let [output, errors] = ends.captured();
        let streams =
            [Some(&mut self.stdout).filter(|_| output), Some(&mut self.stderr).filter(|_| errors)];
        Some(logs.keep(task, status, streams))
    }

    /// Hands over what is more than `capture`, if all is to be printed.
    fn hand_over_output(&mut self, outcome: &mut Outcome) {
        match self.stdout.take_whole() {
            _ if self.setup.keep != Keep::Everything => {}
            Some(Ok(file)) => outcome.rare_mut().whole_output = Some(Arc::new(file)),
            Some(Err(error)) => {
                let why = format!("not all output could be kept: {}", reason(&error));
                outcome.append(&why);
                outcome.rare_mut().unkept = Some(why.into());
            }
            None => {}
        }
    }

    /// Starts the command on the slot's port, which is given back when the child has ended.
    async fn start(&mut self, ends: &Ends) -> io::Result<Port> {
        let mut port = match self.port.take() {
            Some(port) => port,
            None => self.launcher.port()?,
        };
        let mut is_new = false;
        loop {
            let start = self.command.start(&self.plan, ends);
            match patiently(|| port.start(&start)).await {
                Ok(()) => return Ok(port),
                // The launcher has died while this slot had nothing to do.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe && !is_new => {
                    port = self.launcher.port()?;
                    is_new = true;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Waits for the child's end; reads its output, and ends it if it must stop.
    async fn follow(&mut self, port: &mut Port, attempt: &Attempt<'_>, asked: Moment) -> Finish {
        if let Ok(ended) = tokio::time::timeout(UNWATCHED, port.ended()).await {
            return Finish { ended, stop: None, kills: None };
        }
        let watched = match attempt.memory {
            Some(_) => port.pid().await.ok().flatten(),
            None => None,
        };
        let kills = Some(self.setup.together.begin());
        let mut stopped = pin!(attempt.stopped(asked));
        let mut too_much = pin!(usage::too_much(watched, attempt.memory));
        let stop = loop {
            tokio::select! {
                biased;
                ended = port.ended() => return Finish { ended, stop: None, kills },
                stop = &mut stopped => match running_since(stop, port).await {
                    // The start had to wait for its turn: the child's time counts from when that came.
                    Ok(Running::Since(started)) if is_early(attempt, started) => {
                        stopped.set(attempt.stopped(started));
                    }
                    Ok(Running::Ended) => {
                        return Finish { ended: port.ended().await, stop: None, kills };
                    }
                    Ok(_) => break stop,
                    Err(error) => return Finish { ended: Err(error), stop: None, kills },
                },
                (used, most) = &mut too_much => break Stop::Memory { used, most },
                () = self.stdout.fill() => {}
                () = self.stderr.fill() => {}
            }
        };
        Finish { ended: self.end(port, attempt, stop).await, stop: Some(stop), kills }
    }

    /// Ends the child: TERM to its group, KILL after `grace`; one that takes more and more memory has no time for that. Its
    /// output is read meanwhile.
    async fn end(
        &mut self,
        port: &mut Port,
        attempt: &Attempt<'_>,
        stop: Stop,
    ) -> io::Result<Ended> {
        let grace = attempt.grace;
        let is_urgent = grace.is_zero() || matches!(stop, Stop::Memory { .. });
        let gently = if is_urgent { None } else { Some((true, grace)) };
        for (is_gentle, patience) in gently.into_iter().chain([(false, DYING)]) {
            // An error is the launcher's death, of which `ended` tells.
            let _ = if is_gentle { port.terminate() } else { port.signal(libc::SIGKILL) };
            // Who cannot be sent a signal need not be waited for either.
            let patience = if port.is_denied() { Duration::from_millis(200) } else { patience };
            let mut patience = pin!(clock::sleep_until(Moment::now() + patience));
            loop {
                tokio::select! {
                    biased;
                    ended = port.ended() => return ended,
                    () = &mut patience => break,
                    () = self.stdout.fill() => {}
                    () = self.stderr.fill() => {}
                }
            }
        }
        self.outlast(port, attempt).await
    }

    /// Waits for a child that cannot be ended, so that its slot takes no other, until the job is killed.
    async fn outlast(&mut self, port: &mut Port, attempt: &Attempt<'_>) -> io::Result<Ended> {
        let does_not_end = |why: &str| Err(io::Error::new(io::ErrorKind::TimedOut, why.to_owned()));
        if !port.is_denied() {
            return does_not_end("it does not end, although it was killed");
        }
        let mut killing = pin!(attempt.cancel.killing());
        loop {
            tokio::select! {
                biased;
                ended = port.ended() => return ended,
                () = &mut killing => break,
                () = self.stdout.fill() => {}
                () = self.stderr.fill() => {}
            }
        }
        self.setup.still_running.fetch_add(1, Ordering::Relaxed);
        does_not_end(&format!("it still runs: {DENIED}"))
    }

    /// Reads what is left in the pipes of a child that has gone at `ended`, and waits for who writes to its files; says what
    /// somebody has still open after a while.
    async fn read_rest(&mut self, ends: &Ends, ended: Moment) -> Option<&'static str> {
        let deadline = ended + LEFT_OPEN;
        let is_read = read_what_is_there(&mut self.stdout) & read_what_is_there(&mut self.stderr);
        if !is_read {
            let mut patience = pin!(clock::sleep_until(deadline));
            while self.stdout.is_open() || self.stderr.is_open() {
                tokio::select! {
                    biased;
                    () = &mut patience => break,
                    () = self.stdout.fill() => {}
                    () = self.stderr.fill() => {}
                }
            }
        }
        let is_whole = is_read || (!self.stdout.is_open() && !self.stderr.is_open());
        self.stdout.close();
        self.stderr.close();
        if !is_whole {
            return Some(LEFT_OPEN_NOTE);
        }
        while ends.are_held() {
            if Moment::now() >= deadline {
                return Some(LEFT_WRITING_NOTE);
            }
            clock::sleep_until(Moment::now() + LOOK_AGAIN).await;
        }
        None
    }

    fn outcome(
        &mut self,
        ended: &Ended,
        stop: Option<Stop>,
        limit: Option<Limit>,
        note: Option<&str>,
    ) -> Outcome {
        let (mut status, mut code, mut cause) =
            outcome::verdict(&ended.exit, &self.command.name(), &self.plan.success_codes);
        if let Some(stop) = stop {
            // What a child says when it is told to end is not a verdict on the task.
            (status, code, cause) = (stop.status(), None, stop.words(limit));
        }
        let has_run = !matches!(ended.exit, Exit::NotStarted(..));
        let output = self.stdout.kept().head();
        let result = self.result();
        let keeps_output = self.setup.keep == Keep::Everything;
        Outcome {
            code,
            cpu: has_run.then_some(ended.cpu),
            peak_rss: has_run.then_some(ended.peak_rss),
            output: if keeps_output { output.to_vec() } else { Vec::new() },
            has_run,
            error: outcome::error(cause, note, &self.last_words(&result)),
            result,
            ..Outcome::new(status, ended.started, ended.ended.since(ended.started))
        }
    }
}

/// Why and since when an attempt must stop whose standard input nobody has written until then.
async fn unready(ends: &Ends, attempt: &Attempt<'_>) -> Option<(Stop, Moment)> {
    let since = Moment::now();
    tokio::select! {
        biased;
        () = ends.ready() => None,
        stop = attempt.stopped(since) => Some((stop, since)),
    }
}

/// What is known of a child when its time seems to be up.
enum Running {
    Since(Moment),
    Ended,
    /// It does not matter: it must stop in any case.
    Whenever,
}

async fn running_since(stop: Stop, port: &mut Port) -> io::Result<Running> {
    match stop {
        Stop::Killed | Stop::Evicted | Stop::Memory { .. } => Ok(Running::Whenever),
        Stop::Timeout => Ok(port.started().await?.map_or(Running::Ended, Running::Since)),
    }
}

/// Whether a child that was started at `started` still has time.
fn is_early(attempt: &Attempt<'_>, started: Moment) -> bool {
    attempt.limit().is_some_and(|limit| Moment::now() < started + limit.after)
}

/// Whether that was all.
fn read_what_is_there(stream: &mut Stream) -> bool {
    !stream.is_open() || stream.read() == Progress::Ended
}

/// The outcome of a child that nothing is known of any more.
fn lost(asked: Moment, stop: Option<Stop>, error: &io::Error) -> Outcome {
    let status = stop.map_or(Status::Crashed, Stop::status);
    let cause = stop.map(|stop| format!("{}; ", stop.words(None))).unwrap_or_default();
    Outcome { error: format!("{cause}{error}"), ..Outcome::new(status, asked, asked.elapsed()) }
}

//! The slot, the same for all models: take a task, wait until it may start, attempt it, settle it.

mod pacing;
mod prepare;
mod settle;

use std::collections::VecDeque;
use std::io;
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::time::Duration;

use pacing::Pacing;

use crate::base::ByteSize;
use crate::engine::feed::{Feed, FeedHandle, Patience};
use crate::engine::limits::budget::Reservation;
use crate::engine::run::{Held, Run, StageRun};
use crate::engine::slot_worker::{Shared, SlotWorker};
use crate::job::Stage;
use crate::report::RowBuffer;
use crate::report::terminal::note;
use crate::report::terminal::progress::aside;
use crate::task::{Attempt, Cause, Level, Moment, Task};
use crate::workload::Workload;

/// How long a worker may take to leave before the terminal says what is waited for.
const LEAVE: Duration = Duration::from_secs(5);

/// Runs the slot with this number, from 1, of the stage at `index` until there is nothing left to take.
pub async fn run(run: &Run, index: usize, shared: &Shared, number: usize) {
    let (stage, live) = run.stage(index);
    let Some(mut worker) = start(run, index, shared, number).await else { return };
    let pilot = || live.pilot.as_ref().filter(|pilot| pilot.asks(number));
    let global_slot = live.slots_before + number;
    let attempt = attempt(run, index, number);
    let holds = worker.holds_the_loop();
    let held = holds.then(Held::default);
    let (handle, buffer) = (live.feed.handle(Patience::of(stage)), run.report.buffer());
    let next = run.stages.get(index + 1).map(|next| &*next.feed);
    let mut context = SlotContext {
        run,
        stage,
        live,
        number,
        handle,
        buffer,
        next,
        finished: VecDeque::new(),
        held,
        pacing: Pacing::default(),
        reservation: None,
    };
    let mut batch = VecDeque::new();
    let mut admitted = None;
    let takes_turns = !live.admission.is_open();
    while context
        .take(if takes_turns { 1 } else { worker.appetite() }, &mut batch, &mut admitted)
        .await
    {
        context.prepare(&mut batch, index);
        if let Some(made) = &run.made {
            match index {
                0 => Box::pin(context.begin_making(made, &mut batch)).await,
                _ => context.enter_stage(made, &mut batch, index),
            }
        }
        if let Workload::Http(spec) = &stage.workload
            && spec.saves()
        {
            context.claim_saves(spec, &attempt, &mut batch);
        }
        if batch.is_empty() {
            live.admission.give_back(&mut admitted);
            context.hand_on().await;
            if context.buffer.is_full() {
                context.buffer.room().await;
            }
            continue;
        }
        if takes_turns && admitted.is_none() {
            admitted = context.wait_for_start(&mut worker, &attempt, &mut batch).await;
            if admitted.is_none() {
                continue; // there will be no more tasks
            }
        }
        if takes_turns || run.made.is_some() {
            // That may have taken long. What is admitted is so for another task, if there is one.
            context.handle.put_off(&mut batch);
            if batch.is_empty() {
                continue;
            }
        }
        if let Some(admitted) = &mut admitted {
            context.reservation = admitted.reservation.take();
            context.note_start();
        }
        run.cancel.evictions().inspect(|evictions| evictions.begin(global_slot));
        if stage.loads_payload || run.job.inputs.has_payload() {
            context.get_payloads(&mut batch);
        }
        pilot().inspect(|pilot| pilot.begin(number));
        let ran = worker
            .run(&mut batch, &attempt, &mut |task, verdict| context.settle(task, verdict))
            .await;
        admitted = None;
        context.reservation = None; // an attempt that has not begun has used nothing
        pilot().inspect(|pilot| pilot.end(number));
        run.cancel.evictions().inspect(|evictions| evictions.end(global_slot));
        if let Err(error) = ran {
            give_up(run, &error);
        }
        if context.next.is_some() {
            context.hand_on().await;
        }
        if context.buffer.is_full() {
            context.buffer.room().await;
        }
        if holds && live.shares_loops {
            // Lets the other slots of this event loop run; a computation never yields by itself.
            tokio::task::yield_now().await;
        }
    }
    context.held.take().iter().for_each(|held| live.watch.held(held));
    drop((context, admitted));
    if let Some(bytes) = stop(run, live, worker).await {
        live.watch.worker_peak(bytes);
    }
}

/// Starts the worker of the slot with this number, from 1. `None`: there is none, or it is not needed.
async fn start(run: &Run, index: usize, shared: &Shared, number: usize) -> Option<SlotWorker> {
    let (_, live) = run.stage(index);
    let began = Moment::now();
    let started = tokio::select! {
        biased;
        started = SlotWorker::start(run, index, shared, number) => started,
        // What is not there by then is not needed any more; it may never be, such as an import that hangs.
        () = run.cancel.draining() => return None,
        () = dismissed(live, number) => return None,
        () = too_late(live) => return None,
    };
    let worker = match started {
        Ok(worker) => worker,
        Err(error) => {
            give_up(run, &error);
            return None;
        }
    };
    if live.is_first(number) {
        live.watch.ready(); // slots that join later delay nothing
    }
    if let Some(pilot) = &live.pilot {
        pilot.ready(number, &worker, began.elapsed());
    }
    live.watch.learn(|| worker.about());
    if let Some(pilot) = &live.pilot
        && !pilot.admits(number).await
    {
        stop(run, live, worker).await;
        return None;
    }
    Some(worker)
}

/// Lets a worker leave. What it has left running, such as threads, is waited for unless the job is being killed; after a
/// while, the terminal says so.
async fn stop(run: &Run, live: &StageRun, worker: SlotWorker) -> Option<u64> {
    let endings = worker.endings();
    let peak = stopped(run, worker).await;
    for ending in endings() {
        live.watch.note_ending(ending);
    }
    peak
}

async fn stopped(run: &Run, worker: SlotWorker) -> Option<u64> {
    let mut stopped = pin!(worker.stop());
    if let Ok(peak) = tokio::time::timeout(LEAVE, &mut stopped).await {
        return peak;
    }
    if !run.has_said_what_is_left.swap(true, Ordering::Relaxed) {
        let name = &run.job.name;
        let words =
            "waiting for what functions have left running in their interpreters, such as threads";
        aside(|| note(&format!("{name}: {words}\n")));
    }
    tokio::select! {
        biased;
        peak = stopped => peak,
        () = run.cancel.killing() => None, // it is killed as it is dropped
    }
}

/// Ready when the others have done all that there was. What a pilot asks for, it waits for.
async fn too_late(live: &StageRun) {
    match &live.pilot {
        Some(_) => std::future::pending().await,
        None => live.feed.over().await,
    }
}

/// Ready when the slot with this number is not needed after all.
async fn dismissed(live: &StageRun, number: usize) {
    match &live.pilot {
        Some(pilot) => pilot.dismissed(number).await,
        None => std::future::pending().await,
    }
}

/// The first attempt at a task in the slot with this number of the stage at `index`.
fn attempt(run: &Run, index: usize, number: usize) -> Attempt<'_> {
    let (stage, live) = run.stage(index);
    Attempt {
        number: 1,
        slot: number,
        global_slot: live.slots_before + number,
        timeout: stage.limits.timeout,
        median: live.median.as_ref(),
        memory: stage.limits.memory.map(ByteSize::bytes),
        grace: stage.limits.grace,
        cancel: &run.cancel,
    }
}

/// Stops the job, which cannot continue without workers.
fn give_up(run: &Run, error: &io::Error) {
    let cause = match error.kind() {
        io::ErrorKind::InvalidInput => Cause::Unfit(error.to_string()),
        _ => Cause::Worker(format!("failed to run a worker: {error}")),
    };
    run.cancel.raise(Level::Drain, cause);
}

/// The context in which a slot settles its tasks.
struct SlotContext<'a> {
    run: &'a Run,
    stage: &'a Stage,
    live: &'a StageRun,
    /// The slot's number, from 1.
    number: usize,
    handle: FeedHandle,
    buffer: RowBuffer,
    /// The feed of the next stage, for tasks that are ok.
    next: Option<&'a Feed>,
    /// Tasks for which there was no room in it.
    finished: VecDeque<Task>,
    /// How long its tasks have held the event loop, if they do.
    held: Option<Held>,
    /// What it knows of its attempt if there is a rate.
    pacing: Pacing,
    /// What its attempt has reserved of budgets, if there are any.
    reservation: Option<Reservation>,
}

//! The event loops of a job: each stage has its own, and all stages run at once.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::pin;
use std::rc::Rc;
use std::sync::{Arc, mpsc};
use std::{io, thread};

use tokio::runtime;
use tokio::task::{JoinSet, LocalSet};

use crate::engine::run::pilot::Pilot;
use crate::engine::run::{Run, RunError};
use crate::engine::slot;
use crate::engine::slot_worker::{Role, Shared};
use crate::model;
use crate::model::{Model, Nature};
use crate::task::{Cause, Level};

/// Runs every stage in event loops of its own, and returns when all have ended. The first one uses this thread.
pub(super) fn run_stages(run: &Arc<Run>) -> Result<(), RunError> {
    thread::scope(|scope| {
        let later: Vec<_> = (1..run.stages.len())
            .map(|index| {
                thread::Builder::new()
                    .name(format!("stage-{}", index + 1))
                    .spawn_scoped(scope, move || run_stage(run, index))
                    .map_err(|error| failed(run, RunError::Threads(error)))
            })
            .collect();
        let first = run_stage(run, 0);
        let later = later.into_iter().map(|stage| stage?.join().unwrap_or(Err(RunError::Panic)));
        [first].into_iter().chain(later).collect()
    })
}

/// Runs the event loops of one stage until they have ended. If they fail, the other stages are stopped as well.
fn run_stage(run: &Arc<Run>, index: usize) -> Result<(), RunError> {
    let (stage, live) = run.stage(index);
    let nature = stage.workload.nature();
    let ran = catch_unwind(AssertUnwindSafe(|| match &live.pilot {
        None => {
            let run_one = |range| run_loop(run, index, Role::Of(stage.model), range);
            model::run(stage.model, live.slots, nature, &run_one)
        }
        Some(pilot) => run_pilot(run, index, pilot),
    }))
    .map_err(|_| RunError::Panic) // it has been printed to standard error
    .and_then(|ran| ran.map_err(RunError::Threads));
    if let Some(next) = run.stages.get(index + 1) {
        next.feed.close();
    }
    ran.map_err(|error| failed(run, error))
}

/// Runs the first slots of a stage, and the others beside them as soon as there is enough evidence.
fn run_pilot(run: &Arc<Run>, index: usize, pilot: &Pilot) -> io::Result<()> {
    let (stage, live) = run.stage(index);
    let nature = stage.workload.nature();
    live.meter.iter().for_each(|meter| meter.resize(pilot.slots));
    // Commands do not depend on the pilot's decision: they share no program.
    let role = if nature == Nature::Hosted { Role::Pilot } else { Role::Of(stage.model) };
    thread::scope(|scope| {
        let (alive, ended) = mpsc::channel();
        let first = thread::Builder::new().name("pilot".into()).spawn_scoped(scope, move || {
            let _alive = alive; // dropped when the last of them has ended
            let run_one = |range| run_loop(run, index, role, range);
            let ran = model::run(stage.model, pilot.slots, nature, &run_one);
            pilot.finish();
            ran
        })?;
        let mut slots = pilot.slots;
        let mut joined = Vec::new();
        let mut join = |model: Model, most: usize| {
            let from = slots;
            slots = slots.max(most);
            if slots == from {
                return;
            }
            let count = slots - from;
            let more =
                thread::Builder::new().name("others".into()).spawn_scoped(scope, move || {
                    let run_one = |range: Range<usize>| {
                        let range = from + range.start..from + range.end;
                        run_loop(run, index, Role::Of(model), range);
                    };
                    model::run(model, count, nature, &run_one)
                });
            // If the system starts no more threads, those that there are do the work.
            joined.extend(more);
        };
        join(Model::Processes, pilot.slots + pilot.spare);
        pilot.watch(run, index, &ended, |decision| {
            live.meter.iter().for_each(|meter| meter.resize(decision.concurrency));
            if !joins(nature, decision.model) {
                join(decision.model, decision.concurrency);
            }
        });
        let mut all = joined.into_iter().chain([first]);
        all.try_for_each(|ran| ran.join().unwrap_or_else(|panic| resume_unwind(panic)))
    })
}

/// Whether the slots that are added to a pilot's join its event loop, and so its program.
fn joins(nature: Nature, model: Model) -> bool {
    nature == Nature::Hosted && matches!(model, Model::Threads | Model::Async)
}

fn run_loop(run: &Arc<Run>, index: usize, role: Role, slots: Range<usize>) {
    if let Err(error) = try_run_loop(run, index, role, slots) {
        let message = format!("failed to start an event loop: {error}");
        run.cancel.raise(Level::Drain, Cause::Worker(message));
    }
}

fn failed(run: &Run, error: RunError) -> RunError {
    run.cancel.raise(Level::Kill, Cause::Worker("the pool failed".into()));
    error
}

/// One event loop: its slots are polled on this thread until they have ended.
fn try_run_loop(run: &Arc<Run>, stage: usize, role: Role, slots: Range<usize>) -> io::Result<()> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let local = LocalSet::new();
    let (plan, live) = run.stage(stage);
    let peers = live.settled(plan).1;
    if slots.len() == 1 && role != Role::Pilot {
        let shared = Shared::new(role, 1, peers);
        let slot = slot::run(run, stage, &shared, slots.start + 1);
        if plan.workload.nature() == Nature::Hosted {
            // A task of its own drives the program.
            local.block_on(&runtime, slot);
        } else {
            runtime.block_on(slot);
        }
        return Ok(());
    }
    let shared = Rc::new(Shared::new(role, slots.len(), peers));
    let slot = |index: usize| {
        let (run, shared) = (Arc::clone(run), Rc::clone(&shared));
        async move { slot::run(&run, stage, &shared, index + 1).await }
    };
    let pilot = live.pilot.as_ref().filter(|_| role == Role::Pilot);
    runtime.block_on(local.run_until(async {
        let mut running = JoinSet::new();
        slots.for_each(|index| drop(running.spawn_local(slot(index))));
        let mut others = pin!(others(pilot, plan.workload.nature()));
        let mut have_joined = false;
        loop {
            tokio::select! {
                biased;
                ended = running.join_next() => match ended {
                    None => return,
                    Some(Ok(())) => {}
                    // The slot's task is lost; the pool must not end as if nothing had happened.
                    Some(Err(error)) => if let Ok(panic) = error.try_into_panic() {
                        resume_unwind(panic);
                    },
                },
                others = &mut others, if !have_joined => {
                    have_joined = true;
                    others.for_each(|index| drop(running.spawn_local(slot(index))));
                }
            }
        }
    }));
    Ok(())
}

/// The slots that join those of a pilot in its event loop, once that is decided.
async fn others(pilot: Option<&Pilot>, nature: Nature) -> Range<usize> {
    let Some(pilot) = pilot else { return 0..0 };
    let decision = pilot.decided().await;
    if joins(nature, decision.model) { pilot.slots..decision.concurrency } else { 0..0 }
}

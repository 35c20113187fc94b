//! The loops of a job: each stage has its own, and all stages run at once.

use std::io;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::thread;

use tokio::runtime;
use tokio::task::LocalSet;

use crate::engine::cancel::{Cause, Level};
use crate::engine::place::Shared;
use crate::engine::run::{Run, RunError};
use crate::engine::slot;
use crate::model;
use crate::workload::Nature;

/// Runs every stage in loops of its own, and returns when all have ended. The first one has this thread.
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

/// Runs the loops of one stage until they have ended; without them, the others have nobody to work for.
fn run_stage(run: &Arc<Run>, index: usize) -> Result<(), RunError> {
    let (stage, live) = run.stage(index);
    let lane = |range| {
        if let Err(error) = run_loop(run, index, range) {
            let message = format!("failed to start a loop: {error}");
            run.cancel.raise(Level::Drain, Cause::Worker(message));
        }
    };
    let ran = catch_unwind(AssertUnwindSafe(|| {
        model::run(stage.model, live.slots, stage.workload.nature(), &lane)
    }))
    .map_err(|_| RunError::Panic) // what it was has been said on standard error
    .and_then(|ran| ran.map_err(RunError::Threads));
    if let Some(next) = run.stages.get(index + 1) {
        next.feed.close();
    }
    ran.map_err(|error| failed(run, error))
}

fn failed(run: &Run, error: RunError) -> RunError {
    run.cancel.raise(Level::Kill, Cause::Worker("the pool failed".into()));
    error
}

/// One loop: its slots, polled on this thread until they have ended.
fn run_loop(run: &Arc<Run>, stage: usize, slots: Range<usize>) -> io::Result<()> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let local = LocalSet::new();
    if slots.len() == 1 {
        let shared = Shared::new(1);
        let slot = slot::run(run, stage, &shared, slots.start + 1);
        if run.stage(stage).0.workload.nature() == Nature::Hosted {
            // Its program is seen to by a task of its own.
            local.block_on(&runtime, slot);
        } else {
            runtime.block_on(slot);
        }
        return Ok(());
    }
    let shared = Rc::new(Shared::new(slots.len()));
    let slots: Vec<_> = slots
        .map(|index| {
            let (run, shared) = (Arc::clone(run), Rc::clone(&shared));
            local.spawn_local(async move { slot::run(&run, stage, &shared, index + 1).await })
        })
        .collect();
    runtime.block_on(local.run_until(async {
        for slot in slots {
            if let Err(error) = slot.await
                && let Ok(panic) = error.try_into_panic()
            {
                // What the slot had is lost; the pool must not end as if nothing had happened.
                resume_unwind(panic);
            }
        }
    }));
    Ok(())
}

//! The slot: one loop, written once. Take a task, attempt it, hand the record on.

use std::collections::VecDeque;
use std::io;

use crate::engine::attempt::Attempt;
use crate::engine::cancel::{Cause, Level};
use crate::engine::place::{Placed, Shared};
use crate::engine::run::Run;
use crate::engine::task::{Outcome, Record, Task};
use crate::host::remote::Verdict;
use crate::job::Stage;

/// Runs the slot with this number, from 1, until there is nothing left to take.
pub async fn run(run: &Run, shared: &Shared, number: usize) {
    let mut worker = match Placed::start(run, shared).await {
        Ok(worker) => worker,
        Err(error) => return give_up(run, &error),
    };
    run.watch.ready();
    let stage = &run.job.stage;
    let attempt = Attempt {
        number: 1,
        slot: number,
        timeout: stage.timeout,
        grace: stage.grace,
        cancel: &run.cancel,
    };
    let mut outbox = run.report.outbox();
    let mut hand = run.feed.hand();
    let mut batch = VecDeque::new();
    while hand.take(worker.appetite(), &mut batch).await {
        let held = worker.holds_the_loop();
        let ran = worker
            .run(&mut batch, &attempt, &mut |task, verdict| match verdict {
                Verdict::Done(outcome) => {
                    if held {
                        run.watch.held(outcome.run);
                    }
                    outbox.put(record(stage, number, task, outcome));
                }
                Verdict::Requeue => hand.give_back(task),
            })
            .await;
        if let Err(error) = ran {
            give_up(run, &error);
        }
        if outbox.is_full() {
            outbox.room().await;
        }
        if held && run.shares_loops {
            // The other slots of this loop have their turn; a computation never lets go by itself.
            tokio::task::yield_now().await;
        }
    }
    drop(hand);
    if let Some(bytes) = worker.stop().await {
        run.watch.worker_peak(bytes);
    }
}

/// Without workers there is no point in going on.
fn give_up(run: &Run, error: &io::Error) {
    run.cancel.raise(Level::Drain, Cause::Worker(format!("failed to run a worker: {error}")));
}

fn record(stage: &Stage, slot: usize, mut task: Task, outcome: Outcome) -> Record {
    task.attempts += 1;
    let output = if outcome.output.is_empty() { &outcome.result } else { &outcome.output };
    let columns =
        stage.columns.iter().map(|column| column.extract(output, &outcome.headers)).collect();
    Record {
        queued: Some(outcome.started.since(task.taken)),
        first_started: Some(outcome.started),
        slot: Some(slot),
        task,
        outcome,
        columns,
    }
}

//! What a cluster cannot do, said before anything is submitted.

use std::sync::Arc;

use crate::cluster::failed;
use crate::cluster::folder::RunFolder;
use crate::cluster::place::lead;
use crate::cluster::plan::Plan;
use crate::cluster::share::divide;
use crate::engine::run::RunError;
use crate::job::{Job, read_elsewhere};
use crate::report::Options;
use crate::task::Exit;

/// Says what of the job or the call does not go with `--on`.
pub fn check(job: &Job, options: &Options) -> Result<(), RunError> {
    let refuse = |message: String| Err(failed(message, Exit::Usage));
    if options.output.is_some() {
        return refuse(
            "--output does not go with --on: the outputs are on the nodes; use `[columns]`".into(),
        );
    }
    check_job(job)
}

/// Says what of the job does not go with `--on`.
pub fn check_job(job: &Job) -> Result<(), RunError> {
    let refuse = |message: String| Err(failed(message, Exit::Usage));
    if job.creates.is_some() {
        return refuse(
            "a job with `creates` cannot run with --on yet: leave `creates` out, or run it here"
                .into(),
        );
    }
    if job.stages.iter().any(|stage| !stage.limits.stop_on.is_empty()) {
        return refuse(
            "`limits.stop_on` does not go with --on yet: leave it out, or run the job here".into(),
        );
    }
    if job.stages.iter().any(|stage| !stage.limits.budgets.is_empty()) {
        return refuse(
            "`limits.budget` does not go with --on yet: leave it out, or run the job here".into(),
        );
    }
    if job.stages.iter().flat_map(|stage| &stage.columns).any(|column| column.total) {
        return refuse(
            "a column with `total` does not go with --on yet: leave `total` out, or run the job here"
                .into(),
        );
    }
    let settings = &job.cluster;
    if let Some(time) = settings.time {
        let most = time.saturating_sub(lead(job));
        for stage in &job.stages {
            let Some(timeout) = stage.limits.timeout.filter(|timeout| *timeout > most) else {
                continue;
            };
            let (timeout, most) =
                (humantime::format_duration(timeout), humantime::format_duration(most));
            return refuse(format!(
                "an attempt may take {timeout} (`limits.timeout`), but an allocation is told to end after {most}: raise \
                 `cluster.time`, or lower `timeout`"
            ));
        }
    }
    Ok(())
}

/// Plans the job as a node will, and divides its limits.
pub fn check_division(plan: &Plan, folder: &RunFolder, nodes: u32) -> Result<(), RunError> {
    let dealt = plan.dealt(folder, 0, Arc::new(|_| false));
    let job = read_elsewhere(&plan.elsewhere(), Arc::new(dealt));
    let mut job =
        job.map_err(|mistakes| failed(mistakes.to_string().trim().to_owned(), Exit::Usage))?;
    divide(&mut job, nodes).map_err(|message| failed(message, Exit::Usage))
}

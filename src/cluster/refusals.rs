//! What a cluster cannot do, said before anything is submitted.

use std::sync::Arc;

use crate::cluster::failed;
use crate::cluster::folder::RunFolder;
use crate::cluster::place::lead;
use crate::cluster::plan::{self, Plan};
use crate::cluster::share::divide;
use crate::engine::run::RunError;
use crate::job::{Job, PlannedJob, read_elsewhere};
use crate::report::parts;
use crate::report::{Changes, Options};
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

/// Says which jobs may run at once and share a group: each has its own part of that on a cluster, so that both together would
/// do more than it allows.
///
/// # Errors
/// In words, which ones.
pub fn check_groups(jobs: &[PlannedJob], at_once: usize, detaches: bool) -> Result<(), String> {
    let overlap = |first: usize, second: usize| {
        let is_exclusive = jobs[first].exclusive || jobs[second].exclusive;
        detaches || (at_once > 1 && !is_exclusive && !waits_for(jobs, second, first))
    };
    for (second, job) in jobs.iter().enumerate() {
        for (first, other) in jobs[..second].iter().enumerate() {
            let theirs = groups(other);
            let shared = groups(job).into_iter().find(|group| theirs.contains(group));
            let Some(group) = shared.filter(|_| overlap(first, second)) else { continue };
            let (first, second) = (&other.name, &job.name);
            let flag = if detaches { "--detach" } else { "--jobs" };
            return Err(format!(
                "`{first}` and `{second}` share the group `{group}`, which allocations of two jobs cannot share: run them \
                 one after another, without `{flag}`, or give each a group of its own"
            ));
        }
    }
    Ok(())
}

/// The groups that a job is in.
fn groups(job: &PlannedJob) -> Vec<&str> {
    let stages = job.plan().map_or(&[][..], |plan| &plan.stages);
    stages.iter().filter_map(|stage| Some(stage.limits.group.as_ref()?.name())).collect()
}

/// Whether a job begins only when the other one, which is before it, has ended.
fn waits_for(jobs: &[PlannedJob], job: usize, other: usize) -> bool {
    let mut before = vec![false; jobs.len()];
    before[job] = true;
    // What a job needs is before it in the order.
    for index in (0..=job).rev() {
        if before[index] {
            jobs[index].needs.iter().for_each(|&need| before[need] = true);
        }
    }
    before[other]
}

/// Says what of the job does not go with `--on`.
pub fn check_job(job: &Job) -> Result<(), RunError> {
    let refuse = |message: String| Err(failed(message, Exit::Usage));
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

/// Refuses to go on with a run of another job: its finished rows say what the workload was then.
pub fn check_same_job(
    job: &Job,
    plan: &Plan,
    folder: &RunFolder,
    changes: Changes,
) -> Result<(), RunError> {
    let path = folder.path().display();
    // Rows of another header cannot be put into the report, however often their shards start again.
    if plan.header.as_ref().is_some_and(|header| *header != parts::header(job)) {
        return Err(failed(
            format!(
                "cannot resume from `{path}`: the columns or the dialect of the report differ from those of the run on \
                 the cluster, which --accept-changes does not cover; change them back, or start again with --fresh"
            ),
            Exit::Usage,
        ));
    }
    if plan.identity != plan::identity(job) && job.inputs.reads_stdin() {
        let message = format!(
            "cannot resume from `{path}`: the job's workload, columns or fields have changed since the run on the cluster began, \
             and its inputs came from standard input, which is not there again; change it back, or start again with --fresh"
        );
        return Err(failed(message, Exit::Usage));
    }
    if changes == Changes::Accepted {
        return Ok(());
    }
    if plan.identity != plan::identity(job) {
        let message = format!(
            "cannot resume from `{path}`: the job's workload, columns or fields have changed since the run on the cluster began; \
             keep the finished tasks with --accept-changes, or start again with --fresh"
        );
        return Err(failed(message, Exit::Usage));
    }
    if plan.is_elsewhere(job) {
        let message = format!(
            "cannot resume from `{path}`: it is of a job of the same name whose file lies in another folder; give this one \
             a folder of its own (--results), keep the finished tasks with --accept-changes, or start again with --fresh"
        );
        return Err(failed(message, Exit::Usage));
    }
    Ok(())
}

/// Reads the secrets, which are masked in what is said here, too. One that is not there is missing on the nodes as well,
/// unless the setup of the allocation provides it.
pub fn check_secrets(job: &Job) -> Result<(), RunError> {
    for secret in &job.secrets {
        if let Err(why) = secret.resolve()
            && (job.cluster.setup.is_none() || secret.is_file())
        {
            return Err(RunError::Secret(why));
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

//! `[limits]`: of a stage, and of the whole job.

use toml::Spanned;

use crate::base::{ByteSize, Count, Period, Timeout};
use crate::config::{
    Bounds, Concurrency, Enough, FailureLimit, Load, Planner, Rate, RetryOn, Running, StopAfter,
    Table, TaskSize, TimeLimit,
};
use crate::job::groups::Groups;
use crate::job::{Group, JobLimits, Pace, StageLimits};

/// `[limits]` of a stage: how many tasks run at once, if that is said, and the others. `kind` is the workload's, if that
/// is known.
pub(super) fn read(
    table: Option<&mut Table<'_>>,
    kind: Option<&str>,
    plan: &Planner<'_>,
    groups: &Groups,
) -> (Option<usize>, StageLimits) {
    let Some(table) = table else { return (plan.choices.concurrency, StageLimits::default()) };
    let concurrency = table.get::<Concurrency>("concurrency");
    let adaptive = concurrency.as_ref().and_then(|found| adaptive(found, kind, plan));
    // What is said of every job gives way to the names of this one's slots.
    let size = TaskSize::read(table, plan);
    let concurrency = concurrency
        .filter(|concurrency| plan.slots.is_none() || !plan.is_default(&concurrency.span()))
        .map(|concurrency| concurrency.into_inner().slots(&size));
    let timeout = table.get::<TimeLimit>("timeout").map(Spanned::into_inner).unwrap_or_default();
    let mut limits = StageLimits {
        per_host: per_host(table, kind, plan),
        adaptive: adaptive.filter(|_| plan.choices.concurrency.is_none()),
        group: group(table, plan, groups),
        pace: pace(table, plan),
        timeout: timeout.fixed,
        median_timeout: timeout.percent,
        cores: size.cores,
        memory: size.memory,
        stop_on: RetryOn::read(table, "stop_on", kind, plan)
            .map(Spanned::into_inner)
            .unwrap_or_default(),
        ..StageLimits::default()
    };
    if let Some(grace) = table.get::<Period>("grace") {
        limits.grace = grace.into_inner().duration();
    }
    (plan.choices.concurrency.or(concurrency), limits)
}

/// The range of a concurrency that finds itself: only servers say when it is too much.
fn adaptive(
    concurrency: &Spanned<Concurrency>,
    kind: Option<&str>,
    plan: &Planner<'_>,
) -> Option<Bounds> {
    let bounds = concurrency.get_ref().bounds()?;
    if let Some(kind) = kind.filter(|&kind| kind != "http") {
        let message =
            format!("a range of `concurrency` is for `http`, and the workload is `{kind}`");
        plan.error_with_help(concurrency.span(), message, "write a number, or \"cores\"");
    }
    Some(bounds)
}

/// Only requests go to hosts.
fn per_host(table: &mut Table<'_>, kind: Option<&str>, plan: &Planner<'_>) -> Option<usize> {
    let per_host = table.get::<Count>("per_host")?;
    if let Some(kind) = kind.filter(|&kind| kind != "http") {
        if plan.is_default(&per_host.span()) {
            return None;
        }
        let message = format!("`per_host` is for `http`, and the workload is `{kind}`");
        plan.error_with_help(
            table.span_of_key("per_host"),
            message,
            "`concurrency` limits all tasks together",
        );
    }
    Some(per_host.get_ref().get() as usize)
}

/// The group, which has its limit elsewhere.
fn group(table: &mut Table<'_>, plan: &Planner<'_>, groups: &Groups) -> Option<Group> {
    let name = table.get::<String>("group")?;
    let found = groups.get(name.get_ref());
    if found.is_none() {
        let message = format!("the group `{}` has no limit", name.get_ref());
        plan.error_with_help(name.span(), message, groups.help(name.get_ref()));
    }
    found
}

fn pace(table: &mut Table<'_>, plan: &Planner<'_>) -> Option<Pace> {
    let rate = table.get::<Rate>("rate");
    let burst = table.get::<Count>("burst");
    if burst.is_some() && !table.has("rate") {
        let help = "add for example `rate = \"50/s\"`";
        plan.error_with_help(
            table.span_of_key("burst"),
            "`burst` says nothing without a `rate`",
            help,
        );
    }
    let burst = burst.map_or(1, |burst| burst.get_ref().get());
    rate.map(|rate| Pace { rate: rate.into_inner(), burst, is_charged: false })
}

/// The limits of the whole job.
pub(super) fn of_job(table: Option<&mut Table<'_>>) -> JobLimits {
    let Some(table) = table else { return JobLimits::default() };
    let failures = table.get::<FailureLimit>("stop_after_failures").map(Spanned::into_inner);
    let enough = table.get::<Count>("stop_after_successes");
    let running = table.get::<Running>("on_stop").map(Spanned::into_inner);
    let on_stop = running.unwrap_or_default();
    let enough = enough.map(|enough| Enough {
        count: enough.get_ref().get().into(),
        running: running.unwrap_or(Running::Kill),
    });
    JobLimits {
        deadline: table.get::<Timeout>("deadline").map(|deadline| deadline.into_inner().duration()),
        stop_after: StopAfter::new(failures, on_stop),
        enough,
        on_stop,
        min_free_memory: table.get::<ByteSize>("min_free_memory").map(Spanned::into_inner),
        max_load: table.get::<Load>("max_load").map(Spanned::into_inner),
    }
}

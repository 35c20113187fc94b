//! What a job does to each task: `[[stages]]`, or the short form of one stage at the top of the file.

use std::str::FromStr;
use std::time::Duration;

use toml::Spanned;

use crate::base::{ByteSize, Count, Diagnostic, Period, Timeout};
use crate::config::schema;
use crate::config::{
    Concurrency, FailureLimit, JobName, Planner, Rate, RawModel, Retry, Running, StopAfter, Table,
};
use crate::job::groups::Groups;
use crate::job::{Group, JobLimits, Next, Pace, Stage};
use crate::model::guide;
use crate::model::guide::Choice;
use crate::workload;
use crate::workload::{Workload, columns};

/// TERM to KILL, unless the file says otherwise.
pub(super) const GRACE: Duration = Duration::from_secs(10);

/// What a stage may hand on, unless the file says otherwise.
const MAX_PAYLOAD: ByteSize = ByteSize::new(64 << 20);

/// Reads the stages of the job at `root`, and the limits of the whole job. `plan` has the fields of the inputs, of which
/// there are `tasks`, if that is known. The stages are `None` if there was a mistake, which has been noted.
pub(super) fn read(
    root: &mut Table<'_>,
    plan: &mut Planner<'_>,
    groups: &Groups,
    tasks: Option<u64>,
) -> (Option<Vec<Stage>>, JobLimits) {
    if root.has("stages") {
        let tables = root.array_of_tables("stages");
        let limits = whole_limits(root, tables.as_deref().unwrap_or_default(), plan);
        let stages = tables.and_then(|tables| several(root, tables, plan, groups, tasks));
        return (stages, limits);
    }
    let choice = model(root, plan);
    let workload = read_workload(root, plan);
    let kind = workload.as_ref().map(Workload::kind);
    let mut table = root.table("limits");
    let limits = Limits::read(table.as_mut(), kind, plan, groups);
    let whole = job_limits(table.as_mut());
    if let Some(table) = table {
        table.finish();
    }
    let stage = finish_stage(root, Draft { name: None, choice, workload, limits }, plan, tasks);
    (stage.map(|stage| vec![stage]), whole)
}

/// What has been read of a stage so far.
struct Draft {
    name: Option<String>,
    choice: Choice,
    workload: Option<Workload>,
    limits: Limits,
}

/// Reads the rest of a stage from the table that has it.
fn finish_stage(
    table: &mut Table<'_>,
    draft: Draft,
    plan: &Planner<'_>,
    tasks: Option<u64>,
) -> Option<Stage> {
    let Draft { name, choice, workload, limits } = draft;
    let kind = workload.as_ref().map(Workload::kind);
    let retry = Retry::read(table.table("retry"), kind, plan);
    let columns = columns::read(table.table("columns"), plan, workload.as_ref());
    let workload = workload?;
    let settled = guide::settle(choice, limits.concurrency, workload.nature(), tasks);
    Some(Stage {
        name,
        model: settled.model,
        reason: settled.reason,
        concurrency: settled.concurrency,
        pilot: settled.pilot,
        timeout: limits.timeout,
        grace: limits.grace,
        pace: limits.pace,
        per_host: limits.per_host,
        group: limits.group,
        retry,
        workload,
        columns,
        next: Next::End,
        loads_payload: plan.takes_payload(),
    })
}

/// Reads `[[stages]]`.
fn several(
    root: &mut Table<'_>,
    mut tables: Vec<Table<'_>>,
    plan: &mut Planner<'_>,
    groups: &Groups,
    tasks: Option<u64>,
) -> Option<Vec<Stage>> {
    for key in schema::of_a_stage().filter(|key| *key != "limits") {
        refuse(root, key, &tables, plan);
    }
    if tables.is_empty() {
        let help = "a stage has a `name` and a `[stages.workload.KIND]`";
        plan.error_with_help(root.span_of("stages"), "`stages` is empty", help);
        return None;
    }
    let names = names(&mut tables, plan);
    plan.begin_stages(names.iter().flatten().cloned().collect(), to_come(&tables, &names));
    let last = tables.len() - 1;
    let mut stages = Vec::new();
    for (index, (mut table, name)) in tables.into_iter().zip(names).enumerate() {
        let choice = model(&mut table, plan);
        let workload = read_workload(&mut table, plan);
        let kind = workload.as_ref().map(Workload::kind);
        let mut inner = table.table("limits");
        let limits = Limits::read(inner.as_mut(), kind, plan, groups);
        if let Some(inner) = inner {
            inner.finish();
        }
        let max_payload = table.get::<ByteSize>("max_payload");
        if let Some(max) = max_payload.as_ref().filter(|_| index == last) {
            let help = "set it in the stage that hands on a payload";
            plan.error_with_help(max.span(), "the last stage hands nothing on", help);
        }
        let stage = finish_stage(
            &mut table,
            Draft { name: name.clone(), choice, workload, limits },
            plan,
            tasks,
        );
        let own = table.inner_keys("columns");
        table.finish();
        plan.next_stage(name.as_deref().unwrap_or_default(), own);
        let max_payload = max_payload.map_or(MAX_PAYLOAD, Spanned::into_inner);
        let next = if index == last { Next::End } else { Next::Stage { max_payload } };
        stages.push(stage.map(|stage| Stage { next, ..stage }).filter(|_| name.is_some()));
    }
    stages.into_iter().collect()
}

/// The names of the stages, each `None` if it has none that will do.
fn names(tables: &mut [Table<'_>], plan: &Planner<'_>) -> Vec<Option<String>> {
    let mut seen: Vec<Spanned<String>> = Vec::new();
    let mut names = Vec::new();
    for table in tables {
        let Some(name) = table.require::<String>("name") else {
            names.push(None);
            continue;
        };
        if let Err(message) = JobName::from_str(name.get_ref()) {
            plan.error(name.span(), message.replace("name of a job:", "name of a stage:"));
            names.push(None);
            continue;
        }
        if let Some(other) = seen.iter().find(|other| other.get_ref() == name.get_ref()) {
            let place = |span| plan.document.place(span);
            plan.document.report(
                Diagnostic::new(format!("two stages are called `{}`", name.get_ref()))
                    .at(place(&name.span()).label("second"))
                    .at(place(&other.span()).label("first"))
                    .help("give one of them another `name`"),
            );
        }
        names.push(Some(name.get_ref().clone()));
        seen.push(name);
    }
    names
}

/// The columns of all stages, each with its stage.
fn to_come(tables: &[Table<'_>], names: &[Option<String>]) -> Vec<(String, String)> {
    let of_stage = |(table, name): (&Table<'_>, &Option<String>)| {
        let name = name.clone().unwrap_or_default();
        let columns = table.inner_keys("columns").into_iter();
        columns.map(|column| (column, name.clone())).collect::<Vec<_>>()
    };
    tables.iter().zip(names).flat_map(of_stage).collect()
}

/// Reports a key that has no place beside `[[stages]]`.
fn refuse(root: &mut Table<'_>, key: &'static str, stages: &[Table<'_>], plan: &Planner<'_>) {
    let Some(value) = root.raw(key) else { return };
    if plan.document.is_argument(&value.span()) {
        let message = format!("a job with `[[stages]]` cannot have a `{key}` of its own");
        let help = format!("set a stage's: `--set stages.{}.{key}=…`", example(stages));
        plan.error_with_help(value.span(), message, help);
        return;
    }
    let message = format!("the job has both `[[stages]]` and its own `{key}`");
    let help = format!("move it into one of the stages, as `stages.{key}`");
    plan.error_with_help(root.span_of_key(key), message, help);
}

/// The name of a stage, for help.
fn example(stages: &[Table<'_>]) -> String {
    stages.iter().find_map(|table| table.text("name")).unwrap_or_else(|| "NAME".into())
}

/// Beside `[[stages]]`, `[limits]` has what concerns the whole job.
fn whole_limits(root: &mut Table<'_>, stages: &[Table<'_>], plan: &Planner<'_>) -> JobLimits {
    let mut table = root.table("limits");
    if let Some(table) = &mut table {
        for key in schema::limits_of_a_stage() {
            let Some(value) = table.raw(key) else { continue };
            if plan.is_default(&value.span()) {
                continue;
            }
            let name = example(stages);
            let message = format!("`{key}` is a limit of a stage, and this is that of all stages");
            let (span, help) = if plan.document.is_argument(&value.span()) {
                (value.span(), format!("set a stage's: `--set stages.{name}.limits.{key}=…`"))
            } else {
                let help =
                    format!("write it into the `[stages.limits]` of the stage, say `{name}`");
                (table.span_of_key(key), help)
            };
            plan.error_with_help(span, message, help);
        }
    }
    let limits = job_limits(table.as_mut());
    if let Some(table) = table {
        table.finish();
    }
    limits
}

/// The model, if it is set, and where.
fn model(table: &mut Table<'_>, plan: &Planner<'_>) -> Choice {
    let raw = table.get::<RawModel>("model");
    if let Some(model) = plan.choices.model {
        return Choice::OnCommandLine(model);
    }
    let Some(raw) = raw else { return Choice::Auto };
    match raw.get_ref().set() {
        None => Choice::Auto,
        Some(model) if plan.document.is_argument(&raw.span()) => Choice::OnCommandLine(model),
        Some(model) => Choice::InFile(model),
    }
}

/// Reads the one workload.
fn read_workload(root: &mut Table<'_>, plan: &Planner<'_>) -> Option<Workload> {
    let help = "add `[workload.command]` with `argv = [\"…\"]`, or one of `[workload.compute]`, `[workload.http]`, \
                `[workload.python]`, `[workload.sleep]` and `[workload.worker]`";
    if !root.has("workload") {
        if plan.is_staged() {
            plan.error_with_help(root.span(), "the stage has no workload", in_a_stage(help));
        } else {
            let message = format!("`{}` has no workload", plan.document.name());
            plan.document.report(Diagnostic::new(message).help(help));
        }
    }
    let mut table = root.table("workload")?;
    let mut present: Vec<_> = workload::KINDS
        .into_iter()
        .filter_map(|kind| {
            let place = table.has(kind).then(|| table.span_of_key(kind));
            Some((kind, table.table(kind), place?))
        })
        .collect();
    present.sort_by_key(|(_, _, place)| place.start);
    if let [(first, _, first_place), (second, _, second_place), ..] = &present[..] {
        let place = |span| plan.document.place(span);
        let who = if plan.is_staged() { "stage" } else { "job" };
        plan.document.report(
            Diagnostic::new(format!("the {who} has two workloads, `{first}` and `{second}`"))
                .at(place(second_place).label("second"))
                .at(place(first_place).label("first"))
                .help("it has one; leave one out, or make it two jobs or `[[stages]]`"),
        );
    } else if present.is_empty() && !table.has_unknown() {
        plan.error_with_help(table.span(), format!("`[{}]` has no kind", table.name()), help);
    }
    let mut workload = None;
    for (kind, inner, _) in present {
        if let Some(mut inner) = inner {
            workload = workload::read(kind, &mut inner, plan);
            inner.finish();
        }
    }
    table.finish();
    workload
}

/// The help of a plain job, for a stage.
fn in_a_stage(help: &str) -> String {
    help.replace("[workload.", "[stages.workload.")
}

/// `[limits]` of a stage, with their defaults.
#[derive(Debug)]
struct Limits {
    concurrency: Option<usize>,
    timeout: Option<Duration>,
    grace: Duration,
    pace: Option<Pace>,
    per_host: Option<usize>,
    group: Option<Group>,
}

impl Limits {
    /// `kind` is the workload's, if that is known.
    fn read(
        table: Option<&mut Table<'_>>,
        kind: Option<&str>,
        plan: &Planner<'_>,
        groups: &Groups,
    ) -> Self {
        let mut limits = Self {
            concurrency: plan.choices.concurrency,
            timeout: None,
            grace: GRACE,
            pace: None,
            per_host: None,
            group: None,
        };
        let Some(table) = table else { return limits };
        let concurrency = table.get::<Concurrency>("concurrency");
        let concurrency = concurrency.map(|concurrency| concurrency.into_inner().slots());
        limits.concurrency = limits.concurrency.or(concurrency);
        limits.per_host = per_host(table, kind, plan);
        limits.group = group(table, plan, groups);
        limits.pace = pace(table, plan);
        limits.timeout = table.get::<Timeout>("timeout").map(|t| t.into_inner().duration());
        if let Some(grace) = table.get::<Period>("grace") {
            limits.grace = grace.into_inner().duration();
        }
        limits
    }
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
    rate.map(|rate| Pace { rate: rate.into_inner(), burst })
}

/// The limits of the whole job.
fn job_limits(table: Option<&mut Table<'_>>) -> JobLimits {
    let Some(table) = table else { return JobLimits::default() };
    let failures = table.get::<FailureLimit>("stop_after_failures").map(Spanned::into_inner);
    let running = table.get::<Running>("on_stop").map(Spanned::into_inner).unwrap_or_default();
    JobLimits {
        deadline: table.get::<Timeout>("deadline").map(|deadline| deadline.into_inner().duration()),
        stop_after: StopAfter::new(failures, running),
        min_free_memory: table.get::<ByteSize>("min_free_memory").map(Spanned::into_inner),
    }
}

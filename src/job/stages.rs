//! What a job does to each task: `[[stages]]`, or the short form of one stage at the top of the file.

mod limits;

use std::ops::Range;
use std::str::FromStr;
use std::sync::Arc;

use toml::Spanned;

use crate::base::{ByteSize, Diagnostic};
use crate::config::{JobName, Planner, RawModel, Retry, Table, TaskSize, budget, schema};
use crate::job::groups::Groups;
use crate::job::{JobLimits, Next, Stage, StageLimits};
use crate::model::guide::Choice;
use crate::model::{Model, Nature, guide};
use crate::workload;
use crate::workload::{Workload, columns, http};

/// The default limit of a payload.
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
    let mut table = root.table("limits");
    plan.slots = slots(table.as_mut(), plan);
    let stage = read_stage(root, None, table.as_mut(), &Around { plan, groups, tasks });
    let whole = limits::of_job(table.as_mut());
    if let Some(table) = table {
        table.finish();
    }
    (stage.map(|stage| vec![stage]), whole)
}

/// What a stage is read with, besides its table.
struct Around<'a, 'd> {
    plan: &'a Planner<'d>,
    groups: &'a Groups,
    /// How many tasks there are, if that is known.
    tasks: Option<u64>,
}

/// Reads a stage from the table that has it; `limits` is its table of limits. `None` if there was a mistake, which has
/// been noted.
fn read_stage(
    table: &mut Table<'_>,
    name: Option<String>,
    limits: Option<&mut Table<'_>>,
    around: &Around<'_, '_>,
) -> Option<Stage> {
    let &Around { plan, groups, tasks } = around;
    let choice = model(table, plan);
    let workload = read_workload(table, plan);
    let kind = workload.as_ref().map(Workload::kind);
    let of_slots = plan.slots.as_ref().zip(limits.as_ref().map(|table| table.span_of_key("slots")));
    let of_memory = limits.as_ref().map(|table| table.span_of_key("memory"));
    let mut limits = limits;
    let (budgets, places) =
        limits.as_deref_mut().map(|limits| budget::read(limits, plan)).unwrap_or_default();
    let (mut concurrency, limits) = limits::read(limits, kind, plan, groups);
    let mut limits = StageLimits { budgets, ..limits };
    if let Some((names, span)) = &of_slots {
        concurrency = Some(named(names.len(), concurrency, span, plan));
    }
    let retry = Retry::read(table.table("retry"), kind, plan);
    let columns = columns::read(table.table("columns"), plan, workload.as_ref());
    let named: Vec<_> = columns.iter().map(|column| &*column.name).collect();
    budget::check(&limits.budgets, &places, &named, plan);
    let mut workload = workload?;
    if let Workload::Http(spec) = &mut workload {
        let reads = super::read_answers(&limits, retry.as_ref());
        if reads && spec.reads_no_body() {
            let is_retry = retry.as_ref().is_some_and(Retry::reads_answers);
            let place = table.span_of_key(if is_retry { "retry" } else { "limits" });
            let message = "`max_body = \"0B\"` reads no body, so a `json:` rule would never hold";
            plan.error(place, message);
        }
        spec.read_answers(reads);
    }
    let size = TaskSize { cores: limits.cores, memory: limits.memory };
    let most = size.most().unwrap_or(usize::MAX);
    let mut settled = guide::settle(choice, (concurrency, most), workload.nature(), tasks);
    if let Some(span) = of_memory.filter(|_| limits.memory.is_some()) {
        if workload.nature() == Nature::Hosted && settled.pilot.take().is_some() {
            settled.reason =
                "auto: each slot has a program of its own, whose memory is known".into();
        }
        if is_common(settled.model, workload.nature()) {
            limits.memory = None;
            refuse_common_memory(settled.model, &span, plan);
        }
    }
    if let Some((_, span)) = of_slots
        && workload.nature() == Nature::Hosted
    {
        if choice == Choice::Auto && settled.pilot.take().is_some() {
            settled.reason = "auto: each of the named slots has a program of its own".into();
        }
        if names_its_slot(&workload) {
            refuse_shared(settled.model, &span, plan);
        }
    }
    refuse_own_jars(settled.model, &workload, table, plan);
    Some(Stage {
        name,
        model: settled.model,
        reason: settled.reason,
        concurrency: settled.concurrency,
        pilot: settled.pilot,
        limits,
        retry,
        workload,
        columns,
        next: Next::End,
        demands: plan.take_demands(),
        loads_payload: plan.takes_payload(),
    })
}

/// The names of the slots, if they have names.
fn slots(table: Option<&mut Table<'_>>, plan: &Planner<'_>) -> Option<Arc<[String]>> {
    let names = table?.list::<String>("slots")?;
    if names.get_ref().is_empty() {
        let help = "leave it out for slots without names";
        plan.error_with_help(names.span(), "`slots` names no slot", help);
        return None;
    }
    for name in names.get_ref().iter().filter(|name| name.get_ref().contains('\0')) {
        plan.error(name.span(), "a slot's name cannot have a NUL: no program can be given one");
    }
    Some(names.into_inner().into_iter().map(Spanned::into_inner).collect())
}

/// How many slots there are, of which each has one of `names`.
fn named(
    names: usize,
    concurrency: Option<usize>,
    span: &Range<usize>,
    plan: &Planner<'_>,
) -> usize {
    let asked = concurrency.unwrap_or(names);
    if asked > names {
        let s = if names == 1 { "" } else { "s" };
        let message = format!("`slots` has {names} name{s}, and `concurrency` is {asked}");
        let help = "name every slot (a name may stand there twice), or run fewer tasks at once";
        plan.error_with_help(span.clone(), message, help);
    }
    asked
}

/// Whether the program that does the tasks is started with the name of its slot.
fn names_its_slot(workload: &Workload) -> bool {
    match workload {
        Workload::Python(spec) => spec.names_its_slot(),
        Workload::Worker(spec) => spec.names_its_slot(),
        _ => false,
    }
}

/// A program that several slots share cannot have the name of one of them.
fn refuse_shared(model: Model, span: &Range<usize>, plan: &Planner<'_>) {
    if matches!(model, Model::Threads | Model::Async) {
        let message =
            format!("`{{slot.name}}` where a program starts, but under `{model}` slots share it");
        let help =
            "hand it to the task instead, in `args` or `kwargs`, or set `model = \"processes\"`";
        plan.error_with_help(span.clone(), message, help);
    }
}

/// Whether tasks share a process: what each uses cannot be told then.
fn is_common(model: Model, nature: Nature) -> bool {
    match nature {
        Nature::Process => false,
        Nature::Hosted => matches!(model, Model::Threads | Model::Async),
        Nature::Computes | Nature::Waits | Nature::Requests => model != Model::Processes,
    }
}

fn refuse_common_memory(model: Model, span: &Range<usize>, plan: &Planner<'_>) {
    if !plan.is_default(span) {
        let message =
            format!("`memory` is what one task may use, but under `{model}` tasks share a process");
        plan.error_with_help(span.clone(), message, "set `model = \"processes\"`");
    }
}

/// A jar for all tasks is in the runner, where processes do not get at it.
fn refuse_own_jars(model: Model, workload: &Workload, table: &Table<'_>, plan: &Planner<'_>) {
    if let Workload::Http(spec) = workload
        && model == Model::Processes
        && spec.shares_cookies()
    {
        let span = table.span_of_key(if table.has("model") { "model" } else { "workload" });
        let message = "`cookies = \"job\"` shares one jar, but under `processes` each process has a client of its own";
        let help = "run it under `async` or `threads`, or set `cookies = true` for a jar per task";
        plan.error_with_help(span, message, help);
    }
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
        let mut limits = table.table("limits");
        plan.slots = slots(limits.as_mut(), plan);
        let around = Around { plan, groups, tasks };
        let stage = read_stage(&mut table, name.clone(), limits.as_mut(), &around);
        if let Some(limits) = limits {
            limits.finish();
        }
        let max_payload = table.get::<ByteSize>("max_payload");
        if let Some(max) = max_payload.as_ref().filter(|_| index == last) {
            let help = "set it in the stage that hands on a payload";
            plan.error_with_help(max.span(), "the last stage hands nothing on", help);
        }
        let own = table.inner_keys("columns");
        table.finish();
        plan.next_stage(name.as_deref().unwrap_or_default(), own);
        let max_payload = max_payload.map_or(MAX_PAYLOAD, Spanned::into_inner);
        let next = if index == last { Next::End } else { Next::Stage { max_payload } };
        stages.push(stage.map(|stage| Stage { next, ..stage }).filter(|_| name.is_some()));
    }
    let mut stages = stages.into_iter().collect::<Option<Vec<Stage>>>()?;
    let requests = stages.iter_mut().filter_map(|stage| match &mut stage.workload {
        Workload::Http(spec) => Some(&mut **spec),
        _ => None,
    });
    http::Spec::share_cookies(requests);
    Some(stages)
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
        if let Err(error) = JobName::from_str(name.get_ref()) {
            plan.error(name.span(), error.of("stage"));
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
    let limits = limits::of_job(table.as_mut());
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
    let place = if plan.is_staged() { "stages.workload" } else { "workload" };
    let (first, others) = workload::KINDS.split_first().expect("there are kinds");
    let others: Vec<_> = others.iter().map(|kind| format!("`[{place}.{kind}]`")).collect();
    let (last, others) = others.split_last().expect("there are others");
    let others = others.join(", ");
    let help =
        format!("add `[{place}.{first}]` with `argv = [\"…\"]`, or one of {others} and {last}");
    if !root.has("workload") {
        if plan.is_staged() {
            plan.error_with_help(root.span(), "the stage has no workload", &*help);
        } else {
            let message = format!("`{}` has no workload", plan.document.name());
            plan.document.report(Diagnostic::new(message).help(&*help));
        }
    }
    let mut table = root.table("workload")?;
    let mut present: Vec<_> = workload::KINDS
        .iter()
        .filter_map(|&kind| {
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

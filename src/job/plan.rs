//! From the tables of one file to a [`Job`].

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use toml::Spanned;

use crate::diagnostic::{Diagnostic, Place, Source};
use crate::engine::group::Group;
use crate::job::document::Document;
use crate::job::groups::Groups;
use crate::job::inputs::{self, Around};
use crate::job::limits::{Concurrency, Count, Period, RawModel, Timeout};
use crate::job::name::JobName;
use crate::job::overrides::Argument;
use crate::job::planner::{Absent, Planner};
use crate::job::rate::Rate;
use crate::job::retry::Retry;
use crate::job::runner_toml::{self, RunnerToml};
use crate::job::size::ByteSize;
use crate::job::stop_after::{FailureLimit, Running, StopAfter};
use crate::job::syntax;
use crate::job::table::Table;
use crate::job::{
    Job, JobLimits, Pace, ReportSettings, Reported, Stage, columns, identity, services,
};
use crate::model::auto::{self, Choice};
use crate::workload::{self, Workload};

/// TERM to KILL, unless the file says otherwise.
const GRACE: Duration = Duration::from_secs(10);

/// A file that has been read.
#[derive(Debug)]
pub(super) struct PlannedFile {
    /// As it was given.
    pub file: PathBuf,
    /// The job's name and where it is set, if it is; known even where the job is not.
    pub name: Option<(JobName, Option<Place>)>,
    /// `None` if there are mistakes, or something is absent.
    pub job: Option<Job>,
    /// All mistakes, by their places.
    pub errors: Vec<Diagnostic>,
    /// What is not there, and may be when the job's turn comes.
    pub absences: Vec<Diagnostic>,
}

/// What a job file is planned with, besides its text.
pub(super) struct Setting<'a> {
    /// What the command line changes.
    pub arguments: &'a [Argument],
    /// The groups that there are.
    pub groups: &'a Groups,
    /// What is said for all jobs of the folder.
    pub shared: Option<&'a RunnerToml>,
    /// The folder of the reports.
    pub results: &'a Path,
    /// What becomes of a file that is not there.
    pub absent: Absent,
    /// What the job of this name leaves; `None` while that is not known.
    pub reported: &'a dyn Fn(&str) -> Option<Reported>,
}

impl PlannedFile {
    /// Plans the job of a file of this text.
    pub fn plan(file: &Path, text: String, setting: &Setting<'_>) -> Self {
        let source = Arc::new(Source { name: file.display().to_string(), text });
        let mut root = match syntax::parse(&source) {
            Ok(root) => root,
            // What can be read of such a file would only be guessed at.
            Err(errors) => return Self::wrong(file, errors),
        };
        let defaults = setting.shared.map(RunnerToml::source);
        let document = Document::new(Arc::clone(&source), defaults, setting.arguments);
        if let Some(defaults) = defaults {
            runner_toml::merge(&mut root, defaults, document.start_of_defaults());
        }
        for (index, argument) in setting.arguments.iter().enumerate() {
            argument.apply(&mut root, &document, index);
        }
        let (name, mut job) = plan(file, Table::root(&document, &root), &document, setting);
        if let Some(job) = &mut job {
            job.identity = identity::of(&root);
        }
        if job.is_none() && document.troubles() == 0 {
            // Not the user's mistake; but it must not pass for a job that was read.
            document.report(Diagnostic::new(format!("`{}` came to no job: a bug", source.name)));
        }
        let (errors, absences) = document.into_errors();
        let job = job.filter(|_| errors.is_empty() && absences.is_empty());
        Self { file: file.into(), name, job, errors, absences }
    }

    /// A file that could not be read.
    pub fn wrong(file: &Path, errors: Vec<Diagnostic>) -> Self {
        Self { file: file.into(), name: None, job: None, errors, absences: Vec::new() }
    }
}

type Named = Option<(JobName, Option<Place>)>;

fn plan(
    file: &Path,
    mut root: Table<'_>,
    document: &Document,
    setting: &Setting<'_>,
) -> (Named, Option<Job>) {
    let name = name(file, &mut root, document);
    let description = root.get::<String>("description").map(Spanned::into_inner);
    root.get::<Vec<String>>("needs"); // what they are was read before any job was planned
    root.get::<bool>("exclusive");
    let choice = model(&mut root, document);
    let folder = std::path::absolute(file).ok();
    let folder = folder.as_deref().and_then(Path::parent).unwrap_or(Path::new("/"));

    let &Setting { absent, reported, .. } = setting;
    let inputs = inputs::read(root.table("inputs"), &Around { folder, absent, reported });
    check_fields(inputs.fields.as_deref(), &root, document);
    let plan = Planner {
        document,
        job: name.as_ref().map_or("", |(name, _)| name.as_str()).to_owned(),
        folder: folder.to_owned(),
        fields: inputs.fields,
        absent,
    };
    let workload = read_workload(&mut root, &plan);
    let kind = workload.as_ref().map(Workload::kind);
    let limits = Limits::read(root.table("limits"), kind, &plan, setting.groups);
    let retry = Retry::read(root.table("retry"), kind, &plan);
    let columns = columns::read(root.table("columns"), &plan, workload.as_ref());
    let report = ReportSettings::read(root.table("report"));
    let services = services::read(root.table("services"), &plan);
    root.finish();

    let job =
        inputs.inputs.zip(workload).zip(name.as_ref()).map(|((inputs, workload), (name, _))| {
            let settled =
                auto::settle(choice, limits.concurrency, workload.nature(), inputs.tasks());
            Job {
                name: name.as_str().to_owned(),
                description,
                file: file.to_owned(),
                folder: folder.to_owned(),
                fields: plan.fields.unwrap_or_default(),
                inputs,
                services,
                stages: vec![Stage {
                    name: None,
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
                }],
                limits: limits.job,
                report,
                results: setting.results.to_owned(),
                identity: [0; 32], // settled by the caller, who has the whole file
            }
        });
    (name, job)
}

/// The job's name: as the file says, else the file's stem.
fn name(file: &Path, root: &mut Table<'_>, document: &Document) -> Named {
    if root.has("name") {
        let name = root.get::<JobName>("name")?;
        return Some((name.get_ref().clone(), Some(document.place(&name.span()))));
    }
    root.get::<JobName>("name");
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    match JobName::from_str(&stem) {
        Ok(name) => Some((name, None)),
        Err(error) => {
            let message = format!("the file's name makes no name of a job: {error}");
            let start = Diagnostic::new(message).at(document.place(&(0..0)));
            document.report(start.help("set `name = \"…\"` at the top of the file"));
            None
        }
    }
}

/// The model, if it is set, and where.
fn model(root: &mut Table<'_>, document: &Document) -> Choice {
    let Some(raw) = root.get::<RawModel>("model") else { return Choice::Auto };
    match raw.get_ref().set() {
        None => Choice::Auto,
        Some(model) if document.is_argument(&raw.span()) => Choice::OnCommandLine(model),
        Some(model) => Choice::InFile(model),
    }
}

/// Two fields must not become one column: `code` becomes `input_code` in the report.
fn check_fields(fields: Option<&[String]>, root: &Table<'_>, document: &Document) {
    let fields = fields.unwrap_or_default();
    for field in fields {
        let column = columns::report_name(field);
        if column != *field && fields.contains(&column) {
            let message = format!(
                "the inputs have a field `{field}`, which is `{column}` in the report, and a field `{column}`"
            );
            document.error(&root.span_of_key("inputs"), message);
        }
    }
}

/// Reads the one workload.
fn read_workload(root: &mut Table<'_>, plan: &Planner<'_>) -> Option<Workload> {
    let help = "add `[workload.command]` with `argv = [\"…\"]`, `[workload.compute]`, `[workload.http]` or `[workload.sleep]`";
    if !root.has("workload") && !root.has("stages") {
        let message = format!("`{}` has no workload", plan.document.name());
        plan.document.report(Diagnostic::new(message).help(help));
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
        plan.document.report(
            Diagnostic::new(format!("the job has two workloads, `{first}` and `{second}`"))
                .at(place(second_place).label("second"))
                .at(place(first_place).label("first"))
                .help("a job has one; leave one out, or make it two jobs"),
        );
    } else if present.is_empty() && !table.has_unknown() {
        plan.error_with_help(table.span(), "`[workload]` has no kind", help);
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

/// `[limits]`, with its defaults.
#[derive(Debug)]
struct Limits {
    concurrency: Option<usize>,
    timeout: Option<Duration>,
    grace: Duration,
    pace: Option<Pace>,
    per_host: Option<usize>,
    group: Option<Group>,
    job: JobLimits,
}

impl Limits {
    /// `kind` is the workload's, if that is known.
    fn read(
        table: Option<Table<'_>>,
        kind: Option<&str>,
        plan: &Planner<'_>,
        groups: &Groups,
    ) -> Self {
        let job = JobLimits { deadline: None, stop_after: StopAfter::Never, min_free_memory: None };
        let mut limits = Self {
            concurrency: None,
            timeout: None,
            grace: GRACE,
            pace: None,
            per_host: None,
            group: None,
            job,
        };
        let Some(mut table) = table else { return limits };
        let concurrency = table.get::<Concurrency>("concurrency");
        limits.concurrency = concurrency.map(|concurrency| concurrency.into_inner().slots());
        limits.per_host = per_host(&mut table, kind, plan);
        limits.group = group(&mut table, plan, groups);
        limits.pace = pace(&mut table, plan);
        limits.timeout = table.get::<Timeout>("timeout").map(|t| t.into_inner().duration());
        if let Some(grace) = table.get::<Period>("grace") {
            limits.grace = grace.into_inner().duration();
        }
        limits.job = job_limits(&mut table);
        table.finish();
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

fn job_limits(table: &mut Table<'_>) -> JobLimits {
    let failures = table.get::<FailureLimit>("stop_after_failures").map(Spanned::into_inner);
    let running = table.get::<Running>("on_stop").map(Spanned::into_inner).unwrap_or_default();
    JobLimits {
        deadline: table.get::<Timeout>("deadline").map(|deadline| deadline.into_inner().duration()),
        stop_after: StopAfter::new(failures, running),
        min_free_memory: table.get::<ByteSize>("min_free_memory").map(Spanned::into_inner),
    }
}

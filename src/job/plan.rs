//! From the tables of one file to a [`Job`].

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use toml::Spanned;

use crate::base::Diagnostic;
use crate::base::diagnostic::Place;
use crate::config::raw;
use crate::config::runner_toml::RunnerToml;
use crate::config::{
    Absent, Argument, Document, InputFacts, JobName, Planner, ReportSettings, Table, runner_toml,
};
use crate::config::{Choices, RawFile};
use crate::config::{schema, secrets};
use crate::job::groups::Groups;
use crate::job::inputs::{Around, Inputs, OwnFiles};
use crate::job::{Dealt, Job, Reported, Stage, Texts, cluster, identity, inputs, services, stages};
use crate::workload::Workload;
use crate::workload::creates::Creates;

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
    /// Things that are missing, but may exist when the job's turn comes.
    pub absences: Vec<Diagnostic>,
}

/// What planning a job file needs in addition to its text.
pub(super) struct Setting<'a> {
    /// The changes by the command line.
    pub arguments: &'a [Argument],
    /// The groups that there are.
    pub groups: &'a Groups,
    /// The settings for all jobs of the folder.
    pub shared: Option<&'a RunnerToml>,
    /// The folder of the reports.
    pub results: &'a Path,
    /// What is chosen for this planning.
    pub choices: Choices,
    /// How a missing file is treated.
    pub absent: Absent,
    /// What no pattern of the inputs finds: the call itself writes it.
    pub own: Arc<OwnFiles>,
    /// The inputs, if another process has read them.
    pub dealt: Option<Arc<Dealt>>,
    /// Returns the report of the job with this name; `None` while that is not known.
    pub reported: &'a dyn Fn(&str) -> Option<Reported>,
}

impl PlannedFile {
    /// Plans the job of a file that has been read.
    pub fn plan(raw: &RawFile, setting: &Setting<'_>) -> Self {
        let file = &raw.file;
        let parsed = match &raw.parsed {
            Ok(parsed) => parsed,
            // The content of such a file could only be guessed.
            Err(errors) => {
                let (file, errors) = (file.clone(), errors.clone());
                return Self { file, name: None, job: None, errors, absences: Vec::new() };
            }
        };
        let source = parsed.source();
        let mut root = parsed.root().clone();
        let defaults = setting.shared.map(RunnerToml::source);
        let document = Document::new(Arc::clone(source), defaults, setting.arguments);
        if let Some(shared) = setting.shared {
            runner_toml::merge(&mut root, shared.root(), document.start_of_defaults());
        }
        for (index, argument) in setting.arguments.iter().enumerate() {
            argument.apply(&mut root, &document, index);
        }
        let (name, mut job) = plan(file, Table::root(&document, &root), &document, setting);
        if let Some(job) = &mut job {
            job.identity = identity::of(&root);
            job.texts = Texts { job: Some(Arc::clone(source)), settings: defaults.cloned() };
            job.warnings = document.take_warnings();
            job.remarks = document.take_remarks();
        }
        if job.is_none() && document.troubles() == 0 {
            // Not the user's mistake; but it must not pass for a job that was read.
            document.report(Diagnostic::new(format!("`{}` came to no job: a bug", source.name)));
        }
        let (errors, absences) = document.into_errors();
        let job = job.filter(|_| errors.is_empty() && absences.is_empty());
        Self { file: file.into(), name, job, errors, absences }
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
    let folder = std::path::absolute(file).ok();
    let folder = folder.as_deref().and_then(Path::parent).unwrap_or(Path::new("/"));

    let &Setting { absent, reported, choices, .. } = setting;
    let limit = choices.limit;
    let job_name = name.as_ref().map_or("", |(name, _)| name.as_str()).to_owned();
    let derived = root.table("fields");
    let made = derived.as_ref().map(Table::user_keys).unwrap_or_default();
    let made = made.into_iter().map(Spanned::into_inner).collect();
    let resumed = choices.resume.then_some(setting.results);
    let own = Arc::clone(&setting.own);
    let formula_safe = !writes_formulas(&root);
    let around = Around {
        folder,
        job: &job_name,
        absent,
        reported,
        limit,
        resumed,
        formula_safe,
        made,
        own,
    };
    let table = root.table("inputs");
    let inputs = match &setting.dealt {
        None => inputs::read(table, derived, &around),
        Some(dealt) => inputs::planned_elsewhere(dealt),
    };
    let mut plan =
        Planner::new(document, job_name.clone(), folder.to_owned(), inputs.fields.clone(), absent)
            .with(choices);
    let cluster = cluster::read(root.table("cluster"), &plan);
    // What a node sets up before a shard starts may be what a secret is.
    plan.secrets = secrets::read(root.table("secrets"), &plan, cluster.setup.is_some());
    let tasks = inputs.inputs.as_ref().and_then(Inputs::tasks);
    let (is_batched, has_payload) = (inputs.is_batched, inputs.has_payload);
    let mut sources = vec![std::path::absolute(file).unwrap_or_else(|_| file.to_owned())];
    sources.push(folder.join(schema::RUNNER_TOML));
    sources.extend(plan.secrets.iter().filter_map(|secret| secret.file().map(Path::to_owned)));
    sources.extend(inputs.inputs.iter().flat_map(Inputs::files));
    let own_fields = inputs.own;
    let folders = inputs.inputs.as_ref().map(Inputs::folders).unwrap_or_default();
    let found = inputs.inputs.as_ref().and_then(Inputs::found_files);
    plan.set_inputs(InputFacts {
        tasks: inputs.inputs.as_ref().and_then(Inputs::tasks_of_job),
        is_batched,
        has_payload,
        sources,
        own_fields,
        folders,
        found,
    });
    let creates = Creates::read(&mut root, &mut plan);
    let (stages, limits) = stages::read(&mut root, &mut plan, setting.groups, tasks);
    let is_command = |stage: &Stage| matches!(stage.workload, Workload::Command(_));
    let has_commands = stages.as_ref().is_none_or(|stages| stages.iter().any(is_command));
    let columns = stages.iter().flatten().flat_map(|stage| &stage.columns);
    let columns: Vec<_> = columns.map(|column| column.name.as_str()).collect();
    let report = ReportSettings::read(root.table("report"), &plan, has_commands, &columns);
    let services = services::read(root.table("services"), &plan);
    root.finish();

    let job =
        inputs.inputs.zip(stages).zip(name.as_ref()).map(|((inputs_, stages), (name, _))| Job {
            name: name.as_str().to_owned(),
            description,
            file: file.to_owned(),
            folder: folder.to_owned(),
            fields: inputs.fields.unwrap_or_default(),
            own_fields: inputs.own,
            warnings: Vec::new(),
            remarks: Vec::new(),
            inputs: inputs_,
            services,
            stages,
            creates,
            limits,
            report,
            secrets: std::mem::take(&mut plan.secrets),
            results: setting.results.to_owned(),
            cluster,
            texts: Texts::default(),
            identity: [0; 32], // settled by the caller, who has the whole file
        });
    (name, job)
}

/// Whether `[report]` says that texts are not to be safe for spreadsheets, before it is read: its columns come from what is.
fn writes_formulas(root: &Table<'_>) -> bool {
    let report = root.user_value("report").and_then(|report| report.get_ref().as_table());
    let formula_safe = report.and_then(|report| report.get("formula_safe"));
    formula_safe.is_some_and(|value| value.get_ref().as_bool() == Some(false))
}

/// The job's name: as the file says, else the file's stem.
fn name(file: &Path, root: &mut Table<'_>, document: &Document) -> Named {
    if root.has("name") {
        let name = root.get::<JobName>("name")?;
        return Some((name.get_ref().clone(), Some(document.place(&name.span()))));
    }
    root.get::<JobName>("name");
    let stem = raw::stem(file);
    match JobName::from_str(&stem) {
        Ok(name) => Some((name, None)),
        Err(error) => {
            let message = format!("the file's name cannot be the job's name: {error}");
            let start = Diagnostic::new(message).at(document.place(&(0..0)));
            document.report(start.help("set `name = \"…\"` at the top of the file"));
            None
        }
    }
}

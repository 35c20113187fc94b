//! From the tables of one file to a [`Job`].

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use toml::Spanned;

use crate::diagnostic::{Diagnostic, Place, Source};
use crate::job::document::Document;
use crate::job::inputs::{self, Inputs};
use crate::job::name::JobName;
use crate::job::overrides::Argument;
use crate::job::planner::Planner;
use crate::job::table::Table;
use crate::job::{Job, ReportSettings, columns, identity, services, stages, syntax};

/// A file that has been read.
#[derive(Debug)]
pub(super) struct PlannedFile {
    /// As it was given.
    pub file: PathBuf,
    /// The job's name and where it is set, if it is; known even where the job is not.
    pub name: Option<(JobName, Option<Place>)>,
    /// `None` if there are mistakes.
    pub job: Option<Job>,
    /// All mistakes, by their places.
    pub errors: Vec<Diagnostic>,
}

impl PlannedFile {
    /// Plans the job of a file of this text.
    pub fn plan(file: &Path, text: String, arguments: &[Argument]) -> Self {
        let source = Arc::new(Source { name: file.display().to_string(), text });
        let mut root = match syntax::parse(&source) {
            Ok(root) => root,
            // What can be read of such a file would only be guessed at.
            Err(errors) => return Self { file: file.into(), name: None, job: None, errors },
        };
        let document = Document::new(Arc::clone(&source), arguments);
        for (index, argument) in arguments.iter().enumerate() {
            argument.apply(&mut root, &document, index);
        }
        let (name, mut job) = plan(file, Table::root(&document, &root), &document);
        if let Some(job) = &mut job {
            job.identity = identity::of(&root);
        }
        if job.is_none() && document.errors() == 0 {
            // Not the user's mistake; but it must not pass for a job that was read.
            document.report(Diagnostic::new(format!("`{}` came to no job: a bug", source.name)));
        }
        let errors = document.into_errors();
        let job = job.filter(|_| errors.is_empty());
        Self { file: file.into(), name, job, errors }
    }

    /// A file that could not be read.
    pub fn unreadable(file: &Path, error: Diagnostic) -> Self {
        Self { file: file.into(), name: None, job: None, errors: vec![error] }
    }
}

type Named = Option<(JobName, Option<Place>)>;

fn plan(file: &Path, mut root: Table<'_>, document: &Document) -> (Named, Option<Job>) {
    let name = name(file, &mut root, document);
    let description = root.get::<String>("description").map(Spanned::into_inner);
    let folder = std::path::absolute(file).ok();
    let folder = folder.as_deref().and_then(Path::parent).unwrap_or(Path::new("/"));

    let inputs = inputs::read(root.table("inputs"), folder);
    let mut plan = Planner::new(
        document,
        name.as_ref().map_or("", |(name, _)| name.as_str()).to_owned(),
        folder.to_owned(),
        inputs.fields.clone(),
    );
    let tasks = inputs.inputs.as_ref().and_then(Inputs::tasks);
    let (stages, limits) = stages::read(&mut root, &mut plan, tasks);
    check_fields(inputs.fields.as_deref(), &plan, &root);
    let report = ReportSettings::read(root.table("report"));
    let services = services::read(root.table("services"), &plan);
    root.finish();

    let job =
        inputs.inputs.zip(stages).zip(name.as_ref()).map(|((inputs_, stages), (name, _))| Job {
            name: name.as_str().to_owned(),
            description,
            file: file.to_owned(),
            folder: folder.to_owned(),
            fields: inputs.fields.unwrap_or_default(),
            inputs: inputs_,
            services,
            stages,
            limits,
            report,
            identity: [0; 32], // settled by the caller, who has the whole file
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

/// Two fields must not become one column: `code` becomes `input_code` in the report.
fn check_fields(fields: Option<&[String]>, plan: &Planner<'_>, root: &Table<'_>) {
    let fields = fields.unwrap_or_default();
    for field in fields {
        let column = columns::report_name(field, plan.stages());
        if column != *field && fields.contains(&column) {
            let message = format!(
                "the inputs have a field `{field}`, which is `{column}` in the report, and a field `{column}`"
            );
            plan.error(root.span_of_key("inputs"), message);
        }
    }
}

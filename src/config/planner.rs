//! What a workload has to know about its job to read its own table.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::base::Diagnostic;
use crate::config::secrets::Secret;
use crate::config::template::{Demand, Scope, StageScope};
use crate::config::{Document, Template, created, inside};
use crate::model::Model;

/// What one planning of a job decides, whatever the file says.
#[derive(Clone, Copy, Debug, Default)]
pub struct Choices {
    /// The model of every stage.
    pub model: Option<Model>,
    /// How many tasks run at once; of a job without `[[stages]]`.
    pub concurrency: Option<usize>,
    /// How many inputs are taken at most.
    pub limit: Option<u64>,
    /// Whether the report is resumed.
    pub resume: bool,
}

/// The job that is being planned.
#[derive(Debug)]
pub struct Planner<'a> {
    pub(crate) document: &'a Document,
    pub(crate) job: String,
    pub(crate) folder: PathBuf,
    /// `None` if the inputs are wrong, or do not say. In a stage, the inputs' fields are followed by those of earlier
    /// stages.
    pub(crate) fields: Option<Vec<String>>,
    /// The names of `[[stages]]`; none in a job without.
    stages: Vec<String>,
    /// Which of them is read, from 0; `None` in a job without.
    stage: Option<usize>,
    /// The columns of the stages before, each with its stage.
    passed: Vec<(String, String)>,
    /// The columns of this stage and of those after it.
    to_come: Vec<(String, String)>,
    /// Whether something in this stage takes its payload as a whole.
    takes_payload: Cell<bool>,
    /// What templates of this stage need of fields.
    demands: RefCell<Vec<Demand>>,
    /// What the inputs are, besides their fields.
    inputs: InputFacts,
    /// How many files a task creates: their temporary names stand in fields behind those of the inputs.
    creates: usize,
    pub(crate) absent: Absent,
    pub(crate) choices: Choices,
    /// The job's `[secrets]`.
    pub(crate) secrets: Vec<Arc<Secret>>,
    /// The names of the slots of the stage that is read, if they have names.
    pub(crate) slots: Option<Arc<[String]>>,
}

/// What the inputs of a job are, besides their fields.
#[derive(Clone, Debug, Default)]
pub(crate) struct InputFacts {
    /// How many tasks there are, if that is known.
    pub tasks: Option<u64>,
    /// Whether a task takes several inputs.
    pub is_batched: bool,
    /// Whether an input hands something to the first stage.
    pub has_payload: bool,
    /// The files that the job reads: its own, and its inputs'. Nothing may be written over them.
    pub sources: Vec<PathBuf>,
    /// How many of the fields are the inputs' own, not derived.
    pub own_fields: usize,
    /// The folders that a pattern of the inputs names.
    pub folders: Vec<PathBuf>,
    /// The files that it finds, if there is one.
    pub found: Option<FoundFiles>,
}

/// Tells the files that a pattern of the inputs finds from others.
#[derive(Clone)]
pub struct FoundFiles(Arc<dyn Fn(&Path) -> bool + Send + Sync>);

impl FoundFiles {
    /// Those for which `finds`, which is given a path without links.
    pub fn new(finds: impl Fn(&Path) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(finds))
    }

    /// Whether the file at `real`, a path without links, is one of them.
    pub fn has(&self, real: &Path) -> bool {
        (self.0)(real)
    }
}

impl fmt::Debug for FoundFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FoundFiles")
    }
}

/// How a missing file or program is treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Absent {
    /// It is a mistake.
    Mistake,
    /// A needed job may make it.
    ToCome,
}

impl Absent {
    /// Notes that something is missing.
    pub fn note(self, document: &Document, absence: Diagnostic) {
        match self {
            Self::Mistake => document.report(absence),
            Self::ToCome => document.report_absent(absence),
        }
    }
}

impl<'a> Planner<'a> {
    /// The plan of a job whose inputs have these fields, if they are known.
    pub(crate) fn new(
        document: &'a Document,
        job: String,
        folder: PathBuf,
        fields: Option<Vec<String>>,
        absent: Absent,
    ) -> Self {
        Self {
            document,
            job,
            folder,
            fields,
            absent,
            secrets: Vec::new(),
            slots: None,
            stages: Vec::new(),
            stage: None,
            passed: Vec::new(),
            to_come: Vec::new(),
            takes_payload: Cell::new(false),
            demands: RefCell::default(),
            inputs: InputFacts::default(),
            creates: 0,
            choices: Choices::default(),
        }
    }

    /// The same plan, of which this is chosen.
    pub(crate) fn with(self, choices: Choices) -> Self {
        Self { choices, ..self }
    }

    /// What the inputs are, besides their fields.
    pub(crate) fn set_inputs(&mut self, inputs: InputFacts) {
        self.inputs = inputs;
    }

    /// Notes how many files each task creates: templates can name them from here on.
    pub(crate) fn set_creates(&mut self, creates: usize) {
        if let Some(fields) = &mut self.fields {
            fields.extend((0..creates).map(created));
        }
        self.creates = creates;
    }

    /// Whether `template` is nothing but the placeholder for a file that the task creates.
    pub(crate) fn is_created(&self, template: &Template) -> bool {
        let places = self.first_created().map(|first| first..first + self.creates);
        template
            .lone_field()
            .is_some_and(|field| places.is_some_and(|places| places.contains(&field)))
    }

    /// The fields that stand for all that a task creates, if `template` is a lone `{creates}`.
    pub(crate) fn all_created(&self, template: &Template) -> Option<Vec<Template>> {
        let first = self.first_created()?;
        let is_all = template.lone_field() == Some(first) && self.creates > 1;
        is_all.then(|| (first..first + self.creates).map(Template::of_field).collect())
    }

    /// The place of the first of them among the fields.
    fn first_created(&self) -> Option<usize> {
        if self.creates == 0 {
            return None;
        }
        self.fields().windows(self.creates).rposition(|names| {
            names.iter().enumerate().all(|(index, name)| *name == created(index))
        })
    }

    /// Whether a task takes several inputs.
    pub fn is_batched(&self) -> bool {
        self.inputs.is_batched
    }

    /// Notes what a template needs of a field.
    pub(crate) fn demand(&self, demands: Vec<Demand>) {
        self.demands.borrow_mut().extend(demands);
    }

    /// What the templates of this stage need of fields; each once.
    pub(crate) fn take_demands(&self) -> Vec<Demand> {
        let mut demands: Vec<Demand> = Vec::new();
        for demand in self.demands.take() {
            if !demands.contains(&demand) {
                demands.push(demand);
            }
        }
        demands
    }

    /// From here on the first of `[[stages]]` is read; `columns` are those of all stages, each with its stage.
    pub(crate) fn begin_stages(&mut self, stages: Vec<String>, columns: Vec<(String, String)>) {
        self.stages = stages;
        self.stage = Some(0);
        self.to_come = columns;
    }

    /// From here on the next stage is read: this one, called `name`, has these columns, which become fields.
    pub(crate) fn next_stage(&mut self, name: &str, columns: Vec<String>) {
        self.stage = self.stage.map(|stage| stage + 1);
        self.takes_payload.set(false);
        self.to_come.drain(..columns.len());
        if let Some(fields) = &mut self.fields {
            fields.extend(columns.iter().cloned());
        }
        self.passed.extend(columns.into_iter().map(|column| (column, name.to_owned())));
    }

    /// The names of `[[stages]]`; none in a job without.
    pub(crate) fn stages(&self) -> &[String] {
        &self.stages
    }

    /// Whether it is a stage of `[[stages]]` that is read.
    pub fn is_staged(&self) -> bool {
        self.stage.is_some()
    }

    /// Whether another stage comes before, which hands something on, or the inputs do.
    pub fn has_payload(&self) -> bool {
        self.stage.map_or(self.inputs.has_payload, |stage| stage > 0 || self.inputs.has_payload)
    }

    /// The stage before that has a column of this name.
    pub(crate) fn passed_column(&self, name: &str) -> Option<&str> {
        self.passed.iter().find(|(column, _)| column == name).map(|(_, stage)| &stage[..])
    }

    /// Notes that the workload takes its payload as a whole, in memory.
    pub fn take_payload(&self) {
        self.takes_payload.set(true);
    }

    /// Whether it does.
    pub(crate) fn takes_payload(&self) -> bool {
        self.takes_payload.get()
    }

    /// The job's name.
    pub fn job(&self) -> &str {
        &self.job
    }

    /// The folder of the job file, absolute.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// How many tasks there are, if that is known.
    pub fn tasks(&self) -> Option<u64> {
        self.inputs.tasks
    }

    /// The files that the job reads: its own, and its inputs'.
    pub fn sources(&self) -> &[PathBuf] {
        &self.inputs.sources
    }

    /// How many of the fields are the inputs' own: they come first.
    pub fn own_fields(&self) -> usize {
        self.inputs.own_fields
    }

    /// The folders that the pattern of the inputs names.
    pub fn input_folders(&self) -> &[PathBuf] {
        &self.inputs.folders
    }

    /// The files that the pattern of the inputs finds, if there is one.
    pub fn found_files(&self) -> Option<&FoundFiles> {
        self.inputs.found.as_ref()
    }

    /// The names of the inputs' fields.
    pub fn fields(&self) -> &[String] {
        self.fields.as_deref().unwrap_or_default()
    }

    /// Notes a mistake at its place.
    pub fn error(&self, span: Range<usize>, message: impl Into<String>) {
        self.document.error(&span, message);
    }

    /// The fields that are arguments where the job file names none: not the size of a batch, which stands last, and not
    /// what the task creates.
    pub fn argument_fields(&self) -> &[String] {
        let own = self.first_created().unwrap_or(self.fields().len());
        match &self.fields()[..own] {
            [fields @ .., _] if self.is_batched() && self.stage.unwrap_or(0) == 0 => fields,
            fields => fields,
        }
    }

    /// Whether the inputs' fields are known.
    pub fn knows_fields(&self) -> bool {
        self.fields.is_some()
    }

    /// Where a part of a string of the job file is: `inner` counts bytes of its `value`.
    pub fn inside(&self, span: &Range<usize>, value: &str, inner: &Range<usize>) -> Range<usize> {
        inside(self.document, span, value, inner)
    }

    /// Notes what is probably a mistake, at its place, and the way out.
    pub fn warn(&self, span: &Range<usize>, message: impl Into<String>, help: impl Into<String>) {
        self.document.warn(span, message, help);
    }

    /// Notes a mistake at its place, and the way out.
    pub fn error_with_help(
        &self,
        span: Range<usize>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.document.error_with_help(&span, message, help);
    }

    /// Notes that something is not there that the job will need. A mistake, unless one of the jobs that this one needs
    /// may make it: then it is looked for again when the job's turn comes.
    pub fn absent(&self, span: Range<usize>, message: impl Into<String>, help: Option<String>) {
        let absence = Diagnostic::new(message).at(self.document.place(&span));
        let absence = match help {
            Some(help) => absence.help(help),
            None => absence,
        };
        self.absent.note(self.document, absence);
    }

    /// Whether what stands at `span` was said of every job, and need not suit this one.
    pub(crate) fn is_default(&self, span: &Range<usize>) -> bool {
        self.document.is_default(span)
    }

    /// What templates may refer to.
    pub fn scope(&self) -> Scope<'_> {
        let stage = match self.stage {
            None | Some(0) if self.inputs.has_payload => StageScope::Fed(&self.to_come),
            None => StageScope::None,
            Some(0) => StageScope::First(&self.to_come),
            Some(_) => StageScope::Later(&self.to_come),
        };
        Scope {
            job: &self.job,
            fields: self.fields.as_deref(),
            stage,
            tasks: self.inputs.tasks,
            secrets: &self.secrets,
            slots: self.slots.as_ref(),
        }
    }
}

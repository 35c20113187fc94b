//! `creates` and `reads`: what a task makes, and of what. They stand at the job's top, since they are the whole task's,
//! whatever its stages and workloads are.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::config::{CREATES, FoundFiles, Planner, Table, Template};
use crate::task::Values;
use crate::workload::output_file::OutputPath;
use crate::workload::target::Target;

/// The files that each task makes, planned.
#[derive(Clone, Debug)]
pub struct Creates {
    outputs: Vec<OutputPath>,
    /// `None`: a task whose files are there is up to date, whatever has changed.
    reads: Option<Vec<Template>>,
    folder: PathBuf,
    /// The files that the job reads: nothing is written over them.
    sources: Vec<PathBuf>,
    /// How many fields the inputs have.
    fields: usize,
    /// How many of the first ones are paths that a pattern has found.
    found_fields: usize,
    /// The inputs, where patterns find them.
    found: Option<FoundFiles>,
}

impl Creates {
    /// What the files are called.
    pub fn templates(&self) -> impl Iterator<Item = &Template> {
        self.outputs.iter().map(OutputPath::template)
    }

    /// Reads both keys; from here on templates can name the files. `None` if the job has no `creates`, or a mistake,
    /// which has been noted.
    pub fn read(root: &mut Table<'_>, plan: &mut Planner<'_>) -> Option<Self> {
        let outputs = root.template_list(CREATES, plan);
        let reads = root.template_list("reads", plan);
        if !root.has(CREATES) {
            if root.has("reads") {
                let help = "write `creates = \"out/…\"`: what the task makes of what it reads";
                let span = root.span_of_key("reads");
                plan.error_with_help(span, "`reads` needs `creates`", help);
            }
            return None;
        }
        let (outputs, fields) = (outputs?, plan.fields().len());
        if root.has("reads") && reads.is_none() {
            return None;
        }
        if plan.is_batched() {
            let message =
                "a task of `batch` has several inputs, and `creates` names what one makes";
            plan.error_with_help(root.span_of_key(CREATES), message, "leave one of them out");
            return None;
        }
        if outputs.is_empty() {
            plan.error(root.span_of(CREATES), "`creates` is empty");
            return None;
        }
        warn_of_a_field(root, plan);
        plan.set_creates(outputs.len());
        let mut is_wrong = false;
        let mut checked = Vec::new();
        for (template, span) in outputs {
            let output = OutputPath::new(template, plan);
            if let Some((message, help)) = mistake(&output, plan) {
                is_wrong = true;
                match help {
                    Some(help) => plan.error_with_help(span, message, help),
                    None => plan.error(span, message),
                }
            }
            checked.push(output);
        }
        let reads = reads.map(|reads| {
            for (template, span) in &reads {
                if let Some(path) = template.literal()
                    && !plan.folder().join(path).is_file()
                {
                    let message = if plan.folder().join(path).is_dir() {
                        format!("`reads` names `{path}`, which is a folder: name its files")
                    } else if path.contains(['*', '?', '[']) {
                        format!("`reads` names `{path}`: it takes names of files, not patterns")
                    } else {
                        format!("`reads` names `{path}`, which is not a file that is there")
                    };
                    plan.absent(span.clone(), message, None);
                }
            }
            reads.into_iter().map(|(template, _)| template).collect()
        });
        (!is_wrong).then(|| Self {
            outputs: checked,
            reads,
            folder: plan.folder().to_owned(),
            sources: plan.sources().to_vec(),
            fields,
            found_fields: if plan.input_folders().is_empty() { 0 } else { plan.own_fields() },
            found: plan.found_files().cloned(),
        })
    }

    /// How many files a task makes.
    pub fn count(&self) -> usize {
        self.outputs.len()
    }

    /// How many fields come before the temporary names.
    pub fn fields(&self) -> usize {
        self.fields
    }

    /// Whether the job says what its tasks read.
    pub fn has_reads(&self) -> bool {
        self.reads.is_some()
    }

    /// Where the files of one task go; their folders are made.
    ///
    /// # Errors
    /// In words, if one cannot be written.
    pub fn place(&self, values: &Values<'_>) -> Result<Vec<Target>, String> {
        self.targets(values, OutputPath::place)
    }

    /// Where the files of one task would go; nothing is made.
    ///
    /// # Errors
    /// As [`Creates::place`].
    pub fn locate(&self, values: &Values<'_>) -> Result<Vec<Target>, String> {
        self.targets(values, OutputPath::locate)
    }

    fn targets(
        &self,
        values: &Values<'_>,
        find: impl Fn(&OutputPath, &Values<'_>) -> Result<Target, String>,
    ) -> Result<Vec<Target>, String> {
        let mut targets: Vec<Target> = Vec::new();
        for output in &self.outputs {
            let target = find(output, values)?;
            let fail = |why: &str| Err(format!("cannot write `{}`: {why}", target.shown));
            if target.is_device {
                return fail("`creates` needs a file, and it is a device or a pipe");
            }
            if targets.iter().any(|other| other.real == target.real) {
                return fail("`creates` names it twice");
            }
            if self.is_read(output, &target, values) {
                return fail("it is the task's own input");
            }
            if self.sources.iter().any(|source| target.is(source)) {
                return fail("the job reads it");
            }
            targets.push(target);
        }
        Ok(targets)
    }

    /// Whether the task, should it not be ok, may leave `failure` for the file with this index: neither it nor its job reads
    /// that.
    pub fn may_leave(&self, index: usize, failure: &Target, values: &Values<'_>) -> bool {
        let is_found = self.found.as_ref().is_some_and(|found| found.has(&failure.real));
        let is_source = || self.sources.iter().any(|source| failure.is(source));
        let output = self.outputs.get(index);
        !(is_found || is_source() || output.is_some_and(|one| self.is_read(one, failure, values)))
    }

    /// Whether the task reads `target`: by `reads`, or since a field has its path. A field that is all of `creates`, or one
    /// of several in it, is there to name it, unless a pattern has found the file.
    fn is_read(&self, output: &OutputPath, target: &Target, values: &Values<'_>) -> bool {
        if !target.path.exists() {
            return false;
        }
        if self.reads(values).iter().any(|(path, _)| target.is(path)) {
            return true;
        }
        let names_it = |field: usize| output.template().fields().any(|shown| shown == field);
        let is_found = self.found.as_ref().is_some_and(|found| found.has(&target.real));
        let is_name = !is_found && (self.fields > 1 || output.template().lone_field().is_some());
        let is_input = |field: usize| field < self.found_fields || !(is_name && names_it(field));
        (0..self.fields).filter(|&field| is_input(field)).any(|field| {
            let value = values.fields.get(field);
            let may_be_a_path = !value.is_empty() && value.len() < 4096 && !value.contains(&0);
            may_be_a_path && target.is(&self.folder.join(OsStr::from_bytes(value)))
        })
    }

    /// The files that one task reads, and as they are written.
    pub fn reads(&self, values: &Values<'_>) -> Vec<(PathBuf, String)> {
        let path = |template: &Template| {
            let mut path = Vec::new();
            template.render(values, &mut path);
            let shown = String::from_utf8_lossy(&path).into_owned();
            (self.folder.join(Path::new(OsStr::from_bytes(&path))), shown)
        };
        self.reads.iter().flatten().map(path).collect()
    }

    /// The files of one task, for people.
    pub fn show(&self, values: &Values<'_>) -> Vec<Vec<u8>> {
        self.outputs.iter().map(|output| output.render(values)).collect()
    }
}

/// What is wrong with a file for every task, and the way out.
fn mistake(output: &OutputPath, plan: &Planner<'_>) -> Option<(String, Option<String>)> {
    if output.template().is_of_an_attempt() {
        let message = "`creates` cannot name `{attempt}` or `{slot}`: the next run has other ones";
        return Some((message.into(), Some("name a field, or the task's number: `{task}`".into())));
    }
    if output.template().has_payload() {
        return Some(("`creates` cannot name `{payload}`".into(), None));
    }
    output.mistake(plan.tasks(), plan.sources())
}

/// A field of that name hides the placeholder.
fn warn_of_a_field(root: &Table<'_>, plan: &Planner<'_>) {
    if plan.fields().iter().any(|field| field == CREATES) {
        let message = "`{creates}` is the field of the inputs, not the file that the task makes";
        let help = "give the field another name to write under a temporary name";
        plan.warn(&root.span_of_key(CREATES), message, help);
    }
}

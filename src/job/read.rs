//! Reads job files: all of them, and all mistakes of all of them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::base::{Diagnostic, Diagnostics};
use crate::config::Choices;
use crate::config::RawFile;
use crate::config::raw;
use crate::config::runner_toml::RunnerToml;
use crate::config::{Absent, Argument, Overrides, runner_toml};
use crate::job::groups::Groups;
use crate::job::inputs::{OwnFiles, Writes};
use crate::job::needs::{Head, KINDS, Order};
use crate::job::plan::{PlannedFile, Setting};
use crate::job::{Dealt, Job, Reported};
use crate::sys::descriptor_in;
use crate::workload::real_folder::real_folder;

/// Reads and plans the jobs of `files`, changed by what the command line says, as far as that can be done before any
/// has run. Each comes after those that it needs; else they stay in the order of the files.
///
/// # Errors
/// All mistakes of all files, each at its place.
pub fn read_batch(
    files: &[PathBuf],
    overrides: &Overrides,
) -> Result<Vec<PlannedJob>, Diagnostics> {
    let arguments = overrides.arguments()?;
    let mut errors = Diagnostics::default();
    let files = job_files(files, &mut errors);
    let mut call = Call::new(&files, arguments, overrides, &mut errors);
    let raws: Vec<_> = files.iter().map(|file| RawFile::read(file)).collect();
    let heads: Vec<_> = raws.iter().map(|raw| Head::read(raw, &call.arguments)).collect();
    call.writers = files.iter().zip(&heads).map(|(file, head)| call.writer(file, head)).collect();
    let call = Arc::new(call);
    let choices =
        Choices { limit: overrides.limit, resume: overrides.resume, ..Choices::default() };
    let mut misplaced = Vec::new();
    let order = Order::of(&heads, &mut misplaced);

    let mut planned: Vec<Option<PlannedFile>> = files.iter().map(|_| None).collect();
    for &index in &order.jobs {
        let reported = |name: &str| {
            let needed = order.needs[index].iter().find(|&&need| heads[need].name == name)?;
            planned[*needed].as_ref()?.job.as_ref().map(Reported::planned)
        };
        let absent = if heads[index].has_needs() { Absent::ToCome } else { Absent::Mistake };
        planned[index] = Some(call.plan(&raws[index], choices, absent, &reported));
    }
    let planned: Vec<_> = planned.into_iter().map(|file| file.expect("all are in it")).collect();
    errors.extend(planned.iter().flat_map(|file| file.errors.iter().cloned()));
    errors.extend(misplaced);
    errors.extend(clashes(&planned));
    let jobs = || planned.iter().filter_map(|file| file.job.as_ref());
    errors.extend(readers_of_stdin(jobs()));
    let is_stdin = |file: &&Path| raw::is_stdin(file) || descriptor_in(file) == Some("0");
    if files.iter().any(is_stdin) && jobs().any(|job| job.inputs.reads_stdin()) {
        let message = "the job itself comes from standard input: its inputs cannot";
        errors.push(Diagnostic::new(message).help("write one of the two into a file"));
    }
    if errors.is_empty() {
        errors.extend(call.groups.unused());
    }
    if !errors.is_empty() {
        return Err(errors);
    }

    let mut parts: Vec<_> = planned.into_iter().zip(raws).map(Some).collect();
    let place = |need: &usize| order.jobs.iter().position(|job| job == need).expect("all are");
    let jobs = order.jobs.iter().map(|&index| {
        let (file, raw) = parts[index].take().expect("each is once in the order");
        let absences = file.absences.into_iter().collect();
        PlannedJob {
            name: heads[index].name.clone(),
            results: call.results(&file.file).to_owned(),
            needs: order.needs[index].iter().map(place).collect(),
            exclusive: heads[index].exclusive,
            plan: file.job.ok_or(absences),
            has_needs: heads[index].has_needs(),
            raw: RawJob { raw, choices, call: Arc::clone(&call) },
            file: file.file,
        }
    });
    Ok(jobs.collect())
}

/// Reads and plans the jobs of `files` in the same order, all of them for good: what a needed job would have to make
/// first must be there.
///
/// # Errors
/// All mistakes of all files, each at its place.
pub fn read(files: &[PathBuf], overrides: &Overrides) -> Result<Vec<Job>, Diagnostics> {
    let mut jobs = Vec::new();
    let mut errors = Diagnostics::default();
    for planned in read_batch(files, overrides)? {
        match planned.plan {
            Ok(job) => jobs.push(job),
            Err(absences) => errors.extend(absences.iter().cloned()),
        }
    }
    if errors.is_empty() { Ok(jobs) } else { Err(errors) }
}

/// A job that another process has read and dealt out, as that has read it.
#[derive(Clone, Debug)]
pub struct Elsewhere {
    /// The job file, absolute.
    pub file: PathBuf,
    /// Its text.
    pub text: String,
    /// The text of the `runner.toml` beside it, if there was one.
    pub settings: Option<String>,
    /// The changes by the command line.
    pub overrides: Overrides,
}

/// Plans a part of a job as it was read elsewhere. The files on this machine do not count, but those that tasks use.
///
/// # Errors
/// All mistakes: what was right there need not be right here.
pub fn read_elsewhere(job: &Elsewhere, dealt: Arc<Dealt>) -> Result<Job, Diagnostics> {
    let arguments = job.overrides.arguments()?;
    let mut errors = Diagnostics::default();
    let settings = job.settings.clone().map(|text| RunnerToml::of(&job.file, text));
    let settings: Vec<_> = match settings.transpose() {
        Ok(found) => found.map(|found| (folder(&job.file), found)).into_iter().collect(),
        Err(mistakes) => return Err(mistakes.into_iter().collect()),
    };
    let mut mistakes = Vec::new();
    let of_files: Vec<_> = settings.iter().map(|(_, settings)| settings).collect();
    let groups = Groups::new(&job.overrides.groups, &of_files, &mut mistakes);
    errors.extend(mistakes);
    let call = Call {
        arguments,
        groups,
        settings,
        results: job.overrides.results.clone(),
        writers: Vec::new(),
    };
    let raw = RawFile::of(&job.file, job.text.clone());
    let setting = Setting {
        arguments: &call.arguments,
        groups: &call.groups,
        shared: call.shared(&raw.file),
        results: call.results(&raw.file),
        choices: Choices::default(),
        absent: Absent::Mistake,
        own: Arc::default(),
        dealt: Some(dealt),
        reported: &|_| None,
    };
    let planned = PlannedFile::plan(&raw, &setting);
    errors.extend(planned.errors);
    errors.extend(planned.absences);
    planned.job.filter(|_| errors.is_empty()).ok_or(errors)
}

/// A job among those that are given together.
#[derive(Debug)]
pub struct PlannedJob {
    /// Its name.
    pub name: String,
    /// The job file as it was given.
    pub file: PathBuf,
    /// The folder of its report.
    pub results: PathBuf,
    /// The places, in this batch, of the jobs that it needs: all are before its own.
    pub needs: Vec<usize>,
    /// Whether it runs alone.
    pub exclusive: bool,
    /// The planned job, or what is still missing.
    plan: Result<Job, Diagnostics>,
    /// Whether it needs any job: then it is planned again when its turn comes.
    has_needs: bool,
    raw: RawJob,
}

impl PlannedJob {
    /// The plan as it is known before anything has run.
    ///
    /// # Errors
    /// What is still missing.
    pub fn plan(&self) -> Result<&Job, &Diagnostics> {
        self.plan.as_ref()
    }

    /// The plan, now that the job's turn has come. `reported` says what the jobs that it needs have left.
    ///
    /// # Errors
    /// What none of them has created, and what is wrong with what they created.
    pub fn settle(self, reported: &dyn Fn(&str) -> Option<Reported>) -> Result<Job, Diagnostics> {
        let reads_once = |job: &Job| job.inputs.can_block() || job.inputs.reads_stdin();
        // The files that it reads may be other ones than those that were there before.
        if self.has_needs && !self.plan.as_ref().is_ok_and(reads_once) {
            return self.raw.settle(self.raw.choices, reported);
        }
        self.plan
    }

    /// The plan as it is known before anything has run, and what it was made of.
    ///
    /// # Errors
    /// What is not there.
    pub fn into_parts(self) -> Result<(Job, RawJob), Diagnostics> {
        Ok((self.plan?, self.raw))
    }
}

/// A job as its file has it: read and parsed once, and settled as often as it has to be.
#[derive(Debug)]
pub struct RawJob {
    raw: RawFile,
    /// What the command line chooses.
    choices: Choices,
    call: Arc<Call>,
}

impl RawJob {
    /// The job that it comes to, where `choices` decide what they name. `reported` says what the jobs that it needs have
    /// left.
    ///
    /// # Errors
    /// All mistakes, and what is not there.
    pub fn settle(
        &self,
        choices: Choices,
        reported: &dyn Fn(&str) -> Option<Reported>,
    ) -> Result<Job, Diagnostics> {
        let planned = self.call.plan(&self.raw, choices, Absent::Mistake, reported);
        planned.job.ok_or_else(|| planned.errors.into_iter().chain(planned.absences).collect())
    }

    /// The text of the file when it was read.
    pub fn text(&self) -> &str {
        self.raw.parsed.as_ref().map_or("", |parsed| &parsed.source().text)
    }

    /// Whether the file itself has this key in this table.
    pub fn has(&self, table: &str, key: &str) -> bool {
        self.raw.has(table, key)
    }
}

/// What planning the jobs of one call needs.
#[derive(Debug)]
struct Call {
    arguments: Vec<Argument>,
    groups: Groups,
    /// By the folder of the job files.
    settings: Vec<(PathBuf, RunnerToml)>,
    /// Of the command line.
    results: Option<PathBuf>,
    /// What its jobs write.
    writers: Vec<Writer>,
}

/// A job as one that writes files.
#[derive(Debug)]
struct Writer {
    file: PathBuf,
    name: String,
    needs: Vec<String>,
    writes: Writes,
}

impl Call {
    fn new(
        files: &[&Path],
        arguments: Vec<Argument>,
        overrides: &Overrides,
        errors: &mut Diagnostics,
    ) -> Self {
        let mut folders: Vec<PathBuf> = Vec::new();
        let mut settings = Vec::new();
        for file in files {
            let folder = folder(file);
            if folders.contains(&folder) {
                continue;
            }
            match RunnerToml::beside(file) {
                Ok(found) => settings.extend(found.map(|found| (folder.clone(), found))),
                Err(mistakes) => errors.extend(mistakes),
            }
            folders.push(folder);
        }
        let mut mistakes = Vec::new();
        let files: Vec<_> = settings.iter().map(|(_, settings)| settings).collect();
        let groups = Groups::new(&overrides.groups, &files, &mut mistakes);
        errors.extend(mistakes);
        Self {
            arguments,
            groups,
            settings,
            results: overrides.results.clone(),
            writers: Vec::new(),
        }
    }

    /// What the job of `file` writes.
    fn writer(&self, file: &Path, head: &Head) -> Writer {
        let results = self.results(file);
        let results = std::path::absolute(results).unwrap_or_else(|_| results.to_owned());
        let of_defaults = |(key, _): &&(&str, &str)| {
            self.shared(file).is_some_and(|settings| settings.has_default("report", key))
        };
        let kinds = KINDS.iter().filter(of_defaults).map(|(_, kind)| (*kind).to_owned());
        let kinds = kinds.chain(head.kinds.iter().cloned()).collect();
        Writer {
            file: file.to_owned(),
            name: head.name.clone(),
            needs: head.needed(),
            writes: Writes { results: real_folder(&results), kinds },
        }
    }

    /// What the patterns of the job of `file` do not find. The reports of jobs that it needs are whole by then.
    fn own_files(&self, file: &Path) -> OwnFiles {
        let needs = self.writers.iter().find(|writer| writer.file == file);
        let needs = needs.map_or(&[][..], |writer| &writer.needs);
        let others = self.writers.iter().filter(|writer| !needs.contains(&writer.name));
        OwnFiles::of(others.map(|writer| (writer.name.clone(), writer.writes.clone())))
    }

    fn shared(&self, file: &Path) -> Option<&RunnerToml> {
        let folder = folder(file);
        self.settings.iter().find(|(of, _)| *of == folder).map(|(_, settings)| settings)
    }

    /// The folder of the report of the job in `file`.
    fn results(&self, file: &Path) -> &Path {
        let given = self.results.as_deref();
        given
            .or_else(|| self.shared(file).and_then(RunnerToml::results))
            .unwrap_or(Path::new(RESULTS))
    }

    fn plan(
        &self,
        raw: &RawFile,
        choices: Choices,
        absent: Absent,
        reported: &dyn Fn(&str) -> Option<Reported>,
    ) -> PlannedFile {
        let setting = Setting {
            arguments: &self.arguments,
            groups: &self.groups,
            shared: self.shared(&raw.file),
            results: self.results(&raw.file),
            choices,
            absent,
            own: Arc::new(self.own_files(&raw.file)),
            dealt: None,
            reported,
        };
        PlannedFile::plan(raw, &setting)
    }
}

/// The default folder of reports.
const RESULTS: &str = "results";

fn folder(file: &Path) -> PathBuf {
    let file = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    file.parent().map(Path::to_owned).unwrap_or_default()
}

/// The files that are jobs: who writes `jobs/*.toml` means the `runner.toml` among them as what it is.
fn job_files<'a>(files: &'a [PathBuf], errors: &mut Diagnostics) -> Vec<&'a Path> {
    let is_job = |file: &&Path| file.file_name().is_none_or(|name| name != runner_toml::NAME);
    let jobs: Vec<_> = files.iter().map(PathBuf::as_path).filter(is_job).collect();
    if jobs.is_empty()
        && let Some(file) = files.first()
    {
        let message = format!(
            "`{}` is not a job file: it has settings for the jobs in its folder",
            file.display()
        );
        errors.push(Diagnostic::new(message).help("name a job file, too"));
    }
    jobs
}

/// Jobs of one name would write one report.
fn clashes(planned: &[PlannedFile]) -> Vec<Diagnostic> {
    let mut clashes = Vec::new();
    for (index, file) in planned.iter().enumerate() {
        let earlier = &planned[..index];
        let shown = file.file.display();
        if earlier.iter().any(|other| same_file(&other.file, &file.file)) {
            clashes.push(Diagnostic::new(format!("`{shown}` is given twice")).help("name it once"));
            continue;
        }
        let Some((name, place)) = &file.name else { continue };
        let same = earlier.iter().find(|other| other.name.as_ref().is_some_and(|(n, _)| n == name));
        let Some(other) = same else { continue };
        let message =
            format!("two jobs are called `{name}`: `{}` and `{shown}`", other.file.display());
        let clash = Diagnostic::new(message).help("give one of them another `name`");
        clashes.push(match place {
            Some(place) => clash.at(place.clone()),
            None => clash,
        });
    }
    clashes
}

fn same_file(left: &Path, right: &Path) -> bool {
    left == right
        || matches!((left.canonicalize(), right.canonicalize()), (Ok(left), Ok(right)) if left == right)
}

/// Reports jobs that share standard input: what one of them reads, the other one cannot.
fn readers_of_stdin<'a>(jobs: impl Iterator<Item = &'a Job>) -> Option<Diagnostic> {
    let mut readers = jobs.filter(|job| job.inputs.reads_stdin());
    let (first, second) = (readers.next()?, readers.next()?);
    let message = format!("two jobs read standard input, `{}` and `{}`", first.name, second.name);
    Some(Diagnostic::new(message).help("run them one at a time, or let one read a file"))
}

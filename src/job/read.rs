//! Reads job files: all of them, and all mistakes of all of them.

use std::path::{Path, PathBuf};

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::job::plan::PlannedFile;
use crate::job::{Job, Overrides};

/// Reads and plans the jobs of `files`, changed by what the command line says.
///
/// # Errors
/// All mistakes of all files, each at its place.
pub fn read(files: &[PathBuf], overrides: &Overrides) -> Result<Vec<Job>, Diagnostics> {
    let arguments = overrides.arguments()?;
    let planned: Vec<PlannedFile> = files
        .iter()
        .map(|file| match text(file) {
            Ok(text) => PlannedFile::plan(file, text, &arguments),
            Err(error) => PlannedFile::unreadable(file, error),
        })
        .collect();
    let mut errors = Diagnostics::default();
    let clashes = clashes(&planned);
    let mut jobs = Vec::new();
    for file in planned {
        errors.extend(file.errors);
        jobs.extend(file.job);
    }
    errors.extend(clashes);
    errors.extend(readers_of_stdin(&jobs));
    if errors.is_empty() { Ok(jobs) } else { Err(errors) }
}

/// The text of a job file.
fn text(file: &Path) -> Result<String, Diagnostic> {
    let bytes = std::fs::read(file).map_err(|error| Diagnostic::unreadable(file, &error))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let line = memchr::memchr_iter(b'\n', &error.as_bytes()[..valid]).count() + 1;
        Diagnostic::new(format!(
            "`{}` is not UTF-8: line {line} is the first that is not",
            file.display()
        ))
        .help("save the file as UTF-8")
    })?;
    if text.trim().is_empty() {
        return Err(Diagnostic::new(format!("`{}` is empty", file.display()))
            .help("a job needs at least `[workload.command]` with `argv = [\"…\"]`"));
    }
    Ok(text)
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

/// What one job has read of standard input, the next one cannot.
fn readers_of_stdin(jobs: &[Job]) -> Option<Diagnostic> {
    let mut readers = jobs.iter().filter(|job| job.inputs.reads_stdin());
    let (first, second) = (readers.next()?, readers.next()?);
    let message = format!("two jobs read standard input, `{}` and `{}`", first.name, second.name);
    Some(Diagnostic::new(message).help("run them one at a time, or let one read a file"))
}

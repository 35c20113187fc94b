//! The made files of a job that is done in parts: each start of a part has records of its own, in its own folder, and its
//! own temporary names, so that two starts of one part do not meet. What the start that counts has noted goes into the
//! records of the job.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::files::temporary;
use super::record::Records;
use super::{records_in, tag_of, values};
use crate::job::Job;
use crate::task::Fields;
use crate::workload::claims::key_of;
use crate::workload::creates::Creates;
use crate::workload::target::Target;

/// Sees to it that no two tasks make the same file, and none a file of the report.
#[derive(Debug)]
pub struct Makers {
    creates: Creates,
    reserved: Vec<PathBuf>,
    /// The task that makes each file.
    tasks: HashMap<PathBuf, u64>,
}

impl Makers {
    /// For `job`, whose report is in the files `reserved`; `None` if it makes none.
    pub fn new(job: &Job, reserved: &[PathBuf]) -> Option<Self> {
        let creates = job.creates.clone()?;
        Some(Self { creates, reserved: reserved.to_vec(), tasks: HashMap::new() })
    }

    /// Notes what the task with this input makes.
    ///
    /// # Errors
    /// In words, if another one makes it.
    pub fn add(&mut self, number: u64, fields: &Fields) -> Result<(), String> {
        // One that has no place for its files fails when its turn has come.
        for target in targets(&self.creates, number, fields) {
            if self.reserved.contains(&target.real) {
                let shown = target.shown;
                return Err(format!(
                    "task {number} makes `{shown}`, which is a file of the report"
                ));
            }
            if let Some(other) = self.tasks.insert(target.real, number) {
                let shown = target.shown;
                return Err(format!("the tasks {other} and {number} both make `{shown}`"));
            }
        }
        Ok(())
    }
}

fn targets(creates: &Creates, number: u64, fields: &Fields) -> Vec<Target> {
    creates.locate(&values(number, fields)).unwrap_or_default()
}

/// Begins the records of a start in the folder `into`, with what the job's records in `results` and those of the starts
/// before it, the oldest first, say of these tasks.
///
/// # Errors
/// If they cannot be read or written.
pub fn carry_on(
    job: &Job,
    (results, earlier): (&Path, &[PathBuf]),
    into: &Path,
    tasks: impl Iterator<Item = io::Result<(u64, Fields)>>,
) -> io::Result<()> {
    let Some(creates) = &job.creates else { return Ok(()) };
    let mut keys = HashSet::new();
    for task in tasks {
        let (number, fields) = task?;
        let targets = targets(creates, number, &fields);
        keys.extend(targets.iter().map(|target| key_of(&target.real)));
    }
    let records = Records::open(&records_in(into, &job.name))?;
    let known = |folder: &Path| -> io::Result<Vec<_>> {
        let mut all = Records::read(&records_in(folder, &job.name))?.all();
        all.retain(|(key, _)| keys.contains(key));
        Ok(all)
    };
    let (of_run, before): (Vec<_>, Vec<_>) =
        known(results)?.into_iter().partition(|(_, known)| known.is_of_run());
    for (key, known) in before {
        records.take(key, &known)?;
    }
    records.start_run()?;
    for (key, known) in of_run {
        records.take(key, &known)?;
    }
    for folder in earlier {
        for (key, known) in known(folder)? {
            records.take(key, &known)?;
        }
    }
    Ok(())
}

/// A run of `job` starts that goes on with no other.
///
/// # Errors
/// If its records in the folder `results` cannot be read or written.
pub fn start_run(job: &Job, results: &Path) -> io::Result<()> {
    if job.creates.is_none() {
        return Ok(());
    }
    Records::open(&records_in(results, &job.name))?.start_run()
}

/// The records of a job whose parts are put together.
#[derive(Debug)]
pub struct Gathered {
    creates: Creates,
    job: String,
    records: Records,
}

impl Gathered {
    /// Those of `job` in the folder `results`; `None` if it makes no files.
    ///
    /// # Errors
    /// If they cannot be read or written.
    pub fn open(job: &Job, results: &Path) -> io::Result<Option<Self>> {
        let Some(creates) = job.creates.clone() else { return Ok(None) };
        let records = Records::open(&records_in(results, &job.name))?;
        Ok(Some(Self { creates, job: job.name.clone(), records }))
    }

    /// Takes over what the start in `folder` has noted.
    ///
    /// # Errors
    /// If that cannot be read or written.
    pub fn take(&self, folder: &Path) -> io::Result<()> {
        for (key, known) in Records::read(&records_in(folder, &self.job))?.all() {
            self.records.take(key, &known)?;
        }
        Ok(())
    }

    /// Removes what the start in `folder` has left of these tasks under temporary names.
    pub fn clear(&self, folder: &Path, tasks: impl Iterator<Item = (u64, Fields)>) {
        let tag = tag_of(&records_in(folder, &self.job));
        for (number, fields) in tasks {
            for Target { path, .. } in targets(&self.creates, number, &fields) {
                let _ = fs::remove_file(path.with_file_name(temporary(tag, &path)));
            }
        }
    }
}

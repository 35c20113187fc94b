//! The files that tasks make: which tasks have to run, under which names they write, and what becomes of it.
//!
//! A task whose files are there does not run. One that runs writes under temporary names beside them, or under their own
//! names; when it is ok they are whole under their own, and when it is not, what it wrote is `NAME.failed`.
//! `results/.<job>.made` has of each file when its task was begun and when that was ok, so that a kill leaves nothing that
//! passes for whole, however the file is called then: the links of its path have been followed.

mod files;
pub mod parts;
mod record;
mod seen;

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempDir;
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use crate::base::diagnostic::reason;
use crate::job::Job;
use crate::report::{Begin, Options, Standing};
use crate::task::{Fields, MadeFile, Making, Outcome, SeenFile, Status, Task, Values};
use crate::workload::claims::{Claims, WHOLE_TASK, Writer, key_of};
use crate::workload::creates::Creates;
use crate::workload::leftover;
use crate::workload::target::Target;
use crate::workload::written::WrittenFiles;
use files::{
    Leaving, MayLeave, begin_again, enter, enter_again, forget, left, name_all, note_all,
    set_aside, stamp, temporary,
};
use record::{Entry, Records};
use seen::Contents;

/// What a job with `creates` makes.
#[derive(Debug)]
pub struct MadeFiles {
    creates: Creates,
    /// The job's name, what it does, and how many fields its inputs have.
    job: (String, [u8; 32], usize),
    standing: Standing,
    records: Records,
    contents: Contents,
    claims: Arc<Claims>,
    /// Tells the temporary names of this job from those of others.
    tag: u64,
    /// Where the files of a comparison go, which deletes them.
    apart: Option<TempDir>,
    /// What is compared of them.
    written: Option<Arc<WrittenFiles>>,
}

/// What becomes of a task.
#[derive(Debug)]
pub enum Turn {
    /// It runs.
    Run,
    /// Its files are there.
    Skip,
}

/// One task with the files that are its own.
struct Seen {
    targets: Vec<Target>,
    reads: Vec<(PathBuf, String)>,
    /// What each of `targets` is known by.
    keys: Vec<u128>,
    /// The hash of the task.
    task: u128,
}

impl MadeFiles {
    fn new(creates: Creates, job: &Job, standing: Standing, records: Records) -> Self {
        Self {
            creates,
            job: (job.name.clone(), job.identity, job.fields.len()),
            standing,
            records,
            contents: Contents::default(),
            claims: Arc::default(),
            tag: 0,
            apart: None,
            written: None,
        }
    }

    /// The files of `job`, whose records are in the folder `results`; `None` if it makes none.
    ///
    /// # Errors
    /// In words, if the records cannot be read or written.
    pub fn open(job: &Job, options: &Options) -> Result<Option<Self>, String> {
        let Some(creates) = job.creates.clone() else { return Ok(None) };
        let Options { results, standing, claims, written, .. } = options;
        let standing = *standing;
        let path = records_in(results, &job.name);
        let fail =
            |error: &io::Error| format!("cannot use `{}`: {}", path.display(), reason(error));
        let (records, apart) = if standing == Standing::Compared {
            let folder = tempfile::Builder::new().prefix(".made-").tempdir_in(results);
            (Records::none(), Some(folder.map_err(|error| fail(&error))?))
        } else {
            let records = Records::open(&path).map_err(|error| fail(&error))?;
            if matches!(options.begin, Begin::Anew | Begin::Fresh) {
                records.start_run().map_err(|error| fail(&error))?;
            }
            claims.keep(records.of_tasks());
            (records, None)
        };
        Ok(Some(Self {
            claims: Arc::clone(claims),
            written: written.clone(),
            tag: tag_of(&path),
            apart,
            ..Self::new(creates, job, standing, records)
        }))
    }

    /// Why each task would run or not, for a plan that changes nothing.
    ///
    /// # Errors
    /// In words, if the records cannot be read.
    pub fn planned(job: &Job, standing: Standing) -> Result<Option<Self>, String> {
        let Some(creates) = job.creates.clone() else { return Ok(None) };
        let path = records_in(&job.results, &job.name);
        let records = Records::read(&path)
            .map_err(|error| format!("cannot read `{}`: {}", path.display(), reason(&error)))?;
        Ok(Some(Self::new(creates, job, standing, records)))
    }

    /// Why the task with this input would run; `None` if it is up to date.
    ///
    /// # Errors
    /// In words, if it would fail before it starts.
    pub fn why(&self, number: u64, fields: &Fields) -> Result<Option<String>, String> {
        let values = values(number, fields);
        let seen = self.see(&values, Creates::locate)?;
        self.need(&seen)
    }

    /// Whether a row of an earlier run still says what is there.
    pub fn is_current(&self, number: u64, fields: &Fields) -> bool {
        self.standing == Standing::Kept && matches!(self.why(number, fields), Ok(None))
    }

    /// Whether it takes a while to tell what becomes of a task: long files have to be read.
    pub fn is_slow(&self, task: &Task) -> bool {
        if task.making.is_some() || !self.creates.has_reads() {
            return false;
        }
        let reads = self.creates.reads(&values(task.number, &task.fields));
        reads.iter().any(|(path, _)| seen::is_long(path))
    }

    /// What becomes of a task that is about to be attempted. One that runs is told under which names to write.
    ///
    /// # Errors
    /// In words, why it cannot start.
    pub fn begin(&self, task: &mut Task) -> Result<Turn, String> {
        if let Some(making) = &mut task.making {
            match &self.apart {
                None => {
                    let may_leave = |failed: &Path| self.may_leave(failed);
                    begin_again(making, self.leaving(&may_leave));
                }
                Some(_) => forget(making),
            }
            return Ok(Turn::Run);
        }
        let values = values(task.number, &task.fields);
        let seen = self.see(&values, Creates::place)?;
        for target in &seen.targets {
            self.claim(target, task.number)?;
        }
        // One that this run has begun already has no row: a kill came before that, and only a new attempt can fill it.
        let has_begun = seen.keys.iter().any(|&key| self.records.has_begun(key));
        if self.need(&seen)?.is_none() && !has_begun {
            return Ok(Turn::Skip);
        }
        // Before it starts: what changes meanwhile, it may not have seen.
        let reads = seen.reads.iter().map(|(path, shown)| self.contents.see(path, shown));
        let reads = reads.collect::<Result<_, _>>()?;
        let files = seen.targets.iter().enumerate();
        let files: Vec<_> =
            files.map(|(index, target)| self.file(target, &values, index)).collect();
        let hash = seen.task;
        self.records
            .add_all(&seen.keys, &Entry::Begun)
            .map_err(|error| format!("cannot note that it runs: {}", reason(&error)))?;
        task.fields.pad(self.job.2);
        for file in &files {
            let _ = fs::remove_file(&file.temporary); // what a killed run has left
            task.fields.push(file.temporary.as_os_str().as_bytes());
        }
        task.making = Some(Box::new(Making { files, task: hash, reads, stage: 0 }));
        Ok(Turn::Run)
    }

    /// A task is about to be attempted in the later stage with this index: it begins with what it has entered it with.
    ///
    /// # Errors
    /// In words, if its last attempt there has changed that.
    pub fn enter(&self, task: &mut Task, stage: usize) -> Result<(), String> {
        let Some(making) = &mut task.making else { return Ok(()) };
        if making.stage != stage {
            enter(making, stage);
            return Ok(());
        }
        let is_apart = self.apart.is_some();
        let may_leave = |failed: &Path| !is_apart && self.may_leave(failed);
        enter_again(making, is_apart, self.leaving(&may_leave))
    }

    fn leaving<'a>(&'a self, may_leave: MayLeave<'a>) -> Leaving<'a> {
        Leaving { may_leave, claims: &self.claims }
    }

    /// Whether what a task leaves that is not ok may have this name. It is noted, lest a task that makes a file of this name
    /// takes it for that.
    fn may_leave(&self, failed: &Path) -> bool {
        if self.claims.has(failed) {
            return false;
        }
        let key = key_of(failed);
        self.records.get(key) == Some(Entry::Left) || self.records.add(key, &Entry::Left).is_ok()
    }

    /// What the task is, and which files it has.
    fn see(
        &self,
        values: &Values<'_>,
        find: impl Fn(&Creates, &Values<'_>) -> Result<Vec<Target>, String>,
    ) -> Result<Seen, String> {
        let targets = find(&self.creates, values)?;
        let mut task = self.job.1.to_vec();
        task.extend_from_slice(&values.fields.raw());
        // The number 1 is another input than the text "1".
        task.extend(values.fields.bare().flat_map(usize::to_le_bytes));
        let keys = targets.iter().map(|target| key_of(&target.real)).collect();
        Ok(Seen { targets, reads: self.creates.reads(values), keys, task: xxh3_128(&task) })
    }

    /// Why the task has to run; `None` if it has not.
    fn need(&self, seen: &Seen) -> Result<Option<String>, String> {
        for (path, shown) in &seen.reads {
            seen::check(path, shown)?;
        }
        if let Some(missing) = seen.targets.iter().find(|target| !target.path.is_file()) {
            return Ok(Some(format!("`{}` is not there", missing.shown)));
        }
        match self.standing {
            Standing::Kept => {}
            Standing::Forced => return Ok(Some("--force".into())),
            Standing::Compared => return Ok(Some("it is compared".into())),
        }
        let known: Vec<_> = seen.keys.iter().map(|&key| self.records.get(key)).collect();
        if known.iter().flatten().any(|entry| matches!(entry, Entry::Begun | Entry::Left)) {
            return Ok(Some("its last run did not end ok".into()));
        }
        if !self.creates.has_reads() {
            return Ok(None);
        }
        let (mut looked_at, mut now) = (None, None);
        for entry in &known {
            let Some(Entry::Made { task, reads }) = entry else {
                return Ok(Some("no run of it is on record".into()));
            };
            if *task != seen.task {
                return Ok(Some("its input or the workload has changed".into()));
            }
            if looked_at.replace(reads) == Some(reads) {
                continue; // one run has made several files
            }
            match self.look_again(seen, reads)? {
                Ok(found) if found == *reads => {}
                Ok(found) => now = Some(found),
                Err(changed) => return Ok(Some(changed)),
            }
        }
        if let Some(reads) = now
            && self.standing == Standing::Kept
        {
            // Written again with the same content: next time that need not be read again.
            let _ = self.records.add_all(&seen.keys, &Entry::Made { task: seen.task, reads });
        }
        Ok(None)
    }

    /// What the task reads, if that is still what it was; else what has changed.
    fn look_again(
        &self,
        seen: &Seen,
        reads: &[SeenFile],
    ) -> Result<Result<Box<[SeenFile]>, String>, String> {
        if reads.len() != seen.reads.len() {
            return Ok(Err("it reads other files".into()));
        }
        let mut now = Vec::new();
        for ((path, shown), before) in seen.reads.iter().zip(reads) {
            match self.contents.same(path, shown, before)? {
                Some(same) => now.push(same),
                None => return Ok(Err(format!("`{shown}` has changed"))),
            }
        }
        Ok(Ok(now.into()))
    }

    /// Claims the files of a task whose row is kept.
    pub fn own(&self, number: u64, fields: &Fields) {
        let targets = self.creates.locate(&values(number, fields)).unwrap_or_default();
        for target in &targets {
            let _ = self.claim(target, number); // nothing is written here
        }
    }

    fn claim(&self, target: &Target, task: u64) -> Result<(), String> {
        let fail = |why: &str| format!("cannot write `{}`: {why}", target.shown);
        let writer = Writer { job: &self.job.0, task, place: WHOLE_TASK };
        self.claims.claim(&target.real, writer).map_err(|why| fail(&why))
    }

    fn file(&self, target: &Target, values: &Values<'_>, index: usize) -> MadeFile {
        let (path, shown) = (target.path.clone(), target.shown.clone());
        let temporary = match &self.apart {
            None => path.with_file_name(temporary(self.tag, &path)),
            Some(folder) => {
                let name = path.file_name().unwrap_or_default();
                let folder = folder.path().join(format!("{}.{index}", values.task));
                let _ = fs::create_dir(&folder); // writing there will tell
                folder.join(name)
            }
        };
        let before = stamp(&path);
        let failure = target.of_failure();
        let failed = self.creates.may_leave(index, &failure, values).then_some(failure.real);
        let (key, left_before) = (key_of(&target.real), failed.as_deref().and_then(stamp));
        MadeFile { temporary, path, failed, left_before, shown, key, before, at_entry: [None; 2] }
    }

    /// The last stage of the task is ok: what it has made gets its names. Without that it is a failure.
    pub fn finish(&self, task: &Task, outcome: &mut Outcome) {
        let Some(making) = &task.making else { return };
        if outcome.status != Status::Ok {
            return;
        }
        let named = match &self.written {
            Some(written) => note_all(task.number, making, written),
            None => name_all(making, &|failed| {
                !self.claims.has(failed) && leftover::may_replace(failed, &self.claims)
            }),
        };
        if let Err(message) = named {
            return outcome.fail(&message);
        }
        let Making { files, task, reads, .. } = &**making;
        let keys: Vec<_> = files.iter().map(|file| file.key).collect();
        let entry = Entry::Made { task: *task, reads: reads.clone().into() };
        if let Err(error) = self.records.add_all(&keys, &entry) {
            outcome.append(&format!("cannot note that it is ok: {}", reason(&error)));
        }
    }

    /// The task has ended, and not ok: what it has written does not pass for whole. Says what is not kept of that.
    pub fn fail(&self, task: &Task) -> Option<String> {
        let making = task.making.as_deref().filter(|_| self.apart.is_none())?;
        let may_leave = |failed: &Path| self.may_leave(failed);
        let lost = set_aside(making, self.leaving(&may_leave));
        for failed in making.files.iter().filter_map(left) {
            self.may_leave(failed); // its standard output has got that name without us
        }
        let shown = lost.first()?;
        Some(format!(
            "what it wrote of `{shown}` is not kept: `{shown}.failed` is read or made by a task, or not known to be what a \
             failed task has left"
        ))
    }
}

/// Where the records of a job are that writes into the folder `results`.
fn records_in(results: &Path, job: &str) -> PathBuf {
    results.join(format!(".{job}.made"))
}

/// What tells the temporary names of the job whose records are at `path` from those of others.
fn tag_of(path: &Path) -> u64 {
    let place = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    xxh3_64(place.as_os_str().as_bytes())
}

fn values(task: u64, fields: &Fields) -> Values<'_> {
    Values { fields, task, attempt: 1, slot: 1, payload: None }
}

//! Reads the inputs of a job: for a new run into its snapshot, for one that is adopted to see whether they are the same.

use std::path::Path;
use std::{fs, iter};

use crate::cluster::failed;
use crate::cluster::folder::RunFolder;
use crate::cluster::plan::{self, InputFacts, Plan};
use crate::cluster::shard::since_1970;
use crate::cluster::share::Shares;
use crate::cluster::snapshot::{SnapshotReader, SnapshotWriter};
use crate::cluster::{Call, unwritten};
use crate::engine::control::Control;
use crate::engine::made::MadeFiles;
use crate::engine::made::parts::Makers;
use crate::engine::run::RunError;
use crate::job::{InputReader, Job, Stop};
use crate::report::parts::{self, PartFiles};
use crate::report::{Report, Standing, own_files};
use crate::task::Exit;
use crate::workload::claims::Claims;

/// What reading inputs needs.
pub struct Scan<'a> {
    /// The job.
    pub job: &'a Job,
    /// Where its run is.
    pub folder: &'a RunFolder,
    /// Its report, which knows the tasks that have rows.
    pub report: &'a Report,
    /// What becomes of tasks whose files are there.
    pub standing: Standing,
    /// The files that tasks do not write.
    pub claims: &'a Claims,
}

/// The tasks that have a row of this run in the partial, by their numbers.
#[derive(Default)]
pub struct Done(Vec<u64>);

impl Done {
    fn add(&mut self, number: u64) {
        let word = (number / 64) as usize;
        if word >= self.0.len() {
            self.0.resize(word + 1, 0);
        }
        self.0[word] |= 1 << (number % 64);
    }

    /// Whether the task with this number has one.
    pub fn has(&self, number: u64) -> bool {
        self.0.get((number / 64) as usize).is_some_and(|word| word >> (number % 64) & 1 == 1)
    }
}

/// What has become of an earlier run.
pub enum Adopted {
    /// It can be gone on with: the places of the tasks that have rows.
    Rows(Vec<u64>),
    /// It cannot.
    Impossible,
}

impl Scan<'_> {
    fn open(&self, control: &Control) -> Result<InputReader, RunError> {
        let is_stopped = control.stopped();
        self.job.inputs.open_until(Stop::when(is_stopped)).map_err(RunError::Inputs)
    }

    /// Plans a new run.
    pub fn plan(&self, call: &Call, control: &Control) -> Result<Plan, RunError> {
        let started_ms = Some(since_1970());
        let (inputs, at) = (self.folder.inputs(), self.folder.inputs_at());
        let mut writer = SnapshotWriter::create(&inputs, &at).map_err(unwritten(&inputs))?;
        let kept = self.report.kept();
        let made = MadeFiles::planned(self.job, self.standing).map_err(RunError::Made)?;
        let reserved = own_files(&self.job.results, &self.job.name, Some(self.job));
        self.claims.reserve(&self.job.name, reserved.iter().cloned());
        let mut makers = Makers::new(self.job, &reserved);
        let mut number = 0;
        for fields in self.open(control)? {
            // Before the input, which may be the error that says so.
            if control.signal().is_some() {
                return Err(failed(
                    "stopped while the inputs were read: nothing was submitted",
                    Exit::NotOk,
                ));
            }
            let fields = fields.map_err(RunError::Inputs)?;
            number += 1;
            if let Some(makers) = &mut makers {
                makers.add(number, &fields).map_err(|message| failed(message, Exit::Usage))?;
            }
            let is_current = || made.as_ref().is_none_or(|made| made.is_current(number, &fields));
            let has_row = kept.as_ref().is_some_and(|kept| kept.keep(number, &fields, is_current));
            writer.push(number, &fields, !has_row).map_err(unwritten(&inputs))?;
        }
        if let Some(kept) = &kept {
            kept.inputs_ended();
        }
        let written = writer.finish().map_err(unwritten(&inputs))?;
        let job = self.job;
        let text = job.texts.job.as_ref().map(|source| source.text.clone()).unwrap_or_default();
        let settings = job.texts.settings.as_ref().map(|source| source.text.clone());
        // A node has another standard input: the file only gives the job its folder and its name.
        let file = if job.is_from_stdin() { Path::new("stdin.toml") } else { job.file.as_path() };
        let file = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
        let deadline_ms =
            job.limits.deadline.map(|deadline| since_1970() + deadline.as_millis() as u64);
        Ok(Plan {
            version: Plan::VERSION,
            run: format!("{}.{:x}", job.name, fastrand::u32(..)),
            job: job.name.clone(),
            file,
            text,
            settings,
            overrides: call.overrides.clone(),
            identity: plan::identity(job),
            header: Some(parts::header(job)),
            place: call.place.to_string(),
            inputs: InputFacts::of(job, written.hash),
            tasks: number,
            shares: Shares::new(written.records, job.cluster.shards()),
            nodes: job.cluster.nodes,
            seed: self.report.identities().seed,
            tells_kinds: self.report.identities().tells_kinds,
            began_with: self.report.began_with(),
            is_forced: self.standing == Standing::Forced,
            reserved: self.claims.reserved(),
            deadline_ms,
            started_ms,
        })
    }

    /// The tasks that have a row of the run of `plan` in the partial, by their numbers: equal inputs are told apart.
    pub fn done(&self, plan: &Plan) -> Result<Done, RunError> {
        let mut done = Done::default();
        let results = std::path::absolute(&self.job.results);
        let results = results.unwrap_or_else(|_| self.job.results.clone());
        let files = PartFiles::new(&results, &self.job.name);
        parts::rows_since(&files, self.job, plan.seed, plan.began_with, |number, _| {
            if number <= plan.tasks {
                done.add(number);
            }
        })?;
        Ok(done)
    }

    /// Looks which tasks of an earlier run have rows, if it is a run of the same inputs.
    pub fn adopt(&self, plan: &Plan, control: &Control) -> Result<Adopted, RunError> {
        let reads_once = self.job.inputs.can_block() || self.job.inputs.reads_stdin();
        let Some(kept) = self.report.kept() else {
            let is_same = reads_once || self.hash(control)? == plan.inputs.hash;
            return Ok(if is_same { Adopted::Rows(Vec::new()) } else { Adopted::Impossible });
        };
        let unreadable =
            |error: std::io::Error| failed(format!("the inputs of the run: {error}"), Exit::Usage);
        let all = iter::once(0..plan.shares.tasks()).collect();
        let mut records =
            SnapshotReader::open(&self.folder.inputs(), &self.folder.inputs_at(), all)
                .map_err(unreadable)?;
        let done = self.done(plan)?;
        let mut places = Vec::new();
        if reads_once {
            // They cannot be read again, and need not be: what runs is in the snapshot, the rest has rows.
            for record in records {
                let record = record.map_err(unreadable)?;
                if !done.has(record.number) {
                    kept.runs_again(record.number, &record.fields);
                } else if kept.keep(record.number, &record.fields, || true) {
                    places.push(record.place);
                }
            }
            return Ok(Adopted::Rows(places));
        }
        if self.hash(control)? != plan.inputs.hash {
            return Ok(Adopted::Impossible);
        }
        let mut next = records.next().transpose().map_err(unreadable)?;
        let mut number = 0;
        for fields in self.open(control)? {
            let fields = fields.map_err(RunError::Inputs)?;
            number += 1;
            let has_row = || kept.keep(number, &fields, || true);
            match &next {
                Some(record) if record.number == number => {
                    // An equal input may be that of a task that is done: its row is not this one's.
                    if !done.has(number) {
                        kept.runs_again(number, &fields);
                    } else if has_row() {
                        places.push(record.place);
                    }
                    next = records.next().transpose().map_err(unreadable)?;
                }
                // Its row was there when the run was planned, and is gone: no shard has the task.
                _ if !has_row() => return Ok(Adopted::Impossible),
                _ => {}
            }
        }
        kept.inputs_ended();
        Ok(Adopted::Rows(places))
    }

    /// The hash of the inputs as they are now.
    fn hash(&self, control: &Control) -> Result<String, RunError> {
        let scratch = self.folder.path().join("scratch");
        let mut writer = SnapshotWriter::create(&scratch, &scratch.with_extension("at"))
            .map_err(unwritten(&scratch))?;
        for fields in self.open(control)? {
            let fields = fields.map_err(RunError::Inputs)?;
            writer.push(0, &fields, false).map_err(unwritten(&scratch))?;
        }
        let written = writer.finish().map_err(unwritten(&scratch))?;
        let _ = fs::remove_file(&scratch); // it is empty
        let _ = fs::remove_file(scratch.with_extension("at"));
        Ok(written.hash)
    }
}

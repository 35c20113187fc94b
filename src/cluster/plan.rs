//! `plan.json`: what a run does, as its driver has read it. It has no secrets: a job file only says where they are.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::cluster::folder::RunFolder;
use crate::cluster::shard::since_1970;
use crate::cluster::share::Shares;
use crate::cluster::snapshot::SnapshotReader;
use crate::config::Overrides;
use crate::job::{Dealt, DealtFacts, Elsewhere, InputError, Job, NumberedReader};
use crate::report::Identities;

/// The version of the files of a run.
const VERSION: u32 = 1;

/// What a run does.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Plan {
    /// The version of the files.
    pub version: u32,
    /// The name of the run, by which its elements are known.
    pub run: String,
    /// The name of the job.
    pub job: String,
    /// The job file, absolute.
    pub file: PathBuf,
    /// Its text.
    pub text: String,
    /// The text of the `runner.toml` beside it.
    pub settings: Option<String>,
    /// The changes by the command line.
    pub overrides: Overrides,
    /// What makes it the same job to `--resume`.
    pub identity: String,
    /// The header of its report, which no part may differ from; `None` in a plan of an older runner.
    #[serde(default)]
    pub header: Option<String>,
    /// Where it runs, as `--on` has it.
    #[serde(default)]
    pub place: String,
    /// What the inputs were found to be.
    pub inputs: InputFacts,
    /// How many tasks the job has, also those that do not run.
    pub tasks: u64,
    /// How the tasks that run are shared out.
    pub shares: Shares,
    /// How many allocations run at once, among which limits are divided.
    pub nodes: u32,
    /// The seed of the report's identities.
    pub seed: u64,
    /// Whether these tell a number from the text that is written like it; not in a plan of an older runner.
    #[serde(default)]
    pub tells_kinds: bool,
    /// How many rows the report began with.
    pub began_with: u64,
    /// Whether tasks run whose files are there.
    #[serde(default)]
    pub is_forced: bool,
    /// The files of reports that tasks do not write, of this job and of those that are run with it, by their jobs.
    #[serde(default)]
    pub reserved: Vec<(String, Vec<PathBuf>)>,
    /// When the job has to have ended, in milliseconds since 1970.
    pub deadline_ms: Option<u64>,
    /// When the run began, in milliseconds since 1970; `None` in a plan of an older runner.
    #[serde(default)]
    pub started_ms: Option<u64>,
}

/// What the inputs were found to be.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct InputFacts {
    /// The hash of all of them.
    pub hash: String,
    /// What planning the job has found out about them.
    #[serde(flatten)]
    pub dealt: DealtFacts,
}

impl InputFacts {
    /// Those of `job`, whose inputs have this hash.
    pub fn of(job: &Job, hash: String) -> Self {
        let absolute = |path: PathBuf| std::path::absolute(&path).unwrap_or(path);
        let dealt = DealtFacts {
            fields: job.fields.clone(),
            own: job.own_fields,
            is_batched: job.inputs.is_batched(),
            has_payload: job.inputs.has_payload(),
            files: job.inputs.files().into_iter().map(absolute).collect(),
            folders: job.inputs.folders().into_iter().map(absolute).collect(),
            tasks: job.inputs.tasks_of_job(),
            patterns: job.inputs.patterns(),
        };
        Self { hash, dealt }
    }
}

/// The identity of a job as text.
pub fn identity(job: &Job) -> String {
    let (high, low) = job.identity.split_at(16);
    let number = |bytes: &[u8]| bytes.iter().fold(0_u128, |all, byte| all << 8 | u128::from(*byte));
    format!("{:032x}{:032x}", number(high), number(low))
}

impl Plan {
    /// The version that this runner writes.
    pub const VERSION: u32 = VERSION;

    /// The plan in `folder`; `None` if there is none.
    ///
    /// # Errors
    /// In words, if it cannot be read.
    pub fn read(folder: &RunFolder) -> Result<Option<Self>, String> {
        let path = folder.plan();
        let failed = |why: String| format!("failed to read `{}`: {why}", path.display());
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error.to_string())),
        };
        let plan: Self =
            serde_json::from_slice(&bytes).map_err(|error| failed(error.to_string()))?;
        match plan.version {
            VERSION => Ok(Some(plan)),
            other => {
                Err(failed(format!("it is of another version of runner ({other}, not {VERSION})")))
            }
        }
    }

    /// Whether its job file lies in another folder than that of `job`; one that was moved is not there any more.
    pub fn is_elsewhere(&self, job: &Job) -> bool {
        let folder = self.file.parent().map(Path::canonicalize);
        matches!((folder, job.folder.canonicalize()), (Some(Ok(then)), Ok(now)) if then != now)
    }

    /// How its report makes the identities of inputs.
    pub fn identities(&self) -> Identities {
        Identities { seed: self.seed, tells_kinds: self.tells_kinds }
    }

    /// How long ago the run began.
    pub fn age(&self) -> Duration {
        let ago = self.started_ms.map_or(0, |at| since_1970().saturating_sub(at));
        Duration::from_millis(ago)
    }

    /// Writes it.
    ///
    /// # Errors
    /// In words, if it cannot be written.
    pub fn write(&self, folder: &RunFolder) -> Result<(), String> {
        let failed = |why: String| format!("failed to write `{}`: {why}", folder.plan().display());
        let bytes = serde_json::to_vec(self).map_err(|error| failed(error.to_string()))?;
        folder.write(&folder.plan(), &bytes).map_err(|error| failed(error.to_string()))
    }

    /// The job as it was read.
    pub fn elsewhere(&self) -> Elsewhere {
        Elsewhere {
            file: self.file.clone(),
            text: self.text.clone(),
            settings: self.settings.clone(),
            overrides: self.overrides.clone(),
        }
    }

    /// The inputs of `shard`, but those of tasks that are `done`.
    pub fn dealt(
        &self,
        folder: &RunFolder,
        shard: u32,
        done: Arc<dyn Fn(u64) -> bool + Send + Sync>,
    ) -> Dealt {
        let (inputs, at) = (folder.inputs(), folder.inputs_at());
        let blocks = self.shares.of(shard);
        let open = move || {
            let failed = |error: std::io::Error| {
                InputError::new(format!("failed to read `{}`: {error}", inputs.display()))
            };
            let reader = SnapshotReader::open(&inputs, &at, blocks.clone()).map_err(failed)?;
            let (done, inputs) = (Arc::clone(&done), inputs.clone());
            let records = reader.filter_map(move |record| match record {
                Ok(record) if done(record.number) => None,
                Ok(record) => Some(Ok((record.number, record.fields))),
                Err(error) => Some(Err(InputError::new(format!(
                    "failed to read `{}`: {error}",
                    inputs.display()
                )))),
            });
            Ok(Box::new(records) as NumberedReader)
        };
        let (facts, count) = (self.inputs.dealt.clone(), self.shares.count(shard));
        Dealt { facts, count, open: Box::new(open) }
    }
}

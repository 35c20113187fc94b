//! Where a job runs: `--on`.

use std::fmt;
use std::time::Duration;

use clap::ValueEnum;

use crate::cluster::engine::Engine;
use crate::cluster::processes::Processes;
use crate::cluster::slurm::Slurm;
use crate::job::Job;

/// Where a job runs, if that is not this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Place {
    /// A cluster under Slurm.
    Slurm,
    /// Processes of this machine that stand for a cluster, for tests.
    #[value(hide = true)]
    Processes,
}

impl Place {
    /// The scheduler, asked for what `job` wants.
    ///
    /// # Errors
    /// In words, if there is none.
    pub fn engine(self, job: &Job) -> Result<Box<dyn Engine>, String> {
        match self {
            Self::Slurm => Ok(Box::new(Slurm::new(&job.cluster, lead(job))?)),
            Self::Processes => Ok(Box::new(Processes)),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Slurm => "slurm",
            Self::Processes => "processes",
        })
    }
}

/// How long an attempt takes at most, with its grace, in all stages; `None` without a limit.
pub fn longest_attempt(job: &Job) -> Option<Duration> {
    let attempts = job.stages.iter().map(|stage| Some(stage.limits.timeout? + stage.limits.grace));
    attempts.collect::<Option<Vec<_>>>()?.into_iter().max()
}

/// How long before its end an allocation is told to end.
pub fn lead(job: &Job) -> Duration {
    job.cluster.lead(longest_attempt(job))
}

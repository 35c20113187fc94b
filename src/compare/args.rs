//! The command line of `runner compare`: what it accepts.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::Args;

use crate::base::Timeout;
use crate::config::{Concurrency, Overrides, TaskSize};
use crate::model::Model;

/// The arguments of `runner compare`.
#[derive(Args, Clone, Debug)]
pub struct CompareArgs {
    /// Job files (TOML). Their tasks are really run, in every round, under every model.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// The models to measure.
    #[arg(long, value_name = "MODEL,...", default_value = "sequential,threads,async,processes")]
    pub models: Models,
    /// Levels of concurrency (tasks at once) to measure for each model; `auto`: 1, 2, 4 and so on, until it stops paying.
    /// Default: what the job file says.
    #[arg(short = 'j', long, value_name = "N,...|auto")]
    pub concurrency: Option<Levels>,
    /// Number of rounds; each model runs once in each. Up to twice as many if the result is undecided.
    /// Default: as many as decide it, 3 to 10 (of short jobs up to 25), or as many as --budget allows.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub rounds: Option<u32>,
    /// Number of warm-up rounds, which are not counted.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub warmup: u32,
    /// Time that a comparison may take, e.g. `60s`: as many rounds as fit.
    #[arg(long, value_name = "TIME")]
    budget: Option<Timeout>,
    /// Command for `sh -c` to run in the job file's folder before every run, e.g. to empty caches.
    #[arg(long, value_name = "CMD")]
    pub prepare: Option<String>,
    /// Measure a sample of at most N inputs.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub limit: Option<u64>,
    /// Also compare the job files with one another.
    #[arg(long)]
    pub together: bool,
    /// Write the recommended model and concurrency into the job file.
    #[arg(long)]
    pub apply: bool,
    /// Run at most N attempts of this group at once, across all jobs of the call.
    #[arg(long = "group", value_name = "NAME=N")]
    groups: Vec<String>,
    /// Set any key of the files, e.g. `--set limits.timeout=5s`.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Repeat the run order of an earlier comparison.
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Folder for the reports [default: `results` in a `runner.toml` beside the job file, else `results`].
    #[arg(long, value_name = "DIR")]
    results: Option<PathBuf>,
}

impl CompareArgs {
    /// How long a comparison may take.
    pub fn budget(&self) -> Option<Duration> {
        self.budget.map(Timeout::duration)
    }

    /// What the command line changes in every job, apart from model and concurrency.
    pub fn overrides(&self) -> Overrides {
        Overrides {
            set: self.set.clone(),
            limit: self.limit,
            groups: self.groups.clone(),
            results: self.results.clone(),
            ..Overrides::default()
        }
    }

    /// Whether `--set` sets `model`, which contradicts `--models`.
    pub fn sets_model(&self) -> bool {
        self.overrides().sets(&["model"])
    }

    /// Whether `--set` sets how many tasks run at once.
    pub fn sets_concurrency(&self) -> bool {
        let overrides = self.overrides();
        overrides.sets(&["limits", "concurrency"]) || overrides.sets(&["limits"])
    }

    /// The `--set` that sets the model or the concurrency of a stage, if there is one, and whether it is the model.
    pub fn sets_stage(&self) -> Option<(&str, bool)> {
        self.set.iter().find_map(|set| {
            let mut parts = set.split('=').next().unwrap_or_default().trim().split('.');
            let last = parts.next().filter(|first| *first == "stages").and(parts.next_back())?;
            ["model", "concurrency"].contains(&last).then_some((set.as_str(), last == "model"))
        })
    }

    /// Whether only a sample of the inputs is taken.
    pub fn is_sample(&self) -> bool {
        self.limit.is_some()
    }
}

/// Several different models, the simplest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Models(pub Vec<Model>);

impl FromStr for Models {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut models: Vec<Model> = Vec::new();
        for word in text.split(',').map(str::trim) {
            if word == "auto" {
                return Err("`auto` chooses among the other models: name those".into());
            }
            let model = word.parse()?;
            if models.contains(&model) {
                return Err(format!("`{model}` is given twice"));
            }
            models.push(model);
        }
        models.sort_by_key(|model| Model::ALL.iter().position(|other| other == model));
        Ok(Self(models))
    }
}

/// Levels of concurrency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Levels {
    /// Several different ones, rising.
    These(Vec<usize>),
    /// Those that pay.
    Auto,
}

impl FromStr for Levels {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.trim() == "auto" {
            return Ok(Self::Auto);
        }
        let mut levels = Vec::new();
        for word in text.split(',').map(str::trim) {
            let level = word.parse::<Concurrency>()?.slots(&TaskSize::default());
            if levels.contains(&level) {
                return Err(format!("level {level} is given twice"));
            }
            levels.push(level);
        }
        levels.sort_unstable();
        Ok(Self::These(levels))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_hold_each_thing_once() {
        assert_eq!(
            "processes, threads".parse(),
            Ok(Models(vec![Model::Threads, Model::Processes]))
        );
        assert_eq!("threads,threads".parse::<Models>().unwrap_err(), "`threads` is given twice");
        assert!("auto".parse::<Models>().unwrap_err().contains("among the other models"));
        assert!("thread".parse::<Models>().unwrap_err().contains("found `thread`"));
        assert!("".parse::<Models>().is_err());
        assert_eq!("8,1,2".parse(), Ok(Levels::These(vec![1, 2, 8])));
        assert_eq!("auto".parse(), Ok(Levels::Auto));
        assert_eq!("2,2".parse::<Levels>().unwrap_err(), "level 2 is given twice");
        assert!("0".parse::<Levels>().unwrap_err().contains("above 0"));
    }
}

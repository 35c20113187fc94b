//! The command line of `runner compare`: what it accepts.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::Args;

use crate::base::Timeout;
use crate::config::{Concurrency, Overrides};
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
    /// How many tasks at once: levels to measure for each model. Default: as the job file says.
    #[arg(short = 'j', long, value_name = "N,...")]
    pub concurrency: Option<Levels>,
    /// How many rounds; in each, every model runs once. Up to twice as many where that decides something.
    /// Default: 5, or as many as --budget allows.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub rounds: Option<u32>,
    /// How many rounds to run and forget before.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub warmup: u32,
    /// How long a comparison may take, e.g. `60s`: as many rounds as fit, at least three.
    #[arg(long, value_name = "TIME")]
    budget: Option<Timeout>,
    /// Run this by `sh -c`, in the job file's folder, before every run: to empty caches and the like.
    #[arg(long, value_name = "CMD")]
    pub prepare: Option<String>,
    /// Take a sample: at most N inputs.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// Compare the job files with one another, too.
    #[arg(long)]
    pub together: bool,
    /// Write the recommended model and concurrency into the job file.
    #[arg(long)]
    pub apply: bool,
    /// At most N attempts of this group at once, over all jobs of the call.
    #[arg(long = "group", value_name = "NAME=N")]
    groups: Vec<String>,
    /// Set any key of the files, e.g. `--set limits.timeout=5s`.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Repeat the order in which an earlier comparison ran.
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Where the reports go.
    #[arg(long, value_name = "DIR", default_value = "results")]
    pub results: PathBuf,
}

impl CompareArgs {
    /// How long a comparison may take.
    pub fn budget(&self) -> Option<Duration> {
        self.budget.map(Timeout::duration)
    }

    /// What the command line changes in every job, but for model and concurrency.
    pub fn overrides(&self) -> Overrides {
        Overrides {
            set: self.set.clone(),
            limit: self.limit,
            groups: self.groups.clone(),
            results: Some(self.results.clone()),
            ..Overrides::default()
        }
    }

    /// The key of `--set` that cannot stand beside `--models`.
    pub fn sets_model(&self) -> bool {
        self.set.iter().any(|set| set.split('=').next().is_some_and(|key| key.trim() == "model"))
    }

    /// What `--set` says about the model of a stage, if it does.
    pub fn sets_stage_model(&self) -> Option<&str> {
        let is_model = |set: &&String| {
            let mut parts = set.split('=').next().unwrap_or_default().trim().split('.');
            parts.next() == Some("stages") && parts.next_back() == Some("model")
        };
        self.set.iter().find(is_model).map(String::as_str)
    }

    /// Whether only a sample of the inputs is taken.
    pub fn is_sample(&self) -> bool {
        self.limit.is_some()
    }
}

/// Several different models, in the order of their names' simplicity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Models(pub Vec<Model>);

impl FromStr for Models {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut models: Vec<Model> = Vec::new();
        for word in text.split(',').map(str::trim) {
            if word == "auto" {
                return Err("`auto` is one of the others: name those".into());
            }
            let model = word.parse()?;
            if models.contains(&model) {
                return Err(format!("`{model}` is named twice"));
            }
            models.push(model);
        }
        models.sort_by_key(|model| Model::ALL.iter().position(|other| other == model));
        Ok(Self(models))
    }
}

/// Several different levels of concurrency, rising.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Levels(pub Vec<usize>);

impl FromStr for Levels {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut levels = Vec::new();
        for word in text.split(',').map(str::trim) {
            let level = word.parse::<Concurrency>()?.slots();
            if levels.contains(&level) {
                return Err(format!("the level {level} is named twice"));
            }
            levels.push(level);
        }
        levels.sort_unstable();
        Ok(Self(levels))
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
        assert_eq!("threads,threads".parse::<Models>().unwrap_err(), "`threads` is named twice");
        assert!("auto".parse::<Models>().unwrap_err().contains("one of the others"));
        assert!("thread".parse::<Models>().unwrap_err().contains("found `thread`"));
        assert!("".parse::<Models>().is_err());
        assert_eq!("8,1,2".parse(), Ok(Levels(vec![1, 2, 8])));
        assert_eq!("2,2".parse::<Levels>().unwrap_err(), "the level 2 is named twice");
        assert!("0".parse::<Levels>().unwrap_err().contains("above 0"));
    }
}

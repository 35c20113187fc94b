//! The settings of `[limits]`, and the model beside it.

use std::fmt;
use std::num::NonZeroUsize;
use std::str::FromStr;

use crate::base::setting::{choose, deserialize_from_integer_or_str, deserialize_from_str};
use crate::config::TaskSize;
use crate::model::{Model, cores};
use crate::sys::total_memory;

/// How many tasks run at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Concurrency {
    /// This number.
    Count(NonZeroUsize),
    /// As many as there are cores for this process.
    Cores,
    /// This part of them, in hundredths; at least one.
    Percent(NonZeroUsize),
    /// As many as each host bears, within these bounds.
    Adaptive(Bounds),
}

/// The range of a limit that finds itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// At least 1.
    pub min: usize,
    /// At least `min`.
    pub max: usize,
}

impl Bounds {
    /// What `"adaptive"` means.
    const USUAL: Self = Self { min: 1, max: 200 };

    fn read(text: &str) -> Option<Result<Self, String>> {
        let (min, max) = text.split_once("..")?;
        let number = |text: &str| {
            let number = text.trim().parse().ok();
            number.filter(|&number| (1..=Concurrency::MOST).contains(&number))
        };
        Some(match (number(min), number(max)) {
            (Some(min), Some(max)) if min <= max => Ok(Self { min, max }),
            (Some(min), Some(max)) => Err(format!("`{text}` goes down: write `\"{max}..{min}\"`")),
            _ => Err(format!("`{text}` is not a range such as \"4..200\"")),
        })
    }
}

impl Concurrency {
    /// The upper limit of tasks at once, for which no machine has the memory.
    const MOST: usize = 1_000_000;

    fn count(slots: usize) -> Option<Self> {
        NonZeroUsize::new(slots).filter(|_| slots <= Self::MOST).map(Self::Count)
    }

    /// The range, if it finds itself.
    pub fn bounds(self) -> Option<Bounds> {
        match self {
            Concurrency::Adaptive(bounds) => Some(bounds),
            Concurrency::Count(_) | Concurrency::Cores | Concurrency::Percent(_) => None,
        }
    }

    /// The number of slots, for tasks of this size: a number says what it says. `"cores"` honours affinity and the
    /// cgroup's quota.
    pub fn slots(self, size: &TaskSize) -> usize {
        let fitting = |cores: usize| size.of(cores, total_memory()).unwrap_or(cores);
        match self {
            Concurrency::Count(count) => count.get(),
            Concurrency::Cores => fitting(cores()),
            Concurrency::Percent(percent) => fitting((cores() * percent.get() / 100).max(1)),
            Concurrency::Adaptive(bounds) => bounds.max,
        }
    }
}

impl FromStr for Concurrency {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "cores" {
            return Ok(Concurrency::Cores);
        }
        if text == "adaptive" {
            return Ok(Concurrency::Adaptive(Bounds::USUAL));
        }
        if let Some(bounds) = Bounds::read(text) {
            return bounds.map(Concurrency::Adaptive);
        }
        if let Some(percent) = text.strip_suffix('%') {
            let percent = percent
                .parse()
                .ok()
                .filter(|&percent| percent <= NonZeroUsize::MIN.saturating_add(9_999));
            let bad = || format!("must be from \"1%\" to \"10000%\" of the cores, not `{text}`");
            return percent.map(Concurrency::Percent).ok_or_else(bad);
        }
        let bad = || {
            format!(
                "must be an integer above 0 (at most a million), \"cores\", a share of them such as \"50%\", or a range \
                 such as \"4..200\", not `{text}`"
            )
        };
        text.parse().ok().and_then(Concurrency::count).ok_or_else(bad)
    }
}

deserialize_from_integer_or_str!(
    Concurrency,
    "an integer above 0 (at most a million), \"cores\", a share of them such as \"50%\", or a range such as \"4..200\"",
    |slots| usize::try_from(slots).ok().and_then(Concurrency::count)
);

impl fmt::Display for Concurrency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Concurrency::Count(count) => count.fmt(f),
            Concurrency::Cores => f.write_str("cores"),
            Concurrency::Adaptive(bounds) => write!(f, "{}..{}", bounds.min, bounds.max),
            Concurrency::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

/// The model as the job file names it. `auto` ends in planning: a planned job has a [`Model`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RawModel {
    /// The decision guide settles it.
    Auto,
    /// This one.
    Set(Model),
}

impl RawModel {
    /// The model, if one was set.
    pub fn set(self) -> Option<Model> {
        match self {
            RawModel::Auto => None,
            RawModel::Set(model) => Some(model),
        }
    }
}

impl FromStr for RawModel {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut choices: Vec<_> =
            Model::ALL.iter().map(|&model| (model.name(), RawModel::Set(model))).collect();
        choices.push(("auto", RawModel::Auto));
        choose(text, &choices)
    }
}

deserialize_from_str!(RawModel, "the name of a model");

impl fmt::Display for RawModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RawModel::Auto => f.write_str("auto"),
            RawModel::Set(model) => model.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn concurrency() {
        assert_eq!("4".parse(), Ok(Concurrency::Count(NonZeroUsize::new(4).unwrap())));
        assert_eq!("cores".parse(), Ok(Concurrency::Cores));
        assert!(Concurrency::Cores.slots(&TaskSize::default()) > 0);
        let part: Concurrency = "50%".parse().unwrap();
        assert_eq!(
            part.slots(&TaskSize::default()),
            (Concurrency::Cores.slots(&TaskSize::default()) / 2).max(1)
        );
        assert_eq!(part.to_string(), "50%");
        for text in ["0%", "%", "1.5%", "10001%"] {
            assert!(text.parse::<Concurrency>().is_err(), "{text}");
        }
        for text in ["0", "-1", "1.5", "many", ""] {
            assert!(text.parse::<Concurrency>().is_err(), "{text}");
        }
    }

    #[test]
    fn models() {
        for text in ["auto", "sequential", "threads", "processes", "async"] {
            assert_eq!(text.parse::<RawModel>().unwrap().to_string(), text);
        }
        let error = "thread".parse::<RawModel>().unwrap_err();
        assert_eq!(
            error,
            "must be `sequential`, `threads`, `async`, `processes` or `auto`, not `thread`"
        );
    }
}

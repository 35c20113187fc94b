//! The groups that there are: what `--group` and each `runner.toml` say.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::base::diagnostic::{Place, Source, nearest};
use crate::base::{Count, Diagnostic};
use crate::config::runner_toml::RunnerToml;
use crate::job::Group;

/// All groups of a call, each with its limit.
#[derive(Debug, Default)]
pub(super) struct Groups(Vec<Known>);

#[derive(Debug)]
struct Known {
    group: Group,
    place: Place,
    /// Whether it is an argument: then it wins, and has to be in use.
    is_argument: bool,
    used: AtomicBool,
}

impl Groups {
    /// The groups of the arguments `--group NAME=N` and of these files.
    pub fn new(arguments: &[String], files: &[&RunnerToml], errors: &mut Vec<Diagnostic>) -> Self {
        let mut groups = Self::default();
        for argument in arguments {
            match read(argument) {
                Ok(known) => groups.add(known, errors),
                Err(error) => errors.push(error),
            }
        }
        for (name, limit, place) in files.iter().flat_map(|file| file.groups()) {
            let group = Group::new(name, limit.get());
            let (place, used) = (place.clone(), AtomicBool::new(false));
            groups.add(Known { group, place, is_argument: false, used }, errors);
        }
        groups
    }

    fn add(&mut self, known: Known, errors: &mut Vec<Diagnostic>) {
        let same = self.0.iter().find(|other| other.group.name() == known.group.name());
        let Some(other) = same else { return self.0.push(known) };
        if other.is_argument == known.is_argument && other.group.limit() != known.group.limit() {
            let name = known.group.name();
            errors.push(
                Diagnostic::new(format!("the group `{name}` has two limits"))
                    .at(known.place.label("second"))
                    .at(other.place.clone().label("first"))
                    .help("jobs that run together share one; `--group` wins over a file"),
            );
        }
    }

    /// The group of this name.
    pub fn get(&self, name: &str) -> Option<Group> {
        let known = self.0.iter().find(|known| known.group.name() == name)?;
        known.used.store(true, Ordering::Relaxed);
        Some(known.group.clone())
    }

    /// The way out for a name that no group has.
    pub fn help(&self, name: &str) -> String {
        match nearest(name, self.0.iter().map(|known| known.group.name())) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!(
                "say how many attempts may run at once: `--group {name}=N`, or `{name} = N` below `[groups]` in a \
                 `runner.toml` beside the job file"
            ),
        }
    }

    /// The arguments that no job has asked for.
    pub fn unused(&self) -> impl Iterator<Item = Diagnostic> {
        let unused =
            self.0.iter().filter(|known| known.is_argument && !known.used.load(Ordering::Relaxed));
        unused.map(|known| {
            Diagnostic::new(format!("no job is in the group `{}`", known.group.name()))
                .at(known.place.clone())
                .help("a job is where it says `group` below its `[limits]`")
        })
    }
}

fn read(argument: &str) -> Result<Known, Diagnostic> {
    const FLAG: &str = "--group ";
    let text = format!("{FLAG}{argument}");
    let place = Place::new(
        Arc::new(Source { name: "command line".into(), text }),
        FLAG.len()..FLAG.len() + argument.len(),
    );
    let mistake = |message: String| {
        let help = "write `--group NAME=N`, for example `--group db=3`";
        Diagnostic::new(message).at(place.clone()).help(help)
    };
    let (name, limit) = argument
        .rsplit_once('=')
        .filter(|(name, _)| !name.is_empty())
        .ok_or_else(|| mistake(format!("`{argument}` is not a group and its limit")))?;
    let limit: Count = limit.parse().map_err(|error| mistake(format!("the limit {error}")))?;
    let group = Group::new(name, limit.get());
    Ok(Known { group, place, is_argument: true, used: AtomicBool::new(false) })
}

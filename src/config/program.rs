//! A program to start, as `argv`, `env` and `cwd` have it: read here for all that start one.

mod lookup;

use std::ffi::{CString, OsString};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use crate::config::{Planner, Table, Template};

pub use lookup::{Places, Unusable};

/// The variables that say of a task which it is: none of them is passed on to the tasks of a runner that is itself one.
pub const OF_A_TASK: [&str; 5] =
    ["RUNNER_TASK", "RUNNER_ATTEMPT", "RUNNER_JOB", "RUNNER_SLOT", "RUNNER_SLOT_NAME"];

/// For what a program is started: that decides what its words can refer to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartedFor {
    /// For every task anew.
    Task,
    /// For a slot, for all tasks that it gets.
    Slot,
    /// For the job, while it runs.
    Job,
}

/// A program to start.
#[derive(Debug)]
pub struct Program {
    /// Where it is, absolute; `None` if its name is another one for each task.
    pub path: Option<CString>,
    /// What it is started with; at least its own name.
    pub argv: Vec<Template>,
    /// What its environment has besides the runner's own.
    pub env: Vec<(String, Template)>,
    /// Where it runs.
    pub cwd: Folder,
}

/// The working folder of a program.
#[derive(Debug)]
pub enum Folder {
    /// The same for every task, absolute.
    Same(CString),
    /// Another one for each.
    Each(Template),
}

impl Program {
    /// Reads `argv`, `env` and `cwd`. `None` if there was a mistake, which has been noted.
    pub fn read(table: &mut Table<'_>, started: StartedFor, plan: &Planner<'_>) -> Option<Self> {
        // Every key is asked for before anything is given up, so that each mistake is told.
        if !table.has("argv") {
            table.missing("argv");
        }
        let argv = argv(table, started, plan);
        let env = env(table, started, plan);
        let cwd = cwd(table, started, plan);
        let (argv, env) = (argv?, env?);
        let path = match argv[0].literal() {
            Some(name) => Some(find(name, "argv", &places(&env, plan), table, plan)?),
            None if started == StartedFor::Task => None,
            None => {
                let message = "the program itself is the same for every slot";
                plan.error(table.span_of("argv"), message);
                return None;
            }
        };
        Some(Self { path, argv, env, cwd: cwd? })
    }
}

/// Reads `argv`. `None` if there is none, or a mistake in it, which has been noted.
pub fn argv(
    table: &mut Table<'_>,
    started: StartedFor,
    plan: &Planner<'_>,
) -> Option<Vec<Template>> {
    let argv = table.templates("argv", plan)?;
    if argv.is_empty() {
        plan.error(table.span_of("argv"), "`argv` is empty: its first element is the program");
        return None;
    }
    let is_wrong = |argument: &&Template| !started.allows(argument, "argv", table, plan);
    (argv.iter().filter(is_wrong).count() == 0).then_some(argv)
}

/// Reads `env`. `None` if there is a mistake in it, which has been noted.
pub fn env(
    table: &mut Table<'_>,
    started: StartedFor,
    plan: &Planner<'_>,
) -> Option<Vec<(String, Template)>> {
    let env = table.template_map("env", plan);
    let is_wrong = |(name, value): &&(String, Template)| {
        if name.is_empty() || name.contains(['=', '\0']) {
            let message = format!("`{name}` cannot be the name of an environment variable");
            plan.error(table.span_of("env"), message);
            return true;
        }
        !started.allows(value, "env", table, plan)
    };
    (env.iter().filter(is_wrong).count() == 0).then_some(env)
}

/// Reads `cwd`: the job's folder, if there is none. `None` if there is a mistake in it, which has been noted.
pub fn cwd(table: &mut Table<'_>, started: StartedFor, plan: &Planner<'_>) -> Option<Folder> {
    let Some(cwd) = table.template("cwd", plan) else {
        let folder = (!table.has("cwd")).then(|| plan.folder().to_owned());
        return folder.and_then(c_path).map(Folder::Same);
    };
    if !started.allows(&cwd, "cwd", table, plan) {
        return None;
    }
    let Some(path) = cwd.literal() else {
        if started == StartedFor::Task {
            return Some(Folder::Each(cwd));
        }
        plan.error(table.span_of("cwd"), "the folder is the same for every slot");
        return None;
    };
    if !is_there("cwd", path, Path::is_dir, "folder", table, plan) {
        return None;
    }
    c_path(plan.folder().join(path)).map(Folder::Same)
}

/// Whether what `key` names is there, and is a `what`.
pub fn is_there(
    key: &str,
    name: &str,
    is_right: fn(&Path) -> bool,
    what: &str,
    table: &Table<'_>,
    plan: &Planner<'_>,
) -> bool {
    let path = plan.folder().join(name);
    if !path.exists() {
        plan.absent(table.span_of(key), format!("there is no {what} `{name}`"), None);
        return false;
    }
    if !is_right(&path) {
        plan.error(table.span_of(key), format!("`{name}` is not a {what}"));
        return false;
    }
    true
}

/// Where a program with this environment is looked for.
pub fn places(env: &[(String, Template)], plan: &Planner<'_>) -> Places {
    let path = env.iter().find(|(name, _)| name == "PATH").and_then(|(_, value)| value.literal());
    let path = path.map_or_else(|| std::env::var_os("PATH").unwrap_or_default(), OsString::from);
    Places::new(path, plan.folder())
}

/// Where the program `name` is, which `key` names. `None` if it is nowhere, which has been noted.
pub fn find(
    name: &str,
    key: &str,
    places: &Places,
    table: &Table<'_>,
    plan: &Planner<'_>,
) -> Option<CString> {
    let reason = match places.find(name.as_bytes()) {
        Ok(path) => return c_path(path),
        Err(reason) => reason,
    };
    let (message, help) = reason.explain(name, plan.folder());
    match reason {
        Unusable::Empty => plan.error(table.span_of(key), message),
        _ => plan.absent(table.span_of(key), message, help),
    }
    None
}

/// `None` if it contains a NUL.
pub fn c_path(path: PathBuf) -> Option<CString> {
    CString::new(path.into_os_string().into_vec()).ok()
}

impl StartedFor {
    /// Whether a template can be filled when the program starts, and given to it; else that is noted.
    fn allows(self, template: &Template, key: &str, table: &Table<'_>, plan: &Planner<'_>) -> bool {
        let (message, help) = match self {
            _ if template.has_nul() => {
                let message = "it contains a NUL, which no program can be given";
                plan.error(table.span_of(key), message);
                return false;
            }
            Self::Slot if template.is_per_task() => (
                format!("`{key}` starts a program that does many tasks, and cannot name one"),
                "what differs from task to task goes into `args` or `kwargs`; `{slot}` and `{job}` can stand here",
            ),
            Self::Job if !template.is_constant() => (
                "a service belongs to the whole job, not to a task".into(),
                "the placeholders that it can have are `{job}` and, in `env`, those of secrets",
            ),
            _ => return true,
        };
        plan.error_with_help(table.span_of(key), message, help);
        false
    }
}

//! `[services.NAME]`: helper programs for the time of a job, planned. Running them is the engine's affair.

mod ready;

use std::ffi::{CString, OsString};
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::time::Duration;

use toml::Spanned;

use crate::base::Timeout;
use crate::config::{JobName, Planner, Table, Template};
use crate::launcher::Strings;
use crate::workload::command::program::Places;

pub use ready::{Address, Ready};

/// How long a service may take to be ready, unless the file says otherwise.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A program that runs while the job does.
#[derive(Debug)]
pub struct Service {
    /// Names its log; letters, digits, `_`, `-`.
    pub name: String,
    /// Where the program is, absolute.
    pub program: CString,
    /// Its arguments, the first being its own name.
    pub argv: Strings,
    /// What its environment has besides the runner's own, `NAME=value` each.
    pub set: Strings,
    /// Its working folder, absolute.
    pub cwd: CString,
    /// When the job can start.
    pub ready: Ready,
    /// How long it may take until then.
    pub timeout: Duration,
}

impl Service {
    /// The program as it was written.
    pub fn program_name(&self) -> String {
        self.argv.iter().next().unwrap_or_default().to_string_lossy().into_owned()
    }
}

/// Reads `[services]`: its tables, in the order of the file.
pub(super) fn read(table: Option<Table<'_>>, plan: &Planner<'_>) -> Vec<Service> {
    let Some(mut table) = table else { return Vec::new() };
    // A service belongs to the job and not to a task: there are no inputs.
    let (job, folder) = (plan.job.clone(), plan.folder.clone());
    let plan = Planner::new(plan.document, job, folder, Some(Vec::new()), plan.absent);
    let mut services = Vec::new();
    for (name, mut service) in table.tables() {
        if let Err(message) = name.get_ref().parse::<JobName>() {
            plan.error(name.span(), message.replace("name of a job:", "name of a service:"));
        }
        services.extend(read_one(name.into_inner(), &mut service, &plan));
        service.finish();
    }
    services
}

/// `None` if there was a mistake, which has been noted.
fn read_one(name: String, table: &mut Table<'_>, plan: &Planner<'_>) -> Option<Service> {
    // Every key is asked for before anything is given up, so that each mistake is told.
    let argv = read_argv(table, plan);
    let env = read_env(table, plan);
    let cwd = read_cwd(table, plan);
    let ready = ready::read(table, plan);
    let timeout = table.get::<Timeout>("timeout").map(Spanned::into_inner);
    let (argv, env) = (argv?, env?);
    let path = env.iter().find_map(|(name, value)| (name == "PATH").then(|| value.into()));
    let path: OsString = path.unwrap_or_else(|| std::env::var_os("PATH").unwrap_or_default());
    let program = find(&argv[0], &Places::new(path, plan.folder()), table, plan)?;
    let strings = |key, values: Vec<String>| {
        let mut strings = Strings::default();
        let has_nul = values.iter().any(|value| strings.push(value).is_err());
        if has_nul {
            plan.error(table.span_of(key), "it contains a NUL, which no program can be given");
        }
        (!has_nul).then_some(strings)
    };
    let variables = env.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    Some(Service {
        name,
        program,
        argv: strings("argv", argv)?,
        set: strings("env", variables)?,
        cwd: cwd?,
        ready: ready?,
        timeout: timeout.map_or(TIMEOUT, Timeout::duration),
    })
}

/// At least the program.
fn read_argv(table: &mut Table<'_>, plan: &Planner<'_>) -> Option<Vec<String>> {
    if !table.has("argv") {
        table.missing("argv");
    }
    let argv = table.templates("argv", plan)?;
    if argv.is_empty() {
        plan.error(table.span_of("argv"), "`argv` is empty: its first element is the program");
        return None;
    }
    argv.iter().map(|argument| constant(argument, "argv", table, plan)).collect()
}

fn read_env(table: &mut Table<'_>, plan: &Planner<'_>) -> Option<Vec<(String, String)>> {
    let env = table.template_map("env", plan);
    let variables = env.into_iter().map(|(name, value)| {
        if name.is_empty() || name.contains(['=', '\0']) {
            let message = format!("`{name}` cannot be the name of an environment variable");
            plan.error(table.span_of("env"), message);
            return None;
        }
        Some((name, constant(&value, "env", table, plan)?))
    });
    variables.collect()
}

fn read_cwd(table: &mut Table<'_>, plan: &Planner<'_>) -> Option<CString> {
    let mut folder = plan.folder().to_owned();
    if table.has("cwd") {
        let cwd = constant(&table.template("cwd", plan)?, "cwd", table, plan)?;
        folder.push(&cwd);
        if !folder.is_dir() {
            plan.absent(table.span_of("cwd"), format!("there is no folder `{cwd}`"), None);
            return None;
        }
    }
    CString::new(folder.into_os_string().into_vec()).ok()
}

/// The text of a template; only `{job}` may stand in it.
fn constant(
    template: &Template,
    key: &str,
    table: &Table<'_>,
    plan: &Planner<'_>,
) -> Option<String> {
    let text = template.literal();
    if text.is_none() {
        let message = "a service belongs to the whole job, not to a task";
        let help = "the only placeholder that it can have is `{job}`";
        plan.error_with_help(table.span_of(key), message, help);
    }
    text.map(str::to_owned)
}

fn find(name: &str, places: &Places, table: &Table<'_>, plan: &Planner<'_>) -> Option<CString> {
    let reason = match places.find(name.as_bytes()) {
        Ok(path) => return CString::new(path.into_os_string().into_vec()).ok(),
        Err(reason) => reason,
    };
    let (message, help) = reason.explain(name, Path::new(plan.folder()));
    plan.absent(table.span_of("argv"), message, help);
    None
}

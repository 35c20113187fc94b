//! `[workload.worker]`: a program in any language that does one task after another, or several at once, over the
//! worker protocol. Here is what it is; `worker::external` runs it, `worker::public_protocol` is the protocol.

use std::ffi::{CString, OsString};
use std::os::unix::ffi::OsStringExt;
use std::sync::Arc;
use std::time::Duration;

use crate::base::Timeout;
use crate::base::json::NotFinite;
use crate::config::{Arguments, Planner, Table, Template};
use crate::launcher::Strings;
use crate::task::{Fields, Values};
use crate::workload::command::program::Places;

/// How long a program may take to say that it is ready, if the file does not say.
const READY: Duration = Duration::from_secs(30);

/// A worker program, planned; cheap to clone.
#[derive(Clone, Debug)]
pub struct Spec(Arc<Plan>);

/// What a worker program is.
#[derive(Debug)]
struct Plan {
    /// Its words, for people.
    name: String,
    program: CString,
    argv: Vec<Template>,
    env: Vec<(String, Template)>,
    cwd: CString,
    arguments: Arguments,
    ready_timeout: Duration,
}

impl Spec {
    /// The program and its arguments in one line, for messages.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Where the program is, absolute.
    pub fn program(&self) -> &CString {
        &self.0.program
    }

    /// Where it runs, absolute.
    pub fn cwd(&self) -> &CString {
        &self.0.cwd
    }

    /// The arguments of the program that serves this slot.
    pub fn argv(&self, slot: usize) -> Strings {
        strings(self.0.argv.iter().map(|argument| render(argument, slot)))
    }

    /// What its environment has besides the runner's own: `NAME=value` each.
    pub fn environment(&self, slot: usize) -> Strings {
        strings(self.0.env.iter().map(|(name, value)| {
            let mut variable = format!("{name}=").into_bytes();
            variable.append(&mut render(value, slot));
            variable
        }))
    }

    /// What each task is.
    pub fn arguments(&self) -> &Arguments {
        &self.0.arguments
    }

    /// How long it may take to be ready.
    pub fn ready_timeout(&self) -> Duration {
        self.0.ready_timeout
    }

    /// One task for people.
    pub fn show(&self, values: &Values<'_>) -> String {
        self.0.arguments.show(&format!("{} ", self.0.name), values)
    }
}

fn render(template: &Template, slot: usize) -> Vec<u8> {
    let mut text = Vec::new();
    template.render(
        &Values { fields: &Fields::default(), task: 0, attempt: 0, slot, payload: None },
        &mut text,
    );
    text
}

fn strings(all: impl Iterator<Item = Vec<u8>>) -> Strings {
    let mut strings = Strings::default();
    all.for_each(|one| strings.push(one).expect("no NUL is let in when the table is read"));
    strings
}

/// Reads the table. `None` if there was a mistake, which has been noted.
pub fn read(table: &mut Table<'_>, plan: &Planner<'_>) -> Option<Spec> {
    // Every key is asked for before anything is given up, so that each mistake is told.
    let argv = read_argv(table, plan);
    let env = read_env(table, plan);
    let cwd = read_cwd(table, plan);
    let arguments = Arguments::read(table, NotFinite::Text, plan);
    let ready_timeout = table.get::<Timeout>("ready_timeout").map(|t| t.into_inner().duration());
    let (argv, mut env) = (argv?, env?);
    let path = env.iter().find(|(name, _)| name == "PATH").and_then(|(_, value)| value.literal());
    let path = path.map_or_else(|| std::env::var_os("PATH").unwrap_or_default(), OsString::from);
    let program = argv[0].literal().unwrap_or_default();
    let program = find(program, &Places::new(path, plan.folder()), table, plan)?;
    for (name, value) in [("RUNNER_JOB", "{job}"), ("RUNNER_SLOT", "{slot}")] {
        if !env.iter().any(|(given, _)| given == name) {
            env.push((name.into(), Template::parse(value, &plan.scope()).ok()?));
        }
    }
    let words: Vec<_> = argv
        .iter()
        .map(|argument| String::from_utf8_lossy(&render(argument, 1)).into_owned())
        .collect();
    Some(Spec(Arc::new(Plan {
        name: words.join(" "),
        program,
        argv,
        env,
        cwd: cwd?,
        arguments: arguments?,
        ready_timeout: ready_timeout.unwrap_or(READY),
    })))
}

fn read_argv(table: &mut Table<'_>, plan: &Planner<'_>) -> Option<Vec<Template>> {
    if !table.has("argv") {
        table.missing("argv");
    }
    let argv = table.templates("argv", plan)?;
    let place = || table.span_of("argv");
    let Some(program) = argv.first() else {
        plan.error(place(), "`argv` is empty: its first element is the program");
        return None;
    };
    if !argv.iter().all(|argument| is_of_the_program(argument, "argv", table, plan)) {
        return None;
    }
    if program.literal().is_none() {
        plan.error(place(), "the program itself is the same for every slot");
        return None;
    }
    Some(argv)
}

fn read_env(table: &mut Table<'_>, plan: &Planner<'_>) -> Option<Vec<(String, Template)>> {
    let env = table.template_map("env", plan);
    let is_sound = env.iter().all(|(name, value)| {
        if name.is_empty() || name.contains(['=', '\0']) {
            let message = format!("`{name}` cannot be the name of an environment variable");
            plan.error(table.span_of("env"), message);
            return false;
        }
        is_of_the_program(value, "env", table, plan)
    });
    is_sound.then_some(env)
}

fn read_cwd(table: &mut Table<'_>, plan: &Planner<'_>) -> Option<CString> {
    let mut folder = plan.folder().to_owned();
    if table.has("cwd") {
        let cwd = table.template("cwd", plan)?;
        if !is_of_the_program(&cwd, "cwd", table, plan) {
            return None;
        }
        let Some(cwd) = cwd.literal() else {
            plan.error(table.span_of("cwd"), "the folder is the same for every slot");
            return None;
        };
        folder.push(cwd);
        if !folder.is_dir() {
            plan.absent(table.span_of("cwd"), format!("there is no folder `{cwd}`"), None);
            return None;
        }
    }
    CString::new(folder.into_os_string().into_vec()).ok()
}

/// Whether a template can be filled when the program starts, and given to it.
fn is_of_the_program(
    template: &Template,
    key: &'static str,
    table: &Table<'_>,
    plan: &Planner<'_>,
) -> bool {
    if template.is_per_task() {
        plan.error_with_help(
            table.span_of(key),
            format!("`{key}` starts a program that does many tasks, and cannot name one"),
            "what differs from task to task goes into `args` or `kwargs`; `{slot}` and `{job}` can stand here",
        );
        return false;
    }
    if template.has_nul() {
        plan.error(table.span_of(key), "it contains a NUL, which no program can be given");
        return false;
    }
    true
}

fn find(name: &str, places: &Places, table: &Table<'_>, plan: &Planner<'_>) -> Option<CString> {
    let reason = match places.find(name.as_bytes()) {
        Ok(path) => return CString::new(path.into_os_string().into_vec()).ok(),
        Err(reason) => reason,
    };
    let (message, help) = reason.explain(name, plan.folder());
    plan.absent(table.span_of("argv"), message, help);
    None
}

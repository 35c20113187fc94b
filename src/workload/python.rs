//! `[workload.python]`: a function of Python's is called for every task.
//!
//! This file owns the table and the plan. The function runs in interpreters of its own, with `src/host/worker.py` at
//! the other end: under `processes` one for every slot, under the other models one for all.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};
use toml::Spanned;

use crate::base::json::NotFinite;
use crate::config::program::{Places, Unusable};
use crate::config::{Arguments, Planner, Table};
use crate::model::{Model, cores};
use crate::task::Values;

/// Libraries that compute in threads of their own read how many from these.
const INNER_POOLS: [&str; 6] = [
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
];

/// A function of Python's, planned.
#[derive(Debug)]
pub struct Spec {
    /// `module:name`.
    function: String,
    /// Called once in every interpreter before it is ready.
    init: Option<String>,
    /// Folders in which modules are looked for before all others, absolute.
    path: Vec<String>,
    /// Whether text arrives as bytes.
    as_bytes: bool,
    env: Vec<(String, String)>,
    interpreter: PathBuf,
    executable: OnceLock<Result<PathBuf, String>>,
    arguments: Arguments,
    /// The job's folder, in which interpreters run.
    pub folder: PathBuf,
}

/// How an interpreter runs what it gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// One task at a time, in the main thread.
    Alone,
    /// A thread for every slot.
    Threads,
    /// A coroutine for every slot.
    Async,
    /// The first slot in the main thread and every further one in a thread of its own, or, if the function is an
    /// `async def`, as under [`Self::Async`]: it is not known yet which model it will be.
    Pilot,
}

impl Mode {
    /// What an interpreter does under `model`.
    pub fn of(model: Model) -> Self {
        match model {
            Model::Sequential | Model::Processes => Self::Alone,
            Model::Threads => Self::Threads,
            Model::Async => Self::Async,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Alone => "alone",
            Self::Threads => "threads",
            Self::Async => "async",
            Self::Pilot => "pilot",
        }
    }
}

/// What an interpreter says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Facts {
    /// Of the runner's protocol.
    pub ready: u32,
    /// Of Python, such as `3.12.4`.
    pub version: String,
    /// Whether only one of its threads runs Python code at a time.
    pub gil: bool,
    /// Whether the function is an `async def`.
    pub coroutine: bool,
    /// The process.
    pub pid: i32,
}

impl Facts {
    /// What the report's reader should know: `Python 3.12.4, GIL on`.
    pub fn words(&self) -> String {
        format!("Python {}, GIL {}", self.version, if self.gil { "on" } else { "off" })
    }
}

/// The first packet to an interpreter; `worker.py` says what becomes of it.
#[derive(Debug, Serialize)]
struct Greeting<'a> {
    mode: &'a str,
    function: &'a str,
    init: Option<&'a str>,
    path: &'a [String],
    log: String,
    /// Whether a request is the only argument, and not `[args, kwargs]`.
    single: bool,
    as_bytes: bool,
    args: usize,
    kwargs: Vec<&'a str>,
    /// Arguments that are bytes where they are no text.
    payloads: (Vec<usize>, Vec<&'a str>),
}

/// Reads `[workload.python]`; every mistake is reported at its place.
pub fn read(table: &mut Table<'_>, plan: &Planner<'_>) -> Option<Spec> {
    let function = read_name("function", table, plan);
    let has_function = table.has("function");
    if !has_function {
        table.missing("function");
    }
    let init = read_name("init", table, plan);
    let path = read_path(table, plan);
    let env = read_env(table, plan);
    let as_bytes = table.get("as_bytes").is_some_and(Spanned::into_inner);
    let interpreter = read_interpreter(table, plan);
    let arguments = Arguments::read(table, NotFinite::Python, plan);
    if table.has("init") && init.is_none() {
        return None;
    }
    Some(Spec {
        function: function?,
        init,
        path: path?,
        as_bytes,
        env: env?,
        interpreter: interpreter?,
        executable: OnceLock::new(),
        arguments: arguments?,
        folder: plan.folder().to_owned(),
    })
}

/// A name such as `module:function` or `package.module:Class.method`.
fn read_name(key: &'static str, table: &mut Table<'_>, plan: &Planner<'_>) -> Option<String> {
    let name = table.get::<String>(key)?;
    let is_path = |path: &str| {
        path.split('.').all(|part| {
            !part.is_empty()
                && !part.starts_with(|first: char| first.is_ascii_digit())
                && part.chars().all(|char| char.is_alphanumeric() || char == '_')
        })
    };
    let text = name.get_ref();
    if text.split_once(':').is_some_and(|(module, path)| is_path(module) && is_path(path)) {
        return Some(name.into_inner());
    }
    let help = match text.rsplit_once('.') {
        Some((module, "py")) => format!("write `{key} = \"{module}:NAME\"`"),
        Some((module, path)) if !text.contains(':') => {
            format!("write `{key} = \"{module}:{path}\"`")
        }
        _ => format!("write `{key} = \"MODULE:NAME\"`, as in `math:factorial`"),
    };
    plan.error_with_help(name.span(), format!("`{text}` does not name a function"), help);
    None
}

/// Folders, relative to the job's.
fn read_path(table: &mut Table<'_>, plan: &Planner<'_>) -> Option<Vec<String>> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "a folder or an array of folders")]
    enum Folders {
        One(String),
        Many(Vec<String>),
    }
    if !table.has("path") {
        return Some(vec![plan.folder().to_string_lossy().into_owned()]);
    }
    let folders = table.get::<Folders>("path")?;
    let span = folders.span();
    let folders = match folders.into_inner() {
        Folders::One(folder) => vec![folder],
        Folders::Many(folders) => folders,
    };
    let mut path = Vec::new();
    for folder in &folders {
        let absolute = plan.folder().join(folder);
        if !absolute.exists() {
            plan.absent(span.clone(), format!("there is no folder `{folder}`"), None);
            return None;
        }
        path.push(absolute.to_string_lossy().into_owned());
    }
    path.push(plan.folder().to_string_lossy().into_owned());
    Some(path)
}

/// Variables; an interpreter serves many tasks, so they are the same for all.
fn read_env(table: &mut Table<'_>, plan: &Planner<'_>) -> Option<Vec<(String, String)>> {
    let span = table.span_of("env");
    let mut env = Vec::new();
    for (name, value) in table.template_map("env", plan) {
        let Some(value) = value.literal() else {
            let message =
                format!("`{name}` is the same for all tasks of an interpreter: no placeholders");
            plan.error_with_help(
                span,
                message,
                "pass what differs as an argument, in `args` or `kwargs`",
            );
            return None;
        };
        if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
            plan.error(span, format!("`{name}` cannot be a variable"));
            return None;
        }
        env.push((name, value.to_owned()));
    }
    Some(env)
}

/// A program, by name or path, or the folder of a virtual environment.
fn read_interpreter(table: &mut Table<'_>, plan: &Planner<'_>) -> Option<PathBuf> {
    let given = table.get::<String>("interpreter");
    if table.has("interpreter") && given.is_none() {
        return None;
    }
    let places = Places::new(std::env::var_os("PATH").unwrap_or_default(), plan.folder());
    let Some(given) = given else {
        let found = places.find(b"python3").or_else(|_| places.find(b"python"));
        return found
            .map_err(|_| {
                let help = "name one: `interpreter = \"/path/to/python\"`, or the folder of a venv";
                plan.error_with_help(table.span(), "there is no `python3` in the PATH", help);
            })
            .ok();
    };
    let text = given.get_ref();
    let folder = plan.folder().join(text);
    if folder.is_dir() {
        let inside = folder.join("bin/python");
        if inside.exists() {
            return Some(inside);
        }
        let message = format!("`{text}` is a folder without `bin/python`: no virtual environment");
        plan.absent(given.span(), message, Some(format!("make one: `python3 -m venv {text}`")));
        return None;
    }
    let found = places.find(text.as_bytes());
    found
        .map_err(|error: Unusable| {
            let (message, help) = error.explain(text, plan.folder());
            plan.absent(given.span(), message, help);
        })
        .ok()
}

impl Spec {
    /// Appends the JSON of what one task is called with: the only argument, or `[args, kwargs]`.
    pub fn render(&self, values: &Values<'_>, out: &mut Vec<u8>) {
        if self.arguments.is_sole() {
            return self.arguments.render_first(values, out);
        }
        out.push(b'[');
        self.arguments.render_args(values, out);
        out.push(b',');
        self.arguments.render_kwargs(values, out);
        out.push(b']');
    }

    /// One task as it would run: `math:factorial(100)`.
    pub fn show(&self, values: &Values<'_>) -> String {
        self.arguments.show(&self.function, values)
    }

    /// The interpreter itself. A script that stands before it, as a version manager has them, is asked once which one
    /// it comes to: it takes several times as long to start.
    ///
    /// # Errors
    /// If the script does not say.
    pub fn executable(&self) -> io::Result<&Path> {
        let executable = self.executable.get_or_init(|| {
            if !is_script(&self.interpreter) {
                return Ok(self.interpreter.clone());
            }
            ask_executable(&self.interpreter, &self.folder)
        });
        executable.as_deref().map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, &**error))
    }

    /// Variables for an interpreter, `NAME=value` each: the job's, and for processes a share of the cores for every
    /// library that computes in threads of its own, unless somebody has said how many.
    pub fn environment(&self, mode: Mode, slots: usize) -> Vec<String> {
        let mut environment: Vec<_> =
            self.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
        if matches!(mode, Mode::Alone | Mode::Pilot) && slots > 1 {
            let threads = (cores() / slots).max(1);
            let is_set = |name: &str| {
                self.env.iter().any(|(set, _)| set == name) || std::env::var_os(name).is_some()
            };
            let unset = INNER_POOLS.iter().filter(|name| !is_set(name));
            environment.extend(unset.map(|name| format!("{name}={threads}")));
        }
        environment
    }

    /// The first packet to an interpreter, which prints into `log`.
    pub fn greeting(&self, mode: Mode, log: &Path) -> Vec<u8> {
        let log = std::path::absolute(log).unwrap_or_else(|_| log.to_owned());
        let greeting = Greeting {
            mode: mode.name(),
            function: &self.function,
            init: self.init.as_deref(),
            path: &self.path,
            log: log.to_string_lossy().into_owned(),
            single: self.arguments.is_sole(),
            as_bytes: self.as_bytes,
            args: self.arguments.args(),
            kwargs: self.arguments.kwargs().collect(),
            payloads: self.arguments.payloads(),
        };
        serde_json::to_vec(&greeting).expect("strings and numbers are JSON")
    }
}

fn is_script(program: &Path) -> bool {
    let mut start = [0; 2];
    let read = std::fs::File::open(program)
        .and_then(|mut file| io::Read::read_exact(&mut file, &mut start));
    read.is_ok() && &start == b"#!"
}

fn ask_executable(interpreter: &Path, folder: &Path) -> Result<PathBuf, String> {
    let asked = Command::new(interpreter)
        .args(["-c", "import sys; sys.stdout.write(sys.executable)"])
        .current_dir(folder)
        .stdin(Stdio::null())
        .output();
    let name = interpreter.display();
    let output = asked.map_err(|error| format!("failed to run `{name}`: {error}"))?;
    if !output.status.success() || output.stdout.is_empty() {
        let words = String::from_utf8_lossy(&output.stderr);
        return Err(format!("`{name}` is no Python: {}", words.trim()));
    }
    Ok(OsString::from_vec(output.stdout).into())
}

//! `[workload.python]`: a function of Python's is called for every task.
//!
//! This file owns what is planned and what an interpreter is told. The function runs in interpreters of its own, with
//! `src/worker/worker.py` at the other end: under `processes` one for every slot, under the other models one for all.

mod interpreter;
mod read;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::ser::Error;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::base::json::write_text;
use crate::base::{ByteSize, Count};
use crate::config::{Arguments, Template, ValueStep};
use crate::model::{Model, cores};
use crate::task::{Fields, Values};
use interpreter::Executable;
pub use read::read;

/// Libraries that compute in threads of their own read how many from these.
const INNER_POOLS: [&str; 6] = [
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
];

/// Variables that give libraries with threads of their own a share of the cores, by how many slots run at once; none
/// for what somebody has set.
pub fn inner_pools(slots: usize, is_set: impl Fn(&str) -> bool) -> Vec<String> {
    if slots < 2 {
        return Vec::new();
    }
    let threads = (cores() / slots).max(1);
    let unset = INNER_POOLS.iter();
    let unset = unset.filter(|name| !is_set(name) && std::env::var_os(name).is_none());
    unset.map(|name| format!("{name}={threads}")).collect()
}

/// A function of Python's, planned.
#[derive(Debug)]
pub struct Spec {
    /// `module:name`, as the job file has it.
    function: String,
    /// The same, with the absolute path of a file.
    target: OsString,
    /// Called once in every interpreter before it is ready.
    init: Option<OsString>,
    /// Called, or imported, once, before interpreters are forked.
    preload: Option<OsString>,
    /// Folders in which modules are looked for before all others, absolute.
    path: Vec<OsString>,
    /// Whether text arrives as bytes.
    as_bytes: bool,
    /// Whether the author says that threads may run it at once.
    pub thread_safe: bool,
    /// After this many tasks, an interpreter is renewed.
    max_tasks: Option<Count>,
    /// An interpreter that has grown larger is renewed.
    max_memory: Option<ByteSize>,
    /// How long an interpreter may take to be ready.
    ready_timeout: Duration,
    env: Vec<(String, Template)>,
    /// The names of the slots, if they have names.
    slots: Option<Arc<[String]>>,
    executable: Executable,
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
    /// It is not known yet which model it will be. If the function is an `async def`, as under [`Self::Async`]; if it may
    /// run in threads, the first slot in the main thread and every further one in a thread of its own; else alone.
    Pilot,
    /// It runs nothing: others are forked from it.
    Server,
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
            Self::Server => "server",
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

/// A name of the system's, which need not be UTF-8: the other bytes are what Python's `os.fsdecode` makes of them.
#[derive(Debug)]
struct Native<'a>(&'a OsStr);

impl Serialize for Native<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut json = Vec::new();
        write_text(self.0.as_bytes(), &mut json);
        let text = String::from_utf8(json).map_err(S::Error::custom)?;
        RawValue::from_string(text).map_err(S::Error::custom)?.serialize(serializer)
    }
}

/// What an interpreter is told; `worker.py` says what becomes of it.
#[derive(Debug, Serialize)]
struct Greeting<'a> {
    mode: &'a str,
    function: Native<'a>,
    init: Option<Native<'a>>,
    preload: Option<Native<'a>>,
    path: Vec<Native<'a>>,
    log: Native<'a>,
    /// Whether a request is the only argument, and not `[args, kwargs]`.
    single: bool,
    as_bytes: bool,
    args: usize,
    kwargs: Vec<&'a str>,
    /// The ways to what is bytes where it is no text, in the positional and in the keyword arguments.
    payloads: [Vec<Vec<ValueStep<'a>>>; 2],
    /// Variables that are only known now.
    env: BTreeMap<&'a str, String>,
    thread_safe: bool,
    max_tasks: Option<u32>,
    max_memory: Option<u64>,
}

/// What an interpreter that is forked has for itself of what it is told.
#[derive(Debug, Serialize)]
struct Particulars<'a> {
    mode: &'a str,
    env: BTreeMap<&'a str, String>,
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

    /// Whether something is loaded before interpreters are forked, so that they share it.
    pub fn has_preload(&self) -> bool {
        self.preload.is_some()
    }

    /// Whether an interpreter is renewed before the job ends: then it is worth while to fork even a single one.
    pub fn is_renewed(&self) -> bool {
        self.max_tasks.is_some() || self.max_memory.is_some()
    }

    /// The program that is started, and the arguments that come before the runner's own.
    ///
    /// # Errors
    /// If there is no such interpreter.
    pub fn executable(&self) -> io::Result<(&Path, Vec<&[u8]>)> {
        let program = self.executable.find_program(&self.folder)?;
        Ok((program, self.executable.arguments().collect()))
    }

    /// The interpreter, as the job file has it.
    pub fn interpreter(&self) -> &str {
        self.executable.name()
    }

    /// How long an interpreter may take to be ready.
    pub fn ready_timeout(&self) -> Duration {
        self.ready_timeout
    }

    /// Variables for an interpreter, `NAME=value` each: the job's, and a share of the cores for every library that
    /// computes in threads of its own, unless somebody has said how many. What is forked must not have such threads.
    pub fn environment(&self, mode: Mode, slots: usize) -> Vec<String> {
        let literal =
            |(name, value): &(String, Template)| Some(format!("{name}={}", value.literal()?));
        let mut environment: Vec<_> = self.env.iter().filter_map(literal).collect();
        let is_set = |name: &str| self.env.iter().any(|(set, _)| set == name);
        let shares = mode == Mode::Server && self.preload.is_some();
        environment.extend(inner_pools(if shares { slots.max(cores()) } else { slots }, is_set));
        environment
    }

    /// Whether its environment has the name of a slot.
    pub fn names_its_slot(&self) -> bool {
        self.env.iter().any(|(_, value)| value.has_slot_name())
    }

    /// Variables that depend on the slot.
    fn slot_environment(&self, slot: Option<usize>) -> BTreeMap<&str, String> {
        let mut environment = BTreeMap::new();
        if let Some(slot) = slot {
            environment.insert("RUNNER_SLOT", slot.to_string());
            let name = self.slots.as_ref().and_then(|names| names.get(slot - 1));
            environment.extend(name.map(|name| ("RUNNER_SLOT_NAME", name.clone())));
        }
        for (name, value) in self.env.iter().filter(|(_, value)| value.literal().is_none()) {
            let mut text = Vec::new();
            let fields = Fields::default();
            let slot = slot.unwrap_or(1);
            let values = Values { fields: &fields, task: 0, attempt: 0, slot, payload: None };
            value.render(&values, &mut text);
            environment.insert(name, String::from_utf8_lossy(&text).into_owned());
        }
        environment
    }

    /// The packet that says what an interpreter is there for, which prints into `log`; `slot` is the one that has it, if
    /// only one has.
    pub fn greeting(&self, mode: Mode, slot: Option<usize>, log: &Path) -> Vec<u8> {
        let log = std::path::absolute(log).unwrap_or_else(|_| log.to_owned());
        let greeting = Greeting {
            mode: mode.name(),
            function: Native(&self.target),
            init: self.init.as_deref().map(Native),
            preload: self.preload.as_deref().map(Native),
            path: self.path.iter().map(|folder| Native(folder)).collect(),
            log: Native(log.as_os_str()),
            single: self.arguments.is_sole(),
            as_bytes: self.as_bytes,
            args: self.arguments.args(),
            kwargs: self.arguments.kwargs().collect(),
            payloads: self.arguments.payloads(),
            env: if mode == Mode::Server { BTreeMap::new() } else { self.slot_environment(slot) },
            thread_safe: self.thread_safe,
            max_tasks: self.max_tasks.map(Count::get),
            max_memory: self.max_memory.map(ByteSize::bytes),
        };
        serde_json::to_vec(&greeting).expect("strings and numbers are JSON")
    }

    /// The packet that says the same to an interpreter that is forked from one which has been told the rest.
    pub fn particulars(&self, mode: Mode, slot: Option<usize>) -> Vec<u8> {
        let particulars = Particulars { mode: mode.name(), env: self.slot_environment(slot) };
        serde_json::to_vec(&particulars).expect("strings are JSON")
    }
}

//! `[workload.worker]`: a program in any language that does one task after another, or several at once, over the
//! worker protocol. Here is what it is; `worker::external` runs it, `worker::public_protocol` is the protocol.

use std::ffi::CString;
use std::sync::Arc;
use std::time::Duration;

use toml::Spanned;

use crate::base::json::NotFinite;
use crate::base::{ByteSize, Count, Timeout};
use crate::config::program::{Folder, Program, StartedFor};
use crate::config::{Arguments, Planner, Table, Template};
use crate::launcher::Strings;
use crate::task::{Fields, Values};
use crate::workload::python::inner_pools;

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
    /// The names of the slots, if they have names.
    slots: Option<Arc<[String]>>,
    arguments: Arguments,
    ready_timeout: Duration,
    max_tasks: Option<Count>,
    max_memory: Option<ByteSize>,
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
    /// Libraries that compute in threads of their own get a share of the cores, by how many slots run at once. The slot's
    /// name is that of a program which `is_own`: only one slot has it.
    pub fn environment(&self, slot: usize, slots: usize, is_own: bool) -> Strings {
        let own = self.0.env.iter().map(|(name, value)| {
            let mut variable = format!("{name}=").into_bytes();
            variable.append(&mut render(value, slot));
            variable
        });
        let is_set = |name: &str| self.0.env.iter().any(|(set, _)| set == name);
        let name = self.0.slots.as_ref().filter(|_| is_own && !is_set("RUNNER_SLOT_NAME"));
        let name = name.and_then(|names| names.get(slot - 1));
        let own = own.chain(name.map(|name| format!("RUNNER_SLOT_NAME={name}").into_bytes()));
        strings(own.chain(inner_pools(slots, is_set).into_iter().map(String::into_bytes)))
    }

    /// What each task is.
    pub fn arguments(&self) -> &Arguments {
        &self.0.arguments
    }

    /// How long it may take to be ready.
    pub fn ready_timeout(&self) -> Duration {
        self.0.ready_timeout
    }

    /// After this many requests, a program is renewed.
    pub fn max_tasks(&self) -> Option<u64> {
        self.0.max_tasks.map(|count| u64::from(count.get()))
    }

    /// Whether it is started with the name of a slot.
    pub fn names_its_slot(&self) -> bool {
        let Plan { argv, env, .. } = &*self.0;
        argv.iter().chain(env.iter().map(|(_, value)| value)).any(Template::has_slot_name)
    }

    /// A program that has more memory than this, in bytes, is renewed.
    pub fn max_memory(&self) -> Option<u64> {
        self.0.max_memory.map(ByteSize::bytes)
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
    let program = Program::read(table, StartedFor::Slot, plan);
    let arguments = Arguments::read(table, NotFinite::Text, plan);
    let ready_timeout = table.get::<Timeout>("ready_timeout").map(|t| t.into_inner().duration());
    let max_tasks = table.get::<Count>("max_tasks").map(Spanned::into_inner);
    let max_memory = table.get::<ByteSize>("max_memory").map(Spanned::into_inner);
    let Program { path, argv, mut env, cwd } = program?;
    let Folder::Same(cwd) = cwd else { unreachable!("a slot's program has one folder") };
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
        program: path?,
        argv,
        env,
        cwd,
        slots: plan.slots.clone(),
        arguments: arguments?,
        ready_timeout: ready_timeout.unwrap_or(READY),
        max_tasks,
        max_memory,
    })))
}

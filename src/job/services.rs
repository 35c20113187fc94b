//! `[services.NAME]`: helper programs for the time of a job, planned. Running them is the engine's affair.

mod ready;

use std::ffi::CString;
use std::time::Duration;

use toml::Spanned;

use crate::base::Timeout;
use crate::config::program::{Folder, Program, StartedFor};
use crate::config::{JobName, Planner, Table, Template};
use crate::launcher::{HasNul, Strings};
use crate::task::{Fields, Values};

pub use ready::{Address, Ready};

/// How long a service may take to be ready, unless the file says otherwise.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A program that runs while the job does.
#[derive(Debug)]
pub struct Service {
    /// Names its log; letters, digits, `_`, `-`.
    pub name: String,
    /// The absolute path of the program.
    pub program: CString,
    /// Its arguments, the first being its own name.
    pub argv: Strings,
    /// The variables of its environment in addition to the runner's own.
    env: Vec<(String, Template)>,
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

    /// Its variables, `NAME=value` each, with the secrets of a run that has started.
    ///
    /// # Errors
    /// If a secret has a NUL in it.
    pub fn variables(&self) -> Result<Strings, HasNul> {
        let nothing = Fields::default();
        let values = Values { fields: &nothing, task: 0, attempt: 0, slot: 0, payload: None };
        let mut strings = Strings::default();
        for (name, value) in &self.env {
            strings.push_with(|out| {
                out.extend_from_slice(name.as_bytes());
                out.push(b'=');
                value.render(&values, out);
            })?;
        }
        Ok(strings)
    }
}

/// Reads `[services]`: its tables, in the order of the file.
pub(super) fn read(table: Option<Table<'_>>, plan: &Planner<'_>) -> Vec<Service> {
    let Some(mut table) = table else { return Vec::new() };
    // A service belongs to the job and not to a task: there are no inputs.
    let (job, folder) = (plan.job.clone(), plan.folder.clone());
    let secrets = plan.secrets.clone();
    let mut plan = Planner::new(plan.document, job, folder, Some(Vec::new()), plan.absent);
    plan.secrets = secrets;
    let mut services = Vec::new();
    for (name, mut service) in table.tables() {
        if let Err(error) = name.get_ref().parse::<JobName>() {
            plan.error(name.span(), error.of("service"));
        }
        services.extend(read_one(name.into_inner(), &mut service, &plan));
        service.finish();
    }
    services
}

/// `None` if there was a mistake, which has been noted.
fn read_one(name: String, table: &mut Table<'_>, plan: &Planner<'_>) -> Option<Service> {
    let program = Program::read(table, StartedFor::Job, plan);
    let ready = ready::read(table, plan);
    let timeout = table.get::<Timeout>("timeout").map(Spanned::into_inner);
    let Program { path, argv, env, cwd } = program?;
    let Folder::Same(cwd) = cwd else { unreachable!("a service has one folder") };
    let text = |template: &Template| template.literal().unwrap_or_default().to_owned();
    Some(Service {
        name,
        program: path?,
        argv: strings(argv.iter().map(text)),
        env,
        cwd,
        ready: ready?,
        timeout: timeout.map_or(TIMEOUT, Timeout::duration),
    })
}

fn strings(all: impl Iterator<Item = String>) -> Strings {
    let mut strings = Strings::default();
    all.for_each(|one| strings.push(one).expect("no NUL is let in when the table is read"));
    strings
}

//! Reading whole files: what a job file comes to, and what is said of one that is wrong.

mod inputs;
mod mistakes;
mod schema;

use std::fs;
use std::path::PathBuf;

use super::*;
use crate::base::Diagnostics;
use crate::config::counts;
use crate::config::{Formats, Logs, Order, Overrides, Running};
use crate::csv::Dialect;
use crate::task::Fields;

/// A folder of files and the arguments of a call.
struct Files {
    folder: tempfile::TempDir,
    jobs: Vec<PathBuf>,
    overrides: Overrides,
}

/// A workload that every test can use.
const SLEEP: &str = "[workload.sleep]\nduration = \"1ms\"\n";

impl Files {
    /// A job file `a.toml` with this text.
    fn new(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { folder, jobs: Vec::new(), overrides: Overrides::default() }.job("a.toml", text)
    }

    /// A job file of these inputs, which sleeps.
    fn inputs(inputs: &str) -> Self {
        Self::new(&format!("[inputs]\n{inputs}\n{SLEEP}"))
    }

    fn job(mut self, name: &str, text: &str) -> Self {
        self.jobs.push(self.folder.path().join(name));
        self.file(name, text)
    }

    fn file(self, name: &str, text: impl AsRef<[u8]>) -> Self {
        let path = self.folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    fn set(mut self, set: &str) -> Self {
        self.overrides.set.push(set.into());
        self
    }

    fn read(&self) -> Result<Vec<Job>, Diagnostics> {
        read(&self.jobs, &self.overrides)
    }

    fn plan(&self) -> Job {
        match self.read() {
            Ok(mut jobs) => jobs.remove(0),
            Err(errors) => panic!("{errors}"),
        }
    }

    /// What is wrong, as it is shown.
    fn errors(&self) -> String {
        let shown = self.read().expect_err("it is wrong").to_string();
        shown.replace(&format!("{}/", self.folder.path().display()), "")
    }

    /// What is wrong, a message each.
    fn messages(&self) -> Vec<String> {
        let Err(errors) = self.read() else { return vec!["nothing is wrong".into()] };
        let folder = format!("{}/", self.folder.path().display());
        errors.iter().map(|error| error.message().replace(&folder, "")).collect()
    }

    /// The rows of the inputs, their values joined by `|`; an error as its message.
    fn rows(&self) -> Vec<String> {
        let reader = match self.plan().inputs.open() {
            Ok(reader) => reader,
            Err(error) => return vec![error.to_string()],
        };
        let shown = |row: Result<Fields, InputError>| match row {
            Ok(fields) if fields.cause().is_some() => format!("bad: {}", fields.cause().unwrap()),
            Ok(fields) => fields.iter().map(String::from_utf8_lossy).collect::<Vec<_>>().join("|"),
            Err(error) => error.to_string(),
        };
        reader.map(shown).collect()
    }
}

#[test]
fn a_job_has_what_the_file_says() {
    let text = format!(
        "name = \"j\"\ndescription = \"d\"\nmodel = \"async\"\n{SLEEP}\
         [limits]\nconcurrency = 7\ntimeout = \"30s\"\ngrace = \"1s\"\n\
         [columns.loss]\njson = \"/loss\"\n\
         [report]\ndialect = \"excel\"\norder = \"completion\"\nformula_safe = false\nalso = [\"xlsx\"]\n"
    );
    let job = Files::new(&text).plan();
    assert_eq!((job.name.as_str(), job.description.as_deref()), ("j", Some("d")));
    assert_eq!(job.stages[0].model, Model::Async);
    assert_eq!(job.stages[0].concurrency, 7);
    assert_eq!(job.stages[0].limits.timeout, Some(Duration::from_secs(30)));
    assert_eq!(job.stages[0].limits.grace, Duration::from_secs(1));
    assert_eq!(job.stages[0].columns[0].name, "loss");
    let report = ReportSettings {
        dialect: Dialect::Excel,
        order: Order::Completion,
        formula_safe: false,
        host: false,
        logs: Logs::None,
        also: Formats { html: false, xlsx: true },
    };
    assert_eq!(job.report, report);
    assert!(job.folder.is_absolute());
}

#[test]
fn the_command_line_changes_the_file() {
    let files = Files::inputs("lines = \"missing\"\nnull = true")
        .set("inputs.repeat=3")
        .set("limits.timeout=5s")
        .set("name=7")
        .set("description=true")
        .set("columns.n.regex=\\d+");
    let job = files.plan();
    assert_eq!(job.inputs.tasks(), Some(3));
    assert_eq!(job.stages[0].limits.timeout, Some(Duration::from_secs(5)));
    assert_eq!((job.name.as_str(), job.description.as_deref()), ("7", Some("true")));
    assert_eq!(job.stages[0].columns[0].name, "n");

    let mut files = Files::inputs("repeat = 3");
    files.overrides.model = Some("processes".into());
    files.overrides.concurrency = Some("3".into());
    files.overrides.limit = Some(2);
    let job = files.plan();
    assert_eq!((job.stages[0].model, job.stages[0].concurrency), (Model::Processes, 3));
    assert_eq!(job.inputs.tasks(), Some(2));
}

#[test]
fn retries_and_limits_have_defaults() {
    let limits = "deadline = \"1h\"\nrate = \"100/m\"\nstop_after_failures = \"5%\"\non_stop = \"kill\"\nmin_free_memory = \"1GiB\"";
    let retry = "max_attempts = 3\ndelay = \"2m\"";
    let mut job = Files::new(&format!("[limits]\n{limits}\n[retry]\n{retry}\n{SLEEP}")).plan();
    assert_eq!(job.limits.deadline, Some(Duration::from_hours(1)));
    assert_eq!(job.limits.stop_after, StopAfter::Share { percent: 5.0, running: Running::Kill });
    assert_eq!(job.limits.min_free_memory, Some(ByteSize::new(1 << 30)));
    let pace = job.stages[0].limits.pace.unwrap();
    assert_eq!((pace.rate.to_string().as_str(), pace.burst), ("100/m", 1));
    let retry = job.stages.remove(0).retry.unwrap();
    assert_eq!((retry.max_attempts, retry.max_delay), (3, Duration::from_mins(2)));
    assert_eq!(
        retry.on.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["failed", "timeout", "crashed"]
    );
    let once = Files::new(&format!("[retry]\nmax_attempts = 1\n{SLEEP}")).plan();
    assert!(once.stages[0].retry.is_none() && once.stages[0].limits.pace.is_none());
}

#[test]
fn a_job_that_waits_is_read_and_parsed_once() {
    let files = Files::new(SLEEP)
        .job("b.toml", &format!("needs = ['a']\n{SLEEP}"))
        .file("runner.toml", "[defaults.limits]\ntimeout = '5s'\n")
        .set("limits.grace=1s");
    counts::reset();
    let mut jobs = read_batch(&files.jobs, &files.overrides).unwrap();
    let job = jobs.remove(1).settle(&|_| None).unwrap();
    assert_eq!((job.name.as_str(), job.grace()), ("b", Duration::from_secs(1)));
    assert_eq!(job.stages[0].limits.timeout, Some(Duration::from_secs(5)));
    let path = |name: &str| files.folder.path().join(name).display().to_string();
    assert_eq!(counts::read(), [path("a.toml"), path("b.toml")]);
    assert_eq!(counts::parsed(), [path("runner.toml"), path("a.toml"), path("b.toml")]);
}

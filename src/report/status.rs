//! `results/.<job>.status.json`: how far a job is, written once a second while it runs, for `runner status`.
//!
//! A run that ends removes the file. One that is killed leaves it, which is how one sees that it was.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::config::raw::is_stdin;
use crate::csv::utc;
use crate::sys;

/// What a running job has written is not older than this, unless it is paused, or the disk is slow.
const FRESH: Duration = Duration::from_secs(5);

/// The end of the files' names.
const ENDING: &str = ".status.json";

/// The name of the status file of `job`.
pub(super) fn name(job: &str) -> String {
    format!(".{job}{ENDING}")
}

/// The status file of a running job. A thread of its own writes it, so that a disk that hangs delays nobody.
#[derive(Debug)]
pub struct StatusFile {
    path: PathBuf,
    facts: Value,
    writer: Option<(SyncSender<Value>, JoinHandle<()>)>,
}

impl StatusFile {
    /// The file of `job`, which `file` describes, in the folder `results`. It is written with the first status.
    pub fn new(results: &Path, job: &str, file: &Path) -> Self {
        let absolute = |path: &Path| match std::path::absolute(path) {
            Ok(absolute) if !is_stdin(path) => absolute,
            _ => path.to_owned(),
        };
        let facts = json!({
            "v": 1,
            "job": job,
            "file": absolute(file).to_string_lossy(),
            "report": absolute(&results.join(format!("{job}.csv"))).to_string_lossy(),
            "pid": std::process::id(),
            "host": sys::host(),
            "started_utc": utc(SystemTime::now()),
        });
        let path = results.join(name(job));
        let _ = fs::remove_file(&path); // of a run that was killed
        Self { path, facts, writer: None }
    }

    /// Says that the job runs there, as `--on` has it.
    #[must_use]
    pub fn on(mut self, place: &str) -> Self {
        self.facts["on"] = json!(place);
        self
    }

    /// Writes the last status of a job that goes on without this process, and keeps it.
    pub fn leave(&mut self, mut status: Value) {
        if let Some((sender, thread)) = self.writer.take() {
            drop(sender);
            let _ = thread.join();
        }
        status["left"] = json!(true);
        write(&self.path, &self.facts, status);
    }

    /// Writes this status, unless the one before is still being written.
    pub fn write(&mut self, status: Value) {
        if self.writer.is_none() {
            let (sender, receiver) = sync_channel(1);
            let (path, facts) = (self.path.clone(), self.facts.clone());
            let write = move || receiver.iter().for_each(|status| write(&path, &facts, status));
            // Without a thread, there is no status: the job itself runs.
            let thread = std::thread::Builder::new().name("status".into()).spawn(write);
            self.writer = thread.ok().map(|thread| (sender, thread));
        }
        if let Some((sender, _)) = &self.writer {
            let _ = sender.try_send(status);
        }
    }

    /// Removes it: the job has ended.
    pub fn end(&mut self) {
        let Some((sender, thread)) = self.writer.take() else { return };
        drop(sender);
        let _ = thread.join();
        let _ = fs::remove_file(&self.path); // then `runner status` takes the job for interrupted
    }
}

/// Replaces the file as a whole. A failure is not told: the report itself goes to the same folder, and is.
fn write(path: &Path, facts: &Value, status: Value) {
    let mut all = facts.clone();
    if let (Value::Object(all), Value::Object(status)) = (&mut all, status) {
        all.insert("updated_utc".into(), json!(utc(SystemTime::now())));
        all.extend(status);
    }
    let new = path.with_extension("json.new");
    let _ = fs::write(&new, format!("{all}\n")).and_then(|()| fs::rename(&new, path));
}

/// How a job is that has a status file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It has just written it.
    Running,
    /// Its process is there, but has not written for this long: it is paused, or waits for a disk.
    Silent(Duration),
    /// Its process is not there any more.
    Interrupted,
}

/// The status of a job, as it was last written.
#[derive(Clone, Debug)]
pub struct Status {
    /// The members of the file.
    pub members: Value,
    /// What has become of its process.
    pub state: State,
}

/// The status files in the folder `results`, by the names of their jobs.
///
/// # Errors
/// If the folder cannot be read. A file that is none of the runner's is left out.
pub fn read_all(results: &Path) -> io::Result<Vec<Status>> {
    let mut all = Vec::new();
    for entry in fs::read_dir(results)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with('.') || !name.ends_with(ENDING) {
            continue;
        }
        match read(&entry.path()) {
            Ok(status) => all.extend(status),
            Err(error) if error.kind() == ErrorKind::NotFound => {} // it has ended meanwhile
            Err(error) => return Err(error),
        }
    }
    all.sort_by_key(|status| status.members["job"].as_str().unwrap_or_default().to_owned());
    Ok(all)
}

/// What the job has last said of itself, if it has a status file. Nobody knows whether its process is there any more.
pub fn last(results: &Path, job: &str) -> Option<Value> {
    let members = serde_json::from_slice::<Value>(&fs::read(results.join(name(job))).ok()?).ok()?;
    (members["v"].as_u64() == Some(1)).then_some(members)
}

fn read(path: &Path) -> io::Result<Option<Status>> {
    let text = fs::read(path)?;
    let written = fs::metadata(path)?.modified()?;
    let age = SystemTime::now().duration_since(written).unwrap_or_default();
    let Ok(members) = serde_json::from_slice::<Value>(&text) else { return Ok(None) };
    if members["v"].as_u64() != Some(1) {
        return Ok(None);
    }
    let is_here = members["host"].as_str() == Some(&sys::host());
    let pid = members["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok());
    // Another program may have the number by now; a run holds a lock on its partial.
    let partial = members["report"].as_str().map(|report| format!("{report}.partial"));
    let partial = partial.and_then(|partial| fs::metadata(partial).ok());
    let is_unheld = || age >= FRESH && partial.is_some_and(|partial| !sys::is_locked(&partial));
    let is_gone = is_here && (!pid.is_some_and(sys::is_running) || is_unheld());
    let state = match age {
        _ if is_gone => State::Interrupted,
        _ if age < FRESH => State::Running,
        _ => State::Silent(age),
    };
    Ok(Some(Status { members, state }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_left_is_told_from_one_of_a_running_job() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = StatusFile::new(folder.path(), "a", Path::new("a.toml"));
        file.write(json!({ "ok": 3 }));
        let path = folder.path().join(".a.status.json");
        while !path.exists() {
            std::thread::sleep(Duration::from_millis(1));
        }
        let all = read_all(folder.path()).unwrap();
        assert_eq!((all.len(), all[0].state), (1, State::Running));
        assert_eq!(all[0].members["ok"], 3);
        file.end();
        assert!(!path.exists());

        let gone = json!({ "v": 1, "job": "b", "pid": i32::MAX, "host": sys::host() });
        fs::write(folder.path().join(".b.status.json"), gone.to_string()).unwrap();
        fs::write(folder.path().join(".c.status.json"), "{").unwrap();
        // The number of its process is another one's now.
        let report = folder.path().join("d.csv");
        let taken = json!({
            "v": 1, "job": "d", "pid": std::process::id(), "host": sys::host(), "report": report
        });
        let left = folder.path().join(".d.status.json");
        fs::write(&left, taken.to_string()).unwrap();
        let long_ago = SystemTime::now() - 2 * FRESH;
        fs::File::options().write(true).open(&left).unwrap().set_modified(long_ago).unwrap();
        let state = || read_all(folder.path()).unwrap().pop().unwrap().state;
        assert!(matches!(state(), State::Silent(_)));
        fs::write(folder.path().join("d.csv.partial"), "").unwrap();
        assert_eq!(state(), State::Interrupted);
        fs::remove_file(left).unwrap();
        let all = read_all(folder.path()).unwrap();
        assert_eq!((all.len(), all[0].state), (1, State::Interrupted));
    }
}

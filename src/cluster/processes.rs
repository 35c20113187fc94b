//! Elements as processes of this machine, for tests: what a scheduler does, without one. The pool of an array outlives
//! the driver, as a scheduler does.

use std::fs;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use crate::cluster::engine::{
    Element, Engine, Found, How, Id, NotSubmitted, Request, States, Stop, Unknown, in_shell,
};
use crate::cluster::reason::Outlook;

/// Runs the elements of an array, some at once. Each lane does every n-th element. An element whose folder `.begun` is
/// there does not start: who cancels it makes that folder first.
const POOL: &str = r#"
dir=$1 elements=$2 lanes=$3 script=$4 logs=$5
lane() {
    index=$1
    while [ "$index" -lt "$elements" ]; do
        if mkdir "$dir/$index.begun" 2>/dev/null; then
            sh "$script" "$index" >"$logs.$index.log" 2>&1 &
            echo "$!" >"$dir/$index.tmp"
            mv "$dir/$index.tmp" "$dir/$index.pid"
            wait "$!"
            echo "$?" >"$dir/$index.tmp"
            mv "$dir/$index.tmp" "$dir/$index.code"
        fi
        index=$((index + lanes))
    done
}
number=0
while [ "$number" -lt "$lanes" ]; do
    lane "$number" &
    number=$((number + 1))
done
wait
"#;

/// The processes of this machine as a cluster.
#[derive(Debug)]
pub struct Processes;

/// The folder of an array: its name.
fn folder(id: &Id) -> &Path {
    Path::new(&id.0)
}

fn number(path: PathBuf) -> Option<i32> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

fn is_alive(pid: Option<i32>) -> bool {
    pid.and_then(Pid::from_raw).is_some_and(|pid| test_kill_process(pid).is_ok())
}

fn found(folder: &Path, index: u32) -> Found {
    let file = |ending: &str| folder.join(format!("{index}.{ending}"));
    let pool = is_alive(number(folder.join("pool")));
    let pid = number(file("pid"));
    // The code is written last, and so is looked at last.
    let alive = is_alive(pid);
    let ended = |how, code| Found::Ended { how, code, node: "here".into() };
    if file("cancelled").exists() {
        return ended(How::Cancelled, 0);
    }
    match number(file("code")) {
        Some(0) => ended(How::Completed, 0),
        Some(code) => ended(How::Failed, code as u8),
        None if alive || pool && file("begun").exists() => Found::Running { node: "here".into() },
        None if pid.is_some() => ended(How::NodeLost, 0),
        None if pool => Found::Waiting { reason: "Priority".into(), outlook: Outlook::Passes },
        None => Found::Absent,
    }
}

impl Engine for Processes {
    fn name(&self) -> &'static str {
        "processes"
    }

    fn interval(&self) -> (Duration, Duration) {
        (Duration::from_millis(50), Duration::from_millis(200))
    }

    fn pause(&self) -> Duration {
        Duration::from_millis(10)
    }

    fn script(&self, command: &[String]) -> String {
        format!("exec {} \"$1\"\n", in_shell(command))
    }

    fn check(&self, _: &Request) -> Result<Vec<String>, NotSubmitted> {
        Ok(Vec::new())
    }

    fn most_elements(&self) -> Result<u32, Unknown> {
        Ok(1000)
    }

    fn submit(&self, request: &Request) -> Result<Id, NotSubmitted> {
        let failed = |error: std::io::Error| NotSubmitted::Unclear(error.to_string());
        let pool = request.script.with_extension("pool");
        fs::create_dir_all(&pool).map_err(failed)?;
        fs::write(pool.join("name"), &request.name).map_err(failed)?;
        let logs = request.script.with_extension("");
        let mut child = Command::new("sh")
            .args(["-c", POOL, "pool"])
            .arg(&pool)
            .args([request.elements.to_string(), request.at_once.to_string()])
            .args([&request.script, &logs])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0) // a Ctrl-C is for the driver
            .spawn()
            .map_err(failed)?;
        let pid = child.id().to_string();
        fs::File::create(pool.join("pool"))
            .and_then(|mut file| file.write_all(pid.as_bytes()))
            .map_err(failed)?;
        // Reaped, so that it is known to be gone.
        std::thread::spawn(move || drop(child.wait()));
        Ok(Id(pool.display().to_string()))
    }

    fn find(&self, _: &str) -> Result<Option<Id>, Unknown> {
        Ok(None) // a pool is noted as soon as it is there
    }

    fn poll(&self, arrays: &[(Id, String)]) -> Result<States, Unknown> {
        let mut states = States::default();
        for (id, _) in arrays {
            let folder = folder(id);
            if !folder.exists() {
                states.forgotten.push(id.clone());
                continue;
            }
            let list = fs::read_to_string(folder.with_extension("list")).unwrap_or_default();
            for index in (0..).take(list.lines().count()) {
                let found = found(folder, index);
                if found != Found::Absent {
                    states.elements.insert(Element { id: id.clone(), index }, found);
                }
            }
        }
        Ok(states)
    }

    fn stop(&self, id: &Id, indexes: &[u32], how: Stop) -> Result<(), Unknown> {
        let folder = folder(id);
        for index in indexes {
            let file = |ending: &str| folder.join(format!("{index}.{ending}"));
            if fs::create_dir(file("begun")).is_ok() {
                let _ = fs::write(file("cancelled"), "");
                continue;
            }
            let signal = if how == Stop::Drain { Signal::HUP } else { Signal::KILL };
            if let Some(pid) = number(file("pid")).and_then(Pid::from_raw)
                && !file("code").exists()
            {
                let _ = kill_process(pid, signal); // it may have ended meanwhile
            }
        }
        Ok(())
    }

    fn set_at_once(&self, _: &Id, _: u32) -> Result<(), Unknown> {
        Err(Unknown("the lanes of a pool are fixed".into()))
    }
}

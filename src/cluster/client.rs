//! Runs a client program of the scheduler: with a limit of time, and without what an allocation around the driver would
//! pass on.

use std::io::Read;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use std::{env, io};

/// How long a client may take: a scheduler that is busy answers late.
const PATIENCE: Duration = Duration::from_mins(1);

/// Variables that would make `sbatch` wait for the end, write elsewhere, or submit to a cluster that nobody asks after
/// that. What chooses accounts, partitions and the like stays: users rely on it.
const OF_SBATCH: [&str; 5] =
    ["SBATCH_WAIT", "SBATCH_OUTPUT", "SBATCH_ERROR", "SBATCH_INPUT", "SBATCH_CLUSTERS"];

/// How the variables begin by which users choose what the other clients show, and what they ask first. The runner
/// asks for what it needs.
const OF_OTHERS: [&str; 4] = ["SQUEUE_", "SCANCEL_", "SCONTROL_", "SINFO_"];

/// What a client has said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// Its exit code; `None` if a signal or the limit of time ended it.
    pub code: Option<i32>,
    /// What it printed.
    pub stdout: String,
    /// What it complained of, in one line.
    pub complaint: String,
}

impl Said {
    /// Whether it did what it was asked for.
    pub fn is_ok(&self) -> bool {
        self.code == Some(0)
    }
}

/// Whether what `program` has in its environment is what tasks will have in theirs.
fn hands_on(program: &str) -> bool {
    program == "sbatch"
}

/// Whether `program` does without the user's variable `name`, which would change what it answers or whom it asks.
fn is_removed(program: &str, name: &str) -> bool {
    // A driver inside of an allocation must not pass its own size on. The way to the cluster is no part of that.
    if name.starts_with("SLURM_") {
        return name != "SLURM_CONF";
    }
    if hands_on(program) {
        return OF_SBATCH.contains(&name);
    }
    OF_OTHERS.iter().any(|start| name.starts_with(start))
}

/// Runs `program`.
///
/// # Errors
/// If it is not there, or cannot be started.
pub fn run<S: AsRef<str>>(program: &str, args: &[S]) -> io::Result<Said> {
    let mut command = Command::new(program);
    command.args(args.iter().map(AsRef::as_ref));
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(|name| is_removed(program, name)) {
            command.env_remove(name);
        }
    }
    if !hands_on(program) {
        // A list of elements is told whole, however long it is.
        command.env("LC_ALL", "C").env("SLURM_BITSTR_LEN", "0");
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    let stdout = aside(child.stdout.take());
    let stderr = aside(child.stderr.take());
    let started = Instant::now();
    let mut pause = Duration::from_millis(1);
    let code = loop {
        if let Some(status) = child.try_wait()? {
            break status.code();
        }
        if started.elapsed() > PATIENCE {
            let _ = child.kill(); // it may have ended by itself
            child.wait()?;
            break None;
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    };
    let text = |bytes: thread::JoinHandle<Vec<u8>>| {
        String::from_utf8_lossy(&bytes.join().unwrap_or_default()).into_owned()
    };
    let (stdout, stderr) = (text(stdout), text(stderr));
    let mut complaint = in_one_line(&stderr);
    if code.is_none() && complaint.is_empty() {
        complaint = format!("`{program}` gave no answer within {} s", PATIENCE.as_secs());
    }
    Ok(Said { code, stdout, complaint })
}

/// Reads a pipe in a thread of its own, so that neither fills up.
fn aside(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            let _ = pipe.read_to_end(&mut bytes); // what came is what there is
        }
        bytes
    })
}

/// What a client complained of, without its own name.
fn in_one_line(stderr: &str) -> String {
    let lines = stderr.lines().map(str::trim).filter(|line| !line.is_empty());
    let bare = lines.map(|line| {
        let named = ["sbatch: error: ", "sbatch: ", "squeue: error: ", "scancel: error: "];
        named.into_iter().find_map(|name| line.strip_prefix(name)).unwrap_or(line)
    });
    bare.filter(|line| !line.starts_with("Try \"")).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_heard() {
        let said = run("sh", &["-c", "echo out; echo 'sbatch: error: no' >&2; exit 3"]).unwrap();
        let complaint = "no".to_owned();
        assert_eq!(said, Said { code: Some(3), stdout: "out\n".into(), complaint });
        assert!(run("/nowhere/at-all", &[""]).is_err());
    }

    #[test]
    fn the_variables_of_users_do_not_change_what_is_asked() {
        for (program, name, is_gone) in [
            ("squeue", "SQUEUE_PARTITION", true),
            ("squeue", "SQUEUE_STATES", true),
            ("scancel", "SCANCEL_INTERACTIVE", true),
            ("sinfo", "SINFO_PARTITION", true),
            ("scontrol", "SCONTROL_ALL", true),
            ("squeue", "SLURM_CLUSTERS", true),
            ("squeue", "SLURM_CONF", false),
            ("squeue", "HOME", false),
            ("sbatch", "SLURM_JOB_ID", true),
            ("sbatch", "SLURM_CONF", false),
            ("sbatch", "SBATCH_WAIT", true),
            ("sbatch", "SBATCH_ERROR", true),
            ("sbatch", "SBATCH_ACCOUNT", false),
            ("sbatch", "SBATCH_PARTITION", false),
            ("sbatch", "SBATCH_WAIT_ALL_NODES", false),
            ("sbatch", "SQUEUE_PARTITION", false), // a task may ask, too
            ("sbatch", "LC_ALL", false),
        ] {
            assert_eq!(is_removed(program, name), is_gone, "{program} {name}");
        }
    }
}

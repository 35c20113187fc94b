//! Slurm, by its client programs. All arrays are asked for by their numbers in one call, which costs the controller the
//! least; no accounting is needed.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;
use std::{env, io};

use crate::cluster::client::{self, Said};
use crate::cluster::engine::{
    Element, Engine, Found, How, Id, NotSubmitted, Request, States, Stop, Unknown, in_shell, quoted,
};
use crate::cluster::queue::{self, FIELDS, Row};
use crate::cluster::reason::{Outlook, Refused, outlook, refused};
use crate::job::ClusterSettings;

/// What Slurm's controller says of an array that it has forgotten.
const FORGOTTEN: &str = "Invalid job id specified";

/// The number of elements that a cluster allows if it does not say.
const USUAL_ELEMENTS: u32 = 1001;

/// How many ranges of elements are named in one call at most.
const NAMED: usize = 500;

/// The longest time before the end, in seconds, at which Slurm sends a signal.
const LONGEST_LEAD: u64 = 65_535;

/// A cluster under Slurm.
#[derive(Debug)]
pub struct Slurm {
    settings: ClusterSettings,
    lead: Duration,
}

impl Slurm {
    /// The cluster of this machine, asked for what `settings` say; allocations are told to end `lead` before their time
    /// is over.
    ///
    /// # Errors
    /// In words, if there is none.
    pub fn new(settings: &ClusterSettings, lead: Duration) -> Result<Self, String> {
        let paths = env::var_os("PATH").unwrap_or_default();
        let is_there = |name: &str| env::split_paths(&paths).any(|path| path.join(name).is_file());
        for client in ["sbatch", "squeue", "scancel", "scontrol"] {
            if !is_there(client) {
                return Err(format!(
                    "--on slurm: no `{client}` in the PATH; use a login node, or load its module"
                ));
            }
        }
        Ok(Self { settings: settings.clone(), lead })
    }

    /// The arguments of `sbatch`.
    pub fn arguments(&self, request: &Request) -> Vec<String> {
        let settings = &self.settings;
        let mut arguments = vec![
            "--parsable".to_owned(),
            "--no-requeue".to_owned(),
            "--export=ALL".to_owned(),
            "--ntasks=1".to_owned(),
            format!("--job-name={}", request.name),
            format!("--array=0-{}%{}", request.elements.max(1) - 1, request.at_once),
            format!("--output={}", logs(&request.logs)),
            format!("--signal=B:TERM@{}", self.lead.as_secs().min(LONGEST_LEAD)),
        ];
        let mut add = |name: &str, value: Option<String>| {
            arguments.extend(value.map(|value| format!("--{name}={value}")));
        };
        let kib = |size: crate::base::ByteSize| format!("{}K", size.bytes().div_ceil(1024));
        add("cpus-per-task", settings.cpus.map(|cpus| cpus.to_string()));
        add("mem", settings.mem.map(kib));
        add("mem-per-cpu", settings.mem_per_cpu.map(kib));
        add("gpus", settings.gpus.clone());
        add("time", settings.time.map(time));
        add("partition", settings.partition.clone());
        add("account", settings.account.clone());
        add("qos", settings.qos.clone());
        add("constraint", settings.constraint.clone());
        let exclude = (!request.exclude.is_empty()).then(|| request.exclude.join(","));
        add("exclude", exclude);
        arguments.extend(settings.options.iter().cloned());
        arguments
    }

    fn refusal(said: &Said) -> NotSubmitted {
        let words = said.complaint.clone();
        match refused(&words, said.code.is_some_and(|code| code > 1)) {
            Refused::Full => NotSubmitted::Full(words),
            Refused::ArrayTooLarge => NotSubmitted::TooLarge(words),
            Refused::Unclear => NotSubmitted::Unclear(words),
            Refused::Settings(key) => {
                let help = (key == Some("partition")).then(partitions).flatten();
                NotSubmitted::Refused { words, key, help }
            }
        }
    }

    /// All elements that the controller knows of these arrays.
    fn query(arguments: &[String]) -> Result<Option<Vec<Row>>, Unknown> {
        let mut all = vec!["-h", "-a", "-t", "all", "-O", FIELDS];
        all.extend(arguments.iter().map(String::as_str));
        let said = ask("squeue", &all)?;
        match said.is_ok() {
            true => queue::rows(&said.stdout).map(Some).map_err(Unknown),
            false if said.complaint.contains(FORGOTTEN) => Ok(None),
            false => Err(Unknown(said.complaint)),
        }
    }
}

fn ask(program: &str, arguments: &[&str]) -> Result<Said, Unknown> {
    client::run(program, arguments).map_err(|error| Unknown(format!("`{program}`: {error}")))
}

/// The name of an element's log, as Slurm fills it in.
fn logs(pattern: &Path) -> String {
    pattern.display().to_string().replace('%', "%%").replace("{index}", "%a")
}

/// `DAYS-HOURS:MINUTES:SECONDS`; the controller counts in minutes, and rounds up.
fn time(time: Duration) -> String {
    let seconds = time.as_secs().max(1);
    let (minutes, hours) = (seconds / 60 % 60, seconds / 3600 % 24);
    format!("{}-{hours:02}:{minutes:02}:{:02}", seconds / 86_400, seconds % 60)
}

/// The partitions that there are, in words.
fn partitions() -> Option<String> {
    let said = client::run("sinfo", &["-h", "-o", "%R"]).ok().filter(Said::is_ok)?;
    let names: Vec<_> = said.stdout.lines().map(str::trim).collect();
    Some(format!("there is {}", names.join(", ")))
}

impl Engine for Slurm {
    fn name(&self) -> &'static str {
        "slurm"
    }

    fn interval(&self) -> (Duration, Duration) {
        (Duration::from_secs(2), Duration::from_secs(30))
    }

    fn pause(&self) -> Duration {
        Duration::from_secs(5)
    }

    fn script(&self, command: &[String]) -> String {
        let mut script = "#!/bin/bash\n".to_owned();
        if let Some(setup) = &self.settings.setup {
            let _ = writeln!(script, "{}", setup.trim_end());
        }
        // Executed, so that it gets the signal that tells it to end.
        let _ = writeln!(script, "exec {} \"$SLURM_ARRAY_TASK_ID\"", in_shell(command));
        script
    }

    fn check(&self, request: &Request) -> Result<Vec<String>, NotSubmitted> {
        let mut arguments = self.arguments(request);
        arguments.retain(|argument| argument != "--parsable");
        arguments.insert(0, "--test-only".into());
        arguments.push("--wrap=true".into());
        let said = client::run("sbatch", &arguments)
            .map_err(|error| NotSubmitted::Unclear(format!("`sbatch`: {error}")))?;
        if !said.is_ok() {
            return Err(Self::refusal(&said));
        }
        Ok(far_off(&said.complaint).into_iter().collect())
    }

    fn shown(&self, request: &Request, script: &str) -> Vec<String> {
        let mut words = self.arguments(request);
        words.push(request.script.display().to_string());
        let words: Vec<_> = words.iter().map(|word| quoted(word)).collect();
        let lines = script.lines().map(|line| format!("    {line}"));
        [format!("sbatch {}", words.join(" ")), "where the script is".to_owned()]
            .into_iter()
            .chain(lines)
            .collect()
    }

    fn most_elements(&self) -> Result<u32, Unknown> {
        let said = ask("scontrol", &["show", "config"])?;
        if !said.is_ok() {
            return Err(Unknown(said.complaint));
        }
        let line = said.stdout.lines().find_map(|line| line.strip_prefix("MaxArraySize"));
        let size = line.and_then(|line| line.trim_start_matches([' ', '=']).trim().parse().ok());
        // The index of an element has to be below it.
        Ok(size.unwrap_or(USUAL_ELEMENTS).saturating_sub(1).max(1))
    }

    fn submit(&self, request: &Request) -> Result<Id, NotSubmitted> {
        let mut arguments = self.arguments(request);
        arguments.push(request.script.display().to_string());
        let said = match client::run("sbatch", &arguments) {
            Ok(said) => said,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let words = "no `sbatch` in the PATH".into();
                return Err(NotSubmitted::Refused { words, key: None, help: None });
            }
            Err(error) => return Err(NotSubmitted::Unclear(format!("`sbatch`: {error}"))),
        };
        if !said.is_ok() {
            return Err(Self::refusal(&said));
        }
        // `12` or `12;cluster`, after what a login shell or a wrapper of the site has to say.
        let last = said.stdout.lines().map(str::trim).rfind(|line| !line.is_empty());
        let id = last.and_then(|line| line.split(';').next()).unwrap_or_default();
        match id.parse::<u64>() {
            Ok(id) => Ok(Id(id.to_string())),
            Err(_) => Err(NotSubmitted::Unclear(format!("`sbatch` said `{}`", said.stdout.trim()))),
        }
    }

    fn find(&self, name: &str) -> Result<Option<Id>, Unknown> {
        let user = rustix::process::geteuid().as_raw().to_string();
        let rows = Self::query(&["-u".into(), user, format!("--name={name}")])?;
        let row = rows.into_iter().flatten().find(|row| row.name == name);
        Ok(row.map(|row| Id(row.array.to_string())))
    }

    fn poll(&self, arrays: &[(Id, String)]) -> Result<States, Unknown> {
        let mut states = States::default();
        let ids: Vec<_> = arrays.iter().map(|(id, _)| id.0.as_str()).collect();
        let missing: Vec<_> = match Self::query(&["-j".into(), ids.join(",")])? {
            Some(rows) => note(&mut states, rows, arrays),
            // One that is forgotten makes a list of one fail; of several, the others are still told.
            None if arrays.len() == 1 => {
                states.forgotten.push(arrays[0].0.clone());
                Vec::new()
            }
            None => (0..arrays.len()).collect(),
        };
        // That a list has nothing of an array does not say that it is gone: only Slurm itself says that, if asked for it
        // alone.
        if let ([_], [(id, _)]) = (&missing[..], arrays) {
            return Err(Unknown(format!("`squeue` has no row of job {}", id.0)));
        }
        for place in missing {
            let of_one = self.poll(&arrays[place..=place])?;
            states.elements.extend(of_one.elements);
            states.ranges.extend(of_one.ranges);
            states.forgotten.extend(of_one.forgotten);
        }
        Ok(states)
    }

    fn stop(&self, id: &Id, indexes: &[u32], how: Stop) -> Result<(), Unknown> {
        for list in lists(indexes) {
            let elements = format!("{}_[{list}]", id.0);
            if how == Stop::Drain {
                // Those that wait go; then those that run are told to end. One that starts between the two is told, too.
                cancel(&["--state=PENDING", &elements])?;
                // By HUP, which a shard takes any number of: an answer that is lost is asked for again, and the second TERM
                // would end its tasks.
                cancel(&["-b", "-s", "HUP", &elements])?;
            } else {
                cancel(&[&elements])?;
            }
        }
        Ok(())
    }

    fn set_at_once(&self, id: &Id, at_once: u32) -> Result<(), Unknown> {
        let (job, most) = (format!("JobId={}", id.0), format!("ArrayTaskThrottle={at_once}"));
        let said = ask("scontrol", &["update", &job, &most])?;
        if said.is_ok() { Ok(()) } else { Err(Unknown(said.complaint)) }
    }
}

/// Indexes as Slurm takes them, such as `0-99,103`, in one text for each call.
fn lists(indexes: &[u32]) -> Vec<String> {
    let ranges = indexes.chunk_by(|one, next| one + 1 == *next).map(|range| match range {
        [one] => one.to_string(),
        _ => format!("{}-{}", range[0], range[range.len() - 1]),
    });
    let ranges: Vec<_> = ranges.collect();
    ranges.chunks(NAMED).map(|some| some.join(",")).collect()
}

/// Cancels or signals what is still there.
fn cancel(arguments: &[&str]) -> Result<(), Unknown> {
    let said = ask("scancel", arguments)?;
    let is_over = |line: &str| {
        ["Invalid job id", "already completing", "has already", "Job/step already"]
            .iter()
            .any(|known| line.contains(known))
    };
    if said.is_ok() || said.complaint.split("; ").all(|line| line.is_empty() || is_over(line)) {
        return Ok(());
    }
    Err(Unknown(said.complaint))
}

/// Notes what rows say of the elements of `arrays`. Returns the places of those that they say nothing of.
fn note(states: &mut States, rows: Vec<Row>, arrays: &[(Id, String)]) -> Vec<usize> {
    let names: HashMap<u64, &str> =
        arrays.iter().filter_map(|(id, name)| Some((id.0.parse().ok()?, name.as_str()))).collect();
    let (mut known, mut others) = (Vec::new(), Vec::new());
    for row in rows {
        // After a crash the controller may give a number twice: then the row is somebody else's.
        if names.get(&row.array).is_none_or(|name| *name != row.name) {
            others.push(row.array);
            continue;
        }
        known.push(row.array);
        let found = found(&row);
        let id = Id(row.array.to_string());
        for range in row.elements {
            let (index, last) = (*range.start(), *range.end());
            if index == last {
                states.elements.insert(Element { id: id.clone(), index }, found.clone());
            } else {
                // Tens of thousands may wait.
                let of_array = states.ranges.entry(id.clone()).or_default();
                of_array.insert(index, (last, found.clone()));
            }
        }
    }
    let mut missing = Vec::new();
    for (place, (id, _)) in arrays.iter().enumerate() {
        let is_in = |numbers: &[u64]| id.0.parse().is_ok_and(|id| numbers.contains(&id));
        match (is_in(&known), is_in(&others)) {
            (true, _) => {}
            (false, true) => states.forgotten.push(id.clone()),
            (false, false) => missing.push(place),
        }
    }
    missing
}

fn found(row: &Row) -> Found {
    let ended = |how| Found::Ended { how, code: row.exit.code, node: row.node.clone() };
    match row.state.as_str() {
        "PD" => Found::Waiting { reason: row.reason.clone(), outlook: outlook(&row.reason) },
        // Its node is being started, which may take minutes.
        "CF" => Found::Waiting { reason: "Configuring".into(), outlook: Outlook::Passes },
        "CD" => ended(How::Completed),
        "F" => ended(How::Failed),
        "CA" | "RV" => ended(How::Cancelled),
        "NF" => ended(How::NodeLost),
        "BF" | "SE" => ended(How::NotStarted),
        "TO" => ended(How::TimeLimit),
        "PR" => ended(How::Preempted),
        "OOM" => ended(How::OutOfMemory),
        "DL" => ended(How::Deadline),
        // R, CG, S, SI, SO, ST, RS, RD, RH, RQ, and whatever a later release has: it has not ended.
        _ => Found::Running { node: row.node.clone() },
    }
}

/// A warning if `sbatch --test-only` says that it would start in more than a year.
fn far_off(said: &str) -> Option<String> {
    let start = said.split("to start at ").nth(1)?.split_whitespace().next()?;
    let year: u64 = start.split('-').next()?.parse().ok()?;
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).ok()?;
    let this_year = 1970 + since.as_secs() / 31_556_952;
    (year > this_year + 1).then(|| {
        format!("slurm would start it at {start}: a name of `[cluster]` may be unknown, or nodes are missing")
    })
}

#[cfg(test)]
mod tests;

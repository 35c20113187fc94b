//! `results/.<job>.used`: what the attempts of a job have used of each column with a budget, noted as each of them ends.
//! Rows alone do not tell: they are about the last attempt, may have no number, and make way for others.
//!
//! A line for each attempt that has used something, and a few for what earlier runs have used: when it started, in
//! microseconds since 1970; what budgets of the whole job count, and those of a time, in units of 10^-12; and the column.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::base::lock;
use crate::report::resume::kept_figures::Spent;
use crate::task::{Calendar, Moment};

/// Notes what attempts use.
#[derive(Debug)]
pub struct Spending {
    path: PathBuf,
    calendar: Calendar,
    /// `None` once something could not be noted: the file is gone then, since half of it would say too little.
    file: Mutex<Option<File>>,
}

impl Spending {
    /// Begins the file at `path` for the report with this seed, with what each column has used `before`; `None` if it cannot
    /// be written.
    pub(in crate::report) fn begin(
        path: &Path,
        seed: u64,
        calendar: Calendar,
        before: &[(&str, Spent)],
    ) -> Option<Self> {
        let mut text = first_line(seed);
        for (column, spent) in before {
            text.push_str(&line(0, (spent.all, 0), column));
            let now = micros(SystemTime::now());
            for (age, amount) in &spent.lately {
                let age = u64::try_from(age.as_micros()).unwrap_or(u64::MAX);
                text.push_str(&line(now.saturating_sub(age), (0, *amount), column));
            }
        }
        // As a whole, so that a kill leaves the old one or the new one.
        let draft = path.with_extension("used-new");
        let write = || {
            let mut file = File::create(&draft)?;
            file.write_all(text.as_bytes())?;
            fs::rename(&draft, path)?;
            Ok::<_, std::io::Error>(file)
        };
        let Ok(file) = write() else {
            let _ = fs::remove_file(&draft);
            let _ = fs::remove_file(path);
            return None;
        };
        Some(Self { path: path.to_owned(), calendar, file: Mutex::new(Some(file)) })
    }

    /// Notes what an attempt that started then has used of a column: `all` for budgets of the whole job, `lately` for those
    /// of a time.
    pub fn note(&self, column: &str, started: Moment, (all, lately): (i128, i128)) {
        if (all, lately) == (0, 0) {
            return;
        }
        let started = micros(self.calendar.time(started));
        let mut file = lock(&self.file);
        if let Some(open) = file.as_mut()
            && open.write_all(line(started, (all, lately), column).as_bytes()).is_err()
        {
            *file = None;
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// What the file at `path` says of each column, if it is about the report with this seed. What started `longest` ago or
/// earlier is not of late.
pub(in crate::report) fn read(
    path: &Path,
    seed: u64,
    longest: Option<Duration>,
) -> HashMap<String, Spent> {
    let mut found = HashMap::<String, Spent>::new();
    let text = fs::read_to_string(path).unwrap_or_default();
    let Some(lines) = text.strip_prefix(&first_line(seed)) else { return found };
    let now = SystemTime::now();
    // Half a line at the end is of a runner that was killed.
    for line in lines.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
        let Some((started, (all, lately), column)) = parsed(line) else { return HashMap::new() };
        let spent = found.entry(column).or_default();
        spent.all = spent.all.saturating_add(all);
        let started = UNIX_EPOCH + Duration::from_micros(started);
        let age = now.duration_since(started).unwrap_or_default();
        if lately > 0 && longest.is_some_and(|longest| age < longest) {
            spent.lately.push((age, lately));
        }
    }
    for spent in found.values_mut() {
        spent.lately.sort_by_key(|(age, _)| Reverse(*age));
    }
    found
}

/// Two runs of one report have one seed; a report that was begun anew has another.
fn first_line(seed: u64) -> String {
    format!("runner used 1 {seed:016x}\n")
}

fn line(started: u64, (all, lately): (i128, i128), column: &str) -> String {
    let mut line = format!("{started} {all} {lately} ");
    let _ = write!(line, "{}", column.escape_default()); // a name may have any character
    line.push('\n');
    line
}

fn parsed(line: &str) -> Option<(u64, (i128, i128), String)> {
    let mut words = line.splitn(4, ' ');
    let started = words.next()?.parse().ok()?;
    let all = words.next()?.parse().ok()?;
    let lately = words.next()?.parse().ok()?;
    Some((started, (all, lately), words.next()?.to_owned()))
}

/// The name of a column as it stands in the file.
pub(in crate::report) fn written(column: &str) -> String {
    column.escape_default().to_string()
}

fn micros(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_noted_is_there_after_a_kill() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".job.used");
        let minute = Some(Duration::from_mins(1));
        let long_ago = (Duration::from_hours(1), 7);
        let before = Spent { all: 100, lately: vec![long_ago, (Duration::from_secs(5), 3)] };
        let spending = Spending::begin(
            &path,
            1,
            Calendar::now(),
            &[("a\n b", before), ("c", Spent::default())],
        )
        .unwrap();
        spending.note("a\n b", Moment::now(), (20, 10));
        spending.note("c", Moment::now(), (0, 0));
        spending.note("c", Moment::now(), (1, 1));
        let found = read(&path, 1, minute);
        let spent = &found[&written("a\n b")];
        let lately: Vec<_> = spent.lately.iter().map(|(_, amount)| *amount).collect();
        assert_eq!((spent.all, lately), (120, vec![3, 10]));
        assert_eq!(found["c"].all, 1);
        assert!(read(&path, 1, None)["c"].lately.is_empty());
        assert!(read(&path, 2, minute).is_empty(), "it is of another report");
        let whole = fs::read_to_string(&path).unwrap();
        fs::write(&path, &whole[..whole.len() - 1]).unwrap();
        assert_eq!(read(&path, 1, minute)["c"].all, 0, "half a line does not count");
        fs::write(&path, whole.replace("20 10", "x")).unwrap();
        assert!(read(&path, 1, minute).is_empty(), "it is damaged");
    }

    #[test]
    fn what_cannot_be_written_leaves_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("none/.job.used");
        assert!(Spending::begin(&path, 1, Calendar::now(), &[]).is_none());
        assert!(read(&path, 1, None).is_empty());
    }
}

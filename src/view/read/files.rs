//! Which files a report is made of, and what a page of it is called.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::base::diagnostic::reason;
use crate::sys::is_locked;

/// The files of a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// The job.
    pub job: String,
    /// The folder of the reports.
    pub folder: PathBuf,
    /// What is read.
    pub main: PathBuf,
    /// What it is.
    pub kind: Kind,
}

/// What a report is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A run that has ended.
    Run,
    /// A run that goes on.
    Running,
    /// A run that was killed.
    Killed,
    /// A run on a cluster that nobody drives now.
    Left,
    /// A comparison.
    Comparison,
}

/// Files beside a report that are no reports themselves, with what to name instead.
const COMPANIONS: [(&str, &str); 3] =
    [(".attempts.csv", ".csv"), (".limit.csv", ".csv"), (".rounds.csv", ".compare.csv")];

/// Whether `path` is a file beside a report: one of many that a pattern has named.
pub fn is_companion(path: &Path) -> bool {
    let name = name_of(path);
    name == "summary.csv" || COMPANIONS.iter().any(|(end, _)| name.ends_with(end))
}

impl Files {
    /// The files of the report at `path`.
    ///
    /// # Errors
    /// Why there is none.
    pub fn of(path: &Path) -> Result<Self, String> {
        let (shown, name) = (path.display(), name_of(path));
        if name == "summary.csv" {
            return Err(format!(
                "`{shown}` is the summary of all jobs: name the report of one, such as `{}`",
                path.with_file_name("<job>.csv").display()
            ));
        }
        for (end, of) in COMPANIONS {
            if let Some(job) = name.strip_suffix(end) {
                let meant = path.with_file_name(format!("{job}{of}"));
                return Err(format!("`{shown}` belongs to a report: name `{}`", meant.display()));
            }
        }
        if let Some(job) = name.strip_suffix(".toml") {
            return Err(format!(
                "`{shown}` is a job file: name its report, such as `results/{job}.csv`"
            ));
        }
        if let Some(job) = name.strip_suffix(".csv.partial") {
            return Self::found(path, job, kind_of_partial(path, job));
        }
        if let Some(job) = name.strip_suffix(".compare.csv") {
            return Self::found(path, job, Kind::Comparison);
        }
        let job = name.strip_suffix(".csv").unwrap_or(&name);
        let partial = path.with_file_name(format!("{job}.csv.partial"));
        if !path.exists() && partial.exists() {
            return Self::found(&partial, job, kind_of_partial(&partial, job));
        }
        Self::found(path, job, Kind::Run)
    }

    fn found(path: &Path, job: &str, kind: Kind) -> Result<Self, String> {
        let shown = path.display();
        match fs::metadata(path) {
            Ok(meta) if meta.is_dir() => {
                return Err(format!(
                    "`{shown}` is a folder: name a report in it, such as `{}`",
                    path.join("<job>.csv").display()
                ));
            }
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let compared = path.with_file_name(format!("{job}.compare.csv"));
                let hint = match kind {
                    Kind::Run if compared.exists() => {
                        format!("; there is a comparison: `{}`", compared.display())
                    }
                    _ => String::new(),
                };
                return Err(format!("there is no report `{shown}`{hint}"));
            }
            Err(error) => return Err(format!("failed to read `{shown}`: {}", reason(&error))),
        }
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        Ok(Self { job: job.to_owned(), folder, main: path.to_owned(), kind })
    }

    /// The file of this name beside the report.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// What is written of it, with this extension.
    pub fn output(&self, extension: &str) -> PathBuf {
        match self.kind {
            Kind::Comparison => self.beside(&format!("{}.compare.{extension}", self.job)),
            _ => self.beside(&format!("{}.{extension}", self.job)),
        }
    }

    /// Where a run on a cluster runs, as `--on` has it.
    pub fn place(&self) -> String {
        let plan = fs::read(self.beside(&format!(".{}.run/plan.json", self.job))).ok();
        let plan = plan.and_then(|plan| serde_json::from_slice::<serde_json::Value>(&plan).ok());
        let place = plan.as_ref().and_then(|plan| plan["place"].as_str());
        place.filter(|place| !place.is_empty()).unwrap_or("slurm").to_owned()
    }

    /// A partial of a later run than the finished report that is read.
    pub fn newer_partial(&self) -> Option<PathBuf> {
        let partial = self.beside(&format!("{}.csv.partial", self.job));
        (self.kind == Kind::Run && partial.exists()).then_some(partial)
    }
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn kind_of_partial(path: &Path, job: &str) -> Kind {
    match fs::metadata(path) {
        Ok(meta) if is_locked(&meta) => Kind::Running,
        _ if path.with_file_name(format!(".{job}.run/plan.json")).exists() => Kind::Left,
        _ => Kind::Killed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(folder: &Path, name: &str) -> Result<(String, Kind, String), String> {
        let files = Files::of(&folder.join(name))?;
        let output = files.output("html");
        Ok((files.job, files.kind, output.file_name().unwrap().to_string_lossy().into_owned()))
    }

    #[test]
    fn a_report_is_found_by_each_of_its_names() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        fs::create_dir(folder.join(".e.run")).unwrap();
        for name in [
            ".e.run/plan.json",
            "e.csv.partial",
            "a.csv",
            "b.csv.partial",
            "c.compare.csv",
            "c.rounds.csv",
            "summary.csv",
        ] {
            fs::write(folder.join(name), "task,status\n").unwrap();
        }
        let ok = |job: &str, kind, html: &str| Ok((job.to_owned(), kind, html.to_owned()));
        assert_eq!(of(folder, "a.csv"), ok("a", Kind::Run, "a.html"));
        assert_eq!(of(folder, "b.csv.partial"), ok("b", Kind::Killed, "b.html"));
        assert_eq!(of(folder, "b.csv"), ok("b", Kind::Killed, "b.html"));
        assert_eq!(of(folder, "e.csv.partial"), ok("e", Kind::Left, "e.html"));
        assert_eq!(of(folder, "c.compare.csv"), ok("c", Kind::Comparison, "c.compare.html"));
        for (name, said) in [
            ("c.csv", "there is a comparison"),
            ("d.csv", "there is no report"),
            ("c.rounds.csv", "c.compare.csv`"),
            ("a.attempts.csv", "a.csv`"),
            ("summary.csv", "is the summary of all jobs"),
            ("a.toml", "is a job file"),
            (".", "is a folder"),
        ] {
            let message = of(folder, name).unwrap_err();
            assert!(message.contains(said), "{name}: {message}");
        }
        assert!(is_companion(Path::new("results/summary.csv")));
        assert!(!is_companion(Path::new("results/a.csv")));
    }
}

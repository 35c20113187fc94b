//! What a call of the runner writes into its results folders: no pattern of its inputs finds that. The report of a job
//! would else be an input of its own next run, and its rows, while they are written, one of this run.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::workload::real_folder::real_folder;

/// What may follow the job's name, whatever its file says.
const KINDS: [&str; 7] =
    ["csv", "csv.partial", "csv.partial.tmp", "attempts.csv", "limit.csv", "compare.csv", "log"];

/// What the hidden names begin with that are not of one job.
const SHARED: [&str; 3] = [".summary.", ".compare-", ".made-"];

/// What one job writes.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(in crate::job) struct Writes {
    /// The folder of its report, with all links followed.
    pub results: PathBuf,
    /// What may also follow its name.
    pub kinds: Vec<String>,
}

/// The files that some jobs write, by their names.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(in crate::job) struct OwnFiles(HashMap<String, Writes>);

impl OwnFiles {
    /// Those of these jobs.
    pub fn of(jobs: impl IntoIterator<Item = (String, Writes)>) -> Self {
        Self(jobs.into_iter().collect())
    }

    /// Whether `rest`, below the folder `root`, is one of them, or below one.
    pub fn has(&self, root: &Path, rest: &Path) -> bool {
        rest.ancestors().any(|path| {
            let folder = || root.join(path.parent().unwrap_or(Path::new("")));
            path.file_name().is_some_and(|name| self.writes(name, || real_folder(&folder())))
        })
    }

    /// Whether the folder `place` is one of them, or below one.
    pub fn has_folder(&self, place: &Path) -> bool {
        let real = real_folder(place);
        self.has(Path::new("/"), real.strip_prefix("/").unwrap_or(&real))
    }

    /// Whether a file called `name` in `folder`, which is asked for only if the name is one of theirs, is.
    fn writes(&self, name: &OsStr, folder: impl FnOnce() -> PathBuf) -> bool {
        let Some(name) = name.to_str() else { return false };
        if name == "summary.csv" || SHARED.iter().any(|start| name.starts_with(start)) {
            let folder = folder();
            return self.0.values().any(|job| job.results == folder);
        }
        let hidden = name.strip_prefix('.');
        let Some((job, kind)) = hidden.unwrap_or(name).split_once('.') else { return false };
        let Some(job) = self.0.get(job) else { return false };
        let is_kind = || KINDS.contains(&kind) || job.kinds.iter().any(|known| known == kind);
        (hidden.is_some() || is_kind()) && job.results == folder()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_in_the_results_folder_and_called_as_a_job_is_own() {
        let results = PathBuf::from("/no/results");
        let kinds = vec!["logs".to_owned(), "html".to_owned()];
        let jobs = [("j", kinds), ("k", Vec::new())];
        let jobs =
            jobs.map(|(job, kinds)| (job.to_owned(), Writes { results: results.clone(), kinds }));
        let own = OwnFiles::of(jobs);
        for (path, is_own) in [
            ("results/j.csv", true),
            ("results/j.csv.partial", true),
            ("results/k.attempts.csv", true),
            ("results/.k.state", true),
            ("results/.j.csv.x1y2z3.tmp", true),
            ("results/summary.csv", true),
            ("results/.summary.lock", true),
            ("results/.made-abc/1.0/x", true),
            ("results/j.logs/1.out", true),
            ("results/j.html", true),
            ("results/k.html", false),
            ("results/k.logs/1.out", false),
            ("results/l.csv", false),
            ("results/j", false),
            ("results/j.txt", false),
            ("results/x/j.csv", false),
            ("j.csv", false),
            ("summary.csv", false),
        ] {
            assert_eq!(own.has(Path::new("/no"), Path::new(path)), is_own, "{path}");
            assert_eq!(own.has_folder(&Path::new("/no").join(path)), is_own, "{path}");
        }
    }
}

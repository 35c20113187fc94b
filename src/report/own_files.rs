//! Which files a report is made of, so that no task writes over them.

use std::path::{Path, PathBuf};

use super::resume::earlier_rows;
use super::status;
use crate::config::Logs;
use crate::job::Job;
use crate::workload::real_folder::real_folder;

/// The files of the report of the job called `name`, in the folder `results`, with all links followed. All that is below
/// one of them is the report's, too. Without its plan, what a job need not have is not known.
pub fn own_files(results: &Path, name: &str, job: Option<&Job>) -> Vec<PathBuf> {
    let always = [
        format!("{name}.csv"),
        format!("{name}.csv.partial"),
        format!("{name}.attempts.csv"),
        format!("{name}.limit.csv"),
        format!("{name}.log"),
        format!(".{name}.attempts"),
        format!(".{name}.state"),
        format!(".{name}.inputs"),
        format!(".{name}.made"),
        format!(".{name}.used"),
        status::name(name),
        "summary.csv".into(),
        ".summary.lock".into(),
    ];
    let asked = job.into_iter().flat_map(|job| {
        let also = job.report.also;
        let kinds =
            [(also.html, "html"), (also.xlsx, "xlsx"), (job.report.logs != Logs::None, "logs")];
        let kinds = kinds.into_iter().filter(|(is_made, _)| *is_made);
        let services = job.services.iter().map(|service| format!("{name}.{}.log", service.name));
        kinds.map(|(_, kind)| format!("{name}.{kind}")).chain(services)
    });
    let folder = real_folder(&std::path::absolute(results).unwrap_or_else(|_| results.to_owned()));
    let aside = earlier_rows::all_names(name);
    always.into_iter().chain(aside).chain(asked).map(|name| folder.join(name)).collect()
}

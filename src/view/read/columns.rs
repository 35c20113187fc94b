//! Which column of a report is which, by its header: also of reports of older versions, which lack some.

use std::ops::Range;

/// Where the columns of a report stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Columns {
    /// All names.
    pub names: Vec<String>,
    /// The fields of the input.
    pub fields: Range<usize>,
    /// `status`.
    pub status: usize,
    /// `stage`, in a staged job.
    pub stage: Option<usize>,
    /// `attempts`.
    pub attempts: Option<usize>,
    /// `started_utc`.
    pub started: Option<usize>,
    /// `queue_s`.
    pub queue: Option<usize>,
    /// `run_s`.
    pub run: Option<usize>,
    /// `cpu_user_s`.
    pub cpu_user: Option<usize>,
    /// `cpu_sys_s`.
    pub cpu_sys: Option<usize>,
    /// `peak_rss_bytes`.
    pub peak: Option<usize>,
    /// `slot`.
    pub slot: Option<usize>,
    /// `code`.
    pub code: Option<usize>,
    /// `output_bytes`.
    pub output: Option<usize>,
    /// `error`.
    pub error: Option<usize>,
    /// The stages of a staged job.
    pub stages: Vec<Stage>,
    /// Names of columns that every report has and this one lacks.
    pub missing: Vec<&'static str>,
}

/// The columns of a stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stage {
    /// Its name.
    pub name: String,
    /// `<stage>_queue_s`.
    pub queue: Option<usize>,
    /// `<stage>_run_s`.
    pub run: usize,
    /// `<stage>_attempts`.
    pub attempts: Option<usize>,
}

impl Columns {
    /// The columns of a report with this header.
    ///
    /// # Errors
    /// Why it is not a report.
    pub fn of(names: &[String]) -> Result<Self, String> {
        if names.first().map(String::as_str) != Some("task") {
            return Err("its header does not start with `task`".into());
        }
        let Some(status) = names.iter().position(|name| name == "status") else {
            return Err("it has no column `status`".into());
        };
        let after = |name: &str| {
            let found = names[status..].iter().position(|column| column == name);
            found.map(|at| at + status)
        };
        let is_staged = names.get(status + 1).is_some_and(|name| name == "stage");
        let stages = if is_staged { stages(names, status) } else { Vec::new() };
        let mut columns = Self {
            names: names.to_vec(),
            fields: 1..status,
            status,
            stage: is_staged.then_some(status + 1),
            attempts: after("attempts"),
            started: after("started_utc"),
            queue: after("queue_s").filter(|_| !is_staged),
            run: after("run_s").filter(|_| !is_staged),
            cpu_user: after("cpu_user_s"),
            cpu_sys: after("cpu_sys_s"),
            peak: after("peak_rss_bytes"),
            slot: after("slot"),
            code: after("code"),
            output: after("output_bytes"),
            error: names.iter().rposition(|name| name == "error").filter(|&at| at > status),
            stages,
            missing: Vec::new(),
        };
        columns.missing = columns.missing();
        Ok(columns)
    }

    fn missing(&self) -> Vec<&'static str> {
        let has_run = self.run.is_some() || !self.stages.is_empty();
        let there = [
            ("attempts", self.attempts.is_some()),
            ("started_utc", self.started.is_some()),
            ("run_s", has_run),
            ("cpu_user_s", self.cpu_user.is_some()),
            ("peak_rss_bytes", self.peak.is_some()),
            ("slot", self.slot.is_some()),
            ("code", self.code.is_some()),
            ("error", self.error.is_some()),
        ];
        there.into_iter().filter(|(_, is_there)| !is_there).map(|(name, _)| name).collect()
    }

    /// The names of the input's fields.
    pub fn field_names(&self) -> &[String] {
        &self.names[self.fields.clone()]
    }
}

/// The stages whose columns stand after `status`.
fn stages(names: &[String], status: usize) -> Vec<Stage> {
    let end = names[status..].iter().position(|name| name == "cpu_user_s");
    let end = end.map_or(names.len(), |at| at + status);
    let between = || names[..end].iter().enumerate().skip(status);
    let runs = between().filter_map(|(at, name)| Some((at, name.strip_suffix("_run_s")?)));
    runs.map(|(run, name)| {
        let of = |what: &str| {
            let wanted = format!("{name}_{what}");
            between().find(|(_, column)| **column == wanted).map(|(at, _)| at)
        };
        let (queue, attempts) = (of("queue_s"), of("attempts"));
        Stage { name: name.to_owned(), queue, run, attempts }
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::csv::columns::column_names;

    fn of(fields: &[&str], columns: &[&str], stages: &[&str]) -> Columns {
        let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        Columns::of(&column_names(&owned(fields), columns, &owned(stages), false)).unwrap()
    }

    #[test]
    fn columns_are_found_where_they_are_written() {
        let columns = of(&["status", "run_s"], &["loss"], &[]);
        assert_eq!(columns.field_names(), ["input_status", "input_run_s"]);
        assert_eq!(columns.names[columns.run.unwrap()], "run_s");
        assert_eq!(columns.error, Some(columns.names.len() - 1));
        assert!(columns.missing.is_empty() && columns.stages.is_empty());
    }

    #[test]
    fn stages_are_found() {
        let columns = of(&["x"], &["b_run_s_max"], &["a", "b"]);
        let names: Vec<_> = columns.stages.iter().map(|stage| stage.name.as_str()).collect();
        assert_eq!(names, ["a", "b"]);
        assert_eq!(columns.names[columns.stages[1].run], "b_run_s");
        assert_eq!(columns.stages[1].queue.map(|at| &*columns.names[at]), Some("b_queue_s"));
        assert_eq!(columns.stages[1].attempts.map(|at| &*columns.names[at]), Some("b_attempts"));
        assert_eq!((columns.run, columns.queue), (None, None));
        assert!(columns.missing.is_empty(), "{:?}", columns.missing);
    }

    #[test]
    fn other_files_are_told_from_reports() {
        let of =
            |names: &[&str]| Columns::of(&names.iter().map(|&n| n.to_owned()).collect::<Vec<_>>());
        assert_eq!(of(&["a", "b"]).unwrap_err(), "its header does not start with `task`");
        assert_eq!(of(&["task", "b"]).unwrap_err(), "it has no column `status`");
        let old = of(&["task", "input", "status", "run_s", "error"]).unwrap();
        assert_eq!(
            old.missing,
            ["attempts", "started_utc", "cpu_user_s", "peak_rss_bytes", "slot", "code"]
        );
    }
}

//! The names of a report's columns.

use std::collections::HashSet;

/// The fixed columns before the input's fields.
pub const COLUMNS_BEFORE: [&str; 1] = ["task"];

/// The fixed columns between the input's fields and `[columns]`.
const COLUMNS_AFTER: [&str; 12] = [
    "status",
    "attempts",
    "started_utc",
    "queue_s",
    "run_s",
    "cpu_user_s",
    "cpu_sys_s",
    "peak_rss_bytes",
    "slot",
    "code",
    "result",
    "output_bytes",
];

/// In a job with `[[stages]]`, after `status`: the stage in which the task ended.
pub const COLUMN_OF_STAGES: &str = "stage";

/// In a job with `[[stages]]`, instead of `queue_s` and `run_s`: these for every stage, each prefixed by the stage's
/// name and `_`.
pub const COLUMNS_OF_A_STAGE: [&str; 3] = ["queue_s", "run_s", "attempts"];

/// The fixed columns after `[columns]`.
pub const COLUMNS_LAST: [&str; 1] = ["error"];

/// With `[report] host`, after `slot`: the machine on which the task ran.
pub const COLUMN_OF_HOSTS: &str = "host";

/// The columns of `<job>.attempts.csv`.
pub const ATTEMPT_COLUMNS: [&str; 8] =
    ["task", "attempt", "status", "started_utc", "run_s", "slot", "code", "error"];

/// Whether every report has a column of this name.
pub fn is_report_column(name: &str) -> bool {
    COLUMNS_BEFORE.contains(&name) || COLUMNS_AFTER.contains(&name) || COLUMNS_LAST.contains(&name)
}

/// The name of a stage's column.
fn stage_columns(stage: &str) -> [String; 3] {
    COLUMNS_OF_A_STAGE.map(|column| format!("{stage}_{column}"))
}

/// Whether a report of these `[[stages]]` always has a column of this name.
pub fn is_column_of(name: &str, stages: &[String]) -> bool {
    is_report_column(name)
        || (!stages.is_empty() && name == COLUMN_OF_STAGES)
        || stages.iter().any(|stage| stage_columns(stage).iter().any(|column| column == name))
}

/// The fixed columns between the input's fields and `[columns]`, in a report of these `[[stages]]`.
fn columns_after(stages: &[String], has_host: bool) -> Vec<String> {
    let mut names = Vec::new();
    for column in COLUMNS_AFTER {
        match column {
            "status" if !stages.is_empty() => {
                names.extend(["status", COLUMN_OF_STAGES].map(str::to_owned));
            }
            "queue_s" if !stages.is_empty() => {
                names.extend(stages.iter().flat_map(|stage| stage_columns(stage)));
            }
            "run_s" if !stages.is_empty() => {}
            "slot" if has_host => names.extend(["slot", COLUMN_OF_HOSTS].map(str::to_owned)),
            column => names.push(column.to_owned()),
        }
    }
    names
}

/// The names of all columns; `has_host` says whether there is one for the machine. A field that shares its name with
/// another column is prefixed until all names differ.
pub fn column_names(
    fields: &[String],
    columns: &[&str],
    stages: &[String],
    has_host: bool,
) -> Vec<String> {
    let is_column_of = |name: &str, stages: &[String]| {
        is_column_of(name, stages) || has_host && name == COLUMN_OF_HOSTS
    };
    let fixed = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
    let mut taken: HashSet<String> = fields
        .iter()
        .filter(|field| !is_column_of(field, stages) && !columns.contains(&field.as_str()))
        .cloned()
        .chain(columns.iter().map(|&name| name.to_owned()))
        .collect();
    let mut names = fixed(&COLUMNS_BEFORE);
    for field in fields {
        let mut name = field.clone();
        if is_column_of(&name, stages) || columns.contains(&name.as_str()) {
            while is_column_of(&name, stages) || taken.contains(&name) {
                name.insert_str(0, "input_");
            }
            taken.insert(name.clone());
        }
        names.push(name);
    }
    names.extend(columns_after(stages, has_host));
    names.extend(fixed(columns));
    names.extend(fixed(&COLUMNS_LAST));
    names
}

/// The name of a field's column, in a report of these `[[stages]]`.
pub fn field_column(field: &str, stages: &[String]) -> String {
    if is_column_of(field, stages) { format!("input_{field}") } else { field.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_in_their_order() {
        let fields = ["x".to_owned()];
        assert_eq!(
            column_names(&fields, &["loss"], &[], false).join(" "),
            "task x status attempts started_utc queue_s run_s cpu_user_s cpu_sys_s peak_rss_bytes slot code result \
             output_bytes loss error"
        );
    }

    #[test]
    fn the_host_stands_after_the_slot_and_a_field_makes_way_for_it() {
        let fields = ["host".to_owned()];
        let names = column_names(&fields, &[], &[], true).join(" ");
        assert!(names.starts_with("task input_host status "), "{names}");
        assert!(names.contains(" slot host code "), "{names}");
        assert_eq!(column_names(&fields, &[], &[], false)[1], "host");
    }

    #[test]
    fn stages_have_columns_of_their_own() {
        let (fields, stages) =
            (["stage", "a_run_s"].map(str::to_owned), ["a", "b"].map(str::to_owned));
        assert_eq!(
            column_names(&fields, &["x"], &stages, false).join(" "),
            "task input_stage input_a_run_s status stage attempts started_utc a_queue_s a_run_s a_attempts b_queue_s \
             b_run_s b_attempts cpu_user_s cpu_sys_s peak_rss_bytes slot code result output_bytes x error"
        );
        assert_eq!(
            column_names(&fields, &[], &[], false)[1..3],
            fields,
            "plain jobs have no stages"
        );
    }

    #[test]
    fn fields_make_way_for_columns_of_their_name() {
        let fields = ["input_code", "code", "loss", "x"].map(str::to_owned);
        assert_eq!(
            column_names(&fields, &["loss"], &[], false)[1..5],
            ["input_code", "input_input_code", "input_loss", "x"]
        );
    }
}

//! The names of a report's columns.

use std::collections::{HashMap, HashSet};

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

/// What a field's name is prefixed with where another column has it.
const PREFIX: &str = "input_";

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
    let mut names = fixed(&COLUMNS_BEFORE);
    names.extend(columns_of_fields(fields, |name| {
        is_column_of(name, stages) || columns.contains(&name)
    }));
    names.extend(columns_after(stages, has_host));
    names.extend(fixed(columns));
    names.extend(fixed(&COLUMNS_LAST));
    names
}

/// The names of the columns of fields, where `is_other` says which names other columns have.
fn columns_of_fields(fields: &[String], is_other: impl Fn(&str) -> bool) -> Vec<String> {
    let mut taken: HashSet<String> =
        fields.iter().filter(|field| !is_other(field)).cloned().collect();
    let column = |field: &String| {
        let mut name = field.clone();
        if is_other(&name) {
            while is_other(&name) || taken.contains(&name) {
                name.insert_str(0, PREFIX);
            }
            taken.insert(name.clone());
        }
        name
    };
    fields.iter().map(column).collect()
}

/// The fields of a report that has these columns: what [`column_names`] has made its names of. Where several fields would
/// have the same column (`input_code` is that of `code`, and of `input_code` alone), it is the one that is `known`. None if
/// they cannot be told.
pub fn fields_of(columns: &[String], known: &[String]) -> Vec<String> {
    /// So many ways to read the names are tried: more than there ever are, unless somebody makes them up.
    const MOST: usize = 1 << 12;
    let status = columns.iter().position(|column| column == "status").unwrap_or(0);
    let own = columns.get(COLUMNS_BEFORE.len()..status).unwrap_or_default();
    let others: HashSet<&str> = columns[status..].iter().map(String::as_str).collect();
    let is_other = |name: &str| is_report_column(name) || others.contains(name);
    let known = known.iter().map(|name| (as_written(name), name)).collect();
    let readings = own.iter().map(|column| readings(column, is_other, &known));
    let readings: Vec<Vec<String>> = readings.collect();
    let mut chosen = vec![0; readings.len()];
    for _ in 0..MOST {
        let fields = readings.iter().zip(&chosen).map(|(all, &at)| all[at].clone());
        let fields: Vec<String> = fields.collect();
        let distinct: HashSet<&String> = fields.iter().collect();
        let written: Vec<String> = fields.iter().map(|field| as_written(field)).collect();
        if distinct.len() == fields.len() && columns_of_fields(&written, is_other) == own {
            return fields;
        }
        // The next way, as a number is counted on: the last column is read in another way first.
        let next = (0..chosen.len()).rfind(|&at| chosen[at] + 1 < readings[at].len());
        let Some(next) = next else { break };
        chosen[next] += 1;
        chosen[next + 1..].fill(0);
    }
    Vec::new()
}

/// The fields that may have this column, what is most likely first: one that is known, then one that made way for another
/// column.
fn readings(
    column: &str,
    is_other: impl Fn(&str) -> bool,
    known: &HashMap<String, &String>,
) -> Vec<String> {
    let mut bare = column;
    let bare = std::iter::from_fn(|| {
        bare = bare.strip_prefix(PREFIX)?;
        Some(bare)
    });
    let bare: Vec<&str> = bare.filter(|name| is_other(name)).collect();
    let itself = [column];
    let all_known = itself.iter().chain(&bare).filter_map(|name| known.get(*name).copied());
    let unknown = bare.iter().chain(&itself).filter(|name| !known.contains_key(**name));
    all_known.cloned().chain(unknown.map(|&name| name.to_owned())).collect()
}

/// A name as a report has it, which cannot hold a NUL.
fn as_written(name: &str) -> String {
    name.replace('\0', "\u{fffd}")
}

/// The name of a field's column, in a report of these `[[stages]]`.
pub fn field_column(field: &str, stages: &[String]) -> String {
    if is_column_of(field, stages) { format!("{PREFIX}{field}") } else { field.to_owned() }
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

    #[test]
    fn the_fields_of_columns_are_told_again() {
        let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        let all = ["x", "code", "input_code", "input_input_code", "stage", "input_stage", "host"];
        let more = ["loss", "input_loss", "a_run_s", "task", "status", "input_task", "batch_size"];
        let all: Vec<&str> = all.into_iter().chain(more).collect();
        let reports: [(&[&str], &[&str], bool); 4] = [
            (&[], &[], false),
            (&["loss"], &[], true),
            (&["input_code", "loss"], &["a", "b"], false),
            (&["input_loss", "input_input_code"], &["a"], true),
        ];
        for (columns, stages, has_host) in reports {
            for seed in 0..400 {
                let mut random = fastrand::Rng::with_seed(seed);
                let mut fields = owned(&all);
                random.shuffle(&mut fields);
                fields.truncate(random.usize(0..all.len()));
                let names = column_names(&fields, columns, &owned(stages), has_host);
                let told = fields_of(&names, &fields);
                // With an own column called `input_code`, `code` and `input_code` have the same names in both orders.
                let is_sure = columns.iter().all(|name| !name.starts_with(PREFIX));
                assert!(told == fields || !is_sure, "{told:?}, {fields:?}: {names:?}");
                assert_eq!(column_names(&told, columns, &owned(stages), has_host), names);
                // Without a look at the inputs, each name is one that makes just these columns.
                let told = fields_of(&names, &[]);
                assert_eq!(column_names(&told, columns, &owned(stages), has_host), names);
            }
        }
        let names = column_names(&owned(&["status", "loss", "input_x"]), &["loss"], &[], false);
        assert_eq!(fields_of(&names, &[]), ["status", "loss", "input_x"]);
        let names = column_names(&owned(&["input_status", "a\u{fffd}"]), &[], &[], false);
        assert_eq!(fields_of(&names, &owned(&["input_status", "a\0"])), ["input_status", "a\0"]);
    }
}

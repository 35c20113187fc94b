//! `[cluster]`: what a job asks of a cluster, and of the site. Without `--on` it means nothing.

use std::path::PathBuf;
use std::time::Duration;

use toml::Spanned;
use toml::de::DeValue;

use crate::base::{ByteSize, Count, Timeout};
use crate::config::{Planner, Table};

/// Options of `sbatch` that runner sets itself.
const OWN_OPTIONS: [(&str, &str); 12] = [
    ("--array", "a"),
    ("--job-name", "J"),
    ("--output", "o"),
    ("--error", "e"),
    ("--signal", ""),
    ("--no-requeue", ""),
    ("--requeue", ""),
    ("--parsable", ""),
    ("--wrap", ""),
    ("--dependency", "d"),
    ("--wait", "W"),
    ("--test-only", ""),
];

/// Options with which nothing is submitted.
const TELLING_OPTIONS: [(&str, &str); 3] = [("--version", "V"), ("--help", "h"), ("--usage", "")];

/// Letters of options without a value, which may stand together behind one `-`.
const FLAGS: &str = "hHIkOQsuvVW";

/// Options that have a key, each with it.
const KEYED_OPTIONS: [(&str, &str, &str); 9] = [
    ("--cpus-per-task", "c", "cpus"),
    ("--mem", "", "mem"),
    ("--mem-per-cpu", "", "mem_per_cpu"),
    ("--gpus", "G", "gpus"),
    ("--time", "t", "time"),
    ("--partition", "p", "partition"),
    ("--account", "A", "account"),
    ("--qos", "q", "qos"),
    ("--constraint", "C", "constraint"),
];

/// What a job asks of a cluster. What is `None` is not asked for: sites forbid some of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterSettings {
    /// How many allocations run at once; above 0.
    pub nodes: u32,
    /// How many shards; above 0.
    pub shards: Option<u32>,
    /// Processors of an allocation.
    pub cpus: Option<u32>,
    /// Its memory.
    pub mem: Option<ByteSize>,
    /// Its memory for each processor.
    pub mem_per_cpu: Option<ByteSize>,
    /// Its GPUs, as the scheduler writes them.
    pub gpus: Option<String>,
    /// How long it may last.
    pub time: Option<Duration>,
    /// Its partition.
    pub partition: Option<String>,
    /// Who pays.
    pub account: Option<String>,
    /// Its quality of service.
    pub qos: Option<String>,
    /// What its node has to have.
    pub constraint: Option<String>,
    /// Further options.
    pub options: Vec<String>,
    /// Shell lines that run before the runner.
    pub setup: Option<String>,
    /// The runner on the nodes.
    pub runner: Option<PathBuf>,
    /// How many starts of a shard in a row may bring no new row; above 0.
    pub tries: u32,
    /// How long before the end of `time` an allocation is told to end, if that is set; see [`ClusterSettings::lead`].
    pub lead: Option<Duration>,
}

impl Default for ClusterSettings {
    fn default() -> Self {
        Self {
            nodes: 10,
            shards: None,
            cpus: None,
            mem: None,
            mem_per_cpu: None,
            gpus: None,
            time: None,
            partition: None,
            account: None,
            qos: None,
            constraint: None,
            options: Vec::new(),
            setup: None,
            runner: None,
            tries: 3,
            lead: None,
        }
    }
}

impl ClusterSettings {
    /// How many shards there are, at most: four for each allocation, unless the job says otherwise.
    pub fn shards(&self) -> u32 {
        self.shards.unwrap_or(self.nodes.saturating_mul(4))
    }

    /// How long before the end of `time` an allocation is told to end, if its attempts take at most `attempt`, with
    /// their grace.
    pub fn lead(&self, attempt: Option<Duration>) -> Duration {
        /// For attempts that have no limit.
        const USUAL: Duration = Duration::from_mins(2);
        /// For ending what is left.
        const MORE: Duration = Duration::from_secs(30);
        let wanted = self.lead.unwrap_or_else(|| attempt.map_or(USUAL, |attempt| attempt + MORE));
        self.time.map_or(wanted, |time| wanted.min(time / 2))
    }
}

/// Reads `[cluster]`.
pub(super) fn read(table: Option<Table<'_>>, plan: &Planner<'_>) -> ClusterSettings {
    let mut settings = ClusterSettings::default();
    let Some(mut table) = table else { return settings };
    let count =
        |table: &mut Table<'_>, key| table.get::<Count>(key).map(|count| count.get_ref().get());
    settings.nodes = count(&mut table, "nodes").unwrap_or(settings.nodes);
    settings.shards = count(&mut table, "shards");
    settings.cpus = count(&mut table, "cpus");
    settings.tries = count(&mut table, "tries").unwrap_or(settings.tries);
    settings.mem = table.get::<ByteSize>("mem").map(Spanned::into_inner);
    let per_cpu = table.get::<ByteSize>("mem_per_cpu");
    if let Some(both) = per_cpu.as_ref().filter(|_| settings.mem.is_some()) {
        let help = "leave one of them out: the scheduler takes either";
        plan.error_with_help(both.span(), "`cluster` has both `mem` and `mem_per_cpu`", help);
    }
    settings.mem_per_cpu = per_cpu.map(Spanned::into_inner);
    settings.gpus = gpus(&mut table);
    let time = |table: &mut Table<'_>, key| {
        table.get::<Timeout>(key).map(|time| time.get_ref().duration())
    };
    settings.time = time(&mut table, "time");
    settings.lead = time(&mut table, "lead");
    for (key, place) in [
        ("partition", &mut settings.partition),
        ("account", &mut settings.account),
        ("qos", &mut settings.qos),
        ("constraint", &mut settings.constraint),
    ] {
        *place = word(&mut table, key, plan);
    }
    settings.setup = table.get::<String>("setup").map(Spanned::into_inner);
    settings.runner = table.get::<PathBuf>("runner").map(Spanned::into_inner);
    if let Some(options) = table.get::<Vec<String>>("options") {
        for option in options.get_ref() {
            check_option(option, options.span(), plan);
        }
        settings.options = options.into_inner();
    }
    table.finish();
    settings
}

/// A word that becomes an argument.
fn word(table: &mut Table<'_>, key: &'static str, plan: &Planner<'_>) -> Option<String> {
    let value = table.get::<String>(key)?;
    let text = value.get_ref();
    if text.is_empty() || text.contains(|c: char| c.is_control()) {
        plan.error(
            value.span(),
            format!("`{key}` is empty or has control characters; leave it out"),
        );
        return None;
    }
    Some(value.into_inner())
}

/// `gpus`: a number, or a kind and a number as the scheduler writes them.
fn gpus(table: &mut Table<'_>) -> Option<String> {
    let value = table.raw("gpus")?;
    match value.get_ref() {
        DeValue::String(text) if !text.is_empty() => Some(text.clone().into_owned()),
        DeValue::Integer(_) => table.get::<Count>("gpus").map(|count| count.get_ref().to_string()),
        _ => {
            table.wrong_type("gpus", value, "an integer above 0 or a string such as \"a100:2\"");
            None
        }
    }
}

/// Refuses an option that runner sets itself, or that has a key.
fn check_option(option: &str, span: std::ops::Range<usize>, plan: &Planner<'_>) {
    let name = option.split(['=', ' ']).next().unwrap_or_default();
    // A long one may be cut short.
    let is = |long: &str, short: &str| {
        (name.len() > 3 && long.starts_with(name))
            || letters(name).any(|letter| short.contains(letter))
    };
    if !name.starts_with('-') {
        let message = format!("`{option}` is not an option: it does not begin with `-`");
        return plan.error_with_help(
            span,
            message,
            "write an option and its value as `--option=value`",
        );
    }
    if let Some((long, _)) = OWN_OPTIONS.iter().find(|(long, short)| is(long, short)) {
        plan.error(span, format!("`options` cannot have `{long}`: runner sets it itself"));
    } else if let Some((long, _)) = TELLING_OPTIONS.iter().find(|(long, short)| is(long, short)) {
        plan.error(span, format!("`options` cannot have `{long}`: nothing would be submitted"));
    } else if let Some((long, _, key)) =
        KEYED_OPTIONS.iter().find(|(long, short, _)| is(long, short))
    {
        let message = format!("`options` cannot have `{long}`");
        plan.error_with_help(span, message, format!("set `cluster.{key}`"));
    }
}

/// The letters of short options that stand together, as in `-QW`: none stands behind one that has a value.
fn letters(name: &str) -> impl Iterator<Item = char> {
    let letters = name.strip_prefix('-').filter(|rest| !rest.starts_with('-')).unwrap_or_default();
    let mut ends = false;
    letters
        .chars()
        .take_while(move |letter| !std::mem::replace(&mut ends, !FLAGS.contains(*letter)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_options_stand_together_until_one_has_a_value() {
        for (name, expected) in
            [("-QW", "QW"), ("-Wp", "Wp"), ("-xW", "x"), ("--wait", ""), ("x", "")]
        {
            assert_eq!(letters(name).collect::<String>(), expected, "{name}");
        }
    }

    #[test]
    fn the_lead_leaves_time_for_a_whole_attempt_but_never_more_than_half() {
        let minutes = Duration::from_mins;
        let settings = |time| ClusterSettings { time, ..ClusterSettings::default() };
        let attempt = Some(minutes(10));
        assert_eq!(settings(None).lead(None), minutes(2));
        assert_eq!(
            settings(Some(minutes(60))).lead(attempt),
            minutes(10) + Duration::from_secs(30)
        );
        assert_eq!(settings(Some(minutes(10))).lead(attempt), minutes(5));
    }

    #[test]
    fn there_are_four_shards_for_each_allocation() {
        assert_eq!(ClusterSettings::default().shards(), 40);
    }
}

//! `runner.toml`: what is said once for all job files beside it. A job's own word wins.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::base::diagnostic::{Place, Source};
use crate::base::{Count, Diagnostic};
use crate::config::overrides::shifted;
use crate::config::raw::Parsed;
use crate::config::{Document, Table, schema};

/// Its name: a file that is called so is never a job.
pub(crate) use crate::config::schema::RUNNER_TOML as NAME;

/// The tables that can have defaults.
const SECTIONS: [&str; 3] = ["limits", "retry", "report"];

/// The table of the site, which is no default of a job's tasks.
const CLUSTER: &str = "cluster";

/// A file of settings for all jobs of its folder.
#[derive(Debug)]
pub(crate) struct RunnerToml {
    parsed: Parsed,
    results: Option<PathBuf>,
    groups: Vec<(String, Count, Place)>,
}

impl RunnerToml {
    /// The one beside the job file `job`, if there is one.
    ///
    /// # Errors
    /// All mistakes in it, but those in its defaults: they show where a job takes them.
    pub fn beside(job: &Path) -> Result<Option<Self>, Vec<Diagnostic>> {
        let path = job.with_file_name(NAME);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(vec![Diagnostic::unreadable(&path, &error)]),
        };
        Self::of(job, text).map(Some)
    }

    /// The one beside the job file `job`, which has this text.
    ///
    /// # Errors
    /// As [`RunnerToml::beside`].
    pub fn of(job: &Path, text: String) -> Result<Self, Vec<Diagnostic>> {
        let path = job.with_file_name(NAME);
        let parsed = Parsed::parse(Source { name: path.display().to_string(), text })?;
        let document = Document::new(Arc::clone(parsed.source()), None, &[]);
        let mut table = Table::of_settings(&document, parsed.root());
        let results = table
            .get::<PathBuf>("results")
            .map(|results| path.parent().unwrap_or(Path::new("")).join(results.into_inner()));
        let groups = table.table("groups").map(groups).unwrap_or_default();
        table.table("cluster"); // what is in it is read with each job
        if let Some(mut defaults) = table.table("defaults") {
            for section in SECTIONS {
                defaults.table(section); // what is in it is read with each job
            }
            defaults.finish();
        }
        table.finish();
        let (errors, _) = document.into_errors();
        if errors.is_empty() { Ok(Self { parsed, results, groups }) } else { Err(errors) }
    }

    /// The text, to point into.
    pub fn source(&self) -> &Arc<Source> {
        self.parsed.source()
    }

    /// What is in it.
    pub fn root(&self) -> &DeTable<'_> {
        self.parsed.root()
    }

    /// Whether it has a default for this key of this table.
    pub fn has_default(&self, table: &str, key: &str) -> bool {
        let defaults = self.root().get("defaults").and_then(|it| it.get_ref().as_table());
        let table = defaults.and_then(|it| it.get(table)?.get_ref().as_table());
        table.is_some_and(|table| table.contains_key(key))
    }

    /// Where the reports go.
    pub fn results(&self) -> Option<&Path> {
        self.results.as_deref()
    }

    /// The groups, their limits, and where each is set.
    pub fn groups(&self) -> impl Iterator<Item = &(String, Count, Place)> {
        self.groups.iter()
    }
}

fn groups(mut table: Table<'_>) -> Vec<(String, Count, Place)> {
    table.values::<Count>()
}

/// Adds to the job file `root` what `settings` have and the job does not say itself. `start` is where the text of the
/// settings starts in the job's document.
pub(crate) fn merge<'a>(root: &mut DeTable<'a>, settings: &'a DeTable<'a>, start: usize) {
    if let Some((key, value)) = settings.get_key_value(CLUSTER)
        && let DeValue::Table(values) = shifted(value.clone(), start).into_inner()
    {
        let key = Spanned::new(key.span().start + start..key.span().end + start, CLUSTER.into());
        add(root, &key, &values, |_| true);
    }
    let Some(DeValue::Table(defaults)) = settings.get("defaults").map(Spanned::get_ref) else {
        return;
    };
    for section in SECTIONS {
        let Some((key, value)) = defaults.get_key_value(section) else { continue };
        let key = Spanned::new(key.span().start + start..key.span().end + start, section.into());
        let DeValue::Table(values) = shifted(value.clone(), start).into_inner() else { continue };
        let of_job = |name: &str| {
            section == "report"
                || section == "limits" && !schema::limits_of_a_stage().any(|of| of == name)
        };
        if let Some(DeValue::Array(stages)) = root.get_mut("stages").map(Spanned::get_mut) {
            for stage in stages.iter_mut() {
                if let DeValue::Table(stage) = stage.get_mut() {
                    add(stage, &key, &values, |name| !of_job(name));
                }
            }
            add(root, &key, &values, of_job);
        } else {
            add(root, &key, &values, |_| true);
        }
    }
}

/// Adds to the table at `key` those of `values` that are `wanted` and that it does not have.
fn add<'a>(
    table: &mut DeTable<'a>,
    key: &Spanned<toml::de::DeString<'a>>,
    values: &DeTable<'a>,
    wanted: impl Fn(&str) -> bool,
) {
    let wanted: Vec<_> = values.iter().filter(|(name, _)| wanted(name.get_ref())).collect();
    if wanted.is_empty() {
        return;
    }
    if !table.contains_key(key.get_ref().as_ref()) {
        table.insert(key.clone(), Spanned::new(key.span(), DeValue::Table(DeTable::new())));
    }
    let inner = table.get_mut(key.get_ref().as_ref()).map(Spanned::get_mut);
    let Some(DeValue::Table(inner)) = inner else { return };
    for (name, value) in wanted {
        if !inner.contains_key(name.get_ref().as_ref()) {
            inner.insert(name.clone(), value.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(settings: &str, job: &str) -> String {
        let settings = DeTable::parse(settings).unwrap().into_inner();
        let mut root = DeTable::parse(job).unwrap().into_inner();
        merge(&mut root, &settings, 1000);
        show(&DeValue::Table(root))
    }

    fn show(value: &DeValue<'_>) -> String {
        match value {
            DeValue::Table(table) => {
                let entry =
                    |(key, value): (&Spanned<toml::de::DeString<'_>>, &Spanned<DeValue<'_>>)| {
                        format!("{}={}", key.get_ref(), show(value.get_ref()))
                    };
                format!("{{{}}}", table.iter().map(entry).collect::<Vec<_>>().join(" "))
            }
            DeValue::Array(array) => {
                array.iter().map(|element| show(element.get_ref())).collect::<Vec<_>>().join(",")
            }
            DeValue::Integer(number) => number.to_string(),
            other => other.type_str().into(),
        }
    }

    #[test]
    fn the_keys_of_a_cluster_win_one_by_one() {
        let settings = "[cluster]\nnodes = 1\ncpus = 2\n";
        assert_eq!(merged(settings, ""), "{cluster={nodes=1 cpus=2}}");
        assert_eq!(merged(settings, "cluster.nodes = 9"), "{cluster={nodes=9 cpus=2}}");
    }

    #[test]
    fn a_default_stands_in_for_what_a_job_does_not_say() {
        let settings = "[defaults.limits]\nburst = 1\ndeadline = 2\n[defaults.retry]\ndelay = 3\n";
        for (job, expected) in [
            ("", "{limits={burst=1 deadline=2} retry={delay=3}}"),
            ("[limits]\nburst = 9", "{limits={burst=9 deadline=2} retry={delay=3}}"),
            ("limits = 9\nretry = { delay = 9 }", "{limits=9 retry={delay=9}}"),
            (
                "[[stages]]\nname = 1\n[[stages]]\nlimits = { burst = 9 }",
                "{stages={name=1 limits={burst=1} retry={delay=3}},{limits={burst=9} retry={delay=3}} \
                 limits={deadline=2}}",
            ),
        ] {
            assert_eq!(merged(settings, job), expected, "{job}");
        }
    }
}

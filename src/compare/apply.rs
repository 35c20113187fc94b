//! Writes the recommendation into the job file. Comments and layout stay; a file that has changed since it was read is
//! left alone.

use std::fs::{self, Permissions};
use std::io::{self, Write};
use std::path::Path;

use rustix::fs::Access;
use toml_edit::{DocumentMut, InlineTable, Item, Table, TableLike, Value};

use crate::base::diagnostic::reason;
use crate::model::Model;
use crate::task::Exit;

/// Why a file was not changed.
#[derive(Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Its text has changed since it was read.
    Changed,
    /// The file or its folder cannot be written; says why.
    NotWritable(String),
    /// The edit would change more than the advice.
    Strange,
}

impl Refusal {
    /// The message before there is any advice.
    pub fn before(&self, file: &Path) -> String {
        let shown = file.display();
        match self {
            Refusal::NotWritable(why) => format!("`{shown}` cannot be written: {why}"),
            Refusal::Changed | Refusal::Strange => format!("`{shown}` cannot be edited"),
        }
    }

    /// The exit code that it leads to.
    pub fn exit(&self) -> Exit {
        match self {
            Refusal::Changed | Refusal::Strange => Exit::Usage,
            Refusal::NotWritable(_) => Exit::NotWritten,
        }
    }

    /// The message, with the way out.
    pub fn words(&self, file: &Path, advice: Advice) -> String {
        let shown = file.display();
        match self {
            Refusal::Changed => format!(
                "`{shown}` has changed since it was read and was not edited: the recommendation for what was read is \
{advice}"
            ),
            Refusal::NotWritable(why) => {
                format!("`{shown}` cannot be written ({why}): set {advice} by hand")
            }
            Refusal::Strange => {
                format!(
                    "`{shown}` cannot be edited without changing more than that: set {advice} by hand"
                )
            }
        }
    }
}

/// The settings to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advice {
    pub model: Model,
    /// `None` leaves the file's setting, or its absence, as it is. Only for `Reach::Job`.
    pub concurrency: Option<usize>,
    pub reach: Reach,
}

/// Where the settings are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// At the top of the file, for the job.
    Job,
    /// Into every one of `[[stages]]`.
    EveryStage,
}

impl std::fmt::Display for Advice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`model = \"{}\"`", self.model)?;
        match (self.reach, self.concurrency) {
            (Reach::EveryStage, _) => f.write_str(" in every stage"),
            (Reach::Job, Some(concurrency)) => {
                write!(f, " and `concurrency = {concurrency}` in `[limits]`")
            }
            (Reach::Job, None) => Ok(()),
        }
    }
}

/// Checks whether the file can be written, as far as that can be told beforehand.
///
/// # Errors
/// The reason why it cannot.
pub fn check_writable(file: &Path) -> Result<(), Refusal> {
    let target = target(file)?;
    let may_write = |path: &Path| {
        rustix::fs::access(path, Access::WRITE_OK)
            .map_err(|error| Refusal::NotWritable(reason(&error.into())))
    };
    may_write(&target)?;
    may_write(target.parent().unwrap_or(Path::new("/")))
}

/// The file itself, so that a symbolic link to it stays a link.
fn target(file: &Path) -> Result<std::path::PathBuf, Refusal> {
    file.canonicalize().map_err(|error| Refusal::NotWritable(reason(&error)))
}

/// Writes `advice` into `file`, whose text was `text` when it was read. The new file replaces the old one atomically
/// and has its permissions. Returns whether there was anything to write.
///
/// # Errors
/// Why the file was not changed.
pub fn apply(file: &Path, text: &str, advice: Advice) -> Result<bool, Refusal> {
    check_writable(file)?;
    let target = target(file)?;
    let unwritable = |error: io::Error| Refusal::NotWritable(reason(&error));
    if fs::read(&target).map_err(unwritable)? != text.as_bytes() {
        return Err(Refusal::Changed);
    }
    let edited = edited(text, advice).ok_or(Refusal::Strange)?;
    if edited == text {
        return Ok(false);
    }
    let mode = fs::metadata(&target).map_err(unwritable)?.permissions();
    replace(&target, edited.as_bytes(), mode).map_err(unwritable)?;
    Ok(true)
}

fn replace(target: &Path, text: &[u8], mode: Permissions) -> io::Result<()> {
    let folder = target.parent().unwrap_or(Path::new("/"));
    let mut file = tempfile::Builder::new().prefix(".runner-").tempfile_in(folder)?;
    file.write_all(text)?;
    file.as_file().set_permissions(mode)?;
    file.as_file().sync_all()?; // it is the user's only copy
    file.persist(target).map_err(|error| error.error)?;
    Ok(())
}

/// The text with the advice in it; `None` if the edit would change anything else.
fn edited(text: &str, advice: Advice) -> Option<String> {
    let bom = "\u{feff}";
    let (mark, body) = text.strip_prefix(bom).map_or(("", text), |body| (bom, body));
    let mut document: DocumentMut = body.parse().ok()?;
    let is_bare = advice.reach == Reach::Job && !document.iter().any(|(_, item)| item.is_value());
    let model = advice.model.name();
    match advice.reach {
        Reach::Job => set(document.as_table_mut(), "model", model.into()),
        Reach::EveryStage => set_in_stages(document.get_mut("stages")?, model)?,
    }
    if let Some(concurrency) = advice.concurrency {
        let limits = document.entry("limits").or_insert_with(|| Item::Table(Table::new()));
        set(limits.as_table_like_mut()?, "concurrency", (concurrency as i64).into());
        if let Some(limits) = limits.as_inline_table_mut() {
            close_up(limits);
        }
    }
    let mut edited = document.to_string();
    if is_bare {
        edited = below_the_title(body, &edited);
    }
    if body.contains("\r\n") {
        edited = edited.replace("\r\n", "\n").replace('\n', "\r\n");
    }
    says_just_that(body, &edited, advice).then(|| format!("{mark}{edited}"))
}

/// Sets the model of every stage, whether the stages are `[[stages]]` tables or one inline array.
fn set_in_stages(stages: &mut Item, model: &str) -> Option<()> {
    if let Some(tables) = stages.as_array_of_tables_mut() {
        tables.iter_mut().for_each(|stage| set(stage, "model", model.into()));
        return Some(());
    }
    for stage in stages.as_array_mut()?.iter_mut() {
        let stage = stage.as_inline_table_mut()?;
        set(stage, "model", model.into());
        close_up(stage);
    }
    Some(())
}

/// Sets a key. What surrounds the old value, such as a comment, stays.
fn set(table: &mut dyn TableLike, key: &str, mut value: Value) {
    match table.get_mut(key).and_then(Item::as_value_mut) {
        Some(old) => {
            *value.decor_mut() = old.decor().clone();
            *old = value;
        }
        None => {
            table.insert(key, Item::Value(value));
        }
    }
}

/// Moves the space before the closing brace to after the new last value.
fn close_up(table: &mut InlineTable) {
    let mut values: Vec<&mut Value> = table.iter_mut().map(|(_, value)| value).collect();
    if let [.., before, last] = &mut values[..]
        && last.decor().suffix().is_none()
        && let Some(space) = before.decor().suffix().cloned()
    {
        before.decor_mut().set_suffix("");
        last.decor_mut().set_suffix(space);
    }
}

/// Moves the first key of a file that had only tables from the very top to below the comment at the top.
fn below_the_title(body: &str, edited: &str) -> String {
    let Some((line, rest)) = edited.split_once('\n') else { return edited.to_owned() };
    let end = title_end(body);
    match rest.get(..end) {
        Some(title) if rest.get(..end) == body.get(..end) => {
            format!(
                "{title}{line}\n{}{}",
                if end == 0 || !rest[end..].starts_with('\n') { "\n" } else { "" },
                &rest[end..]
            )
        }
        _ => edited.to_owned(),
    }
}

/// Where the comment at the top ends, including the empty line after it; 0 if the comment belongs to the first table.
fn title_end(body: &str) -> usize {
    let mut end = 0;
    for line in body.split_inclusive('\n') {
        end += line.len();
        match line.trim_end() {
            "" => return end,
            line if line.starts_with('#') => {}
            _ => return 0,
        }
    }
    0
}

/// Whether the new text differs from the old one in meaning by the advice only.
fn says_just_that(old: &str, new: &str, advice: Advice) -> bool {
    let (Ok(mut expected), Ok(found)) = (old.parse::<toml::Table>(), new.parse::<toml::Table>())
    else {
        return false;
    };
    match advice.reach {
        Reach::Job => {
            expected.insert("model".into(), advice.model.name().into());
        }
        Reach::EveryStage => {
            let stages = expected.get_mut("stages").and_then(toml::Value::as_array_mut);
            for stage in stages.into_iter().flatten().filter_map(toml::Value::as_table_mut) {
                stage.insert("model".into(), advice.model.name().into());
            }
        }
    }
    if let Some(concurrency) = advice.concurrency {
        let limits = expected.entry("limits").or_insert_with(|| toml::Table::new().into());
        let Some(limits) = limits.as_table_mut() else { return false };
        limits.insert("concurrency".into(), (concurrency as i64).into());
    }
    expected == found
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use proptest::prelude::*;

    use super::*;

    const ADVICE: Advice = Advice { model: Model::Async, concurrency: Some(8), reach: Reach::Job };

    #[test]
    fn every_stage_gets_the_model() {
        let advice = Advice { model: Model::Async, concurrency: None, reach: Reach::EveryStage };
        for (text, expected) in [
            (
                "# Title\n[[stages]]\nname = \"a\" # one\n\n[stages.limits]\ntimeout = \"5s\"\n\n[[stages]]\nmodel = 'threads' # so far\nname = \"b\"\n",
                "# Title\n[[stages]]\nname = \"a\" # one\nmodel = \"async\"\n\n[stages.limits]\ntimeout = \"5s\"\n\n[[stages]]\nmodel = \"async\" # so far\nname = \"b\"\n",
            ),
            (
                "stages = [\n  { name = \"a\" }, # one\n  { name = \"b\" },\n]\n",
                "stages = [\n  { name = \"a\", model = \"async\" }, # one\n  { name = \"b\", model = \"async\" },\n]\n",
            ),
        ] {
            assert_eq!(edited(text, advice).unwrap(), expected);
            assert_eq!(edited(expected, advice).unwrap(), expected);
        }
        assert_eq!(edited("name = \"a\"\n", advice), None, "it has no stages");
    }

    #[test]
    fn comments_and_layout_stay() {
        for (text, expected) in [
            (
                "# Title\ndescription = \"x\" # why\n\n# where from\n[inputs]\nrepeat  =  3\n\n[limits]  # all\ntimeout = \"5s\"\n",
                "# Title\ndescription = \"x\" # why\nmodel = \"async\"\n\n# where from\n[inputs]\nrepeat  =  3\n\n[limits]  # all\ntimeout = \"5s\"\nconcurrency = 8\n",
            ),
            (
                "model = 'auto'   # for now\nlimits.concurrency = 2 # two\n",
                "model = \"async\"   # for now\nlimits.concurrency = 8 # two\n",
            ),
            (
                "limits = { timeout = \"5s\" }\n",
                "limits = { timeout = \"5s\", concurrency = 8 }\nmodel = \"async\"\n",
            ),
            (
                "# Title\n# of it\n\n# from\n[inputs]\nrepeat = 3\n",
                "# Title\n# of it\n\nmodel = \"async\"\n\n# from\n[inputs]\nrepeat = 3\n\n[limits]\nconcurrency = 8\n",
            ),
            (
                "[inputs]\nrepeat = 3\n",
                "model = \"async\"\n\n[inputs]\nrepeat = 3\n\n[limits]\nconcurrency = 8\n",
            ),
            (
                "# from\n[inputs]\nrepeat = 3\n",
                "model = \"async\"\n\n# from\n[inputs]\nrepeat = 3\n\n[limits]\nconcurrency = 8\n",
            ),
            (
                "name = \"a\"\r\n[limits]\r\nconcurrency = 2\r\n",
                "name = \"a\"\r\nmodel = \"async\"\r\n[limits]\r\nconcurrency = 8\r\n",
            ),
            (
                "\u{feff}model = \"threads\"\n[limits]\nconcurrency = 1",
                "\u{feff}model = \"async\"\n[limits]\nconcurrency = 8\n",
            ),
        ] {
            let found = edited(text, ADVICE).unwrap();
            assert_eq!(found.trim_end(), expected.trim_end(), "{text}");
        }
    }

    #[test]
    fn a_concurrency_that_needs_no_saying_stays() {
        let text = "model = \"threads\"\n[limits]\nconcurrency = \"cores\"\n";
        let advice = Advice { model: Model::Sequential, concurrency: None, reach: Reach::Job };
        assert_eq!(
            edited(text, advice).unwrap(),
            "model = \"sequential\"\n[limits]\nconcurrency = \"cores\"\n"
        );
    }

    #[test]
    fn a_file_that_has_changed_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("job.toml");
        fs::write(&file, "name = \"b\"\n").unwrap();
        assert_eq!(apply(&file, "name = \"a\"\n", ADVICE), Err(Refusal::Changed));
        assert_eq!(fs::read_to_string(&file).unwrap(), "name = \"b\"\n");
        assert!(Refusal::Changed.words(&file, ADVICE).contains("`concurrency = 8` in `[limits]`"));
    }

    #[test]
    fn rights_and_links_stay() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("job.toml"), folder.path().join("link.toml"));
        fs::write(&file, "name = \"a\"\n").unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink("job.toml", &link).unwrap();
        assert_eq!(apply(&link, "name = \"a\"\n", ADVICE), Ok(true));
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.contains("model = \"async\""), "{text}");
        assert_eq!(apply(&link, &text, ADVICE), Ok(false), "nothing to write");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    proptest! {
        #[test]
        fn nothing_else_changes(
            parts in prop::collection::vec(
                prop::sample::select(vec![
                    "# note\n", "\n", "name = \"a\"\n", "model = 'auto' # m\n", "description = '''\n# no [limits]\n'''\n",
                    "limits.timeout = \"1s\"\n", "[inputs]\nrepeat = 3\n", "[limits] # l\n", "concurrency = \"cores\"\n",
                    "grace = \"1s\"\n", "[workload.sleep]\n", "duration = \"1s\"\n", "[limits]\nconcurrency = 1 # one\n",
                ]),
                0..8,
            )
        ) {
            let text = parts.concat();
            // Advice is never applied to a text that is not valid TOML.
            if text.parse::<toml::Table>().is_ok() {
                let found = edited(&text, ADVICE).unwrap();
                for comment in text.lines().filter_map(|line| line.split_once('#')) {
                    prop_assert!(found.contains(comment.1), "{text}\n---\n{found}");
                }
                prop_assert_eq!(edited(&found, ADVICE).unwrap(), found);
            }
        }
    }
}

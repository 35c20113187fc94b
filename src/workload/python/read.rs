//! Reading `[workload.python]`; every mistake is reported at its place.

use std::ffi::OsString;
use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;

use super::Spec;
use super::interpreter::Executable;
use crate::base::json::NotFinite;
use crate::base::{ByteSize, Count, Timeout};
use crate::config::program::{self, StartedFor};
use crate::config::{Arguments, Planner, Table};

/// How long an interpreter may take to be ready, if the file does not say: what a model of many gigabytes takes to load.
const READY: Duration = Duration::from_mins(10);

/// Reads `[workload.python]`; every mistake is reported at its place.
pub fn read(table: &mut Table<'_>, plan: &Planner<'_>) -> Option<Spec> {
    let function = read_name("function", table, plan);
    let has_function = table.has("function");
    if !has_function {
        table.missing("function");
    }
    let init = read_name("init", table, plan);
    let preload = read_preload(table, plan);
    let path = read_path(table, plan);
    let env = program::env(table, StartedFor::Slot, plan);
    let as_bytes = table.get("as_bytes").is_some_and(Spanned::into_inner);
    let thread_safe = table.get("thread_safe").is_some_and(Spanned::into_inner);
    let max_tasks = table.get::<Count>("max_tasks").map(Spanned::into_inner);
    let max_memory = table.get::<ByteSize>("max_memory").map(Spanned::into_inner);
    let ready_timeout =
        table.get::<Timeout>("ready_timeout").map(|limit| limit.into_inner().duration());
    let places = program::places(env.as_deref().unwrap_or_default(), plan);
    let executable = Executable::read(table, &places, plan);
    let arguments = Arguments::read(table, NotFinite::Python, plan);
    if (table.has("init") && init.is_none()) || (table.has("preload") && preload.is_none()) {
        return None;
    }
    let (function, target) = function?;
    Some(Spec {
        function,
        target,
        init: init.map(|(_, target)| target),
        preload,
        path: path?,
        as_bytes,
        thread_safe,
        max_tasks,
        max_memory,
        ready_timeout: ready_timeout.unwrap_or(READY),
        env: env?,
        slots: plan.slots.clone(),
        executable: executable?,
        arguments: arguments?,
        folder: plan.folder().to_owned(),
    })
}

/// A name such as `module:function`, `package.module:Class.method` or `scripts/01_clean.py:main`: as it is written, and
/// with the file's absolute path.
fn read_name(
    key: &'static str,
    table: &mut Table<'_>,
    plan: &Planner<'_>,
) -> Option<(String, OsString)> {
    let name = table.get::<String>(key)?;
    parse_name(key, &name, plan)
}

fn parse_name(
    key: &'static str,
    name: &Spanned<String>,
    plan: &Planner<'_>,
) -> Option<(String, OsString)> {
    let text = name.get_ref();
    if let Some((module, path)) = text.rsplit_once(':')
        && is_path(path)
    {
        if is_file(module) {
            return read_file(module, path, name, plan);
        }
        if is_module(module) {
            return Some((text.clone(), text.into()));
        }
    }
    let help = match text.rsplit_once('.') {
        Some((_, "py")) => format!("write `{key} = \"{text}:NAME\"`"),
        Some((module, path)) if !text.contains(':') => {
            format!("write `{key} = \"{module}:{path}\"`")
        }
        _ => format!(
            "write `{key} = \"MODULE:NAME\"`, as in `math:factorial`, or `\"FILE.py:NAME\"`"
        ),
    };
    plan.error_with_help(name.span(), format!("`{text}` does not name a function"), help);
    None
}

/// Whether it names something in a module.
fn is_path(path: &str) -> bool {
    path.split('.').all(|part| {
        !part.is_empty()
            && !part.starts_with(|first: char| first.is_ascii_digit())
            && part.chars().all(|char| char.is_alphanumeric() || char == '_')
    })
}

/// Whether it names a module: whatever importlib takes, which is more than `import` does.
fn is_module(module: &str) -> bool {
    let is_part = |part: &str| {
        !part.is_empty()
            && !part.contains(|char: char| char.is_whitespace() || matches!(char, '/' | ':' | '\0'))
    };
    module.split('.').all(is_part)
}

fn is_file(module: &str) -> bool {
    std::path::Path::new(module).extension().is_some_and(|extension| extension == "py")
        && !module.contains('\0')
}

fn read_file(
    module: &str,
    path: &str,
    name: &Spanned<String>,
    plan: &Planner<'_>,
) -> Option<(String, OsString)> {
    let file = plan.folder().join(module);
    if !file.is_file() {
        let is_imported = !module.contains('/');
        let help = is_imported.then(|| {
            format!("a module is named without `.py`: `{}:{path}`", module.trim_end_matches(".py"))
        });
        plan.absent(name.span(), format!("there is no file `{module}`"), help);
        return None;
    }
    let mut target = file.into_os_string();
    target.push(format!(":{path}"));
    Some((name.get_ref().clone(), target))
}

/// A function, or a module alone.
fn read_preload(table: &mut Table<'_>, plan: &Planner<'_>) -> Option<OsString> {
    let name = table.get::<String>("preload")?;
    let text = name.get_ref();
    if !text.contains(':') && !is_file(text) && is_module(text) {
        return Some(name.into_inner().into());
    }
    parse_name("preload", &name, plan).map(|(_, target)| target)
}

/// Folders, relative to the job's.
fn read_path(table: &mut Table<'_>, plan: &Planner<'_>) -> Option<Vec<OsString>> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "a folder or an array of folders")]
    enum Folders {
        One(String),
        Many(Vec<String>),
    }
    if !table.has("path") {
        return Some(vec![plan.folder().into()]);
    }
    let folders = table.get::<Folders>("path")?;
    let span = folders.span();
    let folders = match folders.into_inner() {
        Folders::One(folder) => vec![folder],
        Folders::Many(folders) => folders,
    };
    let mut path = Vec::new();
    for folder in &folders {
        let absolute = plan.folder().join(folder);
        if !absolute.exists() {
            plan.absent(span.clone(), format!("there is no folder `{folder}`"), None);
            return None;
        }
        path.push(absolute.into_os_string());
    }
    path.push(plan.folder().into());
    Some(path)
}

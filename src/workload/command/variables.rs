//! The environment of a command: names that steer nothing but the command.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::plan::{Action, Variable};
use super::shell_names::named;
use crate::config::Template;
use crate::config::program::OF_A_TASK;

/// The environment: `env`, what the runner says of the task, and for a shell the fields. A field whose name is taken
/// already is prefixed. What the runner itself has inherited takes no name: a job is the same wherever it is called.
pub(super) fn variables(
    env: Vec<(String, Template)>,
    action: &Action,
    fields: &[String],
    slots: Option<&Arc<[String]>>,
) -> Vec<(String, Variable)> {
    let named: BTreeSet<String> = match action {
        Action::Shell(words) => {
            let text = words.last().map(String::as_str).unwrap_or_default();
            named(text).into_iter().map(|named| named.name).collect()
        }
        Action::Argv(_) => BTreeSet::new(),
    };
    let mut variables: Vec<_> =
        env.into_iter().map(|(name, value)| (name, Variable::Template(value))).collect();
    let mut taken: BTreeSet<String> = variables.iter().map(|(name, _)| name.clone()).collect();
    let [task, attempt, job, slot, slot_name] = OF_A_TASK;
    let said = [
        (task, Variable::Task),
        (attempt, Variable::Attempt),
        (job, Variable::Job),
        (slot, Variable::Slot),
    ];
    let slot_name =
        slots.map(|names| (slot_name, Variable::Template(Template::of_slot_name(names))));
    for (name, value) in said.into_iter().chain(slot_name) {
        if taken.insert(name.into()) {
            variables.push((name.into(), value));
        }
    }
    if let Action::Shell(_) = action {
        let of_fields = field_names(fields, &mut taken);
        for (index, name) in of_fields.into_iter().enumerate() {
            let is_named = named.contains(&name);
            variables.push((name, Variable::Field { index, is_named }));
        }
    }
    // Those that the text names come first: there may not be room for all.
    variables.sort_by_key(|(_, value)| matches!(value, Variable::Field { is_named: false, .. }));
    variables
}

/// The names of the variables for `fields`. The exact name of a field wins: the others have what is left.
fn field_names(fields: &[String], taken: &mut BTreeSet<String>) -> Vec<String> {
    let is_exact = |field: &&String| {
        variable_name(field) == **field && !is_acted_on(field) && !taken.contains(*field)
    };
    let exact: BTreeSet<String> = fields.iter().filter(is_exact).cloned().collect();
    taken.extend(exact.iter().cloned());
    let names = fields.iter().map(|field| {
        let mut name = variable_name(field);
        if exact.contains(field) {
            return name;
        }
        while taken.contains(&name) || is_acted_on(&name) {
            name.insert_str(0, "input_");
        }
        taken.insert(name.clone());
        name
    });
    names.collect()
}

/// The fields that have not the name that is theirs, since programs act on it: that name, and the one that they have.
pub(super) fn renamed<'a>(
    variables: &'a [(String, Variable)],
    fields: &[String],
) -> Vec<(String, &'a str)> {
    let of_field = |(name, value): &'a (String, Variable)| {
        let Variable::Field { index, .. } = value else { return None };
        let own = variable_name(&fields[*index]);
        let is_set = || variables.iter().any(|(name, _)| *name == own);
        (own != *name && is_acted_on(&own) && !is_set()).then_some((own, name.as_str()))
    };
    variables.iter().filter_map(of_field).collect()
}

/// How many bytes of arguments and environment a program can be given here, without what it inherits: a quarter of the
/// limit of the stack, at most 6 MiB (execve(2)).
pub(super) fn room() -> usize {
    /// For the arguments, the program's name and what a wrapper may add.
    const SPARE: usize = 64 << 10;
    let limit = rustix::process::getrlimit(rustix::process::Resource::Stack).current;
    let room = limit.map_or(6 << 20, |limit| (limit / 4).clamp(128 << 10, 6 << 20)) as usize;
    let own = std::env::vars_os().map(|(name, value)| name.len() + value.len() + 10);
    room.saturating_sub(own.sum::<usize>() + SPARE)
}

/// Whether a shell or the loader of programs acts on a variable of this name: an input must not steer them, whatever
/// its column is called. Or whether a shell puts in something else for it, so that the field would not be seen.
fn is_acted_on(name: &str) -> bool {
    const PREFIXES: [&str; 6] = ["LD_", "DYLD_", "MALLOC_", "BASH", "SHELL", "RUNNER_"];
    const NAMES: [&str; 46] = [
        "_",
        "CDPATH",
        "COLUMNS",
        "COMP_WORDBREAKS",
        "ENV",
        "EPOCHREALTIME",
        "EPOCHSECONDS",
        "EXECIGNORE",
        "FCEDIT",
        "FPATH",
        "FUNCNEST",
        "GCONV_PATH",
        "GETCONF_DIR",
        "GLIBC_TUNABLES",
        "GLOBIGNORE",
        "HISTCMD",
        "HISTFILE",
        "HOME",
        "HOSTALIASES",
        "IFS",
        "LANG",
        "LINENO",
        "LOCPATH",
        "NLSPATH",
        "OLDPWD",
        "OPTARG",
        "OPTERR",
        "OPTIND",
        "PATH",
        "POSIXLY_CORRECT",
        "PPID",
        "PROMPT_COMMAND",
        "PS1",
        "PS2",
        "PS3",
        "PS4",
        "PWD",
        "RANDOM",
        "RES_OPTIONS",
        "SECONDS",
        "SHLVL",
        "SRANDOM",
        "TMOUT",
        "TMPDIR",
        "TZ",
        "TZDIR",
    ];
    let starts = |prefix: &&str| name.starts_with(*prefix);
    PREFIXES.iter().any(starts) || NAMES.contains(&name) || name.starts_with("LC_")
}

/// The name of the variable for a field: what a shell cannot have in one becomes `_`.
fn variable_name(field: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut name: String = field.chars().map(|c| if allowed(c) { c } else { '_' }).collect();
    if !name.starts_with(|c: char| !c.is_ascii_digit()) {
        name.insert(0, '_');
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(env: &[&str], fields: &[&str]) -> Vec<String> {
        let env = env.iter().map(|&name| (name.to_owned(), Template::constant(""))).collect();
        let fields: Vec<String> = fields.iter().map(|&field| field.to_owned()).collect();
        let shell = Action::Shell(Vec::new());
        let variables = variables(env, &shell, &fields, None);
        variables
            .into_iter()
            .map(|(name, _)| name)
            .filter(|name| !name.starts_with("RUNNER_"))
            .collect()
    }

    #[test]
    fn fields_become_variables_that_a_shell_can_name() {
        assert_eq!(names(&[], &["a-b", "größe", "1st"]), ["a_b", "gr__e", "_1st"]);
        assert_eq!(names(&[], &["PATH", "HOME", "USER"]), ["input_PATH", "input_HOME", "USER"]);
        assert_eq!(names(&["X"], &["X", "input_X"]), ["X", "input_input_X", "input_X"]);
        assert_eq!(names(&[], &["a.b", "a b", "a_b"]), ["input_a_b", "input_input_a_b", "a_b"]);
        assert_eq!(names(&[], &["PATH", "input_PATH"]), ["input_input_PATH", "input_PATH"]);
        // A shell would put in something else for them.
        for name in ["_", "", "RANDOM", "SECONDS", "LINENO", "BASHPID", "EPOCHREALTIME"] {
            assert_eq!(
                names(&[], &[name]),
                [format!("input_{}", if name.is_empty() { "_" } else { name })]
            );
        }
    }
}

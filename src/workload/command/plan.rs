//! Reading `[workload.command]`, and settling all that is the same for every task.

use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use encoding_rs::Encoding;

use super::Spec;
use super::shell_names;
use super::variables::{renamed, room, variables};
use crate::base::ByteSize;
use crate::base::setting::named;
use crate::config::program;
use crate::config::program::{Folder, StartedFor, c_path};
use crate::config::program::{Places, Unusable};
use crate::config::{Planner, Table, Template};
use crate::task::Values;
use crate::workload::output_file::OutputPath;
use crate::workload::read_files::ReadFiles;

/// How much of standard output is kept, if the file does not say.
const CAPTURE: ByteSize = ByteSize::new(1 << 20);

/// A command, planned.
#[derive(Debug)]
pub struct Plan {
    /// Where relative paths start.
    pub folder: PathBuf,
    /// The job's name.
    pub job: String,
    /// What is run.
    pub action: Action,
    /// Where programs are.
    pub places: Places,
    /// Where the program is.
    pub program: Program,
    /// What the child's environment has besides the runner's own, no name twice.
    pub variables: Vec<(String, Variable)>,
    /// Where the child runs.
    pub cwd: Folder,
    /// What it reads.
    pub stdin: Input,
    /// The file for standard output, instead of capturing it.
    pub stdout: Option<OutputPath>,
    /// The file for standard error.
    pub stderr: Option<OutputPath>,
    /// What the job and its tasks read: nothing is written over that.
    pub read: ReadFiles,
    /// The exit codes that are a success.
    pub success_codes: Vec<i32>,
    /// How many bytes of standard output are kept.
    pub capture: usize,
    /// How many bytes of environment there is room for.
    pub room: usize,
    /// How its text is written, if that is not UTF-8.
    pub encoding: Option<&'static Encoding>,
    /// Which end of the output is the result.
    pub result: ResultEnd,
}

/// Which end of an output is the result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ResultEnd {
    /// Its beginning.
    #[default]
    Head,
    /// Its end.
    Tail,
}

named!(ResultEnd, "a string: `head` or `tail`", "head" => Head, "tail" => Tail);

/// What is run.
#[derive(Debug)]
pub enum Action {
    /// A program with its arguments, of which it is the first.
    Argv(Vec<Template>),
    /// These words, of which the last is the text: a shell runs it.
    Shell(Vec<String>),
}

/// Where a program is.
#[derive(Debug)]
pub enum Program {
    /// The same for every task.
    Same(CString),
    /// Another one for each.
    Each,
}

/// The value of an environment variable.
#[derive(Debug)]
pub enum Variable {
    /// From `env`.
    Template(Template),
    /// A field of the input.
    Field {
        /// Which.
        index: usize,
        /// Whether the shell's text names it: if not, it is left out where it cannot be one.
        is_named: bool,
    },
    /// The task's number.
    Task,
    /// The attempt's number.
    Attempt,
    /// The slot's number.
    Slot,
    /// The job's name.
    Job,
}

/// What a child reads from its standard input.
#[derive(Debug)]
pub enum Input {
    /// Nothing.
    Null,
    /// This text.
    Text(Template),
    /// This file.
    File(Template),
    /// What the stage before has handed on.
    Payload,
}

/// Reads the table. `None` if there was a mistake, which has been noted.
pub fn read(table: &mut Table<'_>, plan: &Planner<'_>) -> Option<Spec> {
    // Every key is asked for before anything is given up, so that each mistake is told.
    let action = read_action(table, plan);
    let env = program::env(table, StartedFor::Task, plan);
    let cwd = program::cwd(table, StartedFor::Task, plan);
    let stdin = read_stdin(table, plan);
    let stdout = read_output("stdout", table, plan);
    let stderr = read_output("stderr", table, plan);
    let success_codes = read_success_codes(table, plan);
    let capture = table.get("capture").map_or(CAPTURE, toml::Spanned::into_inner);
    let encoding = read_encoding(table, plan);
    let result = table.get("result").map_or(ResultEnd::Head, toml::Spanned::into_inner);

    let (action, env) = (action?, env?);
    let places = program::places(&env, plan);
    let program = find_program(&action, &places, table, plan)?;
    let variables = variables(env, &action, plan.fields(), plan.slots.as_ref());
    if let Action::Shell(words) = &action
        && let Some((text, before)) = words.split_last()
    {
        let names: Vec<_> = variables.iter().map(|(name, _)| name.as_str()).collect();
        let renamed = renamed(&variables, plan.fields());
        shell_names::warn((before, text), (&names, &renamed), table, plan);
    }
    let (Ok(stdout), Ok(stderr), Ok(encoding)) = (stdout, stderr, encoding) else { return None };
    let (cwd, stdin, success_codes) = (cwd?, stdin?, success_codes?);
    let capture = usize::try_from(capture.bytes()).unwrap_or(usize::MAX);
    Some(Spec(Arc::new(Plan {
        folder: plan.folder().to_owned(),
        job: plan.job().to_owned(),
        action,
        places,
        program,
        variables,
        cwd,
        stdin,
        stdout,
        stderr,
        read: ReadFiles::new(plan),
        success_codes,
        capture,
        room: room(),
        encoding,
        result,
    })))
}

/// A text for `sh -c` that is run in `folder` for the job that is called `job`.
///
/// # Errors
/// If there is no `sh`.
pub fn shell(text: &str, job: &str, folder: &Path) -> Result<Spec, Unusable> {
    let action = Action::Shell(vec!["sh".into(), "-c".into(), text.to_owned()]);
    let places = Places::new(std::env::var_os("PATH").unwrap_or_default(), folder);
    let program = c_path(places.find(b"sh")?).ok_or(Unusable::Missing)?;
    Ok(Spec(Arc::new(Plan {
        folder: folder.to_owned(),
        job: job.to_owned(),
        variables: variables(Vec::new(), &action, &[], None),
        action,
        places,
        program: Program::Same(program),
        cwd: Folder::Same(c_path(folder.to_owned()).ok_or(Unusable::Missing)?),
        stdin: Input::Null,
        stdout: None,
        stderr: None,
        read: ReadFiles::default(),
        success_codes: vec![0],
        capture: CAPTURE.bytes() as usize,
        room: room(),
        encoding: None,
        result: ResultEnd::Head,
    })))
}

fn read_action(table: &mut Table<'_>, plan: &Planner<'_>) -> Option<Action> {
    let argv = program::argv(table, StartedFor::Task, plan);
    let shell = table.get::<String>("shell");
    let shell_with = read_shell_with(table, plan);
    match (table.has("argv"), table.has("shell")) {
        (true, true) => {
            plan.error_with_help(
                table.span_of("shell"),
                "a command has `argv` or `shell`, not both",
                "`argv` runs a program as it is; `shell` is run by `sh -c`",
            );
            return None;
        }
        (false, false) => {
            plan.error_with_help(
                table.span(),
                "a command needs `argv` or `shell`",
                "for example `argv = [\"wc\", \"-l\", \"{input}\"]`, or `shell = 'wc -l < \"$input\"'`",
            );
            return None;
        }
        _ => {}
    }
    if let Some(argv) = argv {
        let all =
            |argument: Template| plan.all_created(&argument).unwrap_or_else(|| vec![argument]);
        return Some(Action::Argv(argv.into_iter().flat_map(all).collect()));
    }
    let text = shell?.into_inner();
    if text.contains('\0') {
        plan.error(table.span_of("shell"), "`shell` contains a NUL, which no program can be given");
        return None;
    }
    let mut words = shell_with?;
    words.push(text);
    Some(Action::Shell(words))
}

/// `shell_with`: the words before the text of `shell`.
fn read_shell_with(table: &mut Table<'_>, plan: &Planner<'_>) -> Option<Vec<String>> {
    let Some(words) = table.get::<Vec<String>>("shell_with") else {
        return (!table.has("shell_with")).then(|| vec!["sh".into(), "-c".into()]);
    };
    let span = words.span();
    if !table.has("shell") {
        let help = "`argv` runs its program itself; write the text as `shell`";
        plan.error_with_help(span, "`shell_with` says what runs `shell`, and there is none", help);
        return None;
    }
    let words = words.into_inner();
    if words.is_empty() || words.iter().any(|word| word.contains('\0')) {
        let help = "for example `shell_with = [\"bash\", \"-euo\", \"pipefail\", \"-c\"]`";
        plan.error_with_help(span, "`shell_with` needs a program, and no NUL", help);
        return None;
    }
    Some(words)
}

fn read_stdin(table: &mut Table<'_>, plan: &Planner<'_>) -> Option<Input> {
    let text = table.template("stdin", plan);
    let file = table.template("stdin_file", plan);
    match (table.has("stdin"), table.has("stdin_file")) {
        (true, true) => {
            plan.error(
                table.span_of("stdin_file"),
                "a command has `stdin` or `stdin_file`, not both",
            );
            None
        }
        (true, false) => text.map(Input::Text),
        (false, true) => file.filter(|file| is_file(file, table, plan)).map(Input::File),
        (false, false) if plan.has_payload() => Some(Input::Payload),
        (false, false) => Some(Input::Null),
    }
}

fn read_success_codes(table: &mut Table<'_>, plan: &Planner<'_>) -> Option<Vec<i32>> {
    if !table.has("success_codes") {
        return Some(vec![0]);
    }
    let codes = table.get::<Vec<i32>>("success_codes")?;
    let span = codes.span();
    let codes = codes.into_inner();
    if codes.is_empty() {
        plan.error(span, "`success_codes` is empty: no task could succeed");
        return None;
    }
    if let Some(code) = codes.iter().find(|code| !(0..=255).contains(*code)) {
        plan.error(span, format!("an exit code is from 0 to 255, which {code} is not"));
        return None;
    }
    Some(codes)
}

/// A mistake in a value, which has been noted.
struct Wrong;

/// A file to write to. What is wrong with it for every task is said here.
fn read_output(
    key: &'static str,
    table: &mut Table<'_>,
    plan: &Planner<'_>,
) -> Result<Option<OutputPath>, Wrong> {
    let Some(template) = table.template(key, plan) else {
        return if table.has(key) { Err(Wrong) } else { Ok(None) };
    };
    let output = OutputPath::new(template, plan);
    match output.mistake(plan.tasks(), plan.sources()) {
        None => Ok(Some(output)),
        Some((message, help)) => {
            match help {
                Some(help) => plan.error_with_help(table.span_of(key), message, help),
                None => plan.error(table.span_of(key), message),
            }
            Err(Wrong)
        }
    }
}

/// `encoding`: a name of the WHATWG's list.
fn read_encoding(
    table: &mut Table<'_>,
    plan: &Planner<'_>,
) -> Result<Option<&'static Encoding>, Wrong> {
    let Some(label) = table.get::<String>("encoding") else {
        return if table.has("encoding") { Err(Wrong) } else { Ok(None) };
    };
    if let Some(encoding) = Encoding::for_label(label.get_ref().as_bytes()) {
        return Ok(Some(encoding));
    }
    let message = format!("unknown encoding `{}`", label.get_ref());
    let help = "for example \"windows-1252\", \"shift_jis\" or \"utf-16le\"";
    plan.error_with_help(label.span(), message, help);
    Err(Wrong)
}

/// A path without placeholders must be there when the job is planned.
fn is_file(path: &Template, table: &Table<'_>, plan: &Planner<'_>) -> bool {
    let is_file = |path: &Path| !path.is_dir();
    let is_there = |path| program::is_there("stdin_file", path, is_file, "file", table, plan);
    path.literal().is_none_or(is_there)
}

fn find_program(
    action: &Action,
    places: &Places,
    table: &Table<'_>,
    plan: &Planner<'_>,
) -> Option<Program> {
    let (name, key) = match action {
        Action::Argv(argv) => (argv[0].literal(), "argv"),
        Action::Shell(words) => {
            let key = if table.has("shell_with") { "shell_with" } else { "shell" };
            (words.first().map(String::as_str), key)
        }
    };
    let Some(name) = name else { return Some(Program::Each) };
    program::find(name, key, places, table, plan).map(Program::Same)
}

impl Plan {
    /// A path of the job, as the system sees it.
    pub fn resolve(&self, path: &[u8]) -> PathBuf {
        self.folder.join(OsStr::from_bytes(path))
    }

    /// The command of one task, for people.
    pub fn show(&self, values: &Values<'_>) -> String {
        let mut words = Vec::new();
        match &self.action {
            Action::Shell(shell) => words.extend(shell.iter().map(|word| quoted(word))),
            Action::Argv(argv) => {
                for argument in argv {
                    let mut word = Vec::new();
                    argument.render(values, &mut word);
                    words.push(quoted(&String::from_utf8_lossy(&word)));
                }
            }
        }
        words.join(" ")
    }
}

/// A word as a shell would have to be given it.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "_-./:=,+@%^".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.into();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_where_a_shell_would_need_it() {
        for (word, expected) in
            [("a/b-1.txt", "a/b-1.txt"), ("", "''"), ("a b", "'a b'"), ("it's", r"'it'\''s'")]
        {
            assert_eq!(quoted(word), expected);
        }
    }
}

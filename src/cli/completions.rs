//! `runner completions SHELL`: what clap knows, and what it does not: job files, and the keys that `--set` takes.
//!
//! The keys come from the program itself at each completion (`runner _complete`), so a script does not age with
//! the table of keys, and the stages of the job files on the line are known.

use std::path::{Path, PathBuf};

use clap::{Args, Command, CommandFactory};
use clap_complete::Shell;

use crate::cli::Cli;
use crate::cli::init::kinds;
use crate::config::schema::{self, Kind, RUNNER_TOML, Section};
use crate::model::Model;

/// The arguments of `runner completions`.
#[derive(Args, Debug)]
pub struct CompletionsArgs {
    /// bash, zsh or fish.
    shell: ShellName,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum ShellName {
    Bash,
    Zsh,
    Fish,
}

/// The arguments of `runner _complete`.
#[derive(Args, Debug)]
pub struct WordsArgs {
    /// The words of the line so far.
    #[arg(allow_hyphen_values = true, trailing_var_arg = true)]
    line: Vec<String>,
}

/// The script for a shell.
pub fn script(args: &CompletionsArgs) -> String {
    let (shell, ours) = match args.shell {
        ShellName::Bash => (Shell::Bash, include_str!("completions/keys.bash")),
        ShellName::Zsh => (Shell::Zsh, include_str!("completions/keys.zsh")),
        ShellName::Fish => (Shell::Fish, include_str!("completions/keys.fish")),
    };
    let mut script = Vec::new();
    // The script for fish has them already, and needs no file names in their place.
    let is_fish = matches!(args.shell, ShellName::Fish);
    let mut command = if is_fish { Cli::command() } else { with_words(Cli::command()) };
    clap_complete::generate(shell, &mut command, "runner", &mut script);
    let script = String::from_utf8_lossy(&script);
    if matches!(args.shell, ShellName::Zsh) {
        // It ends by calling what it defines, so ours goes first.
        let script = script.replace("KEY=VALUE:_default", "KEY=VALUE:_runner_keys");
        let script =
            script.replace("Job files (TOML):_files", "Job files (TOML):_files -g \"*.toml\"");
        let (head, rest) = script.split_once('\n').unwrap_or((&script, ""));
        return format!("{head}\n\n{ours}\n{rest}");
    }
    // fish alone is told of hidden commands.
    let command = Cli::command();
    let hidden = command.get_subcommands().filter(|command| command.is_hide_set());
    let hidden: Vec<_> = hidden.map(|command| format!("-a \"{}\"", command.get_name())).collect();
    let is_shown = |line: &&str| !hidden.iter().any(|name| line.contains(name));
    format!("{}\n{ours}", script.split_inclusive('\n').filter(is_shown).collect::<String>())
}

/// The command line, with the words that some values are, which it reads itself to say more of a wrong one.
fn with_words(command: Command) -> Command {
    let models = || Model::ALL.into_iter().map(Model::name).chain(["auto"]).collect::<Vec<_>>();
    let has_model = |command: &Command| command.get_arguments().any(|arg| arg.get_id() == "model");
    let with_models = |command: Command| {
        let names = has_model(&command).then(models);
        match names {
            Some(names) => command.mut_arg("model", |arg| arg.value_parser(names)),
            None => command,
        }
    };
    with_models(command).mut_subcommands(with_models).mut_subcommand("init", |init| {
        // What is changed goes last, so that their order has to be said.
        init.mut_arg("words", |arg| arg.index(1).value_parser(kinds::names().collect::<Vec<_>>()))
            .mut_arg("line", |arg| arg.index(2))
    })
}

/// What `--set` can be given, one a line: every key with `=`, and where a key has words of its own, each of them.
pub fn words(args: &WordsArgs) -> String {
    let mut all = Vec::new();
    for section in
        schema::sections().iter().filter(|section| !section.name.starts_with(RUNNER_TOML))
    {
        for table in tables(section, &args.line) {
            for key in section.keys() {
                push(&mut all, &table, key.name, key.kind);
            }
        }
    }
    for stage in stages(&args.line) {
        for section in schema::sections() {
            let of_a_stage = section.name.starts_with("workload") || section.name == "retry";
            if of_a_stage && !section.name.contains('*') {
                let table = format!("stages.{stage}.{}.", section.name);
                section.keys().for_each(|key| push(&mut all, &table, key.name, key.kind));
            }
        }
    }
    all.join("\n") + "\n"
}

/// The dotted beginnings of the keys of a section; those with names that the user chooses are left out, but for stages.
fn tables(section: &Section, line: &[String]) -> Vec<String> {
    match section.name {
        "" => vec![String::new()],
        "stages" => stages(line).iter().map(|stage| format!("stages.{stage}.")).collect(),
        "stages.limits" => {
            stages(line).iter().map(|stage| format!("stages.{stage}.limits.")).collect()
        }
        name if name.contains('*') => Vec::new(),
        name => vec![format!("{name}.")],
    }
}

fn push(all: &mut Vec<String>, table: &str, key: &str, kind: Kind) {
    if matches!(kind, Kind::Keys | Kind::Named | Kind::Tables) {
        return;
    }
    all.push(format!("{table}{key}="));
    all.extend(values(kind).iter().map(|word| format!("{table}{key}={word}")));
}

/// The words that a value can be.
fn values(kind: Kind) -> Vec<&'static str> {
    match kind {
        Kind::Boolean => vec!["true", "false"],
        Kind::OneOf(words) => words.to_vec(),
        Kind::Either(kinds) => kinds.iter().flat_map(|kind| values(*kind)).collect(),
        _ => Vec::new(),
    }
}

/// The names of the stages of the job files on the line.
fn stages(line: &[String]) -> Vec<String> {
    let files = line
        .iter()
        .map(PathBuf::from)
        .filter(|path| path.extension().is_some_and(|end| end == "toml"));
    let mut names: Vec<_> = files.flat_map(|file| stages_of(&file)).collect();
    names.sort();
    names.dedup();
    names
}

fn stages_of(file: &Path) -> Vec<String> {
    let job: Option<toml::Table> =
        std::fs::read_to_string(file).ok().and_then(|text| text.parse().ok());
    let stages = job.as_ref().and_then(|job| job.get("stages")?.as_array());
    let names = stages.into_iter().flatten().filter_map(|stage| stage.get("name")?.as_str());
    names.map(str::to_owned).collect()
}

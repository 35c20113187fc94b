//! The arguments of the command line. What they do is in `main.rs`.

pub mod completions;
pub mod describe;
pub mod here;
pub mod init;
pub mod man;
pub mod notify;
mod role;
pub mod schema;
pub mod status;

pub use role::take_role;
pub use status::StatusArgs;

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::cli::completions::{CompletionsArgs, WordsArgs};
use crate::cli::init::InitArgs;
use crate::cli::man::ManArgs;
use crate::cli::schema::SchemaOf;
use crate::cluster::{self, Place};
use crate::compare::CompareArgs;
use crate::config::Overrides;
use crate::report::terminal::progress::Mode;
use crate::report::terminal::task_output::{PrintOrder, Printing};
use crate::report::{Begin, Changes, Options, Rerun, Rest, Resume, Standing};
use crate::view::ReportArgs;
use crate::workload::claims::Claims;

/// Runs the tasks of job files in bounded pools and writes CSV reports.
///
/// `runner FILE...` is short for `runner run FILE...`.
#[derive(Debug, Parser)]
#[command(name = "runner", version, subcommand_negates_reqs = true, after_help = EXIT_CODES)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: RunArgs,
}

const EXIT_CODES: &str = "Exit codes: 0 every task ok; 1 internal error; 2 bad usage, job file or input; 3 some tasks \
                          not ok; 4 nothing to run; 6 results could not be fully written; 124 deadline; 129, 130, 143 \
                          ended by SIGHUP, SIGINT, SIGTERM.";

/// The exit codes and what each means, as `--help` has them.
pub(crate) const EXITS: [(&str, &str); 8] = [
    ("0", "every task ok"),
    ("1", "internal error"),
    ("2", "bad usage, job file or input"),
    ("3", "some tasks not ok"),
    ("4", "nothing to run"),
    ("6", "results could not be fully written"),
    ("124", "deadline"),
    ("129, 130, 143", "ended by SIGHUP, SIGINT, SIGTERM"),
];

/// The command that the user has called.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run jobs, each after those that it needs, and write their reports.
    Run(RunArgs),
    /// Read and plan everything, print the plan, run nothing.
    Check(CheckArgs),
    /// Measure each job under several models and recommend one.
    Compare(CompareArgs),
    /// Show how far the jobs of a folder are, those that run elsewhere too.
    Status(StatusArgs),
    /// Make a page of a report: what happened, at a glance.
    Report(ReportArgs),
    /// Print the decision guide: which model suits which work.
    Models,
    /// Write a job file that runs at once: of a kind, or of a command line of GNU parallel's or xargs'.
    Init(InitArgs),
    /// Print the script by which a shell completes the command line.
    Completions(CompletionsArgs),
    /// Print a manual page.
    #[command(hide = true)]
    Man(ManArgs),
    /// Print what `--set` can be given.
    #[command(hide = true, name = "_complete")]
    CompletionWords(WordsArgs),
    /// Print the JSON Schema of job files, for editors.
    Schema(SchemaArgs),
    /// Run an element of a job on a cluster.
    #[command(hide = true)]
    Shard(ShardArgs),
}

/// The arguments of `runner schema`.
#[derive(Args, Debug)]
pub struct SchemaArgs {
    /// Print the one of `runner.toml` instead.
    #[arg(long)]
    runner_toml: bool,
}

impl SchemaArgs {
    /// Which schema is wanted.
    pub fn of(&self) -> SchemaOf {
        if self.runner_toml { SchemaOf::RunnerToml } else { SchemaOf::Job }
    }
}

/// The arguments of an element of a job on a cluster.
#[derive(Args, Debug)]
pub struct ShardArgs {
    /// The folder of the run.
    pub run: PathBuf,
    /// The number of the submission.
    pub submission: u32,
    /// The index of the element.
    pub index: u32,
}

/// Job files, and keys that override theirs.
#[derive(Args, Debug)]
pub struct JobArgs {
    /// Job files (TOML); `-` is one on standard input.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Run under this model: sequential, threads, processes, async or auto.
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
    /// How many tasks at once: an integer above 0, `cores`, or a part of them such as `50%`.
    #[arg(short = 'j', long, value_name = "N")]
    concurrency: Option<String>,
    /// Set any key of the files, e.g. `--set limits.timeout=5s`.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Take at most N inputs.
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// Run at most N attempts of this group at once, across all jobs of the call.
    #[arg(long = "group", value_name = "NAME=N")]
    groups: Vec<String>,
    /// Folder for the reports [default: `results` in a `runner.toml` beside the job file, else `results`].
    #[arg(long, value_name = "DIR")]
    results: Option<PathBuf>,
}

impl JobArgs {
    /// Whether the command line leaves out inputs that the files have.
    fn leaves_inputs_out(&self) -> bool {
        let overrides = self.overrides();
        let is_set = |key: &str| overrides.sets(&["inputs", key]);
        self.limit.is_some() || is_set("limit") || is_set("skip")
    }

    /// The keys of the files that the command line overrides.
    pub fn overrides(&self) -> Overrides {
        Overrides {
            set: self.set.clone(),
            model: self.model.clone(),
            concurrency: self.concurrency.clone(),
            limit: self.limit,
            groups: self.groups.clone(),
            results: self.results.clone(),
            resume: false,
        }
    }
}

/// The arguments of `runner check`.
#[derive(Args, Debug)]
pub struct CheckArgs {
    /// What to plan.
    #[command(flatten)]
    pub jobs: JobArgs,
    /// Ask a cluster, too: `slurm`. Nothing is submitted.
    #[arg(long, value_name = "WHERE")]
    pub on: Option<Place>,
}

/// How many jobs at once.
fn at_once(text: &str) -> Result<NonZeroUsize, String> {
    text.parse().map_err(|_| "an integer above 0 is wanted".to_owned())
}

/// The arguments of a run.
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
#[derive(Args, Debug)]
pub struct RunArgs {
    /// What to run.
    #[command(flatten)]
    pub jobs: JobArgs,
    /// Run up to N jobs side by side. Jobs that run one after another do not distort each other's figures.
    #[arg(long = "jobs", value_name = "N", default_value = "1", value_parser = at_once)]
    pub at_once: NonZeroUsize,
    /// Resume an interrupted run, else the finished report: tasks that are neither ok nor failed run again; with
    /// `=failed`, failed ones as well.
    #[arg(
        long,
        value_name = "WHAT",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "unfinished",
        conflicts_with = "fresh"
    )]
    resume: Option<Again>,
    /// Discard the partial report of an interrupted run and start again.
    #[arg(long)]
    fresh: bool,
    /// With --resume: keep finished tasks although the workload has changed since.
    #[arg(long, requires = "resume")]
    accept_changes: bool,
    /// Run the tasks on a cluster: `slurm`.
    #[arg(long, value_name = "WHERE")]
    on: Option<Place>,
    /// With --on: leave when all is submitted; `--on … --resume` collects the rows.
    #[arg(long, requires = "on")]
    detach: bool,
    /// Run tasks, too, whose files (`creates`) are there.
    #[arg(long)]
    force: bool,
    /// Print the first tasks as they would run, and run nothing; with `=all`, print all tasks.
    #[arg(
        long,
        value_name = "WHICH",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "first"
    )]
    pub dry_run: Option<Shown>,
    /// Print each task's whole output to standard output when it ends; with `=ordered`, in the order of the inputs; with
    /// `=lines`, line by line, as they come.
    #[arg(
        long,
        value_name = "WHEN",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "ended"
    )]
    output: Option<When>,
    /// With --output: put this and a tab before each line, e.g. `--tag '{input}'`.
    #[arg(long, value_name = "TEMPLATE", requires = "output")]
    tag: Option<String>,
    /// Print nothing but errors (and, with --output, the output).
    #[arg(short, long)]
    pub quiet: bool,
    /// Show no progress.
    #[arg(long)]
    no_progress: bool,
    /// Write what happens to standard output, for programs: one JSON object a line.
    #[arg(long, conflicts_with_all = ["output", "dry_run"])]
    pub json: bool,
    /// Run this with `sh` when all jobs have ended: its environment says how.
    #[arg(long, value_name = "COMMAND")]
    pub notify: Option<String>,
}

impl RunArgs {
    /// The options for reports in the folder `results`, and for what is shown meanwhile.
    pub fn options(&self, results: &Path, claims: &Arc<Claims>) -> Options {
        Options {
            results: results.to_owned(),
            begin: self.begin(),
            output: self.printing(),
            progress: if self.quiet || self.no_progress { Mode::Off } else { Mode::Auto },
            claims: Arc::clone(claims),
            standing: self.standing(),
            written: None,
            identities: None,
        }
    }
}

impl RunArgs {
    /// What the command line changes in the files.
    pub fn overrides(&self) -> Overrides {
        Overrides { resume: self.resume.is_some(), ..self.jobs.overrides() }
    }

    /// How the jobs run on a cluster, if they do.
    pub fn elsewhere(&self) -> Option<cluster::Call> {
        let overrides = self.jobs.overrides();
        self.on.map(|place| cluster::Call { place, detaches: self.detach, overrides })
    }

    /// Whether standard output is for something else than the table.
    pub fn has_standard_output(&self) -> bool {
        self.output.is_some() || self.json
    }

    /// How the outputs of tasks are printed, if they are.
    pub fn printing(&self) -> Option<Printing> {
        let order = match self.output? {
            When::Ended => PrintOrder::Ended,
            When::Ordered => PrintOrder::Input,
            When::Lines => PrintOrder::Lines,
        };
        Some(Printing { order, tag: self.tag.clone() })
    }

    /// What becomes of tasks whose files are there.
    pub fn standing(&self) -> Standing {
        if self.force { Standing::Forced } else { Standing::Kept }
    }

    fn begin(&self) -> Begin {
        let changes = if self.accept_changes { Changes::Accepted } else { Changes::Refused };
        match self.resume {
            None if self.fresh => Begin::Fresh,
            None => Begin::Anew,
            Some(again) => Begin::Resume(Resume {
                rerun: match again {
                    Again::Unfinished => Rerun::Unfinished,
                    Again::Failed => Rerun::Failed,
                },
                changes,
                rest: if self.jobs.leaves_inputs_out() { Rest::Kept } else { Rest::Dropped },
            }),
        }
    }
}

/// Which tasks a dry run shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Shown {
    /// The first ten.
    #[value(hide = true)]
    First,
    /// Every one.
    All,
}

/// When outputs are printed.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum When {
    #[value(hide = true)]
    Ended,
    Ordered,
    Lines,
}

/// Which tasks run again.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Again {
    #[value(hide = true)]
    Unfinished,
    Failed,
}

impl Cli {
    /// Reads the command line; usage errors and `--help` end the process, as clap does it.
    pub fn read() -> Command {
        let matches = <Self as CommandFactory>::command().get_matches();
        if let Some(message) = misplaced(&matches) {
            let mut command = <Self as CommandFactory>::command();
            command.error(ErrorKind::ArgumentConflict, message).exit();
        }
        // What clap has parsed by this very command fits.
        let cli = Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
        match cli.command {
            Some(_) if !cli.run.jobs.files.is_empty() => <Self as CommandFactory>::command()
                .error(
                    ErrorKind::ArgumentConflict,
                    "job files go after the subcommand; write `./run` for a file that has the name of one",
                )
                .exit(),
            Some(command) => command,
            None => Command::Run(cli.run),
        }
    }
}

/// What to do about an option that stands before the word of a command, where nobody would read it.
fn misplaced(matches: &ArgMatches) -> Option<String> {
    let (word, _) = matches.subcommand()?;
    let command = <Cli as CommandFactory>::command();
    let is_given = |arg: &&Arg| {
        let id = arg.get_id().as_str();
        !arg.is_positional() && matches.value_source(id) == Some(ValueSource::CommandLine)
    };
    let given = command.get_arguments().find(is_given)?;
    let option = given.get_long().map(|long| format!("--{long}"))?;
    let of_command = command.find_subcommand(word)?;
    let has_it = of_command.get_arguments().any(|arg| arg.get_long() == given.get_long());
    Some(if has_it {
        format!("`{option}` goes after `{word}`: `runner {word} {option} …`")
    } else {
        format!("`{option}` does not go with `{word}`")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_before_a_command_is_said() {
        let message = |line: &str| {
            let matches = Cli::command().try_get_matches_from(line.split(' ')).unwrap();
            misplaced(&matches).unwrap_or_default()
        };
        assert!(message("runner --limit 2 run a.toml").contains("goes after `run`"));
        assert!(message("runner -q check a.toml").contains("`--quiet` does not go with `check`"));
        assert!(message("runner --set a=b compare a.toml").contains("runner compare --set"));
        for line in ["runner --limit 2 a.toml", "runner run --limit 2 a.toml", "runner status"] {
            assert_eq!(message(line), "", "{line}");
        }
    }

    #[test]
    fn the_exit_codes_are_said_once() {
        let all: Vec<_> = EXITS.iter().map(|(code, meaning)| format!("{code} {meaning}")).collect();
        let said = EXIT_CODES.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(said, format!("Exit codes: {}.", all.join("; ")));
    }
}

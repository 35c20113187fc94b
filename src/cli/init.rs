//! `runner init`: a job file that runs at once, of a kind or of a command line of GNU parallel's or xargs'. It never
//! overwrites a file.

mod draft;
pub(super) mod kinds;
mod options;
mod parallel;
mod peek;
mod pieces;
mod place;
mod shell;
mod sources;
mod units;
mod write;
mod xargs;

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use clap::Args;

use crate::base::Diagnostic;
use crate::base::diagnostic::{nearest, reason};
use crate::cli::schema::{self, SchemaOf};
use crate::config::{JobName, Overrides};
use crate::job;
use draft::{Draft, List, Source, Words};
use pieces::Dialect;

/// What the arguments of a task may take where a command is to have as many as fit: as much as xargs itself gives it.
const MANY: &str = "128KiB";

/// The file beside a job that editors complete it by.
const SCHEMA: &str = "job.schema.json";

/// The arguments of `runner init`.
#[derive(Args, Debug)]
pub struct InitArgs {
    /// A kind and the file to write; without either, the kinds are listed. With a command line only the file.
    #[arg(value_name = "KIND FILE", num_args = 0..=2)]
    words: Vec<String>,
    /// With a command line: one task for each file that this pattern finds.
    #[arg(long, value_name = "PATTERN", conflicts_with = "lines")]
    glob: Vec<String>,
    /// With a command line: one task for each line of this file.
    #[arg(long, value_name = "FILE")]
    lines: Option<String>,
    /// A command line with `{}`, `{.}`, `{/}`, `:::` and the like; it may begin with `parallel` or `xargs`.
    #[arg(last = true, value_name = "COMMAND")]
    line: Vec<String>,
}

/// What was written, and what is to be said of it.
#[derive(Debug, Default)]
pub struct Written {
    /// For standard output.
    pub text: String,
    /// What could not be carried over.
    pub warnings: Vec<String>,
}

/// Writes the file.
///
/// # Errors
/// If there is nothing to make it of, it is there already, or cannot be written.
pub fn init(args: &InitArgs) -> Result<Written, Diagnostic> {
    match (&args.words[..], &args.line[..]) {
        ([], []) => Ok(Written { text: kinds::list(), ..Written::default() }),
        ([file], [_, ..]) => of_line(Path::new(file), args),
        ([kind, file], [_, ..]) if ["command", "shell"].contains(&kind.as_str()) => {
            of_line(Path::new(file), args)
        }
        ([kind, ..], [_, ..]) => {
            let message = format!("a command line cannot be made into a job of the kind `{kind}`");
            Err(Diagnostic::new(message).help("write `runner init FILE -- COMMAND…`"))
        }
        ([], _) => Err(Diagnostic::new("the file to write is not named")
            .help("write `runner init FILE -- COMMAND…`")),
        ([word], []) if kinds::text(word).is_none() && is_job_file(Path::new(word)) => {
            let message = format!("`{word}`: of which kind?");
            Err(Diagnostic::new(message)
                .help(format!("write `runner init KIND {word}`; {}", kinds::named())))
        }
        ([kind, rest @ ..], []) => of_kind(kind, rest.first().map(Path::new), args),
    }
}

fn of_kind(kind: &str, file: Option<&Path>, args: &InitArgs) -> Result<Written, Diagnostic> {
    let Some(text) = kinds::text(kind) else {
        let mut error = Diagnostic::new(format!("unknown kind `{kind}`"));
        if let Some(near) = nearest(kind, kinds::names()) {
            error = error.help(format!("did you mean `{near}`?"));
        }
        return Err(error.help(kinds::named()));
    };
    if !args.glob.is_empty() || args.lines.is_some() {
        return Err(Diagnostic::new("`--glob` and `--lines` need a command line")
            .help("write `runner init FILE --glob PATTERN -- COMMAND…`"));
    }
    let Some(file) = file else {
        return Err(Diagnostic::new("the file to write is not named")
            .help(format!("write `runner init {kind} {kind}.toml`")));
    };
    let text = kinds::filled(text, file).map_err(|error| {
        Diagnostic::new(format!("no port is free for the example: {}", reason(&error)))
    })?;
    let mut said = create(file, &text)?;
    let run = if kind == "compare" { "runner compare" } else { "runner" };
    let _ = writeln!(said, "run it: {run} {}", quoted_word(&file.display().to_string()));
    Ok(Written { text: said, warnings: Vec::new() })
}

fn of_line(file: &Path, args: &InitArgs) -> Result<Written, Diagnostic> {
    let mut draft = drafted(&args.line);
    let given = (!args.glob.is_empty()).then(|| List::Glob(args.glob.clone()));
    let given = given.or_else(|| args.lines.clone().map(List::Lines));
    if let Some(list) = given {
        if !draft.sources.is_empty() {
            return Err(Diagnostic::new("the command line has inputs of its own")
                .help("leave out `--glob` and `--lines`, or what stands from `:::` on"));
        }
        draft.sources.push(Source { list, is_linked: false });
    }
    draft.way = way_from(file);
    let is_elsewhere = !draft.way.as_os_str().is_empty() && draft.folder.is_none();
    let reads_stdin = draft.sources.is_empty()
        || draft.sources.iter().any(|source| source.list == List::Lines("-".into()));
    let job = write::job(&mut draft);
    let mut said =
        create(file, &format!("#:schema ./{SCHEMA}\n\n# {}\n{job}", comment(&args.line)))?;
    draft.left.extend(mistakes(file));
    let is_peer = Program::of(&args.line[0]) != Program::None;
    let mut options = std::mem::take(&mut draft.options);
    let is_shown = options.iter().any(|option| option.starts_with("--dry-run"));
    match draft.output {
        Some(how) => options.insert(0, format!("--output={how}")),
        None if is_peer && !is_shown => options.insert(0, "--output".into()),
        None => {}
    }
    options.push(quoted_word(&file.display().to_string()));
    let from = if reads_stdin { "… | " } else { "" };
    let _ = writeln!(said, "run it: {from}runner {}", options.join(" "));
    let mut warnings: Vec<String> = Vec::new();
    for left in draft.left {
        let warning = format!("not carried over: {left}");
        if !warnings.contains(&warning) {
            warnings.push(warning);
        }
    }
    if is_elsewhere {
        let folder = file.parent().unwrap_or(Path::new("")).display().to_string();
        warnings.push(format!(
            "the commands run in `{folder}`, the folder of the job file; `cwd` sets another one"
        ));
    }
    Ok(Written { text: said, warnings })
}

/// What the runner itself would refuse of the file that was written.
fn mistakes(file: &Path) -> Vec<String> {
    match job::read(&[file.to_owned()], &Overrides::default()) {
        Ok(_) => Vec::new(),
        Err(mistakes) => mistakes
            .iter()
            .map(|mistake| {
                let file = quoted_word(&file.display().to_string());
                format!("as it is written, `runner check {file}` refuses it: {}", mistake.message())
            })
            .collect(),
    }
}

/// Whose command line it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Program {
    Parallel,
    Xargs,
    None,
}

impl Program {
    fn of(word: &str) -> Self {
        match Path::new(word).file_name().and_then(|name| name.to_str()) {
            Some("parallel") => Self::Parallel,
            Some(name) if name.starts_with("env_parallel") => Self::Parallel,
            Some("xargs") => Self::Xargs,
            _ => Self::None,
        }
    }
}

/// The replacement string that every command line has.
fn plain() -> Dialect {
    Dialect { input: "{}".into(), ..Dialect::default() }
}

fn drafted(line: &[String]) -> Draft {
    let mut draft = Draft::default();
    match Program::of(&line[0]) {
        Program::Parallel => {
            if !line[0].ends_with("parallel") || line[0].contains("env_") {
                draft.note(&line[0], "export the functions and variables that the command has");
            }
            parallel::read(&line[1..], &mut draft);
        }
        Program::Xargs => xargs::read(&line[1..], &mut draft),
        Program::None => {
            draft.dialect = Dialect { has_signs: true, has_own: true, ..plain() };
            if ["sem", "parset", "niceload"].contains(&line[0].as_str()) {
                draft.note(&line[0], "it is taken for a program that each task runs");
            }
            let words = parallel::inputs(line, &mut draft);
            draft.words = Words::Arguments(words.to_vec());
        }
    }
    draft
}

/// The way from the job file's folder to this one: files are named from here, and job files name them from their own.
fn way_from(file: &Path) -> PathBuf {
    let folders = std::path::absolute(file).ok().zip(std::env::current_dir().ok());
    let Some((file, here)) = folders else { return PathBuf::new() };
    file.parent().map_or_else(PathBuf::new, |folder| way(folder, &here))
}

/// The command line, as far as it fits into a line.
fn comment(line: &[String]) -> String {
    const MOST: usize = 200;
    let words: Vec<_> = line.iter().map(|word| quoted_word(word)).collect();
    let line = words.join(" ").replace(|c: char| c.is_control(), " ");
    match line.char_indices().nth(MOST) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line,
    }
}

/// The relative path from one absolute folder to another.
fn way(from: &Path, to: &Path) -> PathBuf {
    let same = from.components().zip(to.components()).take_while(|(a, b)| a == b).count();
    let up = from.components().skip(same).map(|_| PathBuf::from(".."));
    let down = to.components().skip(same).map(|part| PathBuf::from(part.as_os_str()));
    up.chain(down).collect()
}

/// Whether it is called as a job file is.
fn is_job_file(file: &Path) -> bool {
    file.extension().is_some_and(|extension| extension == "toml")
}

/// Creates the job file, and the schema beside it if there is none. Returns what was written.
fn create(file: &Path, text: &str) -> Result<String, Diagnostic> {
    let stem = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    if !is_job_file(file) {
        let message = format!("`{}` does not end in `.toml`", file.display());
        return Err(Diagnostic::new(message).help(format!("write `{}.toml`", file.display())));
    }
    if let Err(error) = stem.parse::<JobName>() {
        return Err(Diagnostic::new(error.to_string()).help("the job is called as its file is"));
    }
    let folder = file.parent().unwrap_or(Path::new(""));
    let failed = |path: &Path, error: &std::io::Error| {
        Diagnostic::new(format!("failed to write `{}`: {}", path.display(), reason(error)))
    };
    if !folder.as_os_str().is_empty() {
        fs::create_dir_all(folder).map_err(|error| failed(folder, &error))?;
    }
    create_new(file, text).map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => Diagnostic::new(format!("`{}` exists", file.display()))
            .help("name another file, or remove it: `runner init` never overwrites"),
        _ => failed(file, &error),
    })?;
    let mut said = format!("wrote {}\n", file.display());
    let beside = folder.join(SCHEMA);
    match create_new(&beside, &schema::schema(SchemaOf::Job)) {
        Ok(()) => {
            said.extend([
                "wrote ",
                &beside.display().to_string(),
                ", by which editors complete it\n",
            ]);
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => return Err(failed(&beside, &error)),
    }
    Ok(said)
}

fn create_new(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = File::create_new(path)?;
    file.write_all(text.as_bytes()).inspect_err(|_| {
        let _ = fs::remove_file(path); // half of it would be taken for a whole one
    })
}

/// A word as a shell reads it.
fn quoted_word(text: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+=:@%,".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

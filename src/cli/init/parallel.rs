//! A command line of GNU parallel's.

mod known;
mod pipe;

use std::env;
use std::str::FromStr;

use super::draft::{Append, Draft, List, Source, Words, is_count, quoted, separator};
use super::options::Given;
use super::pieces::{Dialect, is_odd};
use super::shell::is_odd_word;
use super::units::{duration, load, rate, seconds, size};
use crate::config::{FailureLimit, Rate, TimeLimit};
use known::KNOWN;

/// What starts a list of inputs, and what a list of files; with a `+` one that goes with the list before it.
#[derive(Debug)]
struct Signs {
    values: String,
    files: String,
}

impl Default for Signs {
    fn default() -> Self {
        Self { values: ":::".into(), files: "::::".into() }
    }
}

impl Signs {
    /// Whether `word` is one: that of files, and with a `+`.
    fn of(&self, word: &str) -> Option<(bool, bool)> {
        let bare = word.strip_suffix('+');
        let is = |sign: &str| word == sign || bare == Some(sign);
        let is_files = if is(&self.files) { Some(true) } else { is(&self.values).then_some(false) };
        is_files.map(|is_files| (is_files, word != self.files && word != self.values))
    }
}

/// Reads the words after `parallel`.
pub(super) fn read(words: &[String], draft: &mut Draft) {
    draft.dialect = Dialect { input: "{}".into(), has_signs: true, ..Dialect::default() };
    draft.keeps_blank = true;
    draft.shell = shell(draft);
    told_elsewhere(draft);
    let (options, rest) = KNOWN.split(words);
    let mut is_quoted = false;
    let mut signs = Signs::default();
    let mut hosts = Vec::new();
    let mut is_everywhere = false;
    for given in options {
        match given.name.as_str() {
            "q" | "quote" => is_quoted = true,
            "argsep" => signs.values = given.text().into(),
            "argfilesep" => signs.files = given.text().into(),
            "S" | "sshlogin" => hosts.push(given),
            "nonall" => is_everywhere = true,
            _ => option(&given, draft),
        }
    }
    let command = lists(rest, &signs, draft);
    if draft.sources.iter().any(|source| matches!(&source.list, List::Lines(file) if is_open(file)))
    {
        draft.left.push("`<(…)`: its file is gone by then: name one that stays, or a pipe".into());
    }
    match (is_everywhere, &hosts[..]) {
        (true, [_, ..]) => return everywhere(&hosts, command, draft),
        (true, []) => draft.left.push("`--nonall`: tasks run on this machine".into()),
        _ => hosts.iter().for_each(|host| draft.leave(host, "tasks run on this machine")),
    }
    draft.words = match command {
        [] => Words::None,
        words if is_quoted => Words::Arguments(words.to_vec()),
        words => Words::Shell(words.join(" ")),
    };
    let may_be_empty = |source: &Source| match &source.list {
        List::Values(values) => values.is_empty(),
        List::Lines(_) | List::Glob(_) => true,
    };
    // With `--pipe` a command may get nothing to read.
    if !draft.pipe.is_on && (draft.sources.is_empty() || draft.sources.iter().any(may_be_empty)) {
        draft.allow_empty();
    }
    pipe::settle(draft);
}

/// The shell that parallel would use. Those whose variables are written otherwise are named.
fn shell(draft: &mut Draft) -> Option<String> {
    let path = env::var("SHELL").ok()?;
    let name = path.rsplit('/').next().unwrap_or_default();
    match name {
        "bash" | "zsh" | "ksh" | "mksh" | "dash" | "ash" => Some(name.to_owned()),
        "" | "sh" => None,
        other => {
            draft.foreign_shell = Some(other.to_owned());
            None
        }
    }
}

/// Options that stand elsewhere.
fn told_elsewhere(draft: &mut Draft) {
    if env::var_os("PARALLEL").is_some_and(|options| !options.is_empty()) {
        draft.left.push("the options in the environment variable `PARALLEL`".into());
    }
    let home = env::var_os("HOME").unwrap_or_default();
    if std::path::Path::new(&home).join(".parallel/config").exists() {
        draft.left.push("the options in `~/.parallel/config`".into());
    }
}

/// Whether it is the end of a pipe that only this command line has.
fn is_open(file: &str) -> bool {
    file.starts_with("/dev/fd/")
}

/// One task for each host: `--nonall`.
fn everywhere(hosts: &[Given], command: &[String], draft: &mut Draft) {
    let all = hosts.iter().flat_map(|given| given.text().split(',')).map(str::trim);
    let all: Vec<_> = all.filter(|host| !host.is_empty()).collect();
    let is_plain = |host: &&str| !host.contains(['/', ' ', '@', ':']) || is_login(host);
    for host in all.iter().filter(|host| !is_plain(host)) {
        draft.note(host, "not the name of a host");
    }
    let named = all.iter().filter(|host| is_plain(host)).map(|host| (*host).to_owned());
    let list = List::Values(named.collect());
    draft.sources.push(Source { list, is_linked: false });
    draft.dialect = Dialect { input: "{}".into(), ..Dialect::default() };
    draft.words = Words::Arguments(vec!["ssh".into(), "{}".into(), command.join(" ")]);
}

/// `user@host`.
fn is_login(host: &str) -> bool {
    host.split_once('@').is_some_and(|(user, host)| {
        !user.is_empty() && !user.contains(':') && !host.contains(['/', ' ', '@', ':'])
    })
}

/// Takes the lists of inputs off the end of a command.
pub(super) fn inputs<'a>(words: &'a [String], draft: &mut Draft) -> &'a [String] {
    lists(words, &Signs::default(), draft)
}

fn lists<'a>(words: &'a [String], signs: &Signs, draft: &mut Draft) -> &'a [String] {
    let is_sign = |word: &String| signs.of(word).is_some();
    let end = words.iter().position(is_sign).unwrap_or(words.len());
    let mut rest = &words[end..];
    while let [sign, after @ ..] = rest {
        let end = after.iter().position(is_sign).unwrap_or(after.len());
        let (list, after) = after.split_at(end);
        let (is_files, is_linked) = signs.of(sign).unwrap_or_default();
        if is_files {
            let files = list.iter().cloned().map(List::Lines);
            draft.sources.extend(files.map(|list| Source { list, is_linked }));
        } else {
            draft.dialect.is_exact |= list.iter().any(|value| is_odd(value));
            draft.has_odd_values |= list.iter().any(|value| is_odd_word(value));
            draft.sources.push(Source { list: List::Values(list.to_vec()), is_linked });
        }
        rest = after;
    }
    &words[..end]
}

fn option(given: &Given, draft: &mut Draft) {
    let text = given.text();
    match given.name.as_str() {
        // What a run does anyway, or says anyway.
        "group" | "g" | "bar" | "progress" | "eta" | "willcite" | "nn" | "gnu" | "nonotice"
        | "citation" | "bibtex" | "env" | "joblog" | "jl" | "silent" | "exit" | "x" | "color"
        | "colour" | "plain" | "minversion" => {}
        "t" | "verbose" | "v" => draft.leave(given, "`--dry-run=all` shows the commands"),
        "plus" => draft.dialect.has_plus = true,
        "j" | "jobs" | "P" | "maxprocs" => jobs(given, draft),
        "a" | "argfile" => draft.file(text),
        "0" | "null" => draft.null = true,
        "d" | "delimiter" => match text {
            "\n" | "\\n" => {}
            "\0" | "\\0" => draft.null = true,
            _ => match separator(text) {
                None => draft.leave(given, "an input ends with one character"),
                found => draft.separator = found,
            },
        },
        "C" | "colsep" => draft.columns = Some(text.into()),
        "csv" => draft.is_csv = true,
        "trim" if ["lr", "rl", "n"].contains(&text) => draft.trims = Some(text != "n"),
        "E" | "e" | "eof" => draft.end.clone_from(&given.value),
        _ if renamed(given, draft) => {}
        "header" if text == ":" => draft.has_header = true,
        "I" | "i" | "replace" => {
            draft.dialect.input = if text.is_empty() { "{}".into() } else { text.into() };
        }
        "n" | "maxargs" | "N" | "maxreplaceargs" | "L" | "l" | "maxlines" => count(given, draft),
        "m" | "X" | "xargs" => {
            draft.fits = Some(super::MANY.into());
            draft.is_shared = given.name != "xargs";
        }
        "r" | "norunifempty" => {
            draft.allow_empty();
            draft.keeps_blank = false;
        }
        "shuf" => draft.inputs.push(("shuffle", "1".into())),
        "skipfirstline" => draft.skips = true,
        "link" | "xapply" => draft.is_linked = true,
        "k" | "keeporder" => draft.output = Some("ordered"),
        "tag" => draft.tag = Some("{}".into()),
        "tagstring" => draft.tag = Some(text.into()),
        "linebuffer" | "linebuffered" | "lb" | "u" | "ungroup" => {
            draft.output = draft.output.or(Some("lines"));
        }
        "dryrun" | "dr" => draft.options.push("--dry-run=all".into()),
        "resume" => draft.options.push("--resume".into()),
        "resumefailed" | "retryfailed" => draft.options.push("--resume=failed".into()),
        "nice" => draft.before.extend(["nice".into(), "-n".into(), text.into()]),
        "workdir" | "wd" if !text.starts_with("...") => draft.folder = Some(text.into()),
        "files" | "outputasfiles" | "compress" | "results" | "result" | "res" => {
            draft.leave(given, "the output stands in the report");
        }
        "sshloginfile" | "slf" | "trc" | "transferfile" | "transferfiles" | "tf" | "return"
        | "basefile" | "bf" | "cleanup" | "transfer" | "onall" => {
            draft.leave(given, "tasks run on this machine");
        }
        _ if pipe::option(given, draft) => {}
        _ => limit(given, draft),
    }
}

/// Other strings for replacement strings.
fn renamed(given: &Given, draft: &mut Draft) -> bool {
    let sign = match given.name.as_str() {
        "U" | "extensionreplace" | "er" => ".",
        "basenamereplace" | "bnr" => "/",
        "dirnamereplace" | "dnr" => "//",
        "basenameextensionreplace" | "bner" => "/.",
        "seqreplace" => "#",
        "slotreplace" => "%",
        _ => return false,
    };
    if !given.text().is_empty() {
        draft.dialect.renamed.push((given.text().to_owned(), sign));
    }
    true
}

/// How many inputs a task takes.
fn count(given: &Given, draft: &mut Draft) {
    match given.text().parse() {
        Ok(0) if given.name != "L" => draft.append = Append::Nothing,
        Ok(count @ 1..) => {
            draft.batch = Some(count);
            draft.counts_lines = ["L", "l", "maxlines"].contains(&given.name.as_str());
            draft.is_grouped = given.name == "N" || given.name == "maxreplaceargs";
        }
        _ => draft.leave(given, ""),
    }
}

fn jobs(given: &Given, draft: &mut Draft) {
    let text = given.text();
    match text {
        "0" => draft.is_all_at_once = true,
        "100%" => draft.limit("concurrency", quoted("cores")),
        _ if is_count(text) => draft.limit("concurrency", text.into()),
        _ if text.strip_suffix('%').is_some_and(is_count) => {
            draft.limit("concurrency", quoted(text));
        }
        _ => draft.leave(given, "write a number as `concurrency`"),
    }
}

/// What bounds a run.
fn limit(given: &Given, draft: &mut Draft) {
    let text = given.text();
    let is_done = match given.name.as_str() {
        "retries" => text.parse::<u64>().ok().filter(|count| *count > 0).is_some_and(|count| {
            draft.retry.push(("max_attempts", count.to_string()));
            draft.retry.push(("delay", quoted("0s")));
            true
        }),
        // That is none.
        "timeout" | "delay" if seconds(text) == Some(0.0) => true,
        "timeout" => timeout(text).filter(|text| is_taken::<TimeLimit>(text)).is_some_and(|text| {
            draft.limit("timeout", quoted(&text));
            true
        }),
        "delay" => {
            let rate = seconds(text).map(rate).filter(|text| is_taken::<Rate>(text));
            rate.is_some_and(|rate| {
                draft.limit("rate", quoted(&rate));
                true
            })
        }
        "memfree" => size(text).is_some_and(|size| {
            draft.limit("min_free_memory", quoted(&size));
            true
        }),
        "load" => load(text).is_some_and(|load| {
            draft.limit("max_load", load);
            true
        }),
        "halt" | "haltonerror" => halt(text, draft).is_some(),
        _ => false,
    };
    if !is_done {
        draft.leave(given, "");
    }
}

/// Whether a job file takes it as one of these.
fn is_taken<T: FromStr>(text: &str) -> bool {
    text.parse::<T>().is_ok()
}

/// Seconds, or a part of the median.
fn timeout(text: &str) -> Option<String> {
    let is_share = text.strip_suffix('%').is_some_and(|part| part.parse::<u64>().is_ok());
    if is_share { Some(text.into()) } else { seconds(text).map(duration) }
}

/// `now,fail=1`: when to stop.
fn halt(text: &str, draft: &mut Draft) -> Option<()> {
    let text = match text {
        "never" | "0" => return Some(()),
        "1" => "soon,fail=1",
        "2" => "now,fail=1",
        text => text,
    };
    let (when, what) = text.split_once(',')?;
    let on_stop = match when {
        "soon" => "drain",
        "now" => "kill",
        _ => return None,
    };
    let (what, count) = what.split_once('=')?;
    let is_share = count.ends_with('%');
    let value = if is_share { quoted(count) } else { count.parse::<u64>().ok()?.to_string() };
    match what {
        "fail" if count.parse::<FailureLimit>().is_ok() => {
            draft.limit("stop_after_failures", value);
        }
        "success" if is_count(count) => draft.limit("stop_after_successes", value),
        _ => return None,
    }
    draft.limit("on_stop", quoted(on_stop));
    Some(())
}

/// `\n` and `\t` as what they stand for.
pub(super) fn unescaped(text: &str) -> String {
    text.replace("\\n", "\n").replace("\\t", "\t")
}

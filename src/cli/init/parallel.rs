//! A command line of GNU parallel's.

use super::draft::{Blocks, Draft, List, Source, Words, quoted, separator};
use super::options::{Known, shown};
use super::pieces::Dialect;
use super::units::{duration, rate, seconds, size};

const KNOWN: Known = Known {
    letters: "jPaCdINnLsSJE",
    optional: "iel",
    names: &[
        "jobs",
        "max-procs",
        "arg-file",
        "colsep",
        "delimiter",
        "delay",
        "halt",
        "halt-on-error",
        "header",
        "joblog",
        "results",
        "res",
        "retries",
        "timeout",
        "max-args",
        "max-replace-args",
        "max-lines",
        "max-chars",
        "block",
        "block-size",
        "recstart",
        "recend",
        "workdir",
        "wd",
        "env",
        "nice",
        "memfree",
        "memsuspend",
        "load",
        "tagstring",
        "sshlogin",
        "sshloginfile",
        "slf",
        "basefile",
        "bf",
        "return",
        "trc",
        "transferfile",
        "tf",
        "tmpdir",
        "tempdir",
        "process-slot-var",
        "rpl",
        "arg-sep",
        "arg-file-sep",
        "profile",
        "limit",
        "compress-program",
        "decompress-program",
        "semaphorename",
        "id",
        "semaphoretimeout",
        "st",
        "sql",
        "sqlmaster",
        "sqlworker",
        "sqlandworker",
        "template",
        "tmpl",
        "termseq",
        "trim",
        "shard",
        "bin",
        "groupby",
        "extensionreplace",
        "er",
        "basenamereplace",
        "bnr",
        "dirnamereplace",
        "dnr",
        "basenameextensionreplace",
        "bner",
        "seqreplace",
        "slotreplace",
        "filter",
    ],
    flags: &[
        "null",
        "keep-order",
        "tag",
        "line-buffer",
        "lb",
        "linebuffer",
        "ungroup",
        "group",
        "bar",
        "progress",
        "eta",
        "dry-run",
        "dryrun",
        "resume",
        "resume-failed",
        "retry-failed",
        "shuf",
        "pipe",
        "pipepart",
        "pipe-part",
        "link",
        "xapply",
        "plus",
        "no-run-if-empty",
        "verbose",
        "quote",
        "will-cite",
        "gnu",
        "no-notice",
        "citation",
        "skip-first-line",
        "xargs",
        "cat",
        "fifo",
        "tee",
        "round-robin",
        "interactive",
        "onall",
        "nonall",
        "cleanup",
        "transfer",
        "files",
        "compress",
        "semaphore",
        "fg",
        "bg",
        "tmux",
        "ctags",
        "noswap",
        "csv",
        "hostgroups",
        "regexp",
        "wait",
        "color",
        "tty",
        "open-tty",
        "silent",
        "version",
        "help",
        "exit",
        "replace",
        "max-line-length-allowed",
    ],
};

/// What starts a list of inputs.
const SEPARATORS: [&str; 4] = [":::", "::::", ":::+", "::::+"];

/// Reads the words after `parallel`.
pub(super) fn read(words: &[String], draft: &mut Draft) {
    draft.dialect = Dialect { input: "{}".into(), has_signs: true, ..Dialect::default() };
    let (options, rest) = KNOWN.split(words);
    let mut is_quoted = false;
    for (name, value) in options {
        match (name.as_str(), value.as_deref()) {
            ("q" | "quote", _) => is_quoted = true,
            (name, value) => option(name, value, draft),
        }
    }
    let command = inputs(rest, draft);
    draft.words = match command {
        [] => Words::None,
        words if is_quoted => Words::Arguments(words.to_vec()),
        words => Words::Shell(words.join(" ")),
    };
}

/// Takes the lists of inputs off the end of a command.
pub(super) fn inputs<'a>(words: &'a [String], draft: &mut Draft) -> &'a [String] {
    let is_separator = |word: &String| SEPARATORS.contains(&word.as_str());
    let end = words.iter().position(is_separator).unwrap_or(words.len());
    let mut rest = &words[end..];
    while let [separator, after @ ..] = rest {
        let end = after.iter().position(is_separator).unwrap_or(after.len());
        let (list, after) = after.split_at(end);
        let is_linked = separator.ends_with('+');
        if separator.starts_with("::::") {
            let files = list.iter().cloned().map(List::Lines);
            draft.sources.extend(files.map(|list| Source { list, is_linked }));
        } else {
            draft.sources.push(Source { list: List::Values(list.to_vec()), is_linked });
        }
        rest = after;
    }
    &words[..end]
}

fn option(name: &str, value: Option<&str>, draft: &mut Draft) {
    let text = value.unwrap_or_default();
    match name {
        // What a run does anyway, or says anyway.
        "group" | "bar" | "progress" | "eta" | "will-cite" | "gnu" | "no-notice" | "citation"
        | "env" | "t" | "verbose" | "v" | "joblog" | "silent" | "exit" | "x" | "plus" | "color" => {
        }
        "j" | "jobs" | "P" | "max-procs" => jobs(name, text, draft),
        "a" | "arg-file" => {
            draft.sources.push(Source { list: List::Lines(text.into()), is_linked: false });
        }
        "0" | "null" => draft.null = true,
        "d" | "delimiter" => match text {
            "\n" | "\\n" => {}
            "\0" | "\\0" => draft.null = true,
            _ => match separator(text) {
                None => draft.leave(&shown(name, value), "an input ends with one character"),
                found => draft.separator = found,
            },
        },
        "C" | "colsep" => draft.columns = Some(text.into()),
        "header" if text == ":" => draft.has_header = true,
        "I" | "i" | "replace" => {
            draft.dialect.input = if text.is_empty() { "{}".into() } else { text.into() };
        }
        "n" | "max-args" | "N" | "max-replace-args" | "L" | "l" | "max-lines" => {
            match text.parse() {
                Ok(1) => {}
                Ok(count @ 2..) => {
                    draft.batch = Some(count);
                    draft.is_grouped = name == "N" || name == "max-replace-args";
                }
                _ => draft.leave(&shown(name, value), ""),
            }
        }
        "m" | "X" | "xargs" => draft.fits = Some(super::MANY.into()),
        "r" | "no-run-if-empty" => draft.inputs.push(("empty", quoted("ok"))),
        "shuf" => draft.inputs.push(("shuffle", "1".into())),
        "skip-first-line" => draft.inputs.push(("skip", "1".into())),
        "link" | "xapply" => draft.is_linked = true,
        "k" | "keep-order" => draft.options.push("--output=ordered".into()),
        "tag" => draft.options.push("--tag '{input}'".into()),
        "line-buffer" | "lb" | "linebuffer" | "u" | "ungroup" => {
            draft.options.push("--output=lines".into());
        }
        "dry-run" | "dryrun" => draft.options.push("--dry-run=all".into()),
        "resume" => draft.options.push("--resume".into()),
        "resume-failed" | "retry-failed" => draft.options.push("--resume=failed".into()),
        "pipe" => drop(draft.blocks.get_or_insert_default()),
        "pipepart" | "pipe-part" => draft.blocks.get_or_insert_default().is_file = true,
        "block" | "block-size" => draft.blocks.get_or_insert_default().size = Some(text.into()),
        "recend" => {
            draft
                .blocks
                .get_or_insert_default()
                .keys
                .push(("record_end", quoted(&unescaped(text))));
        }
        "recstart" => {
            let pattern = regex::escape(&unescaped(text));
            draft.blocks.get_or_insert_default().keys.push(("record_start", quoted(&pattern)));
        }
        "nice" => draft.before.extend(["nice".into(), "-n".into(), text.into()]),
        "workdir" | "wd" if !text.starts_with("...") => draft.command.push(("cwd", quoted(text))),
        "wait" | "files" | "compress" => {
            draft.leave(&shown(name, value), "the output stands in the report");
        }
        "sshlogin" | "S" | "sshloginfile" | "slf" | "trc" | "transferfile" | "tf" | "return"
        | "basefile" | "bf" | "cleanup" | "transfer" | "onall" | "nonall" => {
            draft.leave(&shown(name, value), "tasks run on this machine");
        }
        _ => limit(name, value, draft),
    }
}

fn jobs(name: &str, text: &str, draft: &mut Draft) {
    if text.parse::<u64>().is_ok_and(|count| count > 0) {
        draft.limit("concurrency", text.into());
    } else if text == "100%" {
        draft.limit("concurrency", quoted("cores"));
    } else if text
        .strip_suffix('%')
        .is_some_and(|part| part.parse::<u64>().is_ok_and(|part| part > 0))
    {
        draft.limit("concurrency", quoted(text));
    } else {
        draft.leave(&shown(name, Some(text)), "write a number as `concurrency`");
    }
}

/// What bounds a run.
fn limit(name: &str, value: Option<&str>, draft: &mut Draft) {
    let text = value.unwrap_or_default();
    let is_done = match name {
        "retries" => match text.parse::<u64>() {
            Ok(count) => {
                draft.retry.push(("max_attempts", count.max(1).to_string()));
                draft.retry.push(("delay", quoted("0s")));
                true
            }
            Err(_) => false,
        },
        "timeout" => seconds(text).is_some_and(|seconds| {
            draft.limit("timeout", quoted(&duration(seconds)));
            true
        }),
        "delay" => seconds(text).is_some_and(|seconds| {
            if seconds > 0.0 {
                draft.limit("rate", quoted(&rate(seconds)));
            }
            true
        }),
        "memfree" => size(text).is_some_and(|size| {
            draft.limit("min_free_memory", quoted(&size));
            true
        }),
        "halt" | "halt-on-error" => halt(text, draft).is_some(),
        _ => false,
    };
    if !is_done {
        draft.leave(&shown(name, value), "");
    }
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
        "fail" => draft.limit("stop_after_failures", value),
        "success" if !is_share => draft.limit("stop_after_successes", value),
        _ => return None,
    }
    draft.limit("on_stop", quoted(on_stop));
    Some(())
}

/// `\n` and `\t` as what they stand for.
pub(super) fn unescaped(text: &str) -> String {
    text.replace("\\n", "\n").replace("\\t", "\t")
}

impl Draft {
    /// The blocks as TOML; `None` if a part of it cannot be carried over, which is noted.
    pub(super) fn blocks_as_toml(&mut self) -> Option<String> {
        let blocks: Blocks = self.blocks.take()?;
        let file = match self.sources.pop() {
            Some(Source { list: List::Lines(file), .. }) => file,
            _ => "-".into(),
        };
        let mut keys = vec![("file", quoted(&file))];
        match blocks.size.as_deref().map(|text| (text, size(text))) {
            Some((_, Some(size))) => keys.push(("size", quoted(&size))),
            Some((text, None)) => self.leave(&format!("--block {text}"), ""),
            None => {}
        }
        if self.has_header {
            keys.push(("header", "true".into()));
        }
        keys.extend(blocks.keys);
        let keys: Vec<_> =
            keys.into_iter().map(|(key, value)| format!("{key} = {value}")).collect();
        Some(format!("{{ {} }}", keys.join(", ")))
    }
}

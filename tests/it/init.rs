//! `runner init`: what it writes runs at once, and does what the command line did that it was made of.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use crate::support::{Ran, TestJob, skip};

const KINDS: [&str; 8] =
    ["command", "shell", "http", "api", "python", "worker", "stages", "compare"];

#[test]
fn every_kind_runs_at_once() {
    for kind in KINDS {
        let ran = TestJob::empty().args(["init", kind, "job.toml"]).run().ends(0);
        assert!(ran.stdout().contains("wrote job.toml"), "{kind}: {}", ran.stdout());
        let command = if kind == "compare" { "compare" } else { "run" };
        let ran = TestJob::again(ran).args([command, "job.toml"]).run();
        assert_eq!(ran.output.status.code(), Some(0), "{kind}: {}", ran.stderr());
    }
}

#[test]
fn the_kinds_are_listed() {
    let listed = TestJob::empty().arg("init").run().ends(0).stdout();
    let unknown = TestJob::empty().args(["init", "comand", "a.toml"]).run().ends(2).stderr();
    let alone = TestJob::empty().args(["init", "a.toml"]).run().ends(2).stderr();
    for kind in KINDS {
        for text in [&listed, &unknown, &alone] {
            assert!(text.contains(kind), "{kind}: {text}");
        }
    }
    assert!(unknown.contains("did you mean `command`?"), "{unknown}");
}

#[test]
fn nothing_is_overwritten() {
    let ran = TestJob::empty()
        .file("job.toml", "mine")
        .file("job.schema.json", "mine, too")
        .args(["init", "shell", "job.toml"])
        .run()
        .ends(2);
    assert!(ran.stderr().contains("`job.toml` exists"), "{}", ran.stderr());
    let ran =
        TestJob::again(ran).args(["init", "other.toml", "--", "echo", ":::", "a"]).run().ends(0);
    assert_eq!(ran.text("job.toml"), "mine");
    assert_eq!(ran.text("job.schema.json"), "mine, too");
}

#[test]
fn what_is_no_job_file_is_not_written() {
    for (name, message) in [
        ("summary.toml", "`summary` is the name of the report of all jobs"),
        ("a b.toml", "invalid job name `a b`"),
        ("a.txt", "`a.txt` does not end in `.toml`"),
    ] {
        let ran = TestJob::empty().args(["init", "shell", name]).run().ends(2);
        assert!(ran.stderr().contains(message), "{}", ran.stderr());
        assert!(!ran.path(name).exists());
    }
}

#[test]
fn a_schema_of_another_version_is_told_once() {
    let ran = TestJob::empty().args(["init", "shell", "a.toml"]).run().ends(0);
    let ran = TestJob::again(ran).args(["init", "python", "b.toml"]).run().ends(0);
    let ran = TestJob::again(ran).args(["check", "a.toml", "b.toml"]).run().ends(0);
    assert!(!ran.stderr().contains("version"), "{}", ran.stderr());
    let schema = ran.text("job.schema.json").replace("of runner ", "of runner 0.0.1-");
    let ran = TestJob::again(ran).file("job.schema.json", schema);
    let said = ran.args(["check", "a.toml", "b.toml"]).run().ends(0).stderr();
    assert_eq!(said.matches("`job.schema.json` is of another version").count(), 1, "{said}");
}

/// A run that goes on.
trait Ends {
    fn ends(self, code: i32) -> Self;
    fn text(&self, path: &str) -> String;
}

impl Ends for Ran {
    #[track_caller]
    fn ends(self, code: i32) -> Self {
        self.exit(code);
        self
    }

    fn text(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap()
    }
}

/// A command line, what comes through the pipe, and what it prints.
type Line = (&'static [&'static str], &'static str, &'static str);

const OF_PARALLEL: &[Line] = &[
    (&["parallel", "echo", "{}", ":::", "a b", "c"], "", "a b\nc\n"),
    (&["parallel", "echo", ":::", "a", "b"], "", "a\nb\n"),
    (
        &["parallel", "echo {.} {/} {//} {/.} {#}", ":::", "d/x.y.z", "e"],
        "",
        "d/x.y x.y.z d x.y 1\ne e . e 2\n",
    ),
    (
        &["parallel", "echo", "{1}-{2}", ":::", "a", "b", ":::", "1", "2"],
        "",
        "a-1\na-2\nb-1\nb-2\n",
    ),
    (&["parallel", "echo", ":::", "a", "b", ":::", "1", "2"], "", "a 1\na 2\nb 1\nb 2\n"),
    (
        &["parallel", "--link", "echo", "{2}{1}", ":::", "a", "b", "c", ":::", "1", "2"],
        "",
        "1a\n2b\n1c\n",
    ),
    (&["parallel", "echo", "{}", ":::", "a", "b", ":::+", "1", "2"], "", "a 1\nb 2\n"),
    (&["parallel", "-j2", "echo x{}y | tr a-z A-Z", ":::", "q w", "r"], "", "XQ WY\nXRY\n"),
    (&["parallel", "echo {1/.}; echo $((2 + {2}))", ":::", "d/a.jpg", ":::", "3"], "", "a\n5\n"),
    (&["parallel", "--colsep", ",", "echo", "{2}", "{1}", "::::", "t.csv"], "", "2 1\n4 3\n"),
    (&["parallel", "-C", "[,;]", "echo", "{2}/{1}", ":::", "a;b", "c,d"], "", "b/a\nd/c\n"),
    (&["parallel", "--colsep", " +", "echo", "{1}{2}", "::::", "wide.txt"], "", "ab\ncd\n"),
    (&["parallel", "-a", "t.txt", "echo", "+{}"], "", "+one\n+two words\n"),
    (&["parallel", "echo", "-{}"], "x\ny z\n", "-x\n-y z\n"),
    (&["parallel", "-N2", "echo", "{2}{1}", ":::", "a", "b", "c", "d"], "", "ba\ndc\n"),
    (&["parallel", "-j1", "-N2", "echo", ":::", "a", "b", "c"], "", "a b\nc\n"),
    (&["parallel", "-j1", "-X", "echo", ":::", "a", "b"], "", "a b\n"),
    (&["parallel", ":::", "echo a; echo b", "echo c"], "", "a\nb\nc\n"),
    (&["parallel"], "echo 1\necho 2 | cat\n", "1\n2\n"),
    (
        &["parallel", "--header", ":", "echo", "{x}{y}", ":::", "x", "1", "2", ":::", "y", "3"],
        "",
        "13\n23\n",
    ),
    (
        &["parallel", "--header", ":", "--colsep", ",", "echo", "{b}{a}", "::::", "named.csv"],
        "",
        "21\n43\n",
    ),
    (&["parallel", "-q", "printf", "%s|", "{}", ":::", "a b", "c"], "", "a b|c|"),
    (&["parallel", "-I@", "echo", "@", "{}", ":::", "a"], "", "a {}\n"),
    (&["parallel", "echo \"<{}>\" '[{}]' | cat", ":::", "a"], "", "<a> [a]\n"),
    (&["parallel", "echo 'it'\"'\"'s' {}", ":::", "a'b"], "", "it's a'b\n"),
    (&["parallel", "awk '{print $1 \"-\" \"{}\"}' t.txt", ":::", "z"], "", "one-z\ntwo-z\n"),
    (
        &["parallel", "--timeout", "10", "--retries", "2", "--delay", "0.01", "echo", ":::", "a"],
        "",
        "a\n",
    ),
    (&["parallel", "--halt", "now,fail=1", "--nice", "1", "echo", ":::", "a"], "", "a\n"),
    (&["parallel", "--pipe", "-N1", "cat"], "1\n2\n3\n", "1\n2\n3\n"),
    (&["parallel", "--pipe", "--block", "4", "wc", "-l"], "1\n2\n3\n4\n", "2\n2\n"),
    (&["parallel", "--pipepart", "-a", "t.txt", "--block", "1k", "wc", "-l"], "", "2\n"),
    (&["parallel", "--shuf", "-j1", "true", ":::", "a"], "", ""),
    (&["parallel", "--wd", "sub", "cat", "here.txt", ";", "echo", ":::", "a"], "", "in sub\na\n"),
    (&["parallel", "--skip-first-line", "echo"], "a\nb\n", "b\n"),
    (&["parallel", "-0", "echo"], "a b\0c\0", "a b\nc\n"),
    (&["parallel", "--max-args=1", "--jobs=2", "--keep-order", "echo"], "a\nb\n", "a\nb\n"),
    (&["parallel", "-kj2", "echo"], "a\nb\n", "a\nb\n"),
    (&["parallel", "echo {-1} {-2.}", ":::", "a.b", ":::", "c"], "", "c a\n"),
    (&["parallel", "for i in 1 2; do echo {} $i; done", ":::", "a"], "", "a 1\na 2\n"),
    (&["parallel", "echo {}; exit 0", ":::", "$HOME", "`x`", "a\"b"], "", "$HOME\n`x`\na\"b\n"),
    (&["parallel", "-r", "echo"], "a\n\n", "a\n"),
    (&["parallel", "echo"], "a\n\nb\n", "a\n\nb\n"),
    (
        &["parallel", "echo {.}_{/}_{/.}", ":::", ".bashrc", "a/.x", "c.d/", "..", "b."],
        "",
        "_.bashrc_\na/_.x_\nc.d/__\n._.._.\nb_b._b\n",
    ),
    (
        &["parallel", "--plus", "echo {..}_{/..}_{+..}_{+/}_{...}", ":::", "d.e/x.tar.gz", "y"],
        "",
        "d.e/x_x_tar.gz_d.e_d.e/x.tar.gz\ny_y___y\n",
    ),
    (
        &["parallel", "echo", ":::", "a", "b", ":::+", "1", "2", "3", ":::", "x", "y"],
        "",
        "a 1 x\na 1 y\nb 2 x\nb 2 y\n",
    ),
    (&["parallel", "echo", "{#}", ":::", "a", "b"], "", "1\n2\n"),
    (&["parallel", "-N0", "echo", "x", ":::", "a", "b"], "", "x\nx\n"),
    (&["parallel", "-j0", "echo", ":::", "a", "b"], "", "a\nb\n"),
    (&["parallel", "-N2", "echo", "{2}-{1}"], "a\nb c\nd\n", "b c-a\n-d\n"),
    (&["parallel", "--pipe", "-N2", "cat; echo -"], "1\n2\n3\n", "1\n2\n-\n3\n-\n"),
    (&["parallel", "--pipe", "--cat", "cat {} {}"], "1\n", "1\n1\n"),
    (&["parallel", "{} | tr a b", ":::", "echo a a", "echo c"], "", "b b\nc\n"),
    (&["parallel", "echo {} | cat", ":::", "a\\qb", "~", "*", ""], "", "a\\qb\n~\n*\n\n"),
    (&["parallel", "echo \"$(basename {})\" `echo {}`", ":::", "x y/b c"], "", "b c x y/b c\n"),
    (&["parallel", "--tag", "echo", "x{1}", ":::", "a", ":::", "1"], "", "a 1\txa\n"),
    (&["parallel", "--tagstring", "{#}-{}", "echo", ":::", "a"], "", "1-a\ta\n"),
    (&["parallel", "-k", "--lb", "echo", ":::", "a"], "", "a\n"),
    (&["parallel", "--colsep", ",", "echo", "+{2}+", ":::", "a , b", "c,d,e"], "", "+b+\n+d+\n"),
    (&["parallel", "--colsep", ", *", "echo", "{2}", ":::", "a,  b", "c,d,e"], "", "b\nd\n"),
    (&["parallel", "--header", ":", "echo", "{task}", ":::", "task", "a"], "", "a\n"),
    (&["parallel", "--header", ":", "echo {HOME} | cat", ":::", "HOME", "a"], "", "a\n"),
    (&["parallel", "--header", ":", "echo", "{one}", "::::", "t.txt"], "", "two words\n"),
    (
        &["parallel", "--arg-sep", ",,", "echo", ",,", "a", "::::", "t.txt"],
        "",
        "a one\na two words\n",
    ),
    (&["parallel", "-E", "x", "echo", ":::", "a", "x", "b"], "", "a\n"),
    (&["parallel", "--seqreplace", "@", "echo", "@", ":::", "a"], "", "1\n"),
    (&["parallel", "echo $PARALLEL_SEQ {}", ":::", "a"], "", "1 a\n"),
    (&["parallel", "--timeout", "1000%", "echo", ":::", "a"], "", "a\n"),
    (&["parallel", "echo"], "", ""),
    (&["parallel", "-r", "echo"], "", ""),
    (&["parallel", "-C", ",", "echo", "{2}"], "1,2\n3,4\n", "2\n4\n"),
    (&["parallel", "cat <<E\nval {}\nE", ":::", "x"], "", "val x\n"),
    (&["parallel", "cat <<-E\n\tit's {}\n\tE\necho \"{}\"", ":::", "x"], "", "it's x\nx\n"),
    (&["parallel", "echo $'{}\\tb'", ":::", "a"], "", "a\tb\n"),
    (&["parallel", "true # it's\necho '{}'", ":::", "a"], "", "a\n"),
    // What a shell takes otherwise than a program of the same name, or than a list of words.
    (&["parallel", "echo", ":::", "--help", "-n"], "", "--help\n"),
    (&["parallel", "echo -e", ":::", "a\\tb"], "", "a\tb\n"),
    (&["parallel", "printf '%q|'", ":::", "a b"], "", "a\\ b|"),
    (&["parallel", "true", ":::", "--help"], "", ""),
    (&["parallel", "printf '%s\n' \"\\{}\"", ":::", "a"], "", "\\a\n"),
    (&["parallel", "printf '%s\n' \"\\{}\" | cat", ":::", "a"], "", "\\a\n"),
    (&["parallel", "printf '[%s]' x{}", ":::", "a", ":::", "b"], "", "[xa][b]"),
    (&["parallel", "printf '[%s]' \"x{}\" '{}'", ":::", "a", ":::", "b"], "", "[xa b][a b]"),
    (&["parallel", "printf '[%s]' {}", ":::", "a", ":::", "b"], "", "[a][b]"),
    (&["parallel", "--skip-first-line", "echo", ":::", "a", "b"], "", "b\n"),
    (&["parallel", "--skip-first-line", "--pipe", "-N1", "cat"], "1\n2\n3\n", "2\n3\n"),
    (&["parallel", "echo x{}y", ":::", "a", "b", ":::"], "", "xa y\nxb y\n"),
    (&["parallel", "echo x{}y", ":::", "a", "b", ":::+"], "", "xa y\n"),
    (&["parallel", "--link", "echo", ":::", "a", "::::", "t.txt"], "", "a one\na two words\n"),
    (&["parallel", "echo", ":::", "a", "b", "c", "::::+", "t.txt"], "", "a one\nb two words\n"),
    (&["parallel", "--header", ":", "echo", "{payload}", ":::", "payload", "a"], "", "a\n"),
    (&["parallel", "--timeout", "0", "--delay", "0", "echo", ":::", "a"], "", "a\n"),
];

const OF_XARGS: &[Line] = &[
    (&["xargs", "echo"], "a\nb\n", "a b\n"),
    (&["xargs"], "a\nb\n", "a b\n"),
    (&["xargs", "-n", "2", "echo", "x"], "a\nb\nc\n", "x a b\nx c\n"),
    (&["xargs", "-I{}", "echo", "<{}>", "{}"], "a b\nc\n", "<a b> a b\n<c> c\n"),
    (&["xargs", "-I", "@", "sh", "-c", "echo \"$0\"-$((1 + 2))", "@"], "a\n", "a-3\n"),
    (&["xargs", "-0", "-n1", "-P1", "echo"], "a b\0c\0", "a b\nc\n"),
    (&["xargs", "-0n1", "echo"], "a b\0c\0", "a b\nc\n"),
    (&["xargs", "-d", "\\n", "-L1", "echo"], "a b\nc\n", "a b\nc\n"),
    (&["xargs", "-a", "t.txt", "-d\\n", "-n1", "echo", "+"], "", "+ one\n+ two words\n"),
    (&["xargs", "-d", ",", "-n1", "echo"], "a b,c\nd", "a b\nc\nd\n"),
    (&["xargs", "-s", "13", "echo"], "aaa\nbbb\nccc\n", "aaa bbb\nccc\n"),
    (&["xargs", "-s12", "echo"], "aaa\nbbb\n", "aaa\nbbb\n"),
    (&["xargs", "--null", "--max-args=1", "--no-run-if-empty", "echo"], "a\0", "a\n"),
    (&["xargs", "-i", "echo", "{}{}"], "a\n", "aa\n"),
    (&["xargs", "-n1", "echo"], "a 'b c'd\n\n \\'e\n", "a\nb cd\n'e\n"),
    (&["xargs", "-I{}", "echo", "x"], "a\nb\n", "x\nx\n"),
    (&["xargs", "-0n1", "echo"], "a\0\0b\0", "a\n\nb\n"),
    (&["xargs", "-d", "\\n", "-n1", "echo"], "a\n\nb\n", "a\n\nb\n"),
    (&["xargs", "-n2", "-P0", "echo"], "a b\n", "a b\n"),
    (&["xargs", "-I{}", "-n1", "-P1", "echo", "{}.bak"], "a b\nc\n", "a b.bak\nc.bak\n"),
    (&["xargs", "-n1", "-I{}", "echo", "{}.bak"], "a b\nc\n", "a b.bak\nc.bak\n"),
    (&["xargs", "-n2", "-I{}", "echo", "{}.bak"], "a b\nc\n", "a b.bak\nc.bak\n"),
    (&["xargs", "-I{}", "-n2", "echo", "{}.bak"], "a b\nc\n", "{}.bak a b\n{}.bak c\n"),
    (&["xargs", "-L1", "-I{}", "-n1", "echo", "{}.bak"], "a b\nc\n", "a b.bak\nc.bak\n"),
    (&["xargs", "-L2", "-I{}", "echo", "{}.bak"], "a b\nc\n", "a b.bak\nc.bak\n"),
    (&["xargs", "-I{}", "-L1", "echo", "{}.bak"], "a b\nc\n", "{}.bak a b\n{}.bak c\n"),
    (&["xargs", "-I{}", "-L2", "echo", "{}.bak"], "a b\nc\nd\n", "{}.bak a b c\n{}.bak d\n"),
    (&["xargs", "-n2", "-L1", "echo"], "a b\nc\n", "a b\nc\n"),
    (&["xargs", "-d", "\n", "-L2", "echo"], "a b\nc\nd", "a b c\nd\n"),
    (&["xargs", "-d", "\\\\", "-n1", "echo"], "a\\b", "a\nb\n"),
    (&["xargs", "-d", "\\", "-n1", "echo"], "a\\b", "a\nb\n"),
    (&["xargs", "-d", "\\x41", "-n1", "echo"], "1A2", "1\n2\n"),
    (&["xargs", "-d", "\\101", "-n1", "echo"], "1A2", "1\n2\n"),
    (&["xargs", "-d", "\\a", "-n1", "echo"], "1\u{7}2", "1\n2\n"),
    (&["xargs", "-d,", "-0", "-n1", "echo"], "1,2\x003", "1,2\n3\n"),
    (&["xargs", "-I{}", "echo", "{}"], "", ""),
    (&["xargs", "-r", "-I{}", "echo", "{}"], "", ""),
    (&["xargs", "-r", "echo"], "", ""),
    (&["xargs", "-a", "t.csv", "-a", "t.txt", "-n2", "echo"], "", "one two\nwords\n"),
];

const PLAIN: &[Line] = &[
    (&["echo", "{}", "{.}.png", "{/}", ":::", "d/a.jpg"], "", "d/a.jpg d/a.png a.jpg\n"),
    (&["echo", "{input.stem}", "{task}", ":::", "d/a.jpg"], "", "a 1\n"),
    (&["echo"], "a b\nc\n", "a b\nc\n"),
    (&["sh", "-c", "echo \"$0\" | tr a-z A-Z", "{}", ":::", "a b"], "", "A B\n"),
];

fn folder() -> TestJob {
    TestJob::empty()
        .file("t.csv", "1,2\n3,4\n")
        .file("named.csv", "a,b\n1,2\n3,4\n")
        .file("wide.txt", "a   b\nc d\n")
        .file("t.txt", "one\ntwo words\n")
        .file("ragged.csv", "1,2\n\n3\n4,5,6\n")
        .file("empty.txt", "")
        .file("sub/here.txt", "in sub\n")
}

/// Writes the job of a command line.
fn written(words: &[&str]) -> Ran {
    let job = folder().env("SHELL", "/bin/bash").args(["init", "job.toml", "--"]);
    job.args(words.iter().copied()).run().ends(0)
}

#[track_caller]
fn does(&(words, stdin, expected): &Line) {
    let ran = written(words);
    let text = ran.text("job.toml");
    let said = ran.stdout();
    let tag = said.split("--tag '").nth(1).map(|rest| rest.split('\'').next().unwrap_or_default());
    let tag = tag.into_iter().flat_map(|tag| ["--tag", tag]);
    let ran = TestJob::again(ran).args(["-q", "--output=ordered", "job.toml"]);
    let ran = ran.args(tag).stdin(stdin).run();
    assert_eq!(ran.output.status.code(), Some(0), "{words:?}: {}\n{text}", ran.stderr());
    assert_eq!(ran.stdout(), expected, "{words:?}\n{text}");
}

/// The real program, if it is there, prints the same; `extra` makes its order certain.
#[track_caller]
fn is_true(&(words, stdin, expected): &Line, extra: &[&str]) {
    let folder = folder();
    let mut real = Command::new(words[0])
        .args(extra)
        .args(&words[1..])
        .env("SHELL", "/bin/bash")
        .current_dir(folder.folder())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let _ = real.stdin.take().unwrap().write_all(stdin.as_bytes());
    let output = real.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected, "{words:?}");
}

fn is_installed(program: &str) -> bool {
    let output = Command::new(program).arg("--version").output();
    output.is_ok_and(|output| output.status.success())
}

#[test]
fn a_line_of_parallel_becomes_a_job_that_prints_the_same() {
    OF_PARALLEL.iter().for_each(does);
}

#[test]
fn a_line_of_xargs_becomes_a_job_that_prints_the_same() {
    OF_XARGS.iter().for_each(does);
}

#[test]
fn a_plain_line_becomes_a_job() {
    PLAIN.iter().for_each(does);
}

#[test]
fn the_real_parallel_prints_the_same() {
    if !is_installed("parallel") {
        skip("GNU parallel is not installed");
        return;
    }
    for line in OF_PARALLEL {
        is_true(line, &["-k", "--will-cite"]);
    }
}

#[test]
fn the_real_xargs_prints_the_same() {
    if !is_installed("xargs") {
        skip("GNU xargs is not installed");
        return;
    }
    for line in OF_XARGS {
        is_true(line, &[]);
    }
}

#[test]
fn what_cannot_be_carried_over_is_named_and_the_rest_written() {
    for (words, named) in [
        (
            &["parallel", "-S", "host", "echo", ":::", "a"][..],
            "`-S host`: tasks run on this machine",
        ),
        (&["parallel", "--cat", "echo", ":::", "a"], "`--cat`"),
        (&["parallel", "--strange", "echo", ":::", "a"], "`--strange`"),
        (&["parallel", "-j", "+1", "echo", ":::", "a"], "`-j +1`: write a number as `concurrency`"),
        (&["parallel", "--plus", "echo", "{%.x}", ":::", "a"], "`{%.x}`"),
        (&["parallel", "--retries", "0", "echo", ":::", "a"], "`--retries 0`"),
        (&["parallel", "--round-robin", "--pipe", "cat"], "`--round-robin`"),
        (&["parallel", "-X", "echo", ":::", "a"], "inputs are not shared out evenly"),
        (&["parallel", "echo", "::::", "/dev/fd/63"], "`<(…)`: its file is gone by then"),
        (&["parallel", "input=1; echo $input {}", ":::", "a"], "variables that are called as"),
        (&["env_parallel", "echo", ":::", "a"], "`env_parallel`"),
        (&["xargs", "-L1", "echo"], "xargs splits a line at blanks"),
        (&["parallel", "echo", "{= s/a/b/ =}", "{}", ":::", "a"], "`{= s/a/b/ =}`"),
        (&["parallel", "echo", "{}", "{2}", ":::", "a"], "`{2}`: there is no such source"),
        (
            &["parallel", "cat <<'E'\nval {}\nE", ":::", "x"],
            "an input in a here-document with quotes around its end",
        ),
        (&["xargs", "echo"], "without `-r` xargs runs the command once if there is no input"),
        (&["parallel", "-C", " ", "echo", "x"], "`--colsep  `: without the file nobody knows"),
        (&["parallel", "-C", " ", "echo", "{1} {-1}"], "`{-1}`: of columns whose number nobody"),
        (&["xargs", "-d", "\\q", "echo"], "an input ends with one character"),
        (&["xargs", "-n2", "-s", "100", "echo"], "`-s 100`"),
        (&["xargs", "-I{}", "echo", "{}"], "xargs takes blanks off the start of a line"),
        (&["parallel", "-n2", "echo", ":::", "a", "b", ":::", "c", "d"], SEVERAL),
        (&["parallel", "--link", "-L2", "echo", ":::", "a", "b", ":::", "c", "d"], SEVERAL),
        (&["parallel", "-X", "-j1", "echo", ":::", "a", "b", ":::", "c", "d"], SEVERAL),
        (&["parallel", "-m", "-j1", "-C", ",", "echo", ":::", "a,b", "c,d"], SEVERAL),
        (&["parallel", "-C", ",", "-n2", "echo {1} {2}; echo {3}", "::::", "t.csv"], SEVERAL),
        (
            &["parallel", "-N2", "--header", ":", "-C", ",", "echo {a}", "::::", "named.csv"],
            SEVERAL,
        ),
        (
            &["parallel", "--skip-first-line", "--pipe", "cat"],
            "`--skip-first-line`: a block begins with the first line",
        ),
        (
            &["parallel", "--skip-first-line", "--pipepart", "-a", "t.txt", "cat"],
            "`--skip-first-line`: a block begins with the first line",
        ),
        (
            &["parallel", "--skip-first-line", "echo", ":::", "a", "b", ":::", "c"],
            "`--skip-first-line`: of several sources",
        ),
        (&["parallel", "--pipe", "-N1", "cat"], "`-N 1`: each record ends with LF"),
        (
            &["parallel", "-C", ",", "echo", "{2}", "::::", "ragged.csv"],
            "`--colsep ,`: a line with more or fewer columns",
        ),
        (
            &["parallel", "echo", "::::", "empty.txt", ":::", "a"],
            "`empty.txt`: as long as it has no line",
        ),
        (&["parallel", "--timeout", "50%", "echo", ":::", "a"], "`--timeout 50%`"),
        (&["parallel", "--timeout", "100%", "echo", ":::", "a"], "`--timeout 100%`"),
        (&["parallel", "--halt", "now,fail=0", "echo", ":::", "a"], "`--halt now,fail=0`"),
        (&["parallel", "--halt", "now,fail=150%", "echo", ":::", "a"], "`--halt now,fail=150%`"),
        (&["parallel", "--halt", "now,success=0", "echo", ":::", "a"], "`--halt now,success=0`"),
        (&["parallel", "--delay", "1e-9", "echo", ":::", "a"], "`--delay 1e-9`"),
        (
            &["parallel", "--header", ":", "echo", "{a}", ":::", "a", "1", ":::", "a", "2"],
            "`a` cannot name a column: it is `column_2`",
        ),
        (
            &["parallel", "--header", ":", "echo", "{1}", ":::", "", "1"],
            "`` cannot name a column: it is `column_1`",
        ),
    ] {
        let ran = written(words);
        assert!(ran.stderr().contains(named), "{words:?}: {}", ran.stderr());
        let is_gone = words.contains(&"/dev/fd/63");
        let ran = TestJob::again(ran).args(["check", "job.toml"]).run();
        let code = if is_gone { 2 } else { 0 };
        assert_eq!(ran.output.status.code(), Some(code), "{words:?}: {}", ran.stderr());
    }
}

/// What a task takes of several inputs it takes field by field: side by side with others they would be wrong pairs.
const SEVERAL: &str = "several inputs for one command, each of several columns or sources";

#[test]
fn what_is_known_to_be_even_is_not_complained_of() {
    for words in [
        &["parallel", "-C", ",", "echo", "{2}", "::::", "t.csv"][..],
        &["parallel", "--link", "echo", "::::", "t.txt", ":::", "a", "b"],
        &["parallel", "-N2", "echo", "{2}", ":::", "a", "b"],
    ] {
        let said = written(words).stderr();
        assert!(!said.contains("not carried over"), "{words:?}: {said}");
    }
}

#[test]
fn what_the_runner_itself_refuses_is_said_at_once() {
    for (words, message) in [
        (
            &["parallel", "--retries", "99999999999", "echo", ":::", "a"][..],
            "`max_attempts` must be",
        ),
        (&["parallel", "echo", "::::", "none.txt"], "failed to read `none.txt`"),
        (
            &["parallel", "--link", "echo", ":::", "a", "b", "c", "::::", "t.txt"],
            "`t.txt`: what goes side by side has to be equally long here",
        ),
    ] {
        let said = written(words).stderr();
        assert!(said.contains("as it is written, `runner check job.toml` refuses it"), "{said}");
        assert!(said.contains(message), "{said}");
    }
}

/// xargs ends where a signal has ended a command.
#[test]
fn a_command_that_a_signal_ends_stops_the_job_of_xargs() {
    let ran = written(&["xargs", "-n1", "sh", "-c", "echo $0; kill -9 $$"]);
    let ran = TestJob::again(ran).args(["-q", "--output", "job.toml"]).stdin("1\n2\n3\n").run();
    assert_eq!(ran.ends(3).stdout(), "1\n");
}

#[test]
fn how_to_run_it_is_said() {
    for (words, expected) in [
        (&["parallel", "-k", "echo", ":::", "a"][..], "run it: runner --output=ordered job.toml\n"),
        (&["parallel", "echo"], "run it: … | runner --output job.toml\n"),
        (&["parallel", "--dry-run", "echo", ":::", "a"], "run it: runner --dry-run=all job.toml\n"),
        (&["echo", ":::", "a"], "run it: runner job.toml\n"),
        (
            &["parallel", "--tag", "echo", ":::", "a"],
            "run it: runner --output --tag '{input}' job.toml\n",
        ),
    ] {
        let said = written(words).stdout();
        assert!(said.ends_with(expected), "{said}");
    }
}

#[test]
fn files_are_named_from_where_the_job_file_is() {
    let ran = TestJob::empty()
        .file("photos/a.jpg", "1")
        .file("photos/b.jpg", "2")
        .args(["init", "jobs/thumbs.toml", "--glob", "photos/*.jpg", "--", "cp", "{}", "{.}.png"])
        .run()
        .ends(0);
    assert!(ran.stderr().contains("the commands run in `jobs`"), "{}", ran.stderr());
    let ran = TestJob::again(ran).arg("jobs/thumbs.toml").run().ends(0);
    assert_eq!(ran.text("photos/b.png"), "2");
    let both = ["init", "x.toml", "--glob", "*", "--", "echo", ":::", "a"];
    let ran = TestJob::again(ran).args(both).run().ends(2);
    assert!(ran.stderr().contains("the command line has inputs of its own"), "{}", ran.stderr());
    assert!(!ran.path("x.toml").exists());
}

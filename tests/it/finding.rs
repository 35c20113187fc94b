//! Finding one's way: `runner` alone, a job on standard input, completions, manual pages.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::support::{TestJob, runner, skip};

const JOB: &str = "inputs.values = ['a', 'b']\nworkload.command.argv = ['cat', '{input}.txt']\n";

#[test]
fn a_job_comes_from_standard_input() {
    let ran = TestJob::empty()
        .file("a.txt", "1")
        .file("b.txt", "2")
        .file("runner.toml", "results = 'out'")
        .arg("-")
        .stdin(JOB)
        .run();
    ran.exit(0);
    let report = std::fs::read_to_string(ran.path("out/stdin.csv")).unwrap();
    assert_eq!(report.lines().count(), 3, "{report}");
}

#[test]
fn a_job_from_standard_input_may_have_a_name() {
    let ran = TestJob::empty().args(["check", "-"]).stdin(format!("name = 'x'\n{JOB}")).run();
    ran.exit(0).stdout_has("x  (-)").stdout_has("results/x.csv");
}

/// Nothing else reads the pipe before the job is read.
#[test]
fn a_job_is_checked_by_any_name_of_a_pipe() {
    for file in ["/dev/stdin", "/dev/fd/0"] {
        let ran = TestJob::empty().args(["check", file]).stdin(format!("name = 'x'\n{JOB}")).run();
        ran.exit(0).stdout_has("results/x.csv");
    }
}

#[test]
fn its_inputs_cannot_come_from_there_as_well() {
    let job = "inputs.lines = '-'\nworkload.sleep.duration = '1ms'\n";
    for (file, inputs) in [("-", "-"), ("-", "/dev/stdin"), ("/dev/stdin", "-")] {
        let job = job.replace("'-'", &format!("'{inputs}'"));
        let ran = TestJob::empty().args(["--results", "r", file]).stdin(job).run();
        ran.exit(2).stderr_has("the job itself comes from standard input: its inputs cannot");
    }
    TestJob::empty().arg("-").stdin("").run().exit(2).stderr_has("standard input is empty");
    let ran = TestJob::empty().arg("-").stdin("x = 1").run();
    ran.exit(2).stderr_has("--> standard input:1:1");
    let ran = TestJob::empty().args(["-", "-"]).stdin(JOB).run();
    ran.exit(2).stderr_has("`-` is given twice");
}

#[test]
fn alone_it_says_what_is_here() {
    let here = TestJob::empty()
        .file("b.toml", format!("description = 'the second'\n{JOB}"))
        .file("jobs/a.toml", format!("[workload.sleep\n{JOB}"))
        .file("Cargo.toml", "[package]\nname = 'x'")
        .file("runner.toml", "results = 'out'");
    let said = here.run().exit(2).stderr();
    for line in
        ["  b.toml                           the second", "  jobs/a.toml", "runner check b.toml"]
    {
        assert!(said.contains(line), "{said}");
    }
    assert!(!said.contains("Cargo.toml") && !said.contains("  runner.toml"), "{said}");
    let said = TestJob::empty().run().exit(2).stderr();
    assert!(said.contains("no job files here") && said.contains("runner init command"), "{said}");
}

#[test]
fn signs_of_gnu_parallel_are_answered_with_our_own() {
    for (sign, ours) in [
        ("{.}", "{input.base}"),
        ("{/}", "{input.name}"),
        ("{//}", "{input.dir}"),
        ("{/.}", "{input.stem}"),
        ("{#}", "{task}"),
        ("{%}", "{slot}"),
        ("{1}", "{input}"),
        ("{1/.}", "{input.stem}"),
        ("{}", "{input}"),
    ] {
        let job = format!("inputs.glob = '*.toml'\nworkload.command.argv = ['echo', '{sign}']");
        let said = TestJob::new(&job).arg("--dry-run").run().exit(2).stderr();
        assert!(said.contains(&format!("write `{ours}`")), "{sign}: {said}");
    }
}

/// The folder of the runner under test, before the others of the path.
fn path() -> String {
    let program = PathBuf::from(runner().get_program());
    let folder = program.parent().unwrap().display().to_string();
    format!("{folder}:{}", env::var("PATH").unwrap())
}

fn bash(folder: &Path, script: &str) -> Output {
    let whole = format!("source <(runner completions bash)\n{script}");
    let mut bash = Command::new("bash");
    bash.args(["--norc", "--noprofile", "-c", &whole]).env("PATH", path()).current_dir(folder);
    bash.output().unwrap()
}

/// What bash offers after these words, the last of which is being typed.
#[track_caller]
fn offered(folder: &Path, words: &[&str]) -> Vec<String> {
    let quoted: Vec<_> = words.iter().map(|word| format!("'{word}'")).collect();
    let (last, before) = (quoted.len() - 1, &quoted[quoted.len() - 2]);
    let script = format!(
        "COMP_WORDS=({}); COMP_CWORD={last}; COMP_LINE='{}'; COMP_POINT=${{#COMP_LINE}}\n\
         _runner_job runner {} {before}; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        quoted.join(" "),
        words.join(" "),
        quoted[last],
    );
    let output = bash(folder, &script);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.is_empty(), "{words:?}: {said}");
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_commands_files_keys_and_values() {
    let job = TestJob::empty()
        .file("a.toml", "[[stages]]\nname = 'fetch'\nworkload.sleep.duration = '1s'\n")
        .file("a.txt", "")
        .file("jobs/b.toml", JOB);
    for (words, wanted, unwanted) in [
        (&["runner", "che"][..], "check", "compare"),
        (&["runner", "a"], "a.toml", "a.txt"),
        (&["runner", "check", ""], "jobs/", "a.txt"),
        (&["runner", "check", "jobs/"], "jobs/b.toml", "a.toml"),
        (&["runner", "--mo"], "--model", "--set"),
        (&["runner", "--set", "limits.t"], "limits.timeout=", "limits.rate="),
        (&["runner", "a.toml", "--set", "stages.f"], "stages.fetch.limits.rate=", "limits.rate="),
        (
            &["runner", "a.toml", "--set", "stages.fetch.w"],
            "stages.fetch.workload.http.url=",
            "model=",
        ),
        (&["runner", "--set", "model", "="], "threads", "model="),
        (&["runner", "--set", "model", "=", "thr"], "threads", "processes"),
        (&["runner", "--set", "workload.http.http2", "=", ""], "true", "threads"),
    ] {
        let all = offered(job.folder(), words);
        let has = |word: &str| all.iter().any(|offered| offered == word);
        assert!(has(wanted) && !has(unwanted), "{words:?}: {all:?}");
    }
}

#[test]
fn other_shells_can_read_theirs() {
    for shell in ["zsh", "fish"] {
        let script =
            String::from_utf8(runner().args(["completions", shell]).output().unwrap().stdout)
                .unwrap();
        assert!(script.contains("runner _complete"), "{script}");
        let job = TestJob::empty().file("script", &script);
        let Ok(output) =
            Command::new(shell).args(["-n", "script"]).current_dir(job.folder()).output()
        else {
            skip(&format!("{shell} is not installed"));
            continue;
        };
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn fish_completes_commands_files_keys_and_values() {
    let script = runner().args(["completions", "fish"]).output().unwrap().stdout;
    let job = TestJob::empty()
        .file("runner.fish", script)
        .file("a.toml", "[[stages]]\nname = 'fetch'\nworkload.sleep.duration = '1s'\n")
        .file("jobs/b.toml", JOB);
    let program = Path::new(env!("CARGO_BIN_EXE_runner")).parent().unwrap().display();
    let path = format!("{program}:{}", env::var("PATH").unwrap_or_default());
    for (line, wanted, unwanted) in [
        ("runner ch", "check", "compare"),
        ("runner ", "a.toml", "_complete"),
        ("runner --mo", "--model", "--set"),
        ("runner --model ", "threads", "a.toml"),
        ("runner check jobs/", "jobs/b.toml", "a.toml"),
        ("runner --set limits.t", "limits.timeout=", "limits.rate="),
        ("runner a.toml --set stages.f", "stages.fetch.limits.rate=", "limits.rate="),
        ("runner --set model=", "model=threads", "limits.rate="),
        ("runner completions ", "zsh", "a.toml"),
        ("runner init py", "python", "a.toml"),
        ("runner --output=", "--output=lines", "a.toml"),
        ("runner --on ", "slurm", "a.toml"),
        ("runner report --", "--xlsx", "--model"),
        ("runner compare --m", "--models", "--model"),
    ] {
        let commands = format!("source runner.fish; complete -C '{line}'");
        let mut fish = Command::new("fish");
        fish.args(["--no-config", "-c", &commands]).current_dir(job.folder()).env("PATH", &path);
        let Ok(output) = fish.env("HOME", job.folder()).output() else {
            skip("fish is not installed");
            return;
        };
        let text = String::from_utf8_lossy(&output.stdout);
        let has = |word: &str| text.lines().any(|offered| offered.split('\t').next() == Some(word));
        assert!(has(wanted) && !has(unwanted), "{line}: {text}");
    }
}

#[test]
fn the_manual_pages_can_be_shown() {
    for (args, names) in [
        (&["man"][..], ["--set", "RUNNER COMPARE", "124"]),
        (&["man", "--job"], ["max_attempts", "[workload.http]", "runner.toml"]),
    ] {
        let output = runner().args(args).output().unwrap();
        assert!(output.status.success());
        let job = TestJob::empty().file("page", &output.stdout);
        let mut man = Command::new("man");
        man.args(["--warnings", "-l", "page"]).env("MANWIDTH", "120").env("LC_ALL", "C.UTF-8");
        let Ok(shown) = man.env("MANPAGER", "cat").current_dir(job.folder()).output() else {
            skip("man is not installed");
            return;
        };
        let (text, warnings) =
            (String::from_utf8_lossy(&shown.stdout), String::from_utf8_lossy(&shown.stderr));
        assert_eq!(warnings, "");
        for name in names {
            assert!(text.contains(name), "{name}: {text}");
        }
    }
}

//! Commands: what they are given, how they end, and that nothing of them is left.

use std::fs;
use std::time::{Duration, Instant};

use crate::support::{MODELS, TestJob, is_alive, wait_until};

fn shell(script: &str, more: &str) -> TestJob {
    TestJob::new(&format!(
        "[inputs]\nvalues = [\"in put\"]\n[workload.command]\nshell = '''{script}'''\n{more}"
    ))
}

#[test]
fn a_placeholder_is_never_split_and_no_shell_is_asked() {
    let job = r#"
        [inputs]
        values = ["a b", "$(touch pwned)", "*; rm -rf x", "quo\"te'", ""]
        [workload.command]
        argv = ["sh", "-c", "echo $#:$1", "sh", "{input}"]
    "#;
    let ran = TestJob::new(job).run();
    ran.exit(0).rows("result", &["1:a b", "1:$(touch pwned)", "1:*; rm -rf x", "1:quo\"te'", "1:"]);
    assert!(!ran.path("pwned").exists());
}

#[test]
fn fields_reach_a_shell_only_as_variables() {
    let job = r#"
        [inputs]
        values = [{ "a-b" = "x; echo pwned", PATH = "p" }]
        [workload.command]
        shell = 'echo "$a_b" "$input_PATH" {literal}'
    "#;
    TestJob::new(job).run().exit(0).rows("result", &["x; echo pwned p {literal}"]);
}

#[test]
fn no_column_steers_the_shell_or_the_loader() {
    let job = r#"
        [inputs]
        values = [{ LD_PRELOAD = "/none.so", IFS = "x", OPTIND = "a", PS4 = "$(touch pwned)", fine = "axb" }]
        [workload.command]
        shell = 'set -x; echo $fine "$input_LD_PRELOAD" "${LD_PRELOAD-unset}" "$input_OPTIND"'
    "#;
    let ran = TestJob::new(job).run();
    ran.exit(0).rows("result", &["axb /none.so unset a"]);
    assert!(!ran.path("pwned").exists());
}

#[test]
fn no_variable_of_the_runner_hides_a_field() {
    let people = "[inputs]\ncsv = \"people.csv\"\n[workload.command]\nshell = 'echo \"$USER <$MAIL> $LANG_ID $input_LANG\"'\n";
    let of_a_stage = "[[stages]]\nname = \"a\"\n[stages.workload.command]\nargv = [\"echo\", \"loss=0.5\"]\n[stages.columns.loss]\nregex = 'loss=(.*)'\n\
                      [[stages]]\nname = \"b\"\n[stages.workload.command]\nshell = 'echo \"$loss\"'\n";
    let outer = |job: TestJob| {
        let names = ["USER", "MAIL", "LANG_ID", "LANG", "loss", "input", "creates"];
        let tasks =
            ["RUNNER_TASK", "RUNNER_ATTEMPT", "RUNNER_JOB", "RUNNER_SLOT", "RUNNER_SLOT_NAME"];
        names.into_iter().chain(tasks).fold(job, |job, name| job.env(name, "outer"))
    };
    for model in MODELS {
        let ran = TestJob::new(people).file("people.csv", "USER,MAIL,LANG-ID,LANG\nann,a@x,7,de\n");
        let ran = outer(ran.args(["--model", model])).run();
        ran.exit(0).rows("result", &["ann <a@x> 7 de"]);
        let stages =
            of_a_stage.replace("[[stages]]\n", &format!("[[stages]]\nmodel = \"{model}\"\n"));
        outer(TestJob::new(&stages)).run().exit(0).rows("result", &["0.5"]);
        let made = "creates = \"out/{input}\"\n[inputs]\nvalues = [\"a\"]\n[workload.command]\n\
                    shell = 'echo $input > \"$creates\"; echo $RUNNER_TASK ${RUNNER_SLOT_NAME-none}'\n";
        let ran = outer(TestJob::new(made).args(["--model", model])).run();
        ran.exit(0).rows("result", &["1 none"]);
        assert_eq!(fs::read_to_string(ran.path("out/a")).unwrap(), "a\n", "{model}");
        let function = "[workload.python]\nfunction = \"f.py:name\"\nargs = []\n";
        let ran = TestJob::new(function)
            .file("f.py", "import os\ndef name(): return os.environ.get('RUNNER_SLOT_NAME')\n")
            .args(["--model", model]);
        outer(ran).run().exit(0).rows("result", &[""]);
    }
}

#[test]
fn a_name_that_programs_act_on_is_told_where_a_field_has_it() {
    let job = "[inputs]\nvalues = [{ LANG = \"de\", SECONDS = 7, HOME = \"x\" }]\n[workload.command]\n\
               shell = 'HOME=/; echo \"$LANG $SECONDS $HOME $input_SECONDS\"'\nshell_with = [\"bash\", \"-c\"]\n";
    let ran = TestJob::new(job).env("LANG", "C").run();
    ran.exit(0).rows("result", &["C 0 / 7"]);
    let said = ran.stderr();
    for field in ["LANG", "SECONDS"] {
        ran.stderr_has(&format!("`${field}` is not the field: programs act on"));
        ran.stderr_has(&format!("the field is `$input_{field}`"));
    }
    assert!(!said.contains("`$HOME`"), "the text sets that itself: {said}");
}

#[test]
fn exit_codes_signals_and_success_codes() {
    shell("exit 3", "").run().exit(3).rows("status,code", &["failed,3"]);
    shell("exit 3", "success_codes = [0, 3]").run().exit(0).rows("status,code", &["ok,3"]);
    let crashed = shell("kill -SEGV $$", "").run();
    crashed.exit(3).rows("status,code", &["crashed,"]);
    assert!(crashed.report().column("error")[0].contains("SIGSEGV"));
}

#[test]
fn error_is_the_cause_and_then_the_tail_of_standard_error() {
    let ran = shell("echo out; echo it broke >&2; exit 1", "").run();
    let error = &ran.exit(3).report().column("error")[0];
    assert!(error.starts_with("exit code 1") && error.contains("it broke"), "{error:?}");
    ran.rows("result", &["out"]);
}

#[test]
fn standard_input_is_null_or_text_or_a_file() {
    shell("wc -c", "").run().exit(0).rows("result", &["0"]);
    shell("cat", "stdin = \"got {input}\"").run().exit(0).rows("result", &["got in put"]);
    shell("cat", "stdin_file = \"data.txt\"")
        .file("data.txt", "from a file")
        .run()
        .exit(0)
        .rows("result", &["from a file"]);
    shell("cat", "stdin = \"x\"\nstdin_file = \"y\"").run().exit(2);
}

#[test]
fn environment_and_working_folder() {
    let more = "cwd = \"sub\"\n[workload.command.env]\nGREETING = \"hello {input}\"\n";
    let ran = shell("echo $GREETING; basename $PWD", more).file("sub/x", "").run();
    ran.exit(0).rows("result", &["hello in put\\nsub"]);
}

#[test]
fn output_goes_to_files_where_it_is_told() {
    let more = "stdout = \"out-{task}.txt\"\nstderr = \"err.txt\"\n";
    let ran = shell("echo to out; echo to err >&2", more).run();
    ran.exit(0);
    assert_eq!(fs::read_to_string(ran.path("out-1.txt")).unwrap(), "to out\n");
    assert_eq!(fs::read_to_string(ran.path("err.txt")).unwrap(), "to err\n");
}

#[test]
fn big_output_is_counted_not_kept_and_never_deadlocks() {
    let script = "yes err | head -c 3000000 >&2 & yes out | head -c 5000000; wait";
    let ran = shell(script, "capture = \"1KiB\"").run();
    ran.exit(0).rows("status,output_bytes", &["ok,5000000"]);
    assert_eq!(ran.report().column("result")[0].chars().count(), 500);
}

#[test]
fn a_result_is_one_line_of_at_most_500_characters() {
    shell(r"printf ' a\nb\tc\001 \n'", "").run().exit(0).rows("result", &[r"a\nb\x09c\x01"]);
    let long =
        shell("yes ü | head -n 400 | tr -d '\\n'; yes x | head -n 300 | tr -d '\\n'", "").run();
    assert_eq!(long.exit(0).report().column("result")[0].chars().count(), 500);
}

#[test]
fn a_grandchild_that_keeps_the_pipe_does_not_hang_the_run() {
    let start = Instant::now();
    let ran = shell("sleep 300 & echo $!; exit 0", "").run();
    ran.exit(0).rows("status", &["ok"]);
    assert!(start.elapsed() < Duration::from_secs(30));
    let grandchild: i32 = ran.report().column("result")[0].parse().unwrap();
    assert!(!ran.report().column("error")[0].is_empty(), "it is said that output was cut off");
    wait_until("the grandchild has gone with the runner", || (!is_alive(grandchild)).then_some(()));
}

#[test]
fn a_timeout_ends_the_whole_group_first_gently() {
    let script = "trap 'echo bye; exit 0' TERM; sleep 300 & echo $!; wait";
    let ran = shell(script, "[limits]\ntimeout = \"300ms\"\n").run();
    ran.exit(3).rows("status,code", &["timeout,"]);
    let report = ran.report();
    let result = &report.column("result")[0];
    assert!(result.ends_with("bye"), "TERM comes first: {result}");
    let sleeper: i32 = result.split("\\n").next().unwrap().parse().unwrap();
    wait_until("the whole group has gone", || (!is_alive(sleeper)).then_some(()));
    assert!(report.column("error")[0].contains("timed out after 300ms"));
}

#[test]
fn who_ignores_term_is_killed_after_the_grace() {
    let script = "trap '' TERM; echo $$; while :; do sleep 1; done";
    let ran = shell(script, "[limits]\ntimeout = \"200ms\"\ngrace = \"300ms\"\n").run();
    ran.exit(3).rows("status", &["timeout"]);
    let run: f64 = ran.report().column("run_s")[0].parse().unwrap();
    assert!((0.45..20.0).contains(&run), "{run}");
    let pid: i32 = ran.report().column("result")[0].parse().unwrap();
    wait_until("it is gone", || (!is_alive(pid)).then_some(()));
}

/// A program that takes its time to end.
const SAVES: &str = "trap 'sleep 0.3; echo done > saved; exit 0' TERM; echo up | tee up; while :; do sleep 0.05; done";

#[test]
fn a_program_in_a_shell_has_the_grace_too() {
    for model in MODELS {
        let job = shell("sh saves.sh; echo over", "").file("saves.sh", SAVES);
        let running = job.args(["--model", model]).spawn();
        running.wait_for_file("up", |text| text == "up\n");
        running.stop(libc::SIGTERM);
        let ran = running.wait();
        ran.rows("status", &["cancelled"]);
        assert_eq!(fs::read_to_string(ran.path("saved")).unwrap(), "done\n", "{model}");
    }
    let more = "[limits]\ntimeout = \"2s\"\n";
    let ran = shell("sh saves.sh; echo over", more).file("saves.sh", SAVES).run();
    ran.exit(3).rows("status,result", &["timeout,up"]);
    assert_eq!(fs::read_to_string(ran.path("saved")).unwrap(), "done\n");
    let service = "[services.s]\nargv = [\"sh\", \"-c\", \"sh saves.sh; echo over\"]\nready.line = \"up\"\n\
                   [workload.command]\nargv = [\"true\"]\n";
    let ran = TestJob::new(service).file("saves.sh", SAVES).run();
    assert_eq!(fs::read_to_string(ran.exit(0).path("saved")).unwrap(), "done\n");
}

#[test]
fn what_a_shell_leaves_at_a_timeout_is_killed_after_the_grace() {
    let script = "(trap '' TERM; exec sleep 300) & echo $!; wait";
    let ran = shell(script, "[limits]\ntimeout = \"1s\"\ngrace = \"300ms\"\n").run();
    ran.exit(3).rows("status", &["timeout"]);
    let run: f64 = ran.report().column("run_s")[0].parse().unwrap();
    assert!((1.25..20.0).contains(&run), "{run}");
    let pid: i32 = ran.report().column("result")[0].parse().unwrap();
    wait_until("it is gone", || (!is_alive(pid)).then_some(()));
}

#[test]
fn processor_time_and_peak_memory_are_the_childs_own() {
    let job = r#"
        [inputs]
        values = [1, 60000000]
        [workload.command]
        argv = ["python3", "-c", "import sys; x = bytearray(int(sys.argv[1])); [i * i for i in range(300000)]", "{input}"]
    "#;
    let ran = TestJob::new(job).run();
    let report = ran.exit(0).report();
    let peaks: Vec<u64> =
        report.column("peak_rss_bytes").iter().map(|bytes| bytes.parse().unwrap()).collect();
    assert!((40_000_000..90_000_000).contains(&(peaks[1] - peaks[0])), "{peaks:?}");
    let user: f64 = report.column("cpu_user_s")[0].parse().unwrap();
    let run: f64 = report.column("run_s")[0].parse().unwrap();
    assert!(user > 0.005 && run > 0.005 && user < 20.0, "user {user} run {run}");
}

#[test]
fn a_big_runner_does_not_show_up_in_the_peak_of_a_small_child() {
    // The inputs are held by the runner: it is tens of megabytes bigger by the time that it starts a child.
    let peaks = |inputs: usize| {
        let values = vec!["\"x\""; inputs].join(",");
        let job = format!(
            "[inputs]\nvalues = [{values}]\nlimit = 3\n[workload.command]\nargv = [\"true\"]\n"
        );
        let peaks = TestJob::new(&job).run().exit(0).report().column("peak_rss_bytes");
        peaks.iter().map(|bytes| bytes.parse::<u64>().unwrap()).max().unwrap()
    };
    let (big, small) = (peaks(300_000), peaks(3));
    // What the child of any runner has, which is less the better that was built.
    assert!(big < small + 3_000_000, "{big} beside {small}");
    assert!(small < 20_000_000, "{small}");
}

#[test]
fn what_cannot_be_started_is_a_failed_row() {
    let job = r#"
        [inputs]
        values = ["./none", "./plain", "true"]
        [workload.command]
        argv = ["{input}"]
    "#;
    let ran = TestJob::new(job).file("plain", "not executable").run();
    ran.exit(3).rows("input,status", &["./none,failed", "./plain,failed", "true,ok"]);
    let times = ran.report().select("started_utc,queue_s,run_s");
    assert_eq!(&times[..2], [",,", ",,"], "what did not start took no time");
    let errors = ran.report().column("error");
    assert!(
        errors[0].contains("no such file") && errors[1].contains("ermission denied"),
        "{errors:?}"
    );
}

#[test]
fn a_nul_in_an_argument_is_said() {
    let job = "[inputs]\nvalues = [\"a\\u0000b\", \"c\"]\n[workload.command]\nargv = [\"echo\", \"{input}\"]\n";
    let ran = TestJob::new(job).run();
    ran.exit(3).rows("status", &["failed", "ok"]);
    assert!(ran.report().column("error")[0].contains("NUL"), "{:?}", ran.report().column("error"));
}

#[test]
fn columns_are_taken_from_the_output() {
    let job = r#"
        [inputs]
        values = [1, 2]
        [workload.command]
        argv = ["printf", 'loss=%s', "{input}"]
        [columns.loss]
        regex = 'loss=(\d+)'
        [columns.none]
        regex = 'nothing'
    "#;
    TestJob::new(job).run().exit(0).rows("loss,none", &["1,", "2,"]);
    let json = r#"
        [workload.command]
        argv = ["printf", '{{"m": {{"acc": 0.50, "name": "x"}}}}']
        [columns.acc]
        json = "/m/acc"
        [columns.name]
        json = "/m/name"
    "#;
    TestJob::new(json).run().exit(0).rows("acc,name", &["0.50,x"]);
}

#[test]
fn children_have_default_signals_and_no_stray_descriptors() {
    let script = "grep -E 'Sig(Ign|Blk)' /proc/self/status | cut -f2 | tr '\\n' ' '; ls /proc/self/fd | wc -l";
    let ran = shell(script, "").run();
    // ls has 0, 1, 2 and the folder that it reads.
    ran.exit(0).rows("result", &["0000000000000000 0000000000000000 4"]);
}

#[test]
fn a_program_that_wants_the_terminal_is_told_so_at_once() {
    // As with `sudo`, `ssh` or `getpass`: in another session than the runner's there is none, whatever the runner has.
    let ran = shell("cat < /dev/tty", "").run();
    ran.exit(3).rows("status", &["failed"]);
    // Behind the name and the state: parent, group, session, terminal and the terminal's group.
    let ran = shell("echo $$; sed 's/.*) . //' /proc/$$/stat", "").run();
    let numbers = &ran.exit(0).report().column("result")[0].replace("\\n", " ");
    let read = |numbers: &str| -> Vec<i32> {
        numbers.split_whitespace().take(6).map(|number| number.parse().unwrap()).collect()
    };
    let [own, _, group, session, _, terminals] = read(numbers)[..] else { panic!("{numbers}") };
    // The number of our own session is 0 where it lies outside of this PID namespace, which `rustix` knows no word for.
    let ours = fs::read_to_string("/proc/self/stat").unwrap();
    let ours = read(&format!("0 {}", ours.rsplit_once(") ").unwrap().1.split_once(' ').unwrap().1));
    assert_ne!(session, ours[3]);
    assert_eq!((group, terminals), (own, -1));
}

#[test]
fn a_stopped_child_is_a_row_that_says_so() {
    let ran = shell("kill -STOP $$; echo resumed", "").run();
    ran.exit(3).rows("status", &["crashed"]);
    let error = &ran.report().column("error")[0];
    assert!(error.contains("stopped by signal 19 (SIGSTOP)"), "{error}");
    // So is one that waits for another that is stopped.
    let ran = shell("sh -c 'kill -STOP $$' | cat; echo resumed", "").run();
    ran.exit(3).rows("status", &["crashed"]);
    let error = &ran.report().column("error")[0];
    assert!(error.contains("stopped by signal 19 (SIGSTOP)"), "{error}");
    // One that is resumed in time goes on.
    shell("(sleep 0.3; kill -CONT $$) & kill -STOP $$; echo resumed", "")
        .run()
        .exit(0)
        .rows("result", &["resumed"]);
}

#[test]
fn another_shell_runs_the_text() {
    shell("false; echo on", "shell_with = [\"sh\", \"-e\", \"-c\"]").run().exit(3);
    shell("echo \"$0 $input\"", "shell_with = [\"sh\", \"-ec\"]").run().exit(0);
    shell("true", "shell_with = [\"no-such-shell\", \"-c\"]")
        .run()
        .exit(2)
        .stderr_has("no-such-shell");
    shell("true", "shell_with = []").run().exit(2).stderr_has("`shell_with` needs a program");
    TestJob::new("[workload.command]\nargv = [\"true\"]\nshell_with = [\"sh\", \"-c\"]\n")
        .run()
        .exit(2)
        .stderr_has("there is none");
}

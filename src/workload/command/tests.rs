//! Commands from the table of a job file to the outcome of a task, through a launcher.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Keep, Setup, Spec, Worker};
use crate::config::Overrides;
use crate::job;
use crate::launcher::testing::{launcher, runtime};
use crate::task::{Attempt, Cancel, Cause, Fields, Level, Outcome, Status, Task, Values};
use crate::workload::Workload;

/// Less than any child here sleeps, and more than a busy machine takes.
const PROMPT: Duration = Duration::from_mins(1);

/// A job of one command over one input, the field `input`, in a folder of its own.
struct Job {
    folder: tempfile::TempDir,
    text: String,
    timeout: Option<Duration>,
    grace: Duration,
    keep: Keep,
    cancel: Cancel,
}

fn job(command: &str) -> Job {
    let text = format!("[inputs]\nvalues = [\"x\"]\n[workload.command]\n{command}\n");
    let (timeout, grace) = (None, Duration::from_secs(10));
    let folder = tempfile::tempdir().unwrap();
    Job { folder, text, timeout, grace, keep: Keep::Capture, cancel: Cancel::default() }
}

fn shell(text: &str) -> Job {
    job(&format!("shell = '''{text}'''"))
}

impl Job {
    fn file(self, name: &str, text: &str) -> Self {
        fs::write(self.path(name), text).unwrap();
        self
    }

    fn timeout(mut self, timeout: u64, grace: u64) -> Self {
        self.timeout = Some(Duration::from_millis(timeout));
        self.grace = Duration::from_millis(grace);
        self
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn plan(&self) -> Result<Spec, String> {
        let file = self.path("job.toml");
        fs::write(&file, &self.text).unwrap();
        let mut jobs =
            job::read(&[file], &Overrides::default()).map_err(|mistakes| mistakes.to_string())?;
        match jobs.remove(0).stages.remove(0).workload {
            Workload::Command(spec) => Ok(spec),
            other => panic!("{other:?}"),
        }
    }

    fn mistakes(&self) -> String {
        self.plan().expect_err("it is wrong")
    }

    /// Runs the command once for each of these inputs, in one slot.
    fn run_all(&self, inputs: &[&str]) -> Vec<Outcome> {
        let spec = self.plan().unwrap();
        let launcher = Arc::new(launcher());
        runtime().block_on(async {
            let mut worker =
                Worker::new(&spec, launcher, &Setup { keep: self.keep, ..Setup::default() })
                    .unwrap();
            let mut outcomes = Vec::new();
            for (number, input) in (1..).zip(inputs) {
                let task = Task::new(number, Fields::single(input));
                let (timeout, grace, cancel) = (self.timeout, self.grace, &self.cancel);
                let attempt = Attempt {
                    number: 1,
                    slot: 7,
                    global_slot: 7,
                    timeout,
                    grace,
                    median: None,
                    memory: None,
                    cancel,
                };
                outcomes.push(worker.run(&task, &attempt).await);
            }
            outcomes
        })
    }

    fn run(&self) -> Outcome {
        self.run_all(&["x"]).remove(0)
    }
}

fn result(outcome: &Outcome) -> &str {
    std::str::from_utf8(&outcome.result).unwrap()
}

#[test]
fn arguments_are_filled_and_never_split() {
    let job =
        job(r#"argv = ["sh", "-c", 'echo $#:$1:$RUNNER_TASK:$RUNNER_SLOT', "sh", "{input}"]"#);
    let outcomes = job.run_all(&["a b", "$(x)", ""]);
    assert_eq!(
        outcomes.iter().map(result).collect::<Vec<_>>(),
        ["1:a b:1:7", "1:$(x):2:7", "1::3:7"]
    );
    let first = &outcomes[0];
    assert_eq!((first.status, first.code, first.output_bytes), (Status::Ok, Some(0), Some(10)));
    assert!(first.cpu.is_some() && first.peak_rss > Some(100_000) && first.error.is_empty());
}

#[test]
fn a_shell_gets_fields_as_variables_and_its_text_is_left_alone() {
    let job = shell(r#"echo "$input" {a,b} ${X:-none} $RUNNER_JOB; awk 'BEGIN { print "{{}}" }'"#);
    assert_eq!(result(&job.run_all(&["it's \"$x\""])[0]), r#"it's "$x" {a,b} none job\n{{}}"#);
}

#[test]
fn exit_codes_and_signals_are_told_apart() {
    let outcome = shell("echo out; echo broke >&2; exit 3").run();
    assert_eq!((outcome.status, outcome.code), (Status::Failed, Some(3)));
    assert_eq!((result(&outcome), outcome.error.as_str()), ("out", "exit code 3: broke"));
    let outcome = job("shell = 'exit 3'\nsuccess_codes = [3]").run();
    assert_eq!((outcome.status, outcome.code), (Status::Ok, Some(3)));
    let outcome = shell("kill -9 $$").run();
    assert_eq!((outcome.status, outcome.code), (Status::Crashed, None));
    assert_eq!(outcome.error, "killed by signal 9 (SIGKILL)");
}

#[test]
fn standard_input_is_null_a_text_or_a_file() {
    assert_eq!(result(&shell("wc -c").run()), "0");
    assert_eq!(result(&job("shell = 'cat'\nstdin = \"got {input}\"").run()), "got x");
    let from_file = job("shell = 'cat'\nstdin_file = \"{input}.txt\"").file("x.txt", "text");
    assert_eq!(result(&from_file.run()), "text");
    let big = "y".repeat(300_000);
    let outcome = job(&format!("shell = 'sleep 0.05; wc -c'\nstdin = \"{big}\"")).run();
    assert_eq!(result(&outcome), "300000");
    let outcome = job("shell = 'cat'\nstdin_file = \"none-{input}\"").run();
    assert!(outcome.error.contains("none-x`: no such file or directory"), "{}", outcome.error);
}

#[test]
fn output_goes_to_files() {
    let job = job(
        "shell = 'echo out; echo err >&2; exit 1'\nstdout = \"{input}.out\"\nstderr = \"{input}.err\"",
    );
    let outcome = job.run();
    assert_eq!(
        (result(&outcome), outcome.output_bytes, outcome.error.as_str()),
        ("", Some(4), "exit code 1")
    );
    assert_eq!(fs::read_to_string(job.path("x.out.failed")).unwrap(), "out\n");
    assert_eq!(fs::read_to_string(job.path("x.err.failed")).unwrap(), "err\n");
}

#[test]
fn both_streams_may_go_to_one_file() {
    let job = job("shell = 'echo a; echo b >&2; echo c'\nstdout = \"log\"\nstderr = \"log\"");
    assert_eq!(job.run().output_bytes, Some(6));
    assert_eq!(fs::read_to_string(job.path("log")).unwrap(), "a\nb\nc\n");
}

#[test]
fn big_output_is_counted_not_kept_and_never_deadlocks() {
    let script =
        "yes err | head -c 300000 >&2; yes out | head -c 500000; yes err | head -c 300000 >&2";
    let outcome = job(&format!("shell = '{script}'\ncapture = \"1KiB\"")).run();
    assert_eq!((outcome.status, outcome.output_bytes), (Status::Ok, Some(500_000)));
    assert_eq!((outcome.output.len(), result(&outcome).len()), (0, 500));
}

#[test]
fn everything_can_be_kept() {
    let mut job = job("shell = 'yes | head -c \"$input\"'\ncapture = '10B'");
    job.keep = Keep::Everything;
    let kept = job.run_all(&["10", "11", "200000"]).into_iter().map(|outcome| {
        let file = outcome.rare().whole_output.clone()?;
        Some(std::io::read_to_string(&*file).unwrap().len())
    });
    let kept: Vec<_> = kept.collect();
    assert_eq!(kept, [None, Some(11), Some(200_000)]);
}

#[test]
fn who_holds_the_pipe_open_does_not_hold_up_the_task() {
    let start = Instant::now();
    let outcome = shell("sleep 300 & echo done").run();
    assert!(start.elapsed() < PROMPT);
    assert_eq!((outcome.status, result(&outcome)), (Status::Ok, "done"));
    assert!(outcome.error.contains("held it open") && outcome.run < PROMPT);
}

#[test]
fn a_timeout_ends_the_group_first_gently() {
    let outcome =
        shell("trap 'echo bye; exit 5' TERM; echo hi; sleep 300 & wait").timeout(100, 10_000).run();
    assert_eq!((outcome.status, outcome.code), (Status::Timeout, None));
    assert_eq!((result(&outcome), outcome.error.as_str()), (r"hi\nbye", "timed out after 100ms"));
    let outcome = shell("trap '' TERM; while :; do sleep 0.05; done").timeout(1000, 100).run();
    assert_eq!((outcome.status, outcome.code), (Status::Timeout, None));
    assert!(outcome.run > Duration::from_millis(1100), "{:?}", outcome.run);
}

#[test]
fn a_kill_of_the_job_cancels() {
    let job = shell("sleep 300");
    job.cancel.raise(Level::Kill, Cause::Signal(2));
    let outcome = job.run();
    assert_eq!((outcome.status, outcome.error.as_str()), (Status::Cancelled, "cancelled"));
}

#[test]
fn what_cannot_be_run_fails_with_a_reason() {
    let job =
        job("argv = [\"{input}\", \"{input}\"]").file("plain", "").file("script", "#!/none\n");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(job.path("script"), mode).unwrap();
    let long = "x".repeat(200_000);
    let inputs = [
        "./none",
        "./plain",
        "no-such-program",
        "",
        "./script",
        "a\0b",
        &format!("/bin/{long}"),
        "true",
    ];
    let outcomes = job.run_all(&inputs);
    let errors = ["no such file", "permission denied", "PATH", "empty", "no such file", "NUL", ""];
    for (outcome, error) in outcomes.iter().zip(errors) {
        assert_eq!((outcome.status, outcome.code, outcome.cpu), (Status::Failed, None, None));
        assert!(outcome.error.contains(error), "{} {error}", outcome.error);
    }
    assert_eq!(outcomes[7].status, Status::Ok);
}

#[test]
fn too_long_arguments_are_said() {
    let job = job("argv = [\"true\", \"{input}\"]");
    let long = "x".repeat(200_000);
    let outcomes = job.run_all(&["short", &long, "short"]);
    assert!(outcomes[1].error.contains("too long"), "{}", outcomes[1].error);
    assert_eq!([0, 1, 2].map(|at| outcomes[at].status), [Status::Ok, Status::Failed, Status::Ok]);
}

#[test]
fn the_folder_and_the_environment_are_the_jobs() {
    let job = job(
        "shell = 'pwd -P; echo $GREETING $RUNNER_ATTEMPT'\nenv = { GREETING = \"hello {input}\" }",
    );
    let folder = fs::canonicalize(job.folder.path()).unwrap();
    assert_eq!(result(&job.run()), format!(r"{}\nhello x 1", folder.display()));
    let elsewhere = self::job("shell = 'pwd -P'\ncwd = \"{input}\"");
    fs::create_dir(elsewhere.path("x")).unwrap();
    assert!(result(&elsewhere.run()).ends_with("/x"));
    let nowhere = self::job("shell = 'pwd'\ncwd = \"none-{input}\"").run();
    assert!(nowhere.error.contains("working folder: no such file"), "{}", nowhere.error);
}

#[test]
fn mistakes_are_told_when_the_job_is_planned() {
    for (command, message) in [
        ("", "a command needs `argv` or `shell`"),
        ("argv = [\"true\"]\nshell = 'true'", "not both"),
        ("argv = []", "`argv` is empty"),
        ("argv = [\"no-such-program\"]", "there is no program `no-such-program` in the PATH"),
        ("argv = [\"./none\"]", "there is no program `./none`"),
        ("argv = [\"./job.toml\"]", "`./job.toml` is not executable"),
        ("argv = [\"job.toml\"]", "write `./job.toml`"),
        ("argv = [\"\"]", "the program's name is empty"),
        ("argv = [\"true\"]\nstdin = \"x\"\nstdin_file = \"job.toml\"", "not both"),
        ("argv = [\"true\"]\nstdin_file = \"none\"", "there is no file `none`"),
        ("argv = [\"true\"]\ncwd = \"job.toml\"", "`job.toml` is not a folder"),
        ("argv = [\"true\"]\nsuccess_codes = [0, 256]", "256"),
        ("argv = [\"true\"]\nsuccess_codes = []", "no task could succeed"),
        ("argv = [\"true\"]\nenv = { \"A=B\" = \"x\" }", "`A=B` cannot be the name"),
        ("argv = [\"true\", \"a\\u0000\"]", "NUL"),
        ("argv = [\"true\", \"{inptu}\"]", "inptu"),
        ("argv = [\"true\"]\ncaptur = 1", "captur"),
    ] {
        let mistakes = job(command).mistakes();
        assert!(mistakes.contains(message), "{command}: {mistakes}");
    }
}

#[test]
fn a_command_is_shown_as_a_shell_would_take_it() {
    let values =
        Values { fields: &Fields::single("a b"), task: 1, attempt: 1, slot: 1, payload: None };
    let show = |command: &str| job(command).plan().unwrap().show(&values);
    assert_eq!(show(r#"argv = ["true", "{input}", "x"]"#), "true 'a b' x");
    assert_eq!(show("shell = 'echo \"$input\"'"), "sh -c 'echo \"$input\"'");
}

#[test]
fn a_child_has_default_signals_and_no_stray_descriptors() {
    let script = "grep -E 'Sig(Ign|Blk)' /proc/self/status | cut -f2; ls /proc/self/fd | wc -l";
    // What the tests were started with (by `nohup`, say) stays ignored, except what Rust itself ignores.
    let own = u64::MAX ^ (1 << (libc::SIGPIPE - 1)) ^ (1 << (libc::SIGXFSZ - 1)) ^ (0b11 << 31);
    let ignored = crate::sys::ignored_signals() & own;
    // `ls` has the folder that it reads besides the three ends.
    assert_eq!(result(&shell(script).run()), format!(r"0000000000000000\n{ignored:016x}\n4"));
}

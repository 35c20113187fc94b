//! A secret is used and never written down: wherever a program says it, in whatever form, `***` stands in its place.

use super::MODELS;
use super::apis::traces;
use crate::http::server::Server;
use crate::support::{Ran, TestJob};

const KEY: &str = "sk-s3cr3t/+\"key";

/// As it is, percent-encoded, in base64 and as JSON has it.
const FORMS: [&str; 5] =
    ["sk-s3cr3t", "sk-s3cr3t%2F%2B", "c2stczNjcjN0Lysia2V5", "sk-s3cr3t\\/+\\\"key", "s3cr3t"];

/// Says it in all forms.
const TELL: &str = r#"printf '%s\n' "$KEY" 'k=sk-s3cr3t%2F%2B%22key' c2stczNjcjN0Lysia2V5 '{"k":"sk-s3cr3t\/+\"key"}'"#;

fn job(text: &str) -> TestJob {
    let secrets = "[secrets]\nkey = { env = \"TEST_API_KEY\" }\n";
    TestJob::new(&format!("{secrets}{text}")).file("tell.sh", TELL).env("TEST_API_KEY", KEY)
}

fn tells_nothing(ran: &Ran, about: &str) {
    let traces = traces(ran);
    for form in FORMS {
        assert!(!traces.contains(form), "{about}: {form} in {traces}");
    }
}

#[test]
fn what_commands_say_is_masked_everywhere() {
    for model in MODELS {
        let text = "[inputs]\nrepeat = 3\n[workload.command]\nshell = \"sh tell.sh | tee /dev/stderr; exit 1\"\n\
             env = { KEY = \"{secret.key}\" }\n\
             [columns.all]\nregex = '(?s)(.*)'\n[columns.err]\nregex = '(.*)'\nstream = \"stderr\"\n\
             [retry]\nmax_attempts = 2\ndelay = \"1ms\"";
        let ran = job(text).args(["--model", model, "--output"]).run();
        ran.exit(3);
        let report = ran.report();
        assert!(report.column("all")[0].contains("***"), "{model}");
        assert!(report.column("error")[0].contains("***"), "{model}");
        tells_nothing(&ran, model);
        let attempts = std::fs::read_to_string(ran.path("results/job.attempts.csv")).unwrap();
        assert!(attempts.contains("***"), "{attempts}");
    }
}

/// Short outputs and long ones, which are not held in memory.
#[test]
fn whole_outputs_are_kept_without_the_secrets() {
    for capture in ["1MiB", "16B"] {
        let text = format!(
            "[inputs]\nrepeat = 2\n[workload.command]\nshell = \"sh tell.sh | tee /dev/stderr\"\ncapture = \"{capture}\"\n\
             env = {{ KEY = \"{{secret.key}}\" }}\n[report]\nlogs = \"all\""
        );
        let ran = job(&text).run();
        ran.exit(0);
        for name in ["1.out", "2.err"] {
            let log =
                std::fs::read_to_string(ran.path(format!("results/job.logs/{name}"))).unwrap();
            assert_eq!(log, "***\nk=***\n***\n{\"k\":\"***\"}\n", "{capture} {name}");
        }
        tells_nothing(&ran, capture);
    }
}

#[test]
fn what_functions_print_and_raise_is_masked() {
    let module = "import os, sys, json, base64\n\
        def f(x):\n    key = os.environ['KEY']\n    \
        print(key, json.dumps(key), base64.b64encode(key.encode()).decode(), flush=True)\n    \
        print('error', key, file=sys.stderr, flush=True)\n    \
        if x == 1: raise ValueError(key)\n    return {'key': key, 'list': [key]}\n";
    for model in ["sequential", "threads", "processes"] {
        let text = "[inputs]\nvalues = [1, 2]\n[workload.python]\nfunction = \"f:f\"\nenv = { KEY = \"{secret.key}\" }\n\
                    [columns.key]\njson = '/key'";
        let ran = job(text).file("f.py", module).args(["--model", model]).run();
        ran.exit(3).rows("status,key", &["failed,", "ok,***"]);
        let log = std::fs::read_to_string(ran.path("results/job.log")).unwrap();
        assert!(log.contains("error ***"), "{model}: {log}");
        tells_nothing(&ran, model);
    }
}

#[test]
fn what_workers_and_services_log_is_masked() {
    let worker = "#!/usr/bin/env python3\nimport json, os, sys\nkey = os.environ['KEY']\n\
        for line in sys.stdin:\n    asked = json.loads(line)\n    print('worker', key, file=sys.stderr, flush=True)\n    \
        answer = {'ready': 1} if 'hello' in asked else {'id': asked['id'], 'error': {'type': 'E', 'message': key}}\n    \
        print(json.dumps(answer), flush=True)\n";
    let text = "[inputs]\nrepeat = 2\n[workload.worker]\nargv = [\"./worker.py\"]\nenv = { KEY = \"{secret.key}\" }\n\
         [services.web]\nargv = [\"sh\", \"-c\", \"KEY=$TEST_API_KEY sh tell.sh; echo ready; exec sleep 60\"]\nready = { line = \"ready\" }";
    let ran = job(text).program("worker.py", worker).run();
    ran.exit(3);
    assert!(ran.report().column("error")[0].contains("***"), "{:?}", ran.report().column("error"));
    for log in ["results/job.log", "results/job.web.log"] {
        let log = std::fs::read_to_string(ran.path(log)).unwrap();
        assert!(log.contains("***"), "{log}");
    }
    tells_nothing(&ran, "worker");
    // The end of a log stands in messages.
    let text = "[workload.sleep]\nduration = \"1ms\"\n[services.web]\nargv = [\"sh\", \"-c\", \"KEY=$TEST_API_KEY sh tell.sh; exit 1\"]\nready = { line = \"ready\" }";
    let ran = job(text).run();
    ran.stderr_has("ended before it was ready").stderr_has("***");
    tells_nothing(&ran, "service");
}

#[test]
fn a_worker_that_dies_tells_nothing() {
    let text = "[workload.worker]\nargv = [\"sh\", \"-c\", 'echo dying with \"$KEY\" >&2; exit 1']\nenv = { KEY = \"{secret.key}\" }";
    let ran = job(text).run();
    ran.stderr_has("dying with ***");
    tells_nothing(&ran, "dying");
}

#[test]
fn errors_of_requests_and_plans_tell_nothing() {
    for (keys, model) in [
        ("url = \"{secret.key}\"", "async"),
        ("url = \"{secret.key}\"", "processes"),
        ("url = \"http://127.0.0.1:1/{secret.key}\"", "processes"),
        (
            "url = \"http://127.0.0.1:1/\"\nheaders = { \"X-Key\" = \"{secret.key}\\n\" }",
            "processes",
        ),
    ] {
        let ran = job(&format!("[workload.http]\n{keys}")).args(["--model", model]).run();
        ran.exit(3);
        tells_nothing(&ran, keys);
    }
    let text = "[workload.command]\nshell = 'echo $KEY'\nstdin = \"{secret.key}\"\nenv = { KEY = \"{secret.key}\" }";
    let ran = job(text).arg("--dry-run").run();
    tells_nothing(&ran, "--dry-run");
    let check = TestJob::again(ran).env("TEST_API_KEY", KEY).args(["check", "job.toml"]);
    tells_nothing(check.run().exit(0), "check");
}

/// Nothing of any job runs before all secrets are there.
#[test]
fn a_secret_that_will_not_do_ends_all_before_the_first_runs() {
    let first = "[workload.command]\nargv = [\"touch\", \"ran\"]";
    let second = |secret: &str| {
        format!(
            "[secrets]\nkey = {secret}\n[workload.command]\nargv = [\"true\"]\nenv = {{ KEY = \"{{secret.key}}\" }}"
        )
    };
    for (secret, said) in [
        ("{ env = \"TEST_NO_SUCH_KEY\" }", "`TEST_NO_SUCH_KEY` is not set"),
        ("{ env = \"TEST_SHORT_KEY\" }", "has 3 bytes"),
        ("{ file = \"empty\" }", "has 0 bytes"),
        ("{ command = [\"false\"] }", "`false` failed"),
    ] {
        let job = TestJob::empty().file("a.toml", first).file("b.toml", second(secret));
        let job = job.file("empty", "\n").env("TEST_SHORT_KEY", "abc");
        let ran = job.args(["a.toml", "b.toml"]).run();
        ran.exit(2).stderr_has(said);
        assert!(!ran.path("ran").exists() && !ran.path("results").exists(), "{secret}");
    }
}

/// Wherever a cell ends, no part of a secret is left at its edge.
#[test]
fn a_secret_at_the_edge_of_a_cell_is_not_cut_in_two() {
    let key = "abcdefghijklmnopqrstuvwxyz0123456789";
    let shell = r#"
        pad() { head -c "$1" /dev/zero | tr '\0' .; }
        { pad "$input"; printf %s "$KEY"; pad 40000; }
        { pad 40000; printf %s "$KEY"; pad $((input + 3590)); } >&2
        exit 1"#;
    // What is kept of a short capture has edges of its own.
    for keys in ["", "result = 'tail'", "capture = '500B'"] {
        let text = format!(
            "[secrets]\nkey = {{ env = \"TEST_API_KEY\" }}\n[inputs]\nvalues = [463, 470, 485, 495, 499]\n\
             [workload.command]\nshell = '''{shell}'''\nenv = {{ KEY = \"{{secret.key}}\" }}\n{keys}"
        );
        let ran = TestJob::new(&text).env("TEST_API_KEY", key).run();
        ran.exit(3);
        let report = ran.report();
        for cell in [report.column("result"), report.column("error")].concat() {
            let cell = cell.replace("exit code 1: ", "");
            let left: String = cell.chars().filter(|c| !".…*".contains(*c)).collect();
            assert_eq!(left, "", "{keys}: {cell}");
        }
    }
}

#[test]
fn a_service_has_secrets_in_its_environment() {
    let text = "[services.web]\nargv = [\"sh\", \"-c\", 'sh tell.sh; printf %s \"$KEY\" > key; echo ready; exec sleep 60']\n\
         env = { KEY = \"{secret.key}\" }\nready = { line = \"ready\" }\n[workload.command]\nargv = [\"cat\", \"key\"]";
    let ran = job(text).run();
    ran.exit(0).rows("status,result", &["ok,***"]);
    assert_eq!(std::fs::read_to_string(ran.path("key")).unwrap(), KEY);
    assert!(std::fs::read_to_string(ran.path("results/job.web.log")).unwrap().contains("***"));
    tells_nothing(&ran, "service");
}

#[test]
fn a_column_is_handed_on_as_it_is_and_shown_masked() {
    let server = Server::start();
    let env = "env = { KEY = \"{secret.key}\" }\n";
    let command =
        |more: &str, say: &str| format!("[stages.workload.command]\nshell = '{more}{say}'\n{env}");
    let say = "echo \"url=db.$KEY.example\"";
    let noise = "head -c 70000 /dev/zero | tr \"\\0\" x; echo; ";
    let request = format!(
        "[stages.workload.http]\nurl = {:?}\nheaders = {{ url = \"db.{{secret.key}}.example\" }}\n",
        server.url("/echo")
    );
    let python = format!("[stages.workload.python]\nfunction = 'mine:work'\n{env}");
    let (whole, shown) = ("db.$KEY.example", "db.***.example");
    for (workload, rule, value, shown) in [
        (command("", say), "regex = 'url=(.*)'", whole, shown),
        (command("", say), r"regex = 'url=db\.(\w\w-[^.]*)'", "$KEY", "***"),
        (command("", say), r"regex = 'url=db\.(.....)'", "sk-s3", "***"),
        (command(noise, say) + "capture = '1KiB'\n", "regex = 'url=(.*)'", whole, shown),
        (command("", "echo \"<p>db.$KEY.example</p>\""), "html = 'p'", whole, shown),
        (request, r"regex = 'url: ([^\r]*)'", whole, shown),
        (python, "", whole, shown),
    ] {
        for model in MODELS {
            let text = format!(
                "[inputs]\nvalues = [1]\n[[stages]]\nmodel = '{model}'\nname = 'login'\n{workload}[stages.columns.url]\n{rule}\n\
             [[stages]]\nmodel = '{model}'\nname = 'use'\n[stages.workload.command]\n\
             argv = ['sh', '-c', 'test \"$0\" = \"{value}\" && echo yes', '{{url}}']\n{env}"
            );
            let about = format!("{workload}{rule} under {model}");
            let module =
                "import os\ndef work(x): return {'url': 'db.%s.example' % os.environ['KEY']}";
            let ran = job(&text).file("mine.py", module).arg("--output").run();
            let report = ran.report();
            assert_eq!(report.column("result"), ["yes"], "{about}: {}", ran.stderr());
            assert_eq!(report.column("url"), [shown], "{about}");
            tells_nothing(&ran, &about);
        }
    }
}

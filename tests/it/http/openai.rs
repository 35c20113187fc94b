//! An API as people call it: prompts from a CSV, a bearer secret, limits that refuse, a quota, a budget of tokens; the
//! runner is killed half-way and resumed. Every answer stands on its own row, each once.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use super::raw::{Asked, Raw, ok, status};
use crate::support::{Ran, TestJob};

const ROWS: usize = 240;
/// How many answers the first run gets.
const FIRST: usize = 80;
/// How many requests may be out at once.
const MOST: usize = 16;
/// What the job may use before it is given more.
const TOKENS: u64 = 2000;

/// What the server remembers.
#[derive(Default)]
struct Api {
    asked: AtomicUsize,
    /// Whether it answers more than [`FIRST`].
    goes_on: AtomicBool,
    /// How often each prompt was answered.
    answered: Mutex<HashMap<String, usize>>,
}

impl Api {
    fn answer(&self, asked: &Asked) -> Vec<u8> {
        if asked.header("authorization") != Some("Bearer sk-test-1234") {
            return status("401 Unauthorized", "", br#"{"error":{"code":"invalid_api_key"}}"#);
        }
        let body: Value = serde_json::from_slice(&asked.body).unwrap();
        let prompt = body["messages"][0]["content"].as_str().unwrap().to_owned();
        assert_eq!(body["temperature"], json!(0));
        if prompt.contains("quota") {
            let error = br#"{"error":{"code":"insufficient_quota","message":"see your plan"}}"#;
            return status("429 Too Many Requests", "", error);
        }
        match self.asked.fetch_add(1, Ordering::SeqCst) % 23 {
            5 => return status("429 Too Many Requests", "retry-after: 0.02\r\n", b"{}"),
            17 => {
                let error = br#"{"error":{"code":"rate_limit_exceeded"}}"#;
                return status("429 Too Many Requests", "retry-after-ms: 7\r\n", error);
            }
            _ => {}
        }
        let mut answered = self.answered.lock().unwrap();
        while answered.values().sum::<usize>() >= FIRST && !self.goes_on.load(Ordering::SeqCst) {
            drop(answered);
            std::thread::sleep(Duration::from_millis(2)); // it is about to be killed
            answered = self.answered.lock().unwrap();
        }
        *answered.entry(prompt.clone()).or_default() += 1;
        let answer = json!({
            "choices": [{ "message": { "role": "assistant", "content": format!("<{prompt}>") } }],
            "usage": { "total_tokens": tokens(&prompt) },
        });
        ok("content-type: application/json\r\n", answer.to_string().as_bytes())
    }
}

fn tokens(prompt: &str) -> u64 {
    10 + prompt.len() as u64 % 7
}

/// Quotes, line breaks, commas, backslashes, braces and letters of all kinds.
fn prompt(row: usize) -> String {
    let strange = [
        "say \"hi\"",
        "two\nlines",
        "a,b;c\td",
        "C:\\n\\path",
        "{\"k\": [1]}",
        "日本 ü €",
        "'x' \"\"y\"\"",
    ];
    let quota = if row % 60 == 7 { " beyond the quota" } else { "" };
    format!("{row}: {}{quota}", strange[row % strange.len()])
}

fn prompts() -> String {
    let row = |row| format!("{row},\"{}\"\n", prompt(row).replace('"', "\"\""));
    std::iter::once("id,prompt\n".to_owned()).chain((0..ROWS).map(row)).collect()
}

fn job(server: &Raw) -> TestJob {
    let text = format!(
        "[secrets]\nkey = {{ env = \"TEST_API_KEY\" }}\n[inputs]\ncsv = \"prompts.csv\"\n\
         [workload.http]\nurl = \"{}\"\nauth = {{ bearer = \"{{secret.key}}\" }}\n\
         json = {{ model = \"m\", temperature = 0, messages = [{{ role = \"user\", content = \"{{prompt}}\" }}] }}\n\
         [limits]\nconcurrency = \"2..{MOST}\"\n\
         budget.tokens = [{{ per = \"1s\", max = 5000, estimate = 16 }}, {{ max = {TOKENS}, estimate = 16 }}]\n\
         [retry]\nmax_attempts = 4\ndelay = \"1ms\"\nnever = [\"json:/error/code=insufficient_quota\"]\n\
         [columns.answer]\njson = \"/choices/0/message/content\"\n\
         [columns.tokens]\njson = \"/usage/total_tokens\"\ntotal = true\n\
         [columns.code_word]\njson = \"/error/code\"",
        server.url("/v1/chat/completions")
    );
    TestJob::new(&text).file("prompts.csv", prompts()).env("TEST_API_KEY", "sk-test-1234")
}

/// The sum of a column of numbers.
fn sum(ran: &Ran, column: &str) -> u64 {
    ran.report().column(column).iter().filter_map(|cell| cell.parse::<u64>().ok()).sum()
}

#[test]
fn every_answer_is_on_its_row_though_the_runner_was_killed() {
    for model in ["processes", "async"] {
        let api = Arc::<Api>::default();
        let server = {
            let api = Arc::clone(&api);
            Raw::start(move |asked| api.answer(asked))
        };
        let running = job(&server).args(["--model", model]).spawn();
        // Only what was out at the kill is asked again: one that has ended is, too, while its row is not written.
        running
            .wait_for_file("results/job.csv.partial", |rows| rows.matches(",ok,").count() >= FIRST);
        running.signal(libc::SIGKILL);
        let ran = running.wait();
        api.goes_on.store(true, Ordering::SeqCst);

        let again = |ran, more: &[&str]| {
            let job = TestJob::again(ran).env("TEST_API_KEY", "sk-test-1234");
            job.args(["job.toml", "--resume", "--model", model]).args(more.iter().copied()).run()
        };
        let ran = again(ran, &[]);
        ran.exit(3).stderr_has("the budget of `tokens` is used up");
        let used = sum(&ran, "tokens");
        assert!(used <= TOKENS && used + 16 > TOKENS, "{model}: {used}");

        let ran = again(ran, &["--set", "limits.budget.tokens=[{max=1000000,estimate=16}]"]);
        ran.exit(3);
        let report = ran.report();
        let columns =
            ["id", "prompt", "status", "answer", "attempts"].map(|name| report.column(name));
        let [ids, asked, status, answers, attempts] = columns;
        assert_eq!(ids, (0..ROWS).map(|row| row.to_string()).collect::<Vec<_>>(), "{model}");
        let mut expected = 0;
        for row in 0..ROWS {
            let prompt = prompt(row);
            assert_eq!(asked[row], prompt, "{model}");
            if prompt.contains("quota") {
                assert_eq!((&*status[row], &*attempts[row]), ("failed", "1"), "{model} {row}");
            } else {
                assert_eq!(
                    (&*status[row], &answers[row]),
                    ("ok", &format!("<{prompt}>")),
                    "{model} {row}"
                );
                expected += tokens(&prompt);
            }
        }
        assert_eq!(ran.summary("job")["totals"], format!("{{\"tokens\":{expected}}}"), "{model}");
        let answered = api.answered.lock().unwrap();
        assert!(answered.values().all(|&times| times <= 2), "{model}");
        let twice = answered.values().filter(|&&times| times == 2).count();
        assert!(twice <= MOST, "{model}: {twice} answers were paid for twice");
        assert!(!super::apis::traces(&ran).contains("sk-test-1234"), "{model}");
    }
}

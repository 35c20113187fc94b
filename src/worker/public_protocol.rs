//! The public worker protocol: JSON lines, for programs in any language. Encoding and decoding, no I/O. Its text for
//! those who write workers is `docs/worker-protocol.md`.
//!
//! ```text
//! -> {"hello":1,"mode":"processes","slots":1}             <- {"ready":1,"slots":1}
//! -> {"id":7,"args":[20000],"kwargs":{},"attempt":1}      <- {"id":7,"ok":{"result":2432902008176640000}}
//!                                                         <- {"id":7,"error":{"type":"ValueError","message":"…"}}
//! ```

use std::borrow::Cow;
use std::collections::HashMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::base::json::Object;
use crate::base::text::{write_clean, write_clean_tail};
use crate::config::Arguments;
use crate::sys::CpuTime;
use crate::task::{PayloadKind, Values};
use crate::worker::private_protocol::{Text, has_half, unescape};
use crate::workload::command::cause_and_tail;

/// The version of the protocol.
const VERSION: u64 = 1;

/// The longest line that a worker may write, in bytes.
pub const MAX_LINE: usize = 64 << 20;

/// How many characters of a wrong line are shown.
const SHOWN: usize = 200;
/// How many characters of an error's message are shown.
const MESSAGE: usize = 8 << 10;

/// Appends the first line to a worker: the version, the model, and how many requests may be in flight.
pub fn write_hello(mode: &str, slots: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(
        format!("{{\"hello\":{VERSION},\"mode\":\"{mode}\",\"slots\":{slots}}}\n").as_bytes(),
    );
}

/// Reads the first line from a worker: how many requests it wants in flight, at most `slots`.
///
/// # Errors
/// A message that says what it wrote instead.
pub fn read_ready(line: &[u8], slots: usize) -> Result<usize, String> {
    #[derive(Deserialize)]
    struct Ready {
        ready: u64,
        slots: Option<u64>,
    }
    // Some programs begin whatever they write with a byte order mark.
    let line = line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(line);
    match serde_json::from_slice(line).map(|Object(ready)| ready) {
        Ok(Ready { ready: VERSION, slots: Some(0) }) => {
            Err("it is ready for 0 requests at a time".into())
        }
        Ok(Ready { ready: VERSION, slots: wanted }) => {
            let wanted = wanted.map_or(1, |wanted| usize::try_from(wanted).unwrap_or(usize::MAX));
            Ok(wanted.min(slots))
        }
        Ok(Ready { ready: version, .. }) => {
            Err(format!("it speaks version {version} of the protocol, the runner {VERSION}"))
        }
        Err(_) => Err(format!("it said `{}` instead of `{{\"ready\":{VERSION}}}`", shown(line))),
    }
}

/// What is wrong with a worker that has said `more` when it was ready and had not been asked anything.
pub fn said_unasked(more: &[u8]) -> String {
    let line = more.split(|&byte| byte == b'\n').next().unwrap_or_default();
    format!("it was ready, and said `{}` before it was asked anything", shown(line))
}

/// Appends a request.
pub fn write_request(id: u64, arguments: &Arguments, values: &Values<'_>, out: &mut Vec<u8>) {
    let mut digits = itoa::Buffer::new();
    out.extend_from_slice(b"{\"id\":");
    out.extend_from_slice(digits.format(id).as_bytes());
    out.extend_from_slice(b",\"args\":");
    arguments.render_args(values, out);
    out.extend_from_slice(b",\"kwargs\":");
    arguments.render_kwargs(values, out);
    out.extend_from_slice(b",\"attempt\":");
    out.extend_from_slice(digits.format(values.attempt).as_bytes());
    out.extend_from_slice(b"}\n");
}

/// A worker's answer to a request.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    /// The number of the request.
    pub id: u64,
    /// Its outcome; a failure is the text for the cell `error`.
    pub outcome: Result<Done, String>,
}

/// A request that succeeded. What the worker did not measure is `None`.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// The cell `result`: a string as it is, empty for null, any other value as JSON.
    pub result: Vec<u8>,
    /// Whether it is a string or another value.
    pub kind: PayloadKind,
    /// Processor time of the task.
    pub cpu: Option<CpuTime>,
    /// Peak resident memory in bytes.
    pub peak_rss: Option<u64>,
}

#[derive(Deserialize)]
struct Line<'a> {
    id: Option<u64>,
    #[serde(borrow)]
    ok: Option<Object<Success<'a>>>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Success<'a> {
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    cpu_user_s: Option<f64>,
    cpu_sys_s: Option<f64>,
    peak_rss_bytes: Option<f64>,
}

#[derive(Deserialize)]
struct Fault {
    #[serde(rename = "type")]
    kind: Option<Text>,
    message: Option<Text>,
    traceback: Option<Text>,
}

/// Reads an answer.
///
/// # Errors
/// A message that says what is wrong with the line.
pub fn read_answer(line: &[u8]) -> Result<Answer, String> {
    let wrong = |what: &str| format!("the worker wrote `{}`, {what}", shown(line));
    let Object(Line { id, ok, error }) =
        serde_json::from_slice(line).map_err(|error| wrong(&what_is_wrong(line, &error)))?;
    let Some(id) = id else { return Err(wrong("an answer without an `id`")) };
    let outcome = match (ok, error) {
        (Some(Object(success)), None) => success.into_done(),
        (None, Some(fault)) => Err(fault_in_words(fault.get().as_bytes())
            .ok_or_else(|| wrong("an `error` without any of `type`, `message` and `traceback`"))?),
        (Some(_), Some(_)) => return Err(wrong("an answer with both `ok` and `error`")),
        (None, None) => return Err(wrong("an answer with neither `ok` nor `error`")),
    };
    Ok(Answer { id, outcome })
}

impl Success<'_> {
    /// A text without bytes is a failure.
    fn into_done(self) -> Result<Done, String> {
        let seconds = |seconds: Option<f64>| {
            seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        };
        let (user, system) = (seconds(self.cpu_user_s), seconds(self.cpu_sys_s));
        let cpu = (user.is_some() || system.is_some()).then(|| CpuTime {
            user: user.unwrap_or_default(),
            system: system.unwrap_or_default(),
        });
        let peak_rss = self.peak_rss_bytes.filter(|bytes| *bytes >= 0.0).map(|bytes| bytes as u64);
        let json = self.result.map_or("null", RawValue::get);
        let is_text = json.starts_with('"');
        let kind = if is_text { PayloadKind::Bytes } else { PayloadKind::Json };
        let result = cell(json);
        if is_text && std::str::from_utf8(&result).is_err() && has_half(json.as_bytes()) {
            return Err(HALF.into());
        }
        Ok(Done { result, kind, cpu, peak_rss })
    }
}

const HALF: &str = "the result has a text with half of a surrogate pair, which no bytes stand for";

/// A value as the text of the cell `result`.
fn cell(json: &str) -> Vec<u8> {
    match json.as_bytes() {
        b"null" => Vec::new(),
        string if string.starts_with(b"\"") => unescape(string).unwrap_or_else(|| string.to_vec()),
        other => other.to_vec(),
    }
}

/// `ValueError: bad digit`, then the end of the traceback. A string instead of an object is the message.
fn fault_in_words(json: &[u8]) -> Option<String> {
    if json.starts_with(b"\"") {
        let mut words = String::new();
        write_clean_tail(&unescape(json)?, MESSAGE, &mut words);
        return Some(words);
    }
    let Object(fault): Object<Fault> = serde_json::from_slice(json).ok()?;
    let text = |text: Option<Text>| text.map(|text| text.0).unwrap_or_default();
    let (kind, message) = (text(fault.kind), text(fault.message));
    let mut words = clean(&kind, MESSAGE);
    if !words.is_empty() && !message.is_empty() {
        words.push_str(": ");
    }
    write_clean_tail(&message, MESSAGE, &mut words);
    if words.is_empty() {
        words.push_str("failed without a message");
    }
    Some(cause_and_tail(words, None, &text(fault.traceback)))
}

fn what_is_wrong(line: &[u8], error: &serde_json::Error) -> String {
    if error.is_data() {
        let why = wrong_member(line).map_or_else(|| in_short(error), str::to_owned);
        return format!("which is not an answer: {why}");
    }
    if memchr::memmem::find(line, b"NaN").is_some()
        || memchr::memmem::find(line, b"Infinity").is_some()
    {
        return "which is not JSON: JSON has no NaN and no Infinity".into();
    }
    if line.starts_with(b"{") {
        return format!("which is not JSON: {}", in_short(error));
    }
    "which is not an answer; other output belongs on standard error".into()
}

/// What is not what it has to be, in words.
fn wrong_member(line: &[u8]) -> Option<&'static str> {
    type Members<'a> = HashMap<Cow<'a, str>, &'a RawValue>;
    let Ok(members) = serde_json::from_slice::<Members<'_>>(line) else {
        return Some("it is not an object");
    };
    let is = |members: &Members<'_>, name: &str, test: fn(&str) -> bool| {
        members.get(name).is_none_or(|value| value.get() == "null" || test(value.get()))
    };
    if !is(&members, "id", |value| value.parse::<u64>().is_ok()) {
        return Some("its `id` is not the number of a request");
    }
    let ok = members.get("ok")?;
    let Ok(ok) = serde_json::from_str::<Members<'_>>(ok.get()) else {
        return Some("its `ok` is not an object");
    };
    let is_number = |name| is(&ok, name, |value| serde_json::from_str::<f64>(value).is_ok());
    let measures = [
        ("cpu_user_s", "its `cpu_user_s` is not a number"),
        ("cpu_sys_s", "its `cpu_sys_s` is not a number"),
        ("peak_rss_bytes", "its `peak_rss_bytes` is not a number"),
    ];
    measures.into_iter().find(|(name, _)| !is_number(name)).map(|(_, words)| words)
}

/// The error without the line number, which is always 1.
fn in_short(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or_default().to_owned()
}

fn shown(line: &[u8]) -> String {
    clean(line, SHOWN)
}

fn clean(bytes: &[u8], limit: usize) -> String {
    let mut text = String::new();
    write_clean(bytes, limit, &mut text);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(json: &str) -> Vec<u8> {
        let line = format!("{{\"id\":1,\"ok\":{{\"result\":{json}}}}}");
        read_answer(line.as_bytes()).unwrap().outcome.unwrap().result
    }

    fn error(line: &str) -> String {
        match read_answer(line.as_bytes()) {
            Ok(answer) => answer.outcome.unwrap_err(),
            Err(words) => format!("! {words}"),
        }
    }

    #[test]
    fn greetings() {
        let mut out = Vec::new();
        write_hello("async", 100, &mut out);
        assert_eq!(out, b"{\"hello\":1,\"mode\":\"async\",\"slots\":100}\n");
        for (line, expected) in [
            (r#"{"ready":1,"slots":4,"more":[]}"#, Ok(4)),
            (r#"{"ready":1}"#, Ok(1)),
            (r#"{"ready":1,"slots":1000}"#, Ok(10)),
            (r#"{"ready":1,"slots":0}"#, Err("it is ready for 0 requests at a time")),
            (r#"{"ready":2}"#, Err("it speaks version 2 of the protocol, the runner 1")),
            ("[1,4]", Err("it said `[1,4]` instead of `{\"ready\":1}`")),
            ("hello!", Err("it said `hello!` instead of `{\"ready\":1}`")),
        ] {
            assert_eq!(read_ready(line.as_bytes(), 10), expected.map_err(String::from), "{line}");
        }
    }

    #[test]
    fn results_are_cells() {
        for (json, expected) in [
            ("null", &b""[..]),
            ("true", b"true"),
            ("2432902008176640000123456789", b"2432902008176640000123456789"),
            ("1.50", b"1.50"),
            (r#""a\n\u00e9\udcff""#, b"a\n\xc3\xa9\xff"),
            (r#"{"a": [1, "\ud800"]}"#, br#"{"a": [1, "\ud800"]}"#),
            (r#""\ud83d\ude00 \uDCED\udca0\udc80""#, b"\xf0\x9f\x98\x80 \xed\xa0\x80"),
        ] {
            assert_eq!(result(json), expected, "{json}");
        }
        for half in ["\\ud800", "\\uDBFF", "\\udc00", "\\udc7f", "\\udc80\\ud800"] {
            let line = format!("{{\"id\":1,\"ok\":{{\"result\":\"a{half}b\"}}}}");
            assert_eq!(read_answer(line.as_bytes()).unwrap().outcome, Err(HALF.into()), "{half}");
        }
    }

    #[test]
    fn what_was_measured_is_taken() {
        let line =
            r#"{"ok":{"cpu_user_s":0.25,"peak_rss_bytes":1e3,"run_s":9,"x":{}},"id":7,"y":1}"#;
        let cpu = CpuTime { user: Duration::from_millis(250), system: Duration::ZERO };
        let done = Done {
            kind: PayloadKind::Json,
            cpu: Some(cpu),
            peak_rss: Some(1000),
            ..Done::default()
        };
        assert_eq!(read_answer(line.as_bytes()), Ok(Answer { id: 7, outcome: Ok(done) }));
        let line = r#"{"id":7,"ok":{"cpu_user_s":-1,"peak_rss_bytes":null}}"#;
        assert_eq!(
            read_answer(line.as_bytes()).unwrap().outcome,
            Ok(Done { kind: PayloadKind::Json, ..Done::default() })
        );
    }

    #[test]
    fn errors_are_messages() {
        for (line, expected) in [
            (
                r#"{"id":1,"error":{"type":"ValueError","message":"no\nway","traceback":"File x\nline 2"}}"#,
                r"ValueError: no\nway: File x\nline 2",
            ),
            (r#"{"id":1,"error":{"message":"\udcff"}}"#, r"\xff"),
            (r#"{"id":1,"error":{"type":"E"}}"#, "E"),
            (r#"{"id":1,"error":"bad"}"#, "bad"),
            (r#"{"id":1,"error":{}}"#, "failed without a message"),
            (
                "hi",
                "! the worker wrote `hi`, which is not an answer; other output belongs on standard error",
            ),
            (
                r#"[1,{"result":5},null]"#,
                r#"! the worker wrote `[1,{"result":5},null]`, which is not an answer: it is not an object"#,
            ),
            (
                r#"{"id":1,"ok":[5,1,2,3]}"#,
                r#"! the worker wrote `{"id":1,"ok":[5,1,2,3]}`, which is not an answer: its `ok` is not an object"#,
            ),
            (
                r#"{"id":"1","ok":{}}"#,
                r#"! the worker wrote `{"id":"1","ok":{}}`, which is not an answer: its `id` is not the number of a request"#,
            ),
            (
                r#"{"id":1,"ok":{"cpu_sys_s":"2"}}"#,
                r#"! the worker wrote `{"id":1,"ok":{"cpu_sys_s":"2"}}`, which is not an answer: its `cpu_sys_s` is not a number"#,
            ),
            (
                r#"{"id":1,"error":["E","boom",""]}"#,
                r#"! the worker wrote `{"id":1,"error":["E","boom",""]}`, an `error` without any of `type`, `message` and `traceback`"#,
            ),
            (r#"{"ok":{}}"#, "! the worker wrote `{\"ok\":{}}`, an answer without an `id`"),
            (
                r#"{"id":1}"#,
                "! the worker wrote `{\"id\":1}`, an answer with neither `ok` nor `error`",
            ),
            (
                r#"{"id":1,"ok":{"result":NaN}}"#,
                "! the worker wrote `{\"id\":1,\"ok\":{\"result\":NaN}}`, which is not JSON: JSON has no NaN and no Infinity",
            ),
        ] {
            assert_eq!(error(line), expected, "{line}");
        }
    }
}

//! Lines as documented, and lines of any kind.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn outcome(status: Status, result: &[u8], error: &str) -> Outcome {
    let started = Moment::from_nanos(81_234_567);
    let mut outcome = Outcome::new(status, started, Duration::from_nanos(150));
    outcome.cpu =
        Some(CpuTime { user: Duration::from_nanos(120), system: Duration::from_nanos(4) });
    outcome.result = result.to_vec();
    outcome.error = error.into();
    outcome
}

fn answer(seq: u64, outcome: &Outcome) -> String {
    let mut line = Vec::new();
    write_answer(seq, outcome, &mut line);
    String::from_utf8(line).unwrap()
}

#[track_caller]
fn done(line: &str) -> (u64, Outcome) {
    match read_reply(line.as_bytes()) {
        Ok(Reply::Done(seq, outcome)) => (seq, outcome),
        other => panic!("{other:?}"),
    }
}

fn args(line: &[u8]) -> Result<(u64, Vec<Vec<u8>>), Malformed> {
    let (first, args) = read_requests(line)?;
    Ok((first, args.map(|arg| arg.map(Cow::into_owned)).collect::<Result<_, _>>()?))
}

#[test]
fn the_lines_are_as_documented() {
    let mut hello = RequestLines::default();
    hello.hello(&Work::Compute(Function::Factorial));
    assert_eq!(hello.as_bytes(), b"{\"hello\":1,\"work\":{\"compute\":\"factorial\"}}\n");
    let mut lines = RequestLines::default();
    for (seq, arg) in [(7, "5"), (8, "6"), (9, "x")] {
        lines.push(seq, arg.as_bytes());
    }
    lines.close();
    assert_eq!(lines.as_bytes(), b"[7,[\"5\",\"6\",\"x\"]]\n");
    let line = answer(7, &outcome(Status::Ok, b"120", ""));
    assert_eq!(line, "[7,0,120,4,81234567,150,\"120\",\"\"]\n");
    let mut line = Vec::new();
    write_taken_back(9, &mut line);
    assert_eq!(line, b"[9,2]\n");
    assert!(matches!(read_reply(&line), Ok(Reply::TakenBack(9))));
}

#[test]
fn file_names_that_are_not_utf_8_go_as_python_has_them() {
    let mut line = Vec::new();
    write_text(b"caf\xe9 \xc3\xa9\n", &mut line);
    assert_eq!(line, "\"caf\\udce9 é\\n\"".as_bytes());
    assert_eq!(unescape(&line).unwrap(), b"caf\xe9 \xc3\xa9\n");
}

#[test]
fn results_that_are_not_strings_are_their_json() {
    let (seq, outcome) = done("[3, 0, null, null, 5, 6, 2432902008176640000123, \"\"]");
    assert_eq!((seq, &outcome.result[..]), (3, &b"2432902008176640000123"[..]));
    assert_eq!(outcome.cpu, None);
    assert_eq!(done("[3,0,1,2,5,6,null,\"\"]").1.result, b"");
    assert_eq!(done("[3,0,1,2,5,6,{\"a\": 1},\"\"]").1.result, b"{\"a\": 1}");
}

#[test]
fn what_a_python_worker_says_besides() {
    let (seq, outcome) = done("[3,4,0,1,2,5,\"/wA=\",\"\"]");
    assert_eq!((seq, outcome.status, &outcome.result[..]), (3, Status::Ok, &b"\xff\0"[..]));
    assert_eq!(outcome.result_kind, PayloadKind::Binary);
    let (_, outcome) = done("[3,5,0,1,2,5,[\"<x>\"],\"mine.X\",4096]");
    assert_eq!((outcome.status, &outcome.error[..]), (Status::Ok, ""));
    assert_eq!((outcome.rare().note.as_deref(), outcome.peak_rss), (Some("mine.X"), Some(4096)));
    assert!(matches!(read_reply(b"[3,6]"), Ok(Reply::Leaving)));
}

#[test]
fn malformed_lines_are_errors() {
    for line in ["", "hello", "[", "[1", "[1,7]", "[1,9,0,0,0,0,\"\",\"\"]", "[1,0,0,0,0,0,\"\"]"] {
        let error = read_reply(line.as_bytes()).unwrap_err();
        assert_eq!(error.to_string(), format!("`{line}` is not a line of the protocol"));
    }
    for line in ["", "[x,[]]", "[1,[\"a\"", "[1,[\"a\",]]", "[1,[\"a\"\"b\"]]", "[1,[\"\\\"]]"] {
        assert!(args(line.as_bytes()).is_err(), "{line}");
    }
}

#[test]
fn long_lines_are_split() {
    let mut lines = RequestLines::default();
    for seq in 1..=4096 {
        lines.push(seq, &[b'a'; 100]);
    }
    lines.close();
    let read: Vec<_> = lines.as_bytes().split_inclusive(|&byte| byte == b'\n').collect();
    assert!(read.len() > 10 && read.iter().all(|line| line.len() < LINE_BYTES + 200));
    let mut next = 1;
    for line in read {
        let (first, args) = args(line).unwrap();
        assert_eq!(first, next);
        next += args.len() as u64;
    }
    assert_eq!(next, 4097);
}

/// Bytes, many of which the encoding must treat specially.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let special = prop::sample::select(vec![
        b'"', b'\\', b'\n', b',', b']', 0, 0x7f, 0x80, 0xed, 0xb2, 0xb3, 0xe9, 0xff,
    ]);
    prop_oneof![vec(any::<u8>(), 0..40), vec(special, 0..12), "\\PC*".prop_map(String::into_bytes)]
}

proptest! {
    #[test]
    fn answers_come_back(
        seq: u64, ok: bool, cpu: Option<(u64, u64)>, started: u64, run: u64,
        result in bytes(), error: String,
    ) {
        let status = if ok { Status::Ok } else { Status::Failed };
        let mut outcome = outcome(status, &result, &error);
        outcome.cpu = cpu.map(|(user, system)| CpuTime {
            user: Duration::from_nanos(user), system: Duration::from_nanos(system),
        });
        outcome.started = Moment::from_nanos(started);
        outcome.run = Duration::from_nanos(run);
        let line = answer(seq, &outcome);
        prop_assert_eq!(line.find('\n'), Some(line.len() - 1));
        let (read, back) = done(&line);
        prop_assert_eq!(read, seq);
        prop_assert_eq!(format!("{back:?}"), format!("{outcome:?}"));
        let Some(Reply::Done(_, slow)) = read_any(line.as_bytes()) else { panic!("{line}") };
        prop_assert_eq!(format!("{slow:?}"), format!("{outcome:?}"));
    }

    #[test]
    fn requests_come_back(first in 0..u64::MAX / 2, sent in vec(bytes(), 1..20)) {
        let mut lines = RequestLines::default();
        for (seq, arg) in (first..).zip(&sent) {
            lines.push(seq, arg);
        }
        lines.close();
        prop_assert_eq!(args(lines.as_bytes()).unwrap(), (first, sent.clone()));
        let json: (u64, Vec<Text>) = serde_json::from_slice(lines.as_bytes()).unwrap();
        prop_assert_eq!(json.1.into_iter().map(|text| text.0).collect::<Vec<_>>(), sent);
    }

    #[test]
    fn no_line_is_a_panic(line in bytes()) {
        let _ = read_reply(&line);
        let _ = args(&line);
    }
}

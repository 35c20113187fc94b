//! Messages come back as they were sent, and nonsense is an error.

use std::time::Duration;

use super::*;

fn strings(values: &[&str]) -> Strings {
    let mut strings = Strings::default();
    for value in values {
        strings.push(value).unwrap();
    }
    strings
}

fn texts<'a>(strings: impl Iterator<Item = &'a CStr>) -> Vec<&'a str> {
    strings.map(|string| string.to_str().unwrap()).collect()
}

#[test]
fn a_start_comes_back_as_it_was_sent() {
    let mut message = Vec::new();
    let ends = Ends::new([false, true, true, false]);
    let [argv, set, unset] =
        [strings(&["sh", "", "x y"]), strings(&["A=1", "B="]), strings(&["C"])];
    for folder in [None, Some(c"/tmp")] {
        StartRequest::encode(&mut message, ends, [Some(c"/bin/sh"), folder], [&argv, &set, &unset]);
        let Request::Start(start) = Request::decode(&message).unwrap() else { panic!("a start") };
        assert_eq!((start.ends, start.program, start.folder), (ends, c"/bin/sh", folder));
        assert_eq!(texts(start.argv()), ["sh", "", "x y"]);
        assert_eq!(texts(start.set()), ["A=1", "B="]);
        assert_eq!(texts(start.unset()), ["C"]);
    }
    assert_eq!((ends.count(), ends.has(0), ends.has(2)), (2, false, true));
}

#[test]
fn requests_without_a_program_come_back_as_they_were_sent() {
    let [signal, terminate] = [signal(libc::SIGKILL).to_vec(), terminate().to_vec()];
    let decoded = Request::decode(&signal).unwrap();
    assert!(matches!(decoded, Request::Signal(libc::SIGKILL)), "{decoded:?}");
    let decoded = Request::decode(&terminate).unwrap();
    assert!(matches!(decoded, Request::Terminate), "{decoded:?}");
}

#[test]
fn answers_come_back_as_they_were_sent() {
    let [started, ended] = [Moment::from_nanos(5), Moment::from_nanos(7)];
    let cpu = CpuTime { user: Duration::from_micros(3), system: Duration::ZERO };
    for answer in [
        Answer::Running(started, 77),
        Answer::Ended {
            started,
            ended,
            reaped: Reaped { status: 256, cpu, peak_rss: 4096 },
            fate: Fate { stopped: Some(19), left_behind: true },
        },
        Answer::Ended {
            started,
            ended,
            reaped: Reaped { status: 0, cpu, peak_rss: 0 },
            fate: Fate::default(),
        },
        Answer::Denied,
        Answer::NotStarted { at: started, step: Step::Folder, errno: 2 },
    ] {
        assert_eq!(Answer::decode(&answer.encode()).unwrap(), answer);
    }
}

#[test]
fn nonsense_is_an_error() {
    for message in [&b""[..], b"abc", &[9, 0, 0, 0], &[1, 0, 0, 0]] {
        assert!(Request::decode(message).is_err(), "{message:?}");
    }
    assert!(Answer::decode(&[0; 3]).is_err());
}

#[test]
fn a_nul_is_refused_and_leaves_nothing() {
    let mut strings = Strings::default();
    assert_eq!(strings.push("a\0b"), Err(HasNul));
    strings.push("c").unwrap();
    assert_eq!(texts(strings.iter()), ["c"]);
}

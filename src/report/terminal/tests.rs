//! Tables and messages on the terminal.

use console::measure_text_width;

use super::*;
use crate::report::Failure;
use crate::report::summary_file::tests::summary;

#[test]
fn durations_are_for_people() {
    for (nanos, text) in [
        (0, "0 ns"),
        (999, "999 ns"),
        (1_234, "1.23 µs"),
        (999_600, "1 ms"),
        (45_000_000, "45 ms"),
        (1_234_567_890, "1.23 s"),
        (59_960_000_000, "1 min 00 s"),
        (723_000_000_000, "12 min 03 s"),
        (7_260_000_000_000, "2 h 01 min"),
    ] {
        assert_eq!(human_duration(Duration::from_nanos(nanos)), text);
    }
}

#[test]
fn text_cannot_control_the_terminal() {
    assert_eq!(escaped("a\x1b[2Jb\n\u{202e}ü\u{7f}"), "a\\u{1b}[2Jb\\n\\u{202e}ü\\u{7f}");
}

#[test]
fn the_table_is_for_people() {
    snapbox::assert_data_eq!(
        format!("{}\n{}", table(&[summary("a"), summary("longer")], None), paths(&[summary("a")])),
        snapbox::str![[r"
┌──────────────────────────────────────────────────────────────────────────────────────────────────────────┐
│ job      model     concurrency   tasks   ok   failed    wall   tasks/s   run p50   run p99   peak memory │
╞══════════════════════════════════════════════════════════════════════════════════════════════════════════╡
│ a        threads             2       3    2        1   1.5 s       2.0      2 ms      5 ms             - │
│ longer   threads             2       3    2        1   1.5 s       2.0      2 ms      5 ms             - │
└──────────────────────────────────────────────────────────────────────────────────────────────────────────┘
results/a.csv
results/summary.csv

"]]
    );
}

#[test]
fn a_table_fits_its_terminal() {
    let mut wide = summary("数据处理".repeat(6).as_str());
    wide.totals.peak_rss = Some(1 << 40);
    let summaries = [summary("a"), wide];
    for width in 20..250 {
        let table = table(&summaries, Some(width));
        let widest = table.lines().map(measure_text_width).max().unwrap();
        assert!(widest <= usize::from(width), "{width}:\n{table}");
        assert_eq!(table.lines().count(), 6, "no cell is wrapped");
    }
    let all = table(&summaries, None);
    assert_eq!(table(&summaries, Some(250)), all);
    let narrow = table(&summaries, Some(60));
    assert!(narrow.contains("failed") && narrow.contains('…'), "{narrow}");
}

#[test]
fn a_long_error_shows_its_last_line() {
    let warnings = r"warning: a value is missing\n".repeat(20);
    for (error, shown) in [
        (
            format!("exit code 1: {warnings}FATAL: the disk is full"),
            "exit code 1: FATAL: the disk is full",
        ),
        (format!("exit code 1: {warnings}").replace(r"\n", "\n") + "FATAL", "exit code 1: FATAL"),
        ("short: a".into(), "short: a"),
        (
            format!("KeyError: 'k'{}", "\n  File \"a.py\", line 1, in f\n    raise".repeat(20)),
            "KeyError: 'k'",
        ),
        (
            format!(
                "exit code 1: {warnings}Traceback (most recent call last):\n  File \"a.py\", line 1\nOSError: full"
            ),
            "exit code 1: OSError: full",
        ),
        (
            format!("exit code 1: …{warnings}\n  File \"a.py\", line 1\nOSError: full"),
            "exit code 1: OSError: full",
        ),
    ] {
        assert_eq!(one_line(&error), shown);
    }
    let long = format!("ValueError: start {} end", "x".repeat(500));
    let shown = one_line(&long);
    assert!(shown.starts_with("ValueError: …xx") && shown.ends_with("x end"), "{shown}");
    assert!(shown.chars().count() <= ERROR_CHARS);
}

#[test]
fn failures_notes_and_warnings_are_printed() {
    let mut job = summary("a");
    let failure = |task, status, error: &str| Failure { task, status, error: error.into() };
    job.failures = vec![failure(3, Status::Failed, "exit code 1\nno such file\n")];
    job.notes = vec!["the event loop was held for 1.2 s".into()];
    job.warnings = vec!["column `result` is long".into()];
    assert_eq!(
        explanation(&[job.clone()]),
        "a: task 3 failed: exit code 1\\nno such file\n\
         a: the event loop was held for 1.2 s\n\
         warning: a: column `result` is long\n"
    );
    job.totals.merge(&job.totals.clone());
    job.failures.push(failure(4, Status::Timeout, ""));
    job.totals.merge(&job.totals.clone());
    let said = explanation(&[job]);
    assert!(
        said.contains("a: task 4 timed out\na: 2 more not ok; all are in results/a.csv\n"),
        "{said}"
    );
}

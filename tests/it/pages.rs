//! What pages and `runner status` say of runs that were resumed, stopped, or have not ended, and of clocks that were set.

use std::fs;

use crate::support::{Ran, TestJob};

/// Makes the page of a report in the folder of a run, with this exit code.
#[track_caller]
fn page(ran: Ran, path: &str, exit: i32) -> (Ran, String) {
    let ran = TestJob::again(ran).args(["report", path]).run();
    ran.exit(exit);
    let html = ran.path(path.trim_end_matches(".partial")).with_extension("html");
    let page = fs::read_to_string(html).unwrap();
    (ran, page)
}

/// As spreadsheets write heads that are wrapped: up to the line break, another delimiter is more frequent.
#[test]
fn a_name_with_a_line_break_does_not_hide_the_delimiter() {
    for (dialect, head) in [
        ("excel-semicolon", "net, gross, VAT\nPrice"),
        ("csv", "a; b; c\nPrice"),
        ("excel", "a; b; c\nPrice"),
    ] {
        let job = format!(
            "inputs.csv = 'in.csv'\nworkload.command.argv = ['true']\n[report]\ndialect = '{dialect}'\nalso = ['html', 'xlsx']\n"
        );
        let table = format!("\"{head}\",b\n5,6\n");
        let ran = TestJob::new(&job).file("in.csv", table).run();
        ran.exit(0);
        assert!(!ran.stderr().contains("warning"), "{dialect}: {}", ran.stderr());
        assert!(ran.path("results/job.xlsx").exists());
        let (ran, html) = page(ran, "results/job.csv", 0);
        assert_eq!(ran.stderr(), "");
        assert!(html.contains("The only task is ok."), "{dialect}");
    }
}

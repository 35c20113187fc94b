//! What is in files of inputs is what the tasks get: nothing of it is there twice, or as something else.

use crate::support::{Ran, TestJob};

/// Prints `result` for each input.
fn job(inputs: &str, result: &str) -> TestJob {
    let command = format!("[workload.command]\nargv = [\"printf\", \"%s\", \"{result}\"]\n");
    TestJob::new(&format!("[inputs]\n{inputs}\n{command}"))
}

/// The errors of the rows, without those of rows that have none.
fn errors(ran: &Ran) -> Vec<String> {
    let errors = ran.report().column("error").into_iter();
    errors.filter(|error| !error.is_empty()).collect()
}

#[test]
fn a_torn_row_makes_no_guess_of_what_splits_a_table() {
    let rows = "2024-01-01;1,1;x\n".repeat(19);
    let table = format!("Datum;Betrag, EUR;Text\n{rows}Summe;12,5\n");
    let ran = job("csv = 'a.csv'", "x").file("a.csv", &table).run();
    ran.exit(2).stderr_has("and nearly all rows fit both: set `delimiter`");
    let test = job("csv = { file = 'a.csv', delimiter = ';' }\nskip = 18", "{Text}");
    test.file("a.csv", &table).run().exit(3).rows("status", &["ok", "failed"]);
}

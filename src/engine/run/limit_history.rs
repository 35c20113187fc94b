//! How limits that find themselves have changed, and what hosts have refused.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use crate::base::mask;
use crate::engine::feed::LimitChange;
use crate::engine::run::{Run, StageRun};

/// Writes how limits that find themselves have changed, beside the report. It is not part of the report: that it cannot be written
/// spoils nothing.
pub(super) fn write(run: &Run, results: &Path) {
    let mut table = String::from("time_s,host,limit,running,refusals\n");
    let mut is_adaptive = false;
    for live in &run.stages {
        let Some((_, history)) = live.feed.found() else { continue };
        is_adaptive = true;
        for change in history {
            let LimitChange { at, host, limit, running, refusals } = change;
            let at = at.as_secs_f64();
            let _ = writeln!(table, "{at:.6},{host},{limit},{running},{refusals}");
        }
    }
    if is_adaptive {
        let table = mask::apply(table.as_bytes());
        let _ = fs::write(results.join(format!("{}.limit.csv", run.job.name)), table);
    }
}

/// What is said of hosts that have refused requests, being too busy.
pub(super) fn refusals(live: &StageRun) -> Option<String> {
    match live.feed.refusals() {
        0 => None,
        1 => Some("1 request was refused (429 or 503), and its host left alone for a while".into()),
        count => Some(format!(
            "{count} requests were refused (429 or 503), and their hosts left alone for a while"
        )),
    }
}

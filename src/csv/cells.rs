//! A row of the runner's own, taken apart again: what kept rows tell of their times.

use std::time::Duration;

use crate::sys::CpuTime;
use crate::task::Status;
use crate::report::layout::Layout;
use crate::csv::number::parse_seconds;
use crate::report::stats::{Distribution, Totals};

/// The cells of a row as they are written, quotes included. Only for rows that the runner itself has written.
pub(crate) fn cells(row: &[u8], delimiter: u8) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(row);
    std::iter::from_fn(move || {
        let left = rest?;
        let mut end = 0;
        if left.first() == Some(&b'"') {
            // A doubled quote closes and opens again: what counts is that it is not the last one.
            while let Some(quote) = memchr::memchr(b'"', &left[end + 1..]) {
                end += quote + 1;
                if left.get(end + 1) != Some(&b'"') {
                    break;
                }
                end += 1;
            }
        }
        let cut = memchr::memchr(delimiter, &left[end..]).map(|at| end + at);
        rest = cut.map(|at| &left[at + 1..]);
        Some(cut.map_or(left, |at| &left[..at]))
    })
}

/// Adds what a kept row tells to the figures of its job.
pub(crate) fn add_figures(
    row: &[u8],
    status: Status,
    layout: &Layout,
    totals: &mut Totals,
    (queue, run): (&mut Distribution, &mut Distribution),
) {
    // `task`, the fields, `status`, in stages `stage`, `attempts`, `started_utc`; then those below.
    let stages = layout.stages.len();
    let before = 1 + layout.fields + 3 + usize::from(stages > 0);
    let mut cells = cells(row, layout.delimiter).skip(before);
    let times = times(&mut cells, layout);
    let mut seconds = || parse_seconds(cells.next()?, layout.point);
    let cpu: (Option<Duration>, Option<Duration>) = (seconds(), seconds());
    let mut integer = |skip: usize| std::str::from_utf8(cells.nth(skip)?).ok()?.parse().ok();
    let peak = integer(0);
    let output = integer(3); // behind `slot`, `code` and `result`
    if let (Some(queued), Some(ran)) = times {
        queue.add(queued);
        run.add(ran);
    }
    let cpu = cpu.0.zip(cpu.1).map(|(user, system)| CpuTime { user, system });
    totals.add_row(status, cpu, peak, output);
}

/// How long a task was queued and how long it ran, in all stages together.
fn times<'r>(
    cells: &mut impl Iterator<Item = &'r [u8]>,
    layout: &Layout,
) -> (Option<Duration>, Option<Duration>) {
    let mut seconds = || parse_seconds(cells.next()?, layout.point);
    if layout.stages.is_empty() {
        return (seconds(), seconds());
    }
    let mut sum: (Option<Duration>, Option<Duration>) = (None, None);
    for _ in &layout.stages {
        let add = |sum: &mut Option<Duration>, more: Option<Duration>| {
            if let Some(more) = more {
                *sum.get_or_insert_default() += more;
            }
        };
        add(&mut sum.0, seconds());
        add(&mut sum.1, seconds());
        seconds(); // the attempts
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_apart_where_they_were_put_together() {
        let row = b"1,\"a,\"\"b\n\",,\"\"\"\",x\n";
        let found: Vec<_> = cells(row, b',').map(String::from_utf8_lossy).collect();
        assert_eq!(found, ["1", "\"a,\"\"b\n\"", "", "\"\"\"\"", "x\n"]);
        assert_eq!(cells(b"", b',').count(), 1);
    }
}

//! The rows of `squeue` as runner asks for them: `Name|ArrayJobID|ArrayTaskID|State|Reason|exit_code|NodeList|`.
//!
//! Waiting elements of an array share a row, whose element is a list such as `18-599,601%100`.

use std::ops::RangeInclusive;

/// What is asked for, one field after another.
pub const FIELDS: &str =
    "Name:|,ArrayJobID:|,ArrayTaskID:|,StateCompact:|,Reason:|,exit_code:|,NodeList:|";

/// One row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The job's name.
    pub name: String,
    /// The number of its array.
    pub array: u64,
    /// The elements that it stands for.
    pub elements: Vec<RangeInclusive<u32>>,
    /// Slurm's short word for its state.
    pub state: String,
    /// Why it waits, or why it ended.
    pub reason: String,
    /// How it ended.
    pub exit: Ended,
    /// Where it runs or ran; empty if it did not.
    pub node: String,
}

/// How a process ended, as `wait` says it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    /// The exit code; of a process that a signal ended, 128 more than the signal.
    pub code: u8,
}

impl Ended {
    /// Of a raw wait status.
    pub fn of_status(status: u32) -> Self {
        let signal = status & 0x7f;
        let code = if signal == 0 { status >> 8 & 0xff } else { 128 + signal };
        Self { code: code as u8 }
    }
}

/// Reads what `squeue` has printed. A line without a `|` is none of its rows: a site may greet its users there.
///
/// # Errors
/// In words, if one of the rows cannot be understood: then nothing is known of what it is about.
pub fn rows(text: &str) -> Result<Vec<Row>, String> {
    let lines = text.lines().filter(|line| line.contains('|'));
    lines.map(|line| row(line).ok_or_else(|| format!("`squeue` said `{}`", line.trim()))).collect()
}

/// Reads one line; `None` if it is not such a row.
pub fn row(line: &str) -> Option<Row> {
    // A name may hold a `|`, the others do not: those of runner never do, and other jobs are not looked at.
    let mut fields = line.trim_end().strip_suffix('|')?.rsplitn(7, '|');
    let node = fields.next()?.to_owned();
    let exit = Ended::of_status(fields.next()?.trim().parse().ok()?);
    let reason = fields.next()?.trim().to_owned();
    let state = fields.next()?.trim().to_owned();
    let elements = elements(fields.next()?)?;
    let array = fields.next()?.trim().parse().ok()?;
    let name = fields.next()?.to_owned();
    let node = match node.trim() {
        "n/a" | "(null)" | "None" => String::new(),
        node => node.to_owned(),
    };
    Some(Row { name, array, elements, state, reason, exit, node })
}

/// Reads `7`, `18-599,601%100` or `0-8:2`; a job that is not an array has `N/A` and counts as its element 0.
fn elements(text: &str) -> Option<Vec<RangeInclusive<u32>>> {
    let text = text.trim();
    if text == "N/A" {
        return Some(vec![0..=0]);
    }
    let text = text.split('%').next()?.trim_start_matches('[').trim_end_matches(']');
    let mut elements = Vec::new();
    for part in text.split(',') {
        let (range, step) = match part.split_once(':') {
            Some((range, step)) => (range, step.parse::<u32>().ok().filter(|&step| step > 0)?),
            None => (part, 1),
        };
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last) = (first.parse().ok()?, last.parse().ok()?);
        if step == 1 {
            elements.push(first..=last);
        } else {
            elements.extend((first..=last).step_by(step as usize).map(|at: u32| at..=at));
        }
    }
    Some(elements)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_elements_share_a_row() {
        let row = row("words.k3.1|12|18-599,601%100|PD|JobArrayTaskLimit|0||").unwrap();
        assert_eq!((row.name.as_str(), row.array), ("words.k3.1", 12));
        assert_eq!(row.elements, [18..=599, 601..=601]);
        assert_eq!((row.state.as_str(), row.reason.as_str()), ("PD", "JobArrayTaskLimit"));
        assert_eq!(row.node, "");
    }

    #[test]
    fn running_and_ended_ones_have_their_own() {
        let running = row("a.b.2|12|0|R|None|0|n1|").unwrap();
        assert_eq!((running.elements, running.node.as_str()), (vec![0..=0], "n1"));
        let drained = row("a.b.2|12|7|F|NonZeroExitCode|19200|n[1-2]|\n").unwrap();
        assert_eq!((drained.exit.code, drained.node.as_str()), (75, "n[1-2]"));
        let killed = row("a.b.2|12|7|F|RaisedSignal:9(Killed)|9|n1|").unwrap();
        assert_eq!(killed.exit.code, 137);
    }

    #[test]
    fn a_row_that_cannot_be_read_is_no_answer() {
        let good = "a.b.2|12|0|R|None|0|n1|";
        assert_eq!(rows(&format!("welcome\n{good}\n\n")).map(|rows| rows.len()), Ok(1));
        for torn in
            ["a.b.2|12|0|R|No", "a.b.2|12|1,3,5,...|PD|Priority|0||", "a.b.2|12|0|R|None|x|n1|"]
        {
            let refused = rows(&format!("{good}\n{torn}\n")).unwrap_err();
            assert!(refused.contains(torn), "{refused}");
        }
    }

    #[test]
    fn what_is_no_row_is_none() {
        for line in ["", "slurm_load_jobs error: Unable to contact slurm controller", "a|b|c|"] {
            assert_eq!(row(line), None, "{line}");
        }
        assert_eq!(elements("0-8:4"), Some(vec![0..=0, 4..=4, 8..=8]));
        assert_eq!(elements("x"), None);
    }
}

//! What a look into a file of inputs tells before the job file is written.

use std::fs::File;
use std::io::{BufRead, BufReader};

/// How many lines are looked at, at most.
const LINES: usize = 1_000_000;

/// Its first line, without its end.
pub(super) fn first_line(file: &str) -> Option<String> {
    let mut line = String::new();
    opened(file)?.read_line(&mut line).ok()?;
    Some(line.trim_end_matches(['\n', '\r']).to_owned())
}

/// A file that can be read more than once: a pipe would be read empty, or waited for.
fn opened(file: &str) -> Option<BufReader<File>> {
    let file = File::open(file).ok()?;
    file.metadata().ok()?.is_file().then(|| BufReader::new(file))
}

/// Whether all lines of a file, as far as it is looked at, are known to have as many columns.
pub(super) fn is_even(file: &str, between: char, has_quotes: bool) -> bool {
    let Some(file) = opened(file) else { return false };
    let mut first = None;
    file.lines().take(LINES).all(|line| {
        let Ok(line) = line else { return false };
        let is_quoted = has_quotes && line.contains('"');
        let count = line.matches(between).count();
        is_quoted || !line.trim().is_empty() && *first.get_or_insert(count) == count
    })
}

/// How many lines it has, if these are not too many to count.
pub(super) fn count_lines(file: &str) -> Option<usize> {
    let lines = opened(file)?.split(b'\n').take(LINES + 1);
    Some(lines.take_while(Result::is_ok).count()).filter(|count| *count <= LINES)
}

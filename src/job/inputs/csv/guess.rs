//! Which delimiter a table has, if nobody says so.

use super::parse::{Cells, Dialect, Step};

/// The delimiters that are recognised.
pub(in crate::job::inputs) const KNOWN: [u8; 4] = [b',', b';', b'\t', b'|'];

/// How many rows after the header are looked at.
const SAMPLE: usize = 50;

/// What a delimiter makes of a table.
struct Candidate {
    delimiter: u8,
    /// How many cells the header has.
    columns: usize,
    /// How many of the other rows have as many, and how many there are.
    equal: usize,
    rows: usize,
}

/// The delimiter that splits the header: if several do, the one that splits the other rows like it, then the one that
/// splits it most. `columns` is their number, if the job file names them.
///
/// # Errors
/// If two do it equally well; the message names them.
pub(super) fn delimiter(
    table: &[u8],
    at_end: bool,
    like: &Dialect,
    columns: Option<usize>,
    is_left_out: impl Fn(&[u8]) -> bool,
) -> Result<u8, String> {
    let mut candidates: Vec<_> = KNOWN
        .into_iter()
        .filter(|&byte| Some(byte) != like.quote && Some(byte) != like.escape)
        .filter_map(|delimiter| {
            look(table, at_end, &Dialect { delimiter, ..like.clone() }, &is_left_out)
        })
        .filter(|candidate| candidate.columns > 1 && columns.is_none_or(|n| n == candidate.columns))
        .collect();
    // Compared as fractions, the best first.
    let rank = |it: &Candidate| {
        (it.equal * 1000 / it.rows.max(1) + usize::from(it.rows == 0) * 1000, it.columns)
    };
    candidates.sort_by_key(|candidate| std::cmp::Reverse(rank(candidate)));
    match &candidates[..] {
        [] => Ok(b','),
        [first, second, ..] if rank(first) == rank(second) => Err(format!(
            "{} and {} split its header into {} columns each: set `delimiter`",
            shown(first.delimiter),
            shown(second.delimiter),
            first.columns
        )),
        [first, ..] => Ok(first.delimiter),
    }
}

/// A delimiter in words.
pub(in crate::job::inputs) fn shown(delimiter: u8) -> String {
    match delimiter {
        b'\t' => "a tab".into(),
        byte if byte.is_ascii_graphic() => format!("`{}`", char::from(byte)),
        byte => format!("the byte {byte}"),
    }
}

fn look(
    table: &[u8],
    at_end: bool,
    dialect: &Dialect,
    is_left_out: &impl Fn(&[u8]) -> bool,
) -> Option<Candidate> {
    let mut cells = Cells::default();
    let (mut rest, mut found) = (table, None::<Candidate>);
    while !rest.is_empty() {
        if is_left_out(rest) {
            let end = memchr::memchr(b'\n', rest).map_or(rest.len(), |end| end + 1);
            rest = &rest[end..];
            continue;
        }
        let (length, is_row) = match dialect.parse(rest, at_end, &mut cells) {
            Step::More => break,
            Step::Row(length) => (length, true),
            Step::Flawed(length, _) => (length, false),
        };
        rest = &rest[length..];
        if is_row && cells.bytes.iter().all(u8::is_ascii_whitespace) && cells.ends.len() == 1 {
            continue;
        }
        match &mut found {
            None if is_row => {
                let columns = cells.ends.len();
                found =
                    Some(Candidate { delimiter: dialect.delimiter, columns, equal: 0, rows: 0 });
            }
            None => return None,
            Some(found) => {
                found.rows += 1;
                found.equal += usize::from(is_row && cells.ends.len() == found.columns);
                if found.rows == SAMPLE {
                    break;
                }
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guess(table: &str) -> Result<u8, String> {
        delimiter(table.as_bytes(), true, &Dialect::new(b','), None, |line| line.starts_with(b"#"))
    }

    #[test]
    fn it_is_the_one_that_splits_the_header() {
        for (table, expected) in [
            ("a,b\n1,2\n", b','),
            ("a;b\n1,5;2\n", b';'),
            ("a\tb\nx y\tz\n", b'\t'),
            ("a|b\n1|2\n", b'|'),
            ("name\nx;y\n", b','),
            ("id;size (x, y);z\n1;2;3\n", b';'),
            ("id,note|x\n1,foo\n2,bar\n", b','),
            ("\"a;b\",c\n1,2\n", b','),
            ("# a;b;c\na,b\n", b','),
            ("a,b,c;d\n", b','),
            ("", b','),
        ] {
            assert_eq!(guess(table), Ok(expected), "{table:?}");
        }
        assert!(guess("price (EUR,net);qty\n1,5;3\n").unwrap_err().contains("`delimiter`"));
    }
}

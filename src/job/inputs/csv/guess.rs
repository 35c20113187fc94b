//! Which delimiter a table has, if nobody says so.

use super::Header;
use super::parse::{Cells, Dialect, Step};

/// The delimiters that are recognised.
pub(in crate::job::inputs) const KNOWN: [u8; 4] = [b',', b';', b'\t', b'|'];

/// How many rows after the header are looked at.
const SAMPLE: usize = 50;

/// What is known of the delimiter of a table of which the beginning is there.
#[derive(Debug, PartialEq)]
pub(super) enum Guess {
    Known(u8),
    /// The header is not whole yet.
    NoHeader,
    /// Several split the header, and there are not rows enough to tell.
    FewRows,
}

/// What a delimiter makes of a table.
struct Candidate {
    delimiter: u8,
    /// How many cells the header has.
    columns: usize,
    /// How many of the other rows have as many, and how many there are.
    equal: usize,
    rows: usize,
    /// How many have fewer, though they are split: totals, and what is torn.
    short: usize,
}

impl Candidate {
    /// Whether nearly all rows are as the header. One that is short is no sign of another delimiter.
    fn fits(&self) -> bool {
        self.equal > 0 && self.equal >= self.short && self.equal * 5 >= (self.rows - self.short) * 4
    }
}

/// The delimiter that splits the header: if several do, the one that splits the other rows like it; of a header without
/// such rows, the one that splits it most. While more of the table can come, it is settled by as many rows as are looked
/// at, or by a header that only one splits, so that it is the same however the table comes. `is_all`: no more is waited for.
///
/// # Errors
/// If two do it equally well, or both split nearly all rows alike, each into columns of its own; the message names them.
pub(super) fn delimiter(
    table: &[u8],
    at_end: bool,
    is_all: bool,
    like: &Dialect,
    header: &Header,
    is_left_out: impl Fn(&[u8]) -> bool,
) -> Result<Guess, String> {
    let columns = match header {
        Header::Given(names) => Some(names.len()),
        Header::First | Header::None => None,
    };
    let looks: Vec<_> = KNOWN
        .into_iter()
        .filter(|&byte| Some(byte) != like.quote && Some(byte) != like.escape)
        .map(|delimiter| look(table, at_end, &Dialect { delimiter, ..like.clone() }, &is_left_out))
        .collect();
    if !is_all && looks.iter().any(|look| look.found.is_none() && look.is_open) {
        return Ok(Guess::NoHeader);
    }
    let is_one = |it: &Candidate| it.columns > 1 && columns.is_none_or(|n| n == it.columns);
    let looks = looks.into_iter().filter(|look| look.found.as_ref().is_some_and(is_one));
    let looks: Vec<_> = looks.collect();
    if !is_all && looks.len() > 1 && looks.iter().any(|look| look.is_open) {
        return Ok(Guess::FewRows);
    }
    let mut candidates: Vec<_> = looks.into_iter().filter_map(|look| look.found).collect();
    // Compared as fractions, the best first.
    let fit = |it: &Candidate| (it.equal * 1000).checked_div(it.rows).unwrap_or(1000);
    let rank = |it: &Candidate| (fit(it), it.columns);
    // Which one it is shows in rows that only one of them splits; without a header, the first row is one of them.
    let has_rows = |it: &Candidate| it.equal > 0 || (it.rows == 0 && *header == Header::None);
    candidates.sort_by_key(|candidate| std::cmp::Reverse(rank(candidate)));
    // One row that is torn does not tell which of two it is.
    let other = |first: &Candidate| {
        let is_other = |it: &&Candidate| fit(it) == fit(first) || (first.fits() && it.fits());
        candidates.iter().skip(1).find(is_other)
    };
    match &candidates[..] {
        [] => Ok(Guess::Known(b',')),
        [first, second, ..] if rank(first) == rank(second) => Err(format!(
            "{} and {} split its header into {} columns each: set `delimiter`",
            shown(first.delimiter),
            shown(second.delimiter),
            first.columns
        )),
        [first, ..] => match other(first).filter(|_| has_rows(first)) {
            Some(second) => Err(format!(
                "{} splits it into {} columns and {} into {}, and {} fit both: set `delimiter`",
                shown(first.delimiter),
                first.columns,
                shown(second.delimiter),
                second.columns,
                if fit(first) == fit(second) { "the rows" } else { "nearly all rows" }
            )),
            None => Ok(Guess::Known(first.delimiter)),
        },
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

/// What was seen of a table.
struct Look {
    found: Option<Candidate>,
    /// Whether more of the table could change that.
    is_open: bool,
}

fn look(
    table: &[u8],
    at_end: bool,
    dialect: &Dialect,
    is_left_out: &impl Fn(&[u8]) -> bool,
) -> Look {
    let mut cells = Cells::default();
    let (mut rest, mut found) = (table, None::<Candidate>);
    let open = |found| Look { found, is_open: !at_end };
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
        let (row, after) = rest.split_at(length);
        rest = after;
        let is_header = found.is_none() && dialect.is_quoted(row);
        let is_blank = cells.ends.len() == 1 && cells.bytes.iter().all(u8::is_ascii_whitespace);
        if is_row && is_blank && !is_header {
            continue;
        }
        match &mut found {
            None if is_row => {
                let columns = cells.ends.len();
                let delimiter = dialect.delimiter;
                found = Some(Candidate { delimiter, columns, equal: 0, rows: 0, short: 0 });
            }
            None => return Look { found: None, is_open: false },
            Some(found) => {
                found.rows += 1;
                let columns = cells.ends.len();
                found.equal += usize::from(is_row && columns == found.columns);
                found.short += usize::from(is_row && 1 < columns && columns < found.columns);
            }
        }
        if found.as_ref().is_some_and(|found| found.rows == SAMPLE) {
            return Look { found, is_open: false };
        }
    }
    open(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guess(table: &str) -> Result<u8, String> {
        guess_with(table, &Header::First)
    }

    fn guess_with(table: &str, header: &Header) -> Result<u8, String> {
        let is_note = |line: &[u8]| line.starts_with(b"#");
        let like = Dialect::new(b',');
        let whole = delimiter(table.as_bytes(), true, true, &like, header, is_note);
        // However much of it is there at first, it is told apart in the same way, or more is waited for.
        for length in (0..table.len()).filter(|&length| table.is_char_boundary(length)) {
            let part = &table.as_bytes()[..length];
            let found = delimiter(part, false, false, &like, header, is_note);
            let is_same = matches!(found, Ok(Guess::NoHeader | Guess::FewRows)) || found == whole;
            assert!(is_same, "{table:?} up to {length}: {found:?}, {whole:?}");
        }
        match whole? {
            Guess::Known(delimiter) => Ok(delimiter),
            other => panic!("{table:?}: {other:?}"),
        }
    }

    #[test]
    fn what_fits_two_is_not_guessed() {
        for (table, header) in [
            ("Name, Vorname;Betrag, EUR\nDoe, John;1,50\n", Header::First),
            ("Name, Vorname;Betrag, EUR\nDoe, John;1,50\n\nRoe, Jane;2,50\nx\n", Header::First),
            ("1,5;2,5\n3,5;4,5\n", Header::None),
            ("1,5;2,5\n", Header::None),
        ] {
            let error = guess_with(table, &header).unwrap_err();
            assert!(error.starts_with("`,` splits it into 3 columns and `;` into 2"), "{error}");
            assert!(error.ends_with("set `delimiter`"), "{error}");
        }
        for (table, header, expected) in [
            ("Name, Vorname;Betrag, EUR\nDoe, John;1,50\nRoe;2\n", Header::First, b';'),
            ("at;x\n2024-01-31 12:00:00,5;1\n2024-01-31 12:00:01,5;2\n", Header::First, b';'),
            ("1,a; b\n2,c\n", Header::None, b','),
            ("\"a; b\",1\n\"c; d\",2\n", Header::None, b','),
            ("1;a, b\n2;c, d, e\n", Header::None, b';'),
            ("1,5;2,5;x\n3;4,5;y\n", Header::Given(vec![String::new(); 3]), b';'),
        ] {
            assert_eq!(guess_with(table, &header), Ok(expected), "{table:?}");
        }
    }

    #[test]
    fn one_row_that_is_torn_does_not_make_it_a_guess() {
        let header = "Datum;Betrag, EUR;Text\n";
        for count in [1, 2, 4, 19, 60] {
            let rows = "2024-01-01;1,1;x\n".repeat(count);
            for torn in ["", "Summe;12,5\n", "2024-01-01;1", "Quelle: Amt\n"] {
                let error = guess(&format!("{header}{rows}{torn}")).unwrap_err();
                assert!(error.contains("`,`") && error.contains("`;`"), "{error}");
                assert!(error.ends_with("set `delimiter`"), "{error}");
            }
        }
        for torn in ["2024-01-01;1,1;x;y\n", "Stand: heute, morgen\n"] {
            let table = format!("{header}{}{torn}", "2024-01-01;1,1;x\n".repeat(19));
            let error = guess(&table).unwrap_err();
            assert!(error.ends_with("and nearly all rows fit both: set `delimiter`"), "{error}");
        }
        // What many rows do not fit is none.
        let table = format!("{header}{}", "2024-01-01;1,1;x\n2024-01-01;1;x\n".repeat(9));
        assert_eq!(guess(&table), Ok(b';'));
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

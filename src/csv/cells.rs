//! Splits a row that the runner has written into its cells, and takes their quotes off: a resumed job reads the times of its
//! kept rows, and a total the values of all.

use std::borrow::Cow;

/// The cells of a row as they are written, quotes included. Only for rows that the runner itself has written.
pub fn cells(row: &[u8], delimiter: u8) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(row);
    std::iter::from_fn(move || {
        let left = rest?;
        let mut end = 0;
        if left.first() == Some(&b'"') {
            // A doubled quote stands for a quote; only a single one ends the cell.
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

/// The text between the quotes of a cell; `None` if it has none.
pub(super) fn unquoted(cell: &[u8]) -> Option<Cow<'_, [u8]>> {
    let inner = cell.strip_prefix(b"\"")?;
    let mut rest = inner.strip_suffix(b"\"").unwrap_or(inner);
    if memchr::memchr(b'"', rest).is_none() {
        return Some(Cow::Borrowed(rest));
    }
    let mut text = Vec::with_capacity(rest.len());
    while let Some(quote) = memchr::memchr(b'"', rest) {
        text.extend_from_slice(&rest[..=quote]);
        rest = rest.get(quote + 2..).unwrap_or_default(); // each is doubled
    }
    text.extend_from_slice(rest);
    Some(Cow::Owned(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_what_stands_between_its_quotes() {
        for (cell, text) in [
            ("\"\"", Some("")),
            ("\"a,b\"", Some("a,b")),
            ("\"say \"\"hi\"\"\"", Some("say \"hi\"")),
            ("\"\"\"\"", Some("\"")),
            ("", None),
            ("a\"b", None),
        ] {
            assert_eq!(unquoted(cell.as_bytes()).as_deref(), text.map(str::as_bytes), "{cell}");
        }
    }

    #[test]
    fn rows_come_apart_where_they_were_put_together() {
        let row = b"1,\"a,\"\"b\n\",,\"\"\"\",x\n";
        let found: Vec<_> = cells(row, b',').map(String::from_utf8_lossy).collect();
        assert_eq!(found, ["1", "\"a,\"\"b\n\"", "", "\"\"\"\"", "x\n"]);
        assert_eq!(cells(b"", b',').count(), 1);
    }
}

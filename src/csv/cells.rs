//! Splits a row that the runner has written into its cells: a resumed job reads the times of its kept rows.

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

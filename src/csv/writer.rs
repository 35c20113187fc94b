//! Writing cells in a dialect: safe for spreadsheets, and quoted if necessary.

use crate::csv::{Dialect, number};

/// The characters that make a spreadsheet calculate a cell that starts with them.
pub const FORMULA: &[u8] = b"=+-@\t\r\n";

const QUOTE: u8 = b'"';

/// Text up to this length is checked byte by byte: a vectorised search takes longer to start than that.
const SHORT: usize = 16;

/// Writes the rows of one file.
#[derive(Debug)]
pub struct Writer {
    /// The byte between cells.
    pub delimiter: u8,
    /// The decimal separator.
    pub point: u8,
    /// What ends a row.
    pub terminator: &'static [u8],
    /// Whether text that a spreadsheet would calculate gets a leading `'`.
    pub formula_safe: bool,
    bom: &'static [u8],
    csv: csv_core::Writer,
}

/// What a row says of this column, whose value its cell could not hold.
pub fn not_whole(name: &str) -> String {
    format!(
        "`{name}` has a NUL, or bytes that are not UTF-8, which a report cannot hold: U+FFFD stands there"
    )
}

impl Writer {
    /// A writer of this dialect.
    pub fn new(dialect: Dialect, formula_safe: bool) -> Self {
        let (bom, terminator, delimiter, point): (&[u8], &[u8], u8, u8) = match dialect {
            Dialect::Csv => (b"", b"\n", b',', b'.'),
            Dialect::Excel => (b"\xef\xbb\xbf", b"\r\n", b',', b'.'),
            Dialect::ExcelSemicolon => (b"\xef\xbb\xbf", b"\r\n", b';', b','),
        };
        let csv = csv_core::WriterBuilder::new().delimiter(delimiter).build();
        Self { delimiter, point, terminator, formula_safe, bom, csv }
    }

    /// What a file begins with.
    pub(super) fn bom(&self) -> &'static [u8] {
        self.bom
    }

    /// The header of a file with these columns.
    pub fn header(&self, names: &[String]) -> Vec<u8> {
        let mut out = self.bom.to_vec();
        for (index, name) in names.iter().enumerate() {
            if index > 0 {
                out.push(self.delimiter);
            }
            self.push_text(&mut out, name.as_bytes());
        }
        out.extend_from_slice(self.terminator);
        out
    }

    /// Appends text of the user or a program: safe for spreadsheets, and quoted if necessary. What no spreadsheet can
    /// hold (NUL, and bytes that are not UTF-8) becomes U+FFFD. Returns whether nothing did.
    pub fn push_text(&self, out: &mut Vec<u8>, text: &[u8]) -> bool {
        if text.len() <= SHORT && text.iter().all(u8::is_ascii_alphanumeric) {
            for byte in text {
                out.push(*byte); // such text is always safe
            }
            return true;
        }
        match std::str::from_utf8(text) {
            Ok(text) if memchr::memchr(0, text.as_bytes()).is_none() => {
                self.push_utf8(out, text.as_bytes());
                true
            }
            _ => {
                let text = String::from_utf8_lossy(text).replace('\0', "\u{fffd}");
                self.push_utf8(out, text.as_bytes());
                false
            }
        }
    }

    fn push_utf8(&self, out: &mut Vec<u8>, text: &[u8]) {
        if text.is_empty() {
            return;
        }
        let decimal_comma = self.point != b'.' && text.contains(&b'.') && number::is_number(text);
        if decimal_comma {
            out.extend(text.iter().map(|&byte| if byte == b'.' { self.point } else { byte }));
            return;
        }
        let formula = self.formula_safe && is_formula(text);
        let quoted = self.csv.should_quote(text) || self.looks_like_a_number(text);
        if quoted {
            out.push(QUOTE);
        }
        if formula {
            out.push(b'\'');
        }
        if quoted {
            push_quoted(out, text);
            out.push(QUOTE);
        } else {
            out.extend_from_slice(text);
        }
    }

    /// Whether a text would pass for a number with a decimal comma, which it was not when it was printed: quotes, which
    /// change nothing for other readers, tell the two apart.
    fn looks_like_a_number(&self, text: &[u8]) -> bool {
        self.point != b'.' && text.contains(&self.point) && !text.contains(&b'.') && {
            let pointed: Vec<u8> =
                text.iter().map(|&byte| if byte == self.point { b'.' } else { byte }).collect();
            number::is_number(&pointed)
        }
    }
}

fn push_quoted(out: &mut Vec<u8>, text: &[u8]) {
    let start = out.len();
    out.resize(start + 2 * text.len(), 0); // every byte may be a quote, which is doubled
    let (_, _, written) = csv_core::quote(text, &mut out[start..], QUOTE, QUOTE, true);
    out.truncate(start + written);
}

/// Whether a spreadsheet would calculate this text, or it looks like one that has been kept from that: with one more `'` it
/// can be told apart.
pub fn is_formula(text: &[u8]) -> bool {
    let quotes = text.iter().take_while(|&&byte| byte == b'\'').count();
    let bare = &text[quotes..];
    bare.first().is_some_and(|first| FORMULA.contains(first)) && !number::is_number(bare)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cell(writer: &Writer, text: &[u8]) -> String {
        let mut out = Vec::new();
        writer.push_text(&mut out, text);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn cells_are_safe_for_spreadsheets() {
        let csv = Writer::new(Dialect::Csv, true);
        for (text, expected) in [
            ("plain", "plain"),
            ("", ""),
            ("a,b", "\"a,b\""),
            ("say \"hi\"", "\"say \"\"hi\"\"\""),
            ("two\nlines", "\"two\nlines\""),
            ("=1+1", "'=1+1"),
            ("=a,b", "\"'=a,b\""),
            ("@x", "'@x"),
            ("-x", "'-x"),
            ("-1.5", "-1.5"),
            ("+1e6", "+1e6"),
            ("-1-1", "'-1-1"),
            ("'=1+1", "''=1+1"),
            ("''=1+1", "'''=1+1"),
            ("'-1.5", "'-1.5"),
            ("'a", "'a"),
            ("\tx", "'\tx"),
            ("\rx", "\"'\rx\""),
            ("\nx", "\"'\nx\""),
            ("größer", "größer"),
        ] {
            assert_eq!(cell(&csv, text.as_bytes()), expected);
        }
        assert_eq!(cell(&csv, b"a\xffb"), "a\u{fffd}b");
        assert_eq!(cell(&Writer::new(Dialect::Csv, false), b"=1+1"), "=1+1");
    }

    #[test]
    fn the_semicolon_dialect_has_decimal_commas() {
        let semicolon = Writer::new(Dialect::ExcelSemicolon, true);
        for (text, expected) in [
            ("1.5", "1,5"),
            ("-0.25", "-0,25"),
            ("1.2.3", "1.2.3"),
            ("a;b", "\"a;b\""),
            ("a,b", "a,b"),
            ("1,234", "\"1,234\""),
            ("1,234.5", "1,234.5"),
        ] {
            assert_eq!(cell(&semicolon, text.as_bytes()), expected);
        }
    }

    proptest! {
        #[test]
        fn any_cells_read_back(
            cells in prop::collection::vec(
                prop_oneof![
                    prop::collection::vec(any::<u8>(), 0..40),
                    "[=+@;,\"'\r\n\t0-9.eä-]{0,12}".prop_map(String::into_bytes),
                ],
                2..6,
            ),
            dialect in prop::sample::select(vec![Dialect::Csv, Dialect::Excel, Dialect::ExcelSemicolon]),
            formula_safe in any::<bool>(),
        ) {
            let writer = Writer::new(dialect, formula_safe);
            let mut out = Vec::new();
            for (index, cell) in cells.iter().enumerate() {
                if index > 0 {
                    out.push(writer.delimiter);
                }
                writer.push_text(&mut out, cell);
            }
            out.extend_from_slice(writer.terminator);
            let mut reader = csv::ReaderBuilder::new()
                .has_headers(false)
                .delimiter(writer.delimiter)
                .from_reader(&out[..]);
            let row = reader.records().next().unwrap().unwrap();
            prop_assert_eq!(row.len(), cells.len());
            for (read, cell) in row.iter().zip(&cells) {
                let text = String::from_utf8_lossy(cell).replace('\0', "\u{fffd}");
                let number = number::is_number(cell);
                let expected = match (formula_safe && is_formula(text.as_bytes()), number && writer.point == b',') {
                    (true, _) => format!("'{text}"),
                    (false, true) => text.replace('.', ","),
                    (false, false) => text,
                };
                prop_assert_eq!(read, expected);
            }
            prop_assert!(reader.records().next().is_none());
        }
    }
}

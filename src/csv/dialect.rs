//! Dialects of CSV: the programs that a report is written for.

use crate::base::setting::named;

/// The readers that the report is written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Any program: LF, no BOM.
    Csv,
    /// Excel: BOM, CRLF.
    Excel,
    /// Excel in a locale with decimal commas: also `;` and decimal commas.
    ExcelSemicolon,
}

named!(Dialect, "a string: `csv`, `excel` or `excel-semicolon`", "csv" => Csv, "excel" => Excel, "excel-semicolon" => ExcelSemicolon);

/// Which delimiter a table that the runner has written has, by its first bytes after a byte order mark: that after the first
/// name, which is a word. What stands in other names, also a line break in quotes, tells nothing.
pub fn has_semicolons(head: &[u8]) -> bool {
    let is_end = |byte: &u8| matches!(byte, b',' | b';' | b'\r' | b'\n');
    head.iter().find(|byte| is_end(byte)) == Some(&b';')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_read_back() {
        for &(word, dialect) in Dialect::NAMES {
            assert_eq!(word.parse(), Ok(dialect));
            assert_eq!(dialect.to_string(), word);
        }
        assert_eq!(
            "tsv".parse::<Dialect>().unwrap_err(),
            "must be `csv`, `excel` or `excel-semicolon`, not `tsv`"
        );
    }

    #[test]
    fn the_first_delimiter_tells() {
        for head in ["task;\"a, b, c\nd\",e", "\"task\";a,b,c", "task;status\r\n1,2,3"] {
            assert!(has_semicolons(head.as_bytes()), "{head}");
        }
        for head in ["task,\"a; b; c\nd\",e", "\"task\",a;b;c", "task\n1;2;3", "task", ""] {
            assert!(!has_semicolons(head.as_bytes()), "{head}");
        }
    }
}

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
}

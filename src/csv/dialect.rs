//! Dialects of CSV: the programs that a report is written for.

use std::fmt;
use std::str::FromStr;

use crate::base::setting::{choose, deserialize_from_str};

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

const DIALECTS: [(&str, Dialect); 3] = [
    ("csv", Dialect::Csv),
    ("excel", Dialect::Excel),
    ("excel-semicolon", Dialect::ExcelSemicolon),
];

impl FromStr for Dialect {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        choose(text, &DIALECTS)
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(DIALECTS[*self as usize].0)
    }
}

deserialize_from_str!(Dialect, "a string: `csv`, `excel` or `excel-semicolon`");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_read_back() {
        for (word, dialect) in DIALECTS {
            assert_eq!(word.parse(), Ok(dialect));
            assert_eq!(dialect.to_string(), word);
        }
        assert_eq!(
            "tsv".parse::<Dialect>().unwrap_err(),
            "must be `csv`, `excel` or `excel-semicolon`, not `tsv`"
        );
    }
}

//! Rows of CSV, as Python's `csv` reads them in its strict mode: the same cells for every file that is well-formed, and a
//! flaw for what is not.

/// How a file writes its rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::job::inputs) struct Dialect {
    /// What stands between cells.
    pub delimiter: u8,
    /// What stands around a cell that has delimiters, line breaks or quotes, which are doubled.
    pub quote: Option<u8>,
    /// What makes the next character a plain one.
    pub escape: Option<u8>,
    /// Whether blanks around cells go.
    pub trim: bool,
    /// Whether a cell may go on after its closing quote.
    pub loose: bool,
}

impl Dialect {
    /// RFC 4180 with this delimiter.
    pub fn new(delimiter: u8) -> Self {
        Self { delimiter, quote: Some(b'"'), escape: None, trim: false, loose: false }
    }

    /// Whether a row starts with a quote, maybe after blanks.
    pub fn is_quoted(&self, row: &[u8]) -> bool {
        let first = row.iter().find(|byte| !matches!(byte, b' ' | b'\t'));
        self.quote.is_some() && first.copied() == self.quote
    }

    /// The same, and what goes on after a closing quote is a part of its cell.
    pub fn loose(&self) -> Self {
        Self { loose: true, ..self.clone() }
    }
}

/// The cells of a row, one after another.
#[derive(Debug, Default)]
pub(in crate::job::inputs) struct Cells {
    pub bytes: Vec<u8>,
    /// Where each ends.
    pub ends: Vec<usize>,
    /// The numbers of those that have quotes around them, in order: most cells have none.
    quoted: Vec<usize>,
}

impl Cells {
    /// The cells in order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = [0].into_iter().chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, &end)| &self.bytes[start..end])
    }

    /// Likewise, and whether quotes stand around each.
    pub fn with_quotes(&self) -> impl Iterator<Item = (&[u8], bool)> {
        let is_quoted = |index: usize| self.quoted.binary_search(&index).is_ok();
        self.iter().enumerate().map(move |(index, cell)| (cell, is_quoted(index)))
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.quoted.clear();
    }
}

/// What a look at the window has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::job::inputs) enum Step {
    /// The row does not end in it.
    More,
    /// A row of this many bytes, its end included.
    Row(usize),
    /// Bytes that are no row, to the end of the line in which they go wrong.
    Flawed(usize, Flaw),
}

/// What is wrong with a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::job::inputs) enum Flaw {
    /// A cell goes on after its closing quote; where that is.
    AfterQuote(usize),
    /// The file ends inside a quote that opens here.
    Unclosed(usize),
    /// The file ends after an escape.
    Escape,
}

/// Short cells are looked at byte by byte: what finds a byte fast in a long one takes longer to begin.
const SHORT: usize = 24;

impl Dialect {
    /// Reads the row at the start of `window`; `at_end` says that nothing follows it.
    pub fn parse(&self, window: &[u8], at_end: bool, cells: &mut Cells) -> Step {
        cells.clear();
        let mut at = 0;
        loop {
            if self.trim {
                at = self.skip_blanks(window, at);
            }
            let is_quoted = self.quote.is_some_and(|quote| window.get(at) == Some(&quote));
            let found = if is_quoted {
                cells.quoted.push(cells.ends.len());
                self.quoted(window, at, at_end, cells)
            } else {
                self.plain(window, at, at_end, cells)
            };
            at = match found {
                Ok(end) => end,
                Err(step) => return step,
            };
            cells.ends.push(cells.bytes.len());
            match window.get(at) {
                Some(&byte) if byte == self.delimiter => at += 1,
                Some(b'\r') if window.get(at + 1) == Some(&b'\n') => return Step::Row(at + 2),
                Some(_) => return Step::Row(at + 1),
                None => return Step::Row(at),
            }
        }
    }

    fn skip_blanks(&self, window: &[u8], from: usize) -> usize {
        let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t') && *byte != self.delimiter;
        from + window[from..].iter().take_while(|byte| is_blank(byte)).count()
    }

    fn ends_cell(&self, byte: u8) -> bool {
        byte == self.delimiter || byte == b'\n' || byte == b'\r'
    }

    /// Appends the cell at `from`, which has no quotes around it, and says where it ends.
    fn plain(
        &self,
        window: &[u8],
        mut from: usize,
        at_end: bool,
        cells: &mut Cells,
    ) -> Result<usize, Step> {
        let start = cells.bytes.len();
        loop {
            let rest = &window[from..];
            let Some(length) = self.plain_end(rest) else {
                if !at_end {
                    return Err(Step::More);
                }
                cells.bytes.extend_from_slice(rest);
                self.trim_end(cells, start);
                return Ok(window.len());
            };
            cells.bytes.extend_from_slice(&rest[..length]);
            from += length;
            if self.ends_cell(window[from]) {
                self.trim_end(cells, start);
                return Ok(from);
            }
            match window.get(from + 1) {
                Some(&escaped) => cells.bytes.push(escaped),
                None if at_end => return Err(Step::Flawed(window.len(), Flaw::Escape)),
                None => return Err(Step::More),
            }
            from += 2;
        }
    }

    /// Where a cell without quotes ends or has an escape.
    #[inline]
    fn plain_end(&self, rest: &[u8]) -> Option<usize> {
        let short = &rest[..rest.len().min(SHORT)];
        let is_special = |&byte: &u8| self.ends_cell(byte) || Some(byte) == self.escape;
        if let Some(end) = short.iter().position(is_special) {
            return Some(end);
        }
        let long = &rest[short.len()..];
        let end = memchr::memchr3(self.delimiter, b'\n', b'\r', long);
        let escape = self
            .escape
            .and_then(|escape| memchr::memchr(escape, &long[..end.unwrap_or(long.len())]));
        escape.or(end).map(|end| end + short.len())
    }

    fn trim_end(&self, cells: &mut Cells, start: usize) {
        if self.trim {
            let cell = &cells.bytes[start..];
            let length = cell.trim_ascii_end().len();
            cells.bytes.truncate(start + length);
        }
    }

    /// Appends the cell whose opening quote is at `from`, and says where it ends, after its closing quote.
    fn quoted(
        &self,
        window: &[u8],
        from: usize,
        at_end: bool,
        cells: &mut Cells,
    ) -> Result<usize, Step> {
        let quote = self.quote.unwrap_or(b'"');
        let escape = self.escape.unwrap_or(quote);
        let unclosed = || {
            if at_end { Step::Flawed(window.len(), Flaw::Unclosed(from)) } else { Step::More }
        };
        let mut at = from + 1;
        loop {
            let Some(length) = memchr::memchr2(quote, escape, &window[at..]) else {
                return Err(unclosed());
            };
            cells.bytes.extend_from_slice(&window[at..at + length]);
            at += length;
            let is_quote = window[at] == quote;
            match window.get(at + 1) {
                Some(&next) if !is_quote || next == quote => {
                    cells.bytes.push(next);
                    at += 2;
                }
                None if !is_quote || !at_end => return Err(unclosed()),
                _ => break,
            }
        }
        at += 1;
        if self.trim {
            at = self.skip_blanks(window, at);
        }
        match window.get(at) {
            Some(&byte) if !self.ends_cell(byte) && self.loose => {
                self.plain(window, at, at_end, cells)
            }
            Some(&byte) if !self.ends_cell(byte) => Err(flawed(window, at, at_end)),
            None if !at_end => Err(Step::More),
            _ => Ok(at),
        }
    }
}

/// What goes wrong at `at` is left out to the end of its line.
fn flawed(window: &[u8], at: usize, at_end: bool) -> Step {
    match memchr::memchr2(b'\n', b'\r', &window[at..]) {
        Some(length) => Step::Flawed(at + length + 1, Flaw::AfterQuote(at)),
        None if at_end => Step::Flawed(window.len(), Flaw::AfterQuote(at)),
        None => Step::More,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rows of a text, their cells joined by `|`; a flaw in words.
    fn rows(dialect: &Dialect, text: &str) -> Vec<String> {
        let (mut rest, mut rows, mut cells) = (text.as_bytes(), Vec::new(), Cells::default());
        while !rest.is_empty() {
            let step = dialect.parse(rest, true, &mut cells);
            // However little is there, the answer is the same or that there is too little.
            for length in 0..rest.len() {
                let early = dialect.parse(&rest[..length], false, &mut cells);
                assert!(early == step || matches!(early, Step::More | Step::Row(_)), "{text:?}");
            }
            dialect.parse(rest, true, &mut cells);
            let length = match step {
                Step::Row(length) => {
                    let cells: Vec<_> = cells.iter().map(String::from_utf8_lossy).collect();
                    rows.push(cells.join("|"));
                    length
                }
                Step::Flawed(length, flaw) => {
                    rows.push(format!("{flaw:?}"));
                    length
                }
                Step::More => unreachable!("nothing follows"),
            };
            rest = &rest[length..];
        }
        rows
    }

    #[test]
    fn cells_are_those_of_python() {
        let plain = Dialect::new(b',');
        for (text, expected) in [
            ("a,b\n1,\"x,\"\"y\nz\"\r\n,2", &["a|b", "1|x,\"y\nz", "|2"][..]),
            ("5\" pipe,a\"b\"\n", &["5\" pipe|a\"b\""]),
            ("a, \"b\"\n", &["a| \"b\""]),
            ("\"say \"hi\"\",1\nx,2\n", &["AfterQuote(6)", "x|2"]),
            ("\"a\\\"b\",1\nx,2", &["AfterQuote(4)", "x|2"]),
            ("\"a\" ,b\n", &["AfterQuote(3)"]),
            ("a,\"b\n", &["Unclosed(2)"]),
            ("a\rb\r\nc", &["a", "b", "c"]),
            ("\"\"", &[""]),
            (",\n", &["|"]),
        ] {
            assert_eq!(rows(&plain, text), expected, "{text:?}");
        }
    }

    #[test]
    fn quotes_around_a_cell_are_known() {
        let (mut cells, dialect) = (Cells::default(), Dialect::new(b';'));
        for (row, expected) in [("\"a\";b;\"\";\n", "1010"), ("a;\"b\"\n", "01"), ("a;b\"\n", "00")]
        {
            let expected: Vec<bool> = expected.bytes().map(|byte| byte == b'1').collect();
            dialect.parse(row.as_bytes(), true, &mut cells);
            let found: Vec<bool> = cells.with_quotes().map(|(_, is_quoted)| is_quoted).collect();
            assert_eq!(found, expected, "{row}");
        }
    }

    #[test]
    fn dialects_differ() {
        let escaped = Dialect { escape: Some(b'\\'), ..Dialect::new(b';') };
        assert_eq!(rows(&escaped, "\"a\\\"b\"\"c\";x\\;y\\\\\n"), ["a\"b\"c|x;y\\"]);
        assert_eq!(rows(&escaped, "a\\"), ["Escape"]);
        let unquoted = Dialect { quote: None, ..Dialect::new(b'\t') };
        assert_eq!(rows(&unquoted, "\"a\t\"b\"\n"), ["\"a|\"b\""]);
        let trimmed = Dialect { trim: true, ..Dialect::new(b',') };
        assert_eq!(rows(&trimmed, " a b , \" c \" ,d \n"), ["a b| c |d"]);
        let long = "x".repeat(100);
        assert_eq!(rows(&trimmed, &format!("{long},{long}\n")), [format!("{long}|{long}")]);
    }
}

//! `where = "code == 0 and loss < 0.5"`: which inputs become tasks.

mod number;

use std::cmp::Ordering;
use std::ops::Range;

use super::notes::Notes;
use crate::base::diagnostic::nearest;
use crate::task::Fields;
use number::Number;

/// Conditions that all have to hold.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Filter(Vec<Condition>);

/// A comparison of two operands.
#[derive(Clone, Debug, PartialEq)]
struct Condition {
    left: Operand,
    operator: Comparison,
    right: Operand,
}

/// A side of a comparison.
#[derive(Clone, Debug, PartialEq)]
enum Operand {
    /// The field at this index.
    Field(usize),
    /// Text in quotes, which is never a number.
    Text(String),
    /// A number.
    Number(Number, String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// The longer operators first: `<=` is not `<`.
const COMPARISONS: [(&str, Comparison); 6] = [
    ("==", Comparison::Equal),
    ("!=", Comparison::NotEqual),
    ("<=", Comparison::LessOrEqual),
    (">=", Comparison::GreaterOrEqual),
    ("<", Comparison::Less),
    (">", Comparison::Greater),
];

/// A mistake in a condition: where in the text, what, and the way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FilterError {
    pub span: Range<usize>,
    pub message: String,
    pub help: String,
}

/// What stands where something else may be meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Doubtful {
    /// A field that is called like a number.
    pub numbers: Vec<Range<usize>>,
    /// A comparison without a field, which all inputs pass, or none.
    pub constants: Vec<Range<usize>>,
}

impl Filter {
    /// Parses `text`. `fields` are the inputs' fields; `None` while they are not known. Also says what could be meant
    /// otherwise.
    pub fn parse(text: &str, fields: Option<&[String]>) -> Result<(Self, Doubtful), FilterError> {
        let mut parser = Parser { text, position: 0, fields, doubtful: Doubtful::default() };
        let mut conditions = vec![parser.condition()?];
        while let Some((word, span)) = parser.word()? {
            if word != "and" {
                let message = format!("expected `and`, found `{word}`");
                return Err(FilterError { span, message, help: HELP.into() });
            }
            conditions.push(parser.condition()?);
        }
        Ok((Self(conditions), parser.doubtful))
    }

    /// Whether an input becomes a task.
    pub fn passes(&self, fields: &Fields, notes: &Notes) -> bool {
        self.0.iter().all(|condition| condition.holds(fields, notes))
    }

    /// Why it cannot be told whether an input becomes a task: bytes of no known encoding may be the text that they are
    /// compared with.
    pub fn doubt(&self, fields: &Fields) -> Option<String> {
        let doubts = |condition: &&Condition| condition.doubt(fields).is_some();
        let doubt = self.0.iter().find_map(|condition| condition.doubt(fields))?;
        let mut others = self.0.iter().filter(|condition| !doubts(condition));
        let nothing_noted = Notes::default(); // it is asked again whether they hold
        others.all(|condition| condition.holds(fields, &nothing_noted)).then(|| {
            format!(
                "`where` compares bytes that are not UTF-8 with `{doubt}`: name the file's `encoding`, for example \
                 \"windows-1252\""
            )
        })
    }
}

impl Condition {
    /// The text that a cell is compared with, if that depends on the encoding of the cell.
    fn doubt(&self, fields: &Fields) -> Option<&str> {
        match (&self.left, &self.right) {
            (Operand::Field(index), Operand::Text(text))
            | (Operand::Text(text), Operand::Field(index)) => {
                let is_text = text.is_ascii() || std::str::from_utf8(fields.get(*index)).is_ok();
                (!is_text).then_some(text)
            }
            _ => None,
        }
    }

    /// A cell that is not a number satisfies no comparison with a number but `!=`, whether the job file has the number or
    /// another cell. Text in quotes is compared as text, whatever a cell has.
    fn holds(&self, fields: &Fields, notes: &Notes) -> bool {
        let operands = [&self.left, &self.right];
        let has_number = operands.iter().any(|operand| matches!(operand, Operand::Number(..)));
        let is_between_cells = operands.iter().all(|it| matches!(it, Operand::Field(_)));
        let ordering = match (self.left.number(fields), self.right.number(fields)) {
            (Some(left), Some(right)) => left.compare(&right),
            (left, right)
                if has_number || (is_between_cells && left.is_some() != right.is_some()) =>
            {
                // `!=` holds for such a cell: nothing is left out.
                if self.operator != Comparison::NotEqual {
                    notes.no_number();
                }
                None
            }
            _ => Some(self.left.text(fields).cmp(self.right.text(fields))),
        };
        match self.operator {
            Comparison::Equal => ordering == Some(Ordering::Equal),
            Comparison::NotEqual => ordering != Some(Ordering::Equal),
            Comparison::Less => ordering.is_some_and(Ordering::is_lt),
            Comparison::LessOrEqual => ordering.is_some_and(Ordering::is_le),
            Comparison::Greater => ordering.is_some_and(Ordering::is_gt),
            Comparison::GreaterOrEqual => ordering.is_some_and(Ordering::is_ge),
        }
    }
}

impl Operand {
    fn text<'a>(&'a self, fields: &'a Fields) -> &'a [u8] {
        match self {
            Operand::Field(index) => fields.get(*index),
            Operand::Text(text) | Operand::Number(_, text) => text.as_bytes(),
        }
    }

    fn number(&self, fields: &Fields) -> Option<Number> {
        match self {
            Operand::Field(index) => {
                let text = str::from_utf8(fields.get(*index)).ok()?.trim();
                Number::of_value(text, fields.kind(*index))
            }
            Operand::Text(_) => None,
            Operand::Number(number, _) => Some(number.clone()),
        }
    }
}

const HELP: &str = "write for example `code == 0 and name != 'x'`";

struct Parser<'a> {
    text: &'a str,
    position: usize,
    fields: Option<&'a [String]>,
    doubtful: Doubtful,
}

impl<'a> Parser<'a> {
    fn condition(&mut self) -> Result<Condition, FilterError> {
        self.skip_spaces();
        let start = self.position;
        let left = self.operand()?;
        let operator = self.comparison()?;
        let condition = Condition { left, operator, right: self.operand()? };
        let is_field = |operand: &Operand| matches!(operand, Operand::Field(_));
        let has_field = is_field(&condition.left) || is_field(&condition.right);
        if self.fields.is_some() && !has_field {
            self.doubtful.constants.push(start..self.position);
        }
        Ok(condition)
    }

    fn comparison(&mut self) -> Result<Comparison, FilterError> {
        self.skip_spaces();
        let rest = &self.text[self.position..];
        if let Some((sign, comparison)) =
            COMPARISONS.iter().find(|(sign, _)| rest.starts_with(sign))
        {
            self.position += sign.len();
            return Ok(*comparison);
        }
        if rest.starts_with('=') {
            let help = "write `==` to compare".to_owned();
            return Err(self.unexpected("a comparison", help));
        }
        Err(self.unexpected("a comparison", "there is `==`, `!=`, `<`, `<=`, `>`, `>=`".into()))
    }

    fn operand(&mut self) -> Result<Operand, FilterError> {
        self.skip_spaces();
        let rest = &self.text[self.position..];
        match rest.chars().next() {
            Some(quote @ ('\'' | '"')) => Ok(Operand::Text(self.quoted(quote)?.0.to_owned())),
            // For names with spaces and the like.
            Some(quote @ '`') => {
                let (name, span) = self.quoted(quote)?;
                self.field(name, span)
            }
            _ => {
                let Some((word, span)) = self.word()? else {
                    return Err(self.unexpected("a field, a number or text in quotes", HELP.into()));
                };
                let is_field = || self.fields.is_some_and(|it| it.iter().any(|name| name == word));
                match Number::parse(word) {
                    Some(_) if is_field() => {
                        self.doubtful.numbers.push(span.clone());
                        self.field(word, span)
                    }
                    Some(number) => Ok(Operand::Number(number, word.to_owned())),
                    None => self.field(word, span),
                }
            }
        }
    }

    fn field(&self, name: &str, span: Range<usize>) -> Result<Operand, FilterError> {
        let Some(fields) = self.fields else { return Ok(Operand::Field(0)) };
        if let Some(index) = fields.iter().position(|field| field == name) {
            return Ok(Operand::Field(index));
        }
        let known: Vec<_> = fields.iter().map(|field| format!("`{field}`")).collect();
        let known = known.join(", ");
        let help = nearest(name, fields.iter().map(String::as_str)).map_or_else(
            || format!("the inputs have {known}; text stands in quotes: `'{name}'`"),
            |near| format!("did you mean `{near}`?"),
        );
        Err(FilterError { span, message: format!("unknown field `{name}`"), help })
    }

    /// The text inside quotes, which start here, and where it is.
    fn quoted(&mut self, quote: char) -> Result<(&'a str, Range<usize>), FilterError> {
        let start = self.position + 1;
        let Some(length) = self.text[start..].find(quote) else {
            let message = "the quote is never closed".to_owned();
            let span = self.position..self.text.len();
            return Err(FilterError { span, message, help: format!("close it with {quote}") });
        };
        self.position = start + length + 1;
        Ok((&self.text[start..start + length], start..start + length))
    }

    /// The next word, if there is more; a sign that is not a word is an error.
    fn word(&mut self) -> Result<Option<(&'a str, Range<usize>)>, FilterError> {
        self.skip_spaces();
        let rest = &self.text[self.position..];
        if rest.is_empty() {
            return Ok(None);
        }
        let special = |c: char| c.is_whitespace() || "=!<>'\"`()&|".contains(c);
        let length = rest.find(special).unwrap_or(rest.len());
        if length == 0 {
            return Err(self.unexpected("a word", HELP.into()));
        }
        let span = self.position..self.position + length;
        self.position = span.end;
        Ok(Some((&rest[..length], span)))
    }

    fn skip_spaces(&mut self) {
        let rest = &self.text[self.position..];
        self.position += rest.len() - rest.trim_start().len();
    }

    fn unexpected(&self, expected: &str, help: String) -> FilterError {
        let rest = &self.text[self.position..];
        let length = rest.find(char::is_whitespace).unwrap_or(rest.len());
        let found =
            if rest.is_empty() { "the end".into() } else { format!("`{}`", &rest[..length]) };
        let message = format!("expected {expected}, found {found}");
        FilterError { span: self.position..self.position + length, message, help }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fields() -> Vec<String> {
        ["code", "loss", "name", "my field"].iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn conditions() {
        let input: Fields = ["0", "0.50", "abc", "1e3"].iter().collect();
        for (text, expected) in [
            ("code == 0", true),
            ("code == 0.0", true),
            ("code == '0.0'", false),
            ("loss == 0.5", true),
            ("loss == '0.50'", true),
            ("loss < 0.5", false),
            ("loss<=.5 and code!=1", true),
            ("loss <= 0.5 and code == 1", false),
            ("name == 'abc'", true),
            ("name > \"abb\"", true),
            ("name > 5", false),
            ("name < 5", false),
            ("name == 5", false),
            ("name != 5", true),
            ("`my field` >= 1000", true),
            ("10 > code", true),
            ("code < loss", true),
            ("9007199254740993 > 9007199254740992", true),
            ("code < -1", false),
        ] {
            assert_eq!(
                Filter::parse(text, Some(&fields())).unwrap().0.passes(&input, &Notes::default()),
                expected,
                "{text}"
            );
        }
    }

    #[test]
    fn a_cell_that_is_no_number_is_not_in_order_with_one_that_is() {
        let fields: Vec<_> = ["a", "b"].map(str::to_owned).to_vec();
        for (cells, holds) in [
            (["x", "1"], "!="),
            (["1", "x"], "!="),
            (["", "5"], "!="),
            (["-5", ""], "!="),
            (["nan", "5"], "!="),
            (["", ""], "== <= >="),
            (["x", ""], "!= > >="),
            (["x", "y"], "!= < <="),
            (["10", "9"], "!= > >="),
            ([" 1 ", "1.0"], "== <= >="),
        ] {
            for (operator, _) in COMPARISONS {
                let (filter, _) = Filter::parse(&format!("a {operator} b"), Some(&fields)).unwrap();
                let notes = Notes::default();
                let expected = holds.split(' ').any(|one| one == operator);
                let passes = filter.passes(&cells.iter().collect(), &notes);
                assert_eq!(passes, expected, "{cells:?} {operator}");
                let is_told = holds == "!=" && operator != "!=";
                assert_eq!(notes.words().len(), usize::from(is_told), "{cells:?} {operator}");
            }
        }
    }

    #[test]
    fn mistakes_have_a_place() {
        for (text, span, message) in [
            ("los < 1", 0..3, "unknown field `los`"),
            ("code == x", 8..9, "unknown field `x`"),
            ("code = 1", 5..6, "expected a comparison, found `=`"),
            ("code", 4..4, "expected a comparison, found the end"),
            ("code == ", 8..8, "expected a field, a number or text in quotes, found the end"),
            ("", 0..0, "expected a field, a number or text in quotes, found the end"),
            ("code == 1 or loss == 1", 10..12, "expected `and`, found `or`"),
            (
                "code == 1 and",
                13..13,
                "expected a field, a number or text in quotes, found the end",
            ),
            ("name == 'x", 8..10, "the quote is never closed"),
            ("(code == 1)", 0..5, "expected a word, found `(code`"),
        ] {
            let error = Filter::parse(text, Some(&fields())).unwrap_err();
            assert_eq!((error.span, error.message.as_str()), (span, message), "{text}");
        }
        assert_eq!(
            Filter::parse("los < 1", Some(&fields())).unwrap_err().help,
            "did you mean `loss`?"
        );
    }

    #[test]
    fn a_field_that_is_called_like_a_number_is_the_field() {
        let fields: Vec<_> = ["2024", "a", "1e3"].map(str::to_owned).to_vec();
        let input: Fields = ["7", "8", "9"].iter().collect();
        let parse = |text| Filter::parse(text, Some(&fields)).unwrap();
        let parts = |text: &'static str, spans: Vec<Range<usize>>| {
            spans.into_iter().map(|span| &text[span]).collect::<Vec<_>>().join("|")
        };
        for (text, numbers) in [
            ("2024 == 7 and a == 8", "2024"),
            ("1e3 == 9", "1e3"),
            ("a > 2024", "2024"),
            ("`2024` == 7.0", ""),
            ("a == 08", ""),
        ] {
            let (filter, doubtful) = parse(text);
            assert!(filter.passes(&input, &Notes::default()), "{text}");
            assert_eq!(parts(text, doubtful.numbers), numbers, "{text}");
        }
        for (text, constants) in
            [("a == 1 and 1 < 2", "1 < 2"), ("'a' == 1", "'a' == 1"), ("2024 < 1", "")]
        {
            assert_eq!(parts(text, parse(text).1.constants), constants, "{text}");
        }
        assert!(Filter::parse("2024 > 100", None).is_ok());
    }

    proptest! {
        #[test]
        fn whatever_is_written_is_parsed_or_placed_inside_it(text in "[a-c0-9 =<>!'\"`ä.-]{0,16}") {
            if let Err(error) = Filter::parse(&text, Some(&["a".to_owned()])) {
                prop_assert!(text.get(error.span).is_some());
            }
        }
    }
}

//! One job file while it is read: its text, the arguments that change it, and the mistakes found in both.
//!
//! Everything is placed by one range of bytes. The file's text comes first; the defaults of a `runner.toml` and every
//! `--set` argument have a range of their own after it, so that a value carries its place along wherever it came from.

use std::cell::RefCell;
use std::ops::Range;
use std::sync::Arc;

use crate::base::Diagnostic;
use crate::base::diagnostic::{Place, Source};
use crate::config::{Argument, exact_names};

/// A job file and its arguments.
#[derive(Debug)]
pub(crate) struct Document {
    /// Texts and where each starts: the file first, the defaults if there are some, then the arguments.
    sources: Vec<(usize, Arc<Source>)>,
    /// The index of the first argument.
    first_argument: usize,
    /// Where the values of the arguments are.
    values: Vec<Range<usize>>,
    errors: RefCell<Vec<Diagnostic>>,
    /// What is missing now, and may be there when the job's turn comes.
    absences: RefCell<Vec<Diagnostic>>,
    /// What may be meant.
    warnings: RefCell<Vec<Diagnostic>>,
    /// What is fine, and worth knowing.
    remarks: RefCell<Vec<Diagnostic>>,
}

impl Document {
    /// A document of a file's text, of the `defaults` that stand in for what it does not say, and of the arguments that
    /// change it.
    pub fn new(file: Arc<Source>, defaults: Option<&Arc<Source>>, arguments: &[Argument]) -> Self {
        // The byte between two texts keeps the end of one apart from the start of the next.
        let mut end = file.text.len() + 1;
        let mut sources = vec![(0, file)];
        if let Some(defaults) = defaults {
            sources.push((end, Arc::clone(defaults)));
            end += defaults.text.len() + 1;
        }
        let mut document = Self {
            first_argument: sources.len(),
            sources,
            values: Vec::new(),
            errors: RefCell::default(),
            absences: RefCell::default(),
            warnings: RefCell::default(),
            remarks: RefCell::default(),
        };
        for argument in arguments {
            let value = argument.value.start + end..argument.value.end + end;
            document.sources.push((end, Arc::clone(&argument.source)));
            document.values.push(value);
            end += argument.source.text.len() + 1;
        }
        document
    }

    /// Where the argument at `index` starts.
    pub fn start_of(&self, index: usize) -> usize {
        self.sources[self.first_argument + index].0
    }

    /// Where the defaults start; they are there.
    pub fn start_of_defaults(&self) -> usize {
        self.sources[1].0
    }

    /// Whether `span` lies in the defaults: what is said there is said of every job, and need not suit this one.
    pub fn is_default(&self, span: &Range<usize>) -> bool {
        (1..self.first_argument).contains(&self.source(span))
    }

    /// Whether `span` lies in an argument.
    pub fn is_argument(&self, span: &Range<usize>) -> bool {
        self.source(span) >= self.first_argument
    }

    /// The text of an argument's value, if `span` is just that: such a value is text where TOML does not fit.
    pub fn argument_text(&self, span: &Range<usize>) -> Option<&str> {
        self.values.contains(span).then(|| self.text(span))
    }

    /// The text at `span`.
    pub fn text(&self, span: &Range<usize>) -> &str {
        let (start, source) = &self.sources[self.source(span)];
        source.text.get(span.start - start..span.end - start).unwrap_or_default()
    }

    /// The place of `span`, for a diagnostic.
    pub fn place(&self, span: &Range<usize>) -> Place {
        let (start, source) = &self.sources[self.source(span)];
        Place::new(Arc::clone(source), span.start - start..span.end.max(span.start) - start)
    }

    /// The file's name, as it was given.
    pub fn name(&self) -> &str {
        &self.sources[0].1.name
    }

    /// The index of the source that has `span`.
    fn source(&self, span: &Range<usize>) -> usize {
        self.sources.partition_point(|(start, _)| *start <= span.start) - 1
    }

    /// Notes a mistake.
    pub fn report(&self, diagnostic: Diagnostic) {
        self.errors.borrow_mut().push(diagnostic);
    }

    /// Notes a mistake at its place.
    pub fn error(&self, span: &Range<usize>, message: impl Into<String>) {
        self.report(Diagnostic::new(message).at(self.place(span)));
    }

    /// Notes a mistake at its place, and the way out.
    pub fn error_with_help(
        &self,
        span: &Range<usize>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.report(Diagnostic::new(message).at(self.place(span)).help(help));
    }

    /// Notes that something is missing that may be there when the job's turn comes.
    pub fn report_absent(&self, diagnostic: Diagnostic) {
        self.absences.borrow_mut().push(diagnostic);
    }

    /// Whether the job may use the field `name`: what it is made of has that word, or functions or programs that get all fields.
    pub fn may_use(&self, name: &str) -> bool {
        let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
        let has = |text: &[u8], word: &str| {
            memchr::memmem::find_iter(text, word).any(|at| {
                let is_start = !text[..at].last().is_some_and(is_part);
                is_start && !text.get(at + word.len()).is_some_and(is_part)
            })
        };
        let words = [name, "python", "worker"];
        let texts = self.sources.iter().map(|(_, source)| source.text.as_bytes());
        texts.into_iter().any(|text| words.iter().any(|word| has(text, word)))
    }

    /// Notes what is probably a mistake, at its place, and the way out.
    pub fn warn(&self, span: &Range<usize>, message: impl Into<String>, help: impl Into<String>) {
        let warning = Diagnostic::new(message).at(self.place(span)).help(help).as_warning();
        self.warnings.borrow_mut().push(warning);
    }

    /// What was warned of so far.
    pub fn take_warnings(&self) -> Vec<Diagnostic> {
        self.warnings.take()
    }

    /// Notes that the names of fields in the template `text` at `span` stand for the fields, though they look like
    /// something else: `check` says so.
    pub fn remark_exact_names(&self, text: &str, span: &Range<usize>, fields: &[String]) {
        for (part, message) in exact_names(text, fields) {
            self.remark_exact(text, span, &part, message);
        }
    }

    /// Notes that `part` of the condition `text` at `span` is a field, though it is a number, too.
    pub fn remark_exact_number(&self, text: &str, span: &Range<usize>, part: &Range<usize>) {
        let name = &text[part.clone()];
        self.remark_exact(
            text,
            span,
            part,
            format!("`{name}` is the field `{name}`, not a number"),
        );
    }

    fn remark_exact(&self, text: &str, span: &Range<usize>, part: &Range<usize>, message: String) {
        let place = self.place(&inside(self, span, text, part));
        let help = "if the field is not meant, give it another name";
        self.remarks.borrow_mut().push(Diagnostic::new(message).at(place).help(help).as_warning());
    }

    /// What was remarked so far.
    pub fn take_remarks(&self) -> Vec<Diagnostic> {
        self.remarks.take()
    }

    /// How many mistakes have been noted, and how much is missing.
    pub fn troubles(&self) -> usize {
        self.errors() + self.absences.borrow().len()
    }

    /// How many mistakes have been noted.
    pub fn errors(&self) -> usize {
        self.errors.borrow().len()
    }

    /// The mistakes, in the order of their places, and what is missing.
    pub fn into_errors(self) -> (Vec<Diagnostic>, Vec<Diagnostic>) {
        let mut errors = self.errors.into_inner();
        errors.sort_by_key(Diagnostic::position);
        (errors, self.absences.into_inner())
    }
}

/// Where in the document a part of a TOML string is: `inner` counts bytes of its `value`. With escapes in the string
/// the two do not run side by side, and the answer is the whole string.
pub(crate) fn inside(
    document: &Document,
    span: &Range<usize>,
    value: &str,
    inner: &Range<usize>,
) -> Range<usize> {
    let text = document.text(span);
    // Delimiters are at most three quotes, and a newline that TOML leaves out.
    let start = text.find(value).filter(|_| text.len() <= value.len() + 8);
    start.map_or(span.clone(), |start| {
        span.start + start + inner.start..span.start + start + inner.end
    })
}

//! Sources that are files: one or several, each read record by record.

mod again;
mod one_by_one;
mod reordered;

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

use super::csv::CsvOptions;
use super::earlier::Earlier;
use super::json::Elements;
use super::jsonl::Objects;
use super::lines::{LineOptions, Lines};
use super::notes::Notes;
use super::object::Shape;
use super::own::OwnFiles;
use super::records::{InputFile, Kept, Records, Stop};
use super::sheet::SheetOptions;
use super::text::{Text, TextOptions, TextRecords};
use super::{InputError, csv, sheet};
use one_by_one::OneByOne;
use reordered::Reordered;

/// How files hold their records.
#[derive(Clone, Debug)]
pub(super) enum Format {
    Lines(LineOptions),
    Csv(CsvOptions),
    /// With the fields that the job file names.
    Jsonl(Option<Vec<String>>),
    /// Likewise, and where in the document the array is.
    Json(Option<Vec<String>>, String),
    Sheet(SheetOptions),
}

/// Files, planned.
#[derive(Debug)]
pub(super) struct Files {
    pub all: Vec<InputFile>,
    pub format: Format,
    pub text: TextOptions,
    /// Whether the field `file` says which one an input is from.
    pub says_file: bool,
    /// The names in the report that is resumed.
    earlier: Earlier,
    pub notes: Arc<Notes>,
    learned: Learned,
    allowed: Allowed,
    /// What is wrong with the first file that cannot be opened, or has lines and no object.
    foreign: Option<InputError>,
    /// What was opened when the job was planned and can be read only once.
    kept: Kept,
}

/// What need not be right.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Allowed {
    /// There may be no input.
    pub emptiness: bool,
    /// One of several files may be one that cannot be opened: it is a datum that cannot be used.
    pub bad_files: bool,
}

/// What looking at the files has shown.
#[derive(Clone, Debug, Default)]
pub(super) struct Learned {
    /// The names of the fields, without `file`; `None` if no record could tell.
    pub names: Option<Vec<String>>,
    shape: Shape,
    /// Of tables, the file that has named them.
    named_by: usize,
    /// How the first file was understood: what, and in words.
    pub understood: Vec<(&'static str, String)>,
}

/// How many files are looked at when the job is planned; the others when their turn comes.
const LOOKED_AT: usize = 1_000;

/// The field that says which file an input is from.
pub(super) const FILE: &str = "file";

impl Files {
    /// Looks at `files`, of which there is at least one.
    pub fn learn(
        files: Vec<InputFile>,
        format: Format,
        text: TextOptions,
        is_plural: bool,
        earlier: Earlier,
        notes: Arc<Notes>,
        allowed: Allowed,
    ) -> Result<Self, InputError> {
        let mut looked = Self {
            all: files,
            format,
            text,
            says_file: is_plural,
            earlier,
            notes,
            learned: Learned::default(),
            allowed,
            foreign: None,
            kept: Kept::default(),
        };
        looked.look()?;
        if let (None, Some(foreign)) = (&looked.learned.names, looked.foreign.take()) {
            return Err(foreign);
        }
        if let Format::Csv(options) = &looked.format
            && looked.learned.names.is_none()
            && !allowed.emptiness
        {
            let has_header = options.header == csv::Header::First;
            let lacks = if has_header { "has no header row" } else { "has no row" };
            return Err(looked.all[0].error(lacks));
        }
        let names = looked.learned.names.as_deref().unwrap_or_default();
        looked.says_file &= !names.iter().any(|name| name == FILE);
        Ok(looked)
    }

    /// What looking at them has shown.
    pub fn learned(&self) -> &Learned {
        &self.learned
    }

    /// The names of the fields; `None` if no record could tell.
    pub fn fields(&self) -> Option<Vec<String>> {
        let mut names = self.learned.names.clone()?;
        if self.says_file {
            names.push(FILE.into());
        }
        Some(names)
    }

    /// The first file, if any, that can be read only once.
    pub fn once(&self) -> Option<&InputFile> {
        self.all.iter().find(|file| !file.regular)
    }

    fn look(&mut self) -> Result<(), InputError> {
        let stop = Stop::default();
        if let Format::Lines(options) = &self.format {
            self.learned.names = Some(options.fields());
            // A pipe says what it is when it is read.
            let regular = self.all.iter().filter(|file| file.regular);
            let (mut seen, mut wrong) = (0, None);
            for file in regular.take(LOOKED_AT) {
                let text = match Text::open(file, self.text, &stop) {
                    Ok(text) => text,
                    Err(error) if self.all.len() > 1 && self.allowed.bad_files => {
                        wrong.get_or_insert(error);
                        continue;
                    }
                    Err(error) => return Err(error),
                };
                seen += 1;
                if self.learned.understood.is_empty() {
                    self.learned.understood.push(("encoding", text.found().words()));
                }
            }
            return wrong.filter(|_| seen == 0).map_or(Ok(()), Err);
        }
        for index in 0..self.all.len().min(LOOKED_AT) {
            let file = self.all[index].clone();
            let opened = open(&file, &self.format, self.text, None, &self.notes, &stop);
            let mut opened = match opened {
                Ok(opened) => opened,
                Err(error) if self.all.len() > 1 && file.regular && self.allowed.bad_files => {
                    self.foreign.get_or_insert(error);
                    continue;
                }
                Err(error) => return Err(error),
            };
            opened.resume(&self.earlier);
            self.take_in(index, &file, &mut opened)?;
            if !file.regular {
                if self.all.len() > 1 {
                    return Err(
                        file.error("cannot be one of several files: it can be read only once")
                    );
                }
                self.kept = Kept::new(opened.into_records());
            }
        }
        Ok(())
    }

    fn take_in(
        &mut self,
        index: usize,
        file: &InputFile,
        opened: &mut Opened,
    ) -> Result<(), InputError> {
        if self.learned.understood.is_empty() {
            self.learned.understood = opened.understood();
        }
        match opened {
            Opened::Objects(objects) => {
                self.learned.widen(objects.shape());
                if let Some(error) = objects.foreign() {
                    if self.all.len() == 1 {
                        return Err(error);
                    }
                    self.foreign.get_or_insert(error);
                }
            }
            Opened::Elements(elements) => self.learned.widen(elements.shape()),
            Opened::Lines(_) => {}
            Opened::Rows(rows) => self.match_names(index, file, rows.header())?,
            Opened::Sheet(rows) => self.match_names(index, file, rows.header())?,
        }
        Ok(())
    }

    /// Whether a table has the columns of the first one. An empty file has none, and no row that would need them.
    fn match_names(
        &mut self,
        index: usize,
        file: &InputFile,
        names: &[String],
    ) -> Result<(), InputError> {
        if names.is_empty() {
            return Ok(());
        }
        let Some(first) = &self.learned.names else {
            self.learned.names = Some(names.to_vec());
            self.learned.named_by = index;
            return Ok(());
        };
        let first_file = &self.all[self.learned.named_by];
        let lacks = first.iter().find(|name| !names.contains(name));
        let adds = names.iter().find(|name| !first.contains(name));
        match (lacks, adds) {
            (Some(name), _) => {
                Err(file.error(format!("has no column `{name}`, which {first_file} has")))
            }
            (None, Some(name)) => {
                Err(file.error(format!("has a column `{name}`, which {first_file} does not have")))
            }
            (None, None) => Ok(()),
        }
    }

    /// The records, one file after another.
    pub fn open(self: &Arc<Self>, stop: &Stop) -> Result<Box<dyn Records>, InputError> {
        if let Some(records) = self.kept.take() {
            return Ok(records);
        }
        if let [file] = &self.all[..]
            && !self.says_file
        {
            if !file.regular && !matches!(self.format, Format::Lines(_)) {
                return Err(file.error("can be read only once"));
            }
            return self.open_one(file, stop);
        }
        Ok(Box::new(OneByOne::new(Arc::clone(self), stop.clone())))
    }

    /// Opens a file again, of which each record is sought.
    fn open_again(&self, file: &InputFile, stop: &Stop) -> Result<Box<dyn Records>, InputError> {
        let Format::Json(..) = &self.format else { return self.open_one(file, stop) };
        // The way to the array can be as long as the file.
        let text = Text::open(file, self.text, stop)?;
        let shape = self.learned.shape.clone();
        Ok(Box::new(Elements::again(text, shape, Arc::clone(&self.notes))))
    }

    fn open_one(&self, file: &InputFile, stop: &Stop) -> Result<Box<dyn Records>, InputError> {
        let shape = Some(self.learned.shape.clone());
        let opened = open(file, &self.format, self.text, shape, &self.notes, stop)?;
        let found = match &opened {
            Opened::Rows(rows) => rows.header().to_vec(),
            Opened::Sheet(rows) => rows.header().to_vec(),
            _ => return Ok(opened.into_records()),
        };
        let known = self.learned.names.as_deref().unwrap_or_default();
        if found == known || found.is_empty() {
            return Ok(opened.into_records());
        }
        let order: Option<Vec<usize>> =
            known.iter().map(|name| found.iter().position(|other| other == name)).collect();
        match order.filter(|_| found.len() == known.len()) {
            Some(order) => Ok(Box::new(Reordered { records: opened.into_records(), order })),
            None if self.all.len() > 1 => {
                let first = &self.all[self.learned.named_by];
                Err(file
                    .error(format!("has other columns than {first}: {}", differing(&found, known))))
            }
            None => Err(file.error("has other fields now than when the job was planned")),
        }
    }
}

/// The first name that only one of two headers has.
fn differing(found: &[String], known: &[String]) -> String {
    let lacks = known.iter().find(|name| !found.contains(name));
    let adds = found.iter().find(|name| !known.contains(name));
    match (lacks, adds) {
        (Some(name), _) => format!("it has no `{name}`"),
        (None, Some(name)) => format!("it has `{name}`, too"),
        (None, None) => "a column is there twice".into(),
    }
}

impl Learned {
    fn widen(&mut self, shape: &Shape) {
        let Some(names) = &mut self.names else {
            self.shape = shape.clone();
            // A file without a record says nothing of its fields, and has no input that would need them.
            self.names = Some(shape.names.clone()).filter(|names| !names.is_empty());
            return;
        };
        // Nobody can tell a value from an object by its file once they are inputs of one job.
        let differs = !shape.names.is_empty() && shape.is_plain != self.shape.is_plain;
        self.shape.has_plain |= differs;
        self.shape.is_plain &= !differs;
        names.extend(shape.names.iter().filter(|name| !self.shape.names.contains(name)).cloned());
        self.shape.names = names.clone();
    }
}

/// A file that has been opened.
enum Opened {
    Lines(Lines),
    Rows(csv::Rows),
    Objects(Objects),
    Elements(Elements),
    Sheet(sheet::Rows),
}

impl Opened {
    fn into_records(self) -> Box<dyn Records> {
        match self {
            Self::Lines(lines) => Box::new(lines),
            Self::Rows(rows) => Box::new(rows),
            Self::Objects(objects) => Box::new(objects),
            Self::Elements(elements) => Box::new(elements),
            Self::Sheet(rows) => Box::new(rows),
        }
    }

    /// Takes the fields of the report that is resumed, where a look at the records names them.
    fn resume(&mut self, earlier: &Earlier) {
        match self {
            Self::Objects(objects) => objects.resume(earlier),
            Self::Elements(elements) => elements.resume(earlier),
            Self::Lines(_) | Self::Rows(_) | Self::Sheet(_) => {}
        }
    }

    fn understood(&mut self) -> Vec<(&'static str, String)> {
        let text = match self {
            Self::Lines(lines) => lines.text(),
            Self::Rows(rows) => {
                let delimiter = ("delimiter", csv::shown_delimiter(rows.delimiter()));
                return vec![delimiter, ("encoding", rows.text().found().words())];
            }
            Self::Objects(objects) => objects.text(),
            Self::Elements(elements) => elements.text(),
            Self::Sheet(rows) => return vec![("sheet", rows.sheet().to_owned())],
        };
        vec![("encoding", text.found().words())]
    }
}

fn open(
    file: &InputFile,
    format: &Format,
    text: TextOptions,
    shape: Option<Shape>,
    notes: &Arc<Notes>,
    stop: &Stop,
) -> Result<Opened, InputError> {
    let notes = || Arc::clone(notes);
    if let Format::Sheet(options) = format {
        return sheet::Rows::open(file, options).map(Opened::Sheet);
    }
    let text = Text::open(file, text, stop)?;
    let given = |names: &Option<Vec<String>>| names.clone().map(Shape::given);
    Ok(match format {
        Format::Lines(options) => Opened::Lines(Lines::new(text, options.clone(), notes())),
        Format::Csv(options) => Opened::Rows(csv::Rows::new(text, options)?),
        Format::Jsonl(fields) => {
            Opened::Objects(Objects::new(text, shape.or_else(|| given(fields)), notes())?)
        }
        Format::Json(fields, at) => {
            Opened::Elements(Elements::new(text, at, shape.or_else(|| given(fields)), notes())?)
        }
        Format::Sheet(_) => unreachable!("it is not text"),
    })
}

/// The files that `name` names as seen from `folder`: a name that is a file, or a pattern, which finds none of `own`. Also whether more than one
/// could have been meant.
pub(super) fn find(
    name: &str,
    folder: &Path,
    own: &Arc<OwnFiles>,
) -> Result<(VecDeque<InputFile>, bool), String> {
    let is_pattern = name.contains(super::glob::SPECIAL);
    if name == "-" || !is_pattern || folder.join(name).exists() {
        return InputFile::find(name, folder).map(|file| ([file].into(), false));
    }
    let pattern = super::glob::Glob::new(name, folder)?.without(own);
    let mut files = VecDeque::new();
    for path in pattern.open(&Stop::default()) {
        let path = path.map_err(|error| error.to_string())?;
        if let Some(cause) = path.cause() {
            return Err(cause.to_owned());
        }
        files.push_back(InputFile::found(path.get(0), folder)?);
    }
    Ok((files, true))
}

//! What the inputs of a report's rows were, where the text of the report does not tell.

use std::fmt;
use std::path::Path;

/// What is known of a row's input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Original {
    /// Its values, byte by byte.
    Known(Vec<Vec<u8>>),
    /// The row is the one that was written, and what it was written from is lost.
    Lost,
    /// Nothing: the row is not one that was written here.
    Unknown,
}

/// A cell of an input, as its row has it and as what it most likely stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputCell {
    /// As the row has it.
    pub written: Vec<u8>,
    /// What it most likely stands for.
    pub meant: Vec<u8>,
}

/// Knows what the inputs of a report's rows were.
pub trait Originals: Send {
    /// The input of the row with the text `row`, which starts at the byte `offset` of the report.
    fn of_row(&mut self, offset: u64, row: &[u8], cells: &[InputCell]) -> Original;
}

/// Opens what knows the inputs of the report at a path, of which so many fields are the source's own.
pub type OpenOriginals = fn(&Path, usize) -> Option<Box<dyn Originals>>;

/// Where the inputs stand in a report, and who knows more of them.
#[derive(Clone, Copy)]
pub struct InputColumns {
    /// How many columns after `task` are fields of the input.
    pub fields: usize,
    /// How many of them are the source's own.
    pub own: usize,
    /// Opens what knows more.
    pub open: OpenOriginals,
}

impl fmt::Debug for InputColumns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InputColumns({}, {})", self.fields, self.own)
    }
}

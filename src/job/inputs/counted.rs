//! Inputs of which each can be had by its number, without those before it.

use std::borrow::Cow;
use std::sync::Arc;

use super::InputReader;
use super::product::Matrix;
use super::range::Range;
use crate::task::Fields;

/// Inputs of which each can be had by its number, from 0.
#[derive(Debug)]
pub(super) enum Counted {
    /// 1 to n.
    Repeat(u64),
    /// Numbers at equal distances.
    Range(Range),
    /// Every combination of lists.
    Matrix(Matrix),
    /// As they are.
    Rows(Vec<Fields>),
    /// Likewise, and at least one of them is a datum that cannot be used.
    Flawed(Vec<Fields>),
}

impl Counted {
    /// These inputs, of which some may be data that cannot be used.
    pub fn of(rows: Vec<Fields>) -> Self {
        if rows.iter().any(|row| row.cause().is_some()) {
            Self::Flawed(rows)
        } else {
            Self::Rows(rows)
        }
    }

    /// Whether one of them is a datum that cannot be used.
    pub fn can_be_bad(&self) -> bool {
        match self {
            Self::Repeat(_) | Self::Range(_) | Self::Rows(_) => false,
            Self::Matrix(matrix) => matrix.can_be_bad,
            Self::Flawed(_) => true,
        }
    }

    /// Why the last one that cannot be used cannot be, if there is one that is held as it is.
    pub fn flaw(&self) -> Option<&str> {
        match self {
            Self::Flawed(rows) => rows.iter().rev().find_map(Fields::cause),
            _ => None,
        }
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        match self {
            Self::Repeat(count) => *count,
            Self::Range(range) => range.count,
            Self::Matrix(matrix) => matrix.count,
            Self::Rows(rows) | Self::Flawed(rows) => rows.len() as u64,
        }
    }

    /// The one at `index`.
    #[inline]
    pub fn at(&self, index: u64) -> Fields {
        match self {
            Self::Repeat(_) => Fields::single_number(itoa::Buffer::new().format(index + 1)),
            Self::Range(range) => range.at(index),
            Self::Matrix(matrix) => matrix.at(index),
            Self::Rows(rows) | Self::Flawed(rows) => rows[index as usize].clone(),
        }
    }

    /// The one at `index`, borrowed if it is there already.
    pub fn get(&self, index: u64) -> Cow<'_, Fields> {
        match self {
            Self::Rows(rows) | Self::Flawed(rows) => Cow::Borrowed(&rows[index as usize]),
            computed => Cow::Owned(computed.at(index)),
        }
    }

    /// All from the one at `first` on.
    pub fn from(self: &Arc<Self>, first: u64) -> InputReader {
        let counted = Arc::clone(self);
        Box::new((first..counted.count().max(first)).map(move |index| Ok(counted.at(index))))
    }
}

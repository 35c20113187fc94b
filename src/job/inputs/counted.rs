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
}

impl Counted {
    /// How many there are.
    pub fn count(&self) -> u64 {
        match self {
            Self::Repeat(count) => *count,
            Self::Range(range) => range.count,
            Self::Matrix(matrix) => matrix.count,
            Self::Rows(rows) => rows.len() as u64,
        }
    }

    /// The one at `index`.
    #[inline]
    pub fn at(&self, index: u64) -> Fields {
        match self {
            Self::Repeat(_) => Fields::single_number(itoa::Buffer::new().format(index + 1)),
            Self::Range(range) => range.at(index),
            Self::Matrix(matrix) => matrix.at(index),
            Self::Rows(rows) => rows[index as usize].clone(),
        }
    }

    /// The one at `index`, borrowed if it is there already.
    pub fn get(&self, index: u64) -> Cow<'_, Fields> {
        match self {
            Self::Rows(rows) => Cow::Borrowed(&rows[index as usize]),
            computed => Cow::Owned(computed.at(index)),
        }
    }

    /// All from the one at `first` on.
    pub fn from(self: &Arc<Self>, first: u64) -> InputReader {
        let counted = Arc::clone(self);
        Box::new((first..counted.count().max(first)).map(move |index| Ok(counted.at(index))))
    }
}

//! A file that several patterns of a source find is read once.

use std::collections::HashMap;
use std::path::PathBuf;

use super::glob::settled;
use super::records::InputFile;

/// The files that a source has named so far.
#[derive(Default)]
pub(super) struct Once {
    /// Each, and whether it was named by itself and not only found by a pattern.
    seen: HashMap<PathBuf, bool>,
    /// The last one that was named by itself twice.
    again: Option<InputFile>,
}

impl Once {
    /// Those of `found` that are to be read: not what was there already, unless both times somebody has written its name.
    pub fn left_of(
        &mut self,
        found: impl IntoIterator<Item = InputFile>,
        is_pattern: bool,
    ) -> Vec<InputFile> {
        found.into_iter().filter(|file| self.is_new(file, !is_pattern)).collect()
    }

    fn is_new(&mut self, file: &InputFile, is_named: bool) -> bool {
        // Standard input and other pipes can be read once, which is said elsewhere.
        if !file.regular {
            return true;
        }
        let Some(was_named) = self.seen.get_mut(&settled(file.path())) else {
            self.seen.insert(settled(file.path()), is_named);
            return true;
        };
        let is_again = *was_named && is_named;
        *was_named |= is_named;
        if is_again {
            self.again = Some(file.clone());
        }
        is_again
    }

    /// The file, if any, that the last names have named a second time.
    pub fn take_again(&mut self) -> Option<InputFile> {
        self.again.take()
    }
}

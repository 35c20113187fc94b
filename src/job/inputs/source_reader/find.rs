//! The files that a source names: by their names, or by patterns.

use super::Reader;
use crate::config::Table;
use crate::job::inputs::files;
use crate::job::inputs::glob::{GlobOptions, Globs};
use crate::job::inputs::once::Once;
use crate::job::inputs::options::Named;
use crate::job::inputs::records::InputFile;

impl Reader<'_> {
    /// The files that a source names, and whether it can name several.
    pub(super) fn find(
        &self,
        named: &Named<'_>,
        table: &Table<'_>,
    ) -> Option<(Vec<InputFile>, bool)> {
        let (mut all, mut is_plural, mut is_sound) = (Vec::new(), named.is_array, true);
        let mut once = Once::default();
        for name in &named.names {
            match files::find(name.get_ref(), self.around.folder, &self.around.own) {
                Ok((found, is_pattern)) => {
                    is_plural |= is_pattern;
                    if found.is_empty() && !self.may_be_empty {
                        let near = Globs::new(
                            &[name.get_ref()],
                            &GlobOptions::default(),
                            self.around.folder,
                        );
                        let near = near.map_or_else(
                            |error| error,
                            |globs| globs.without(&self.around.own).near(),
                        );
                        self.wrong(table, &name.span(), near);
                        is_sound = false;
                    }
                    all.extend(once.left_of(found, is_pattern));
                    if let Some(again) = once.take_again() {
                        let message =
                            format!("{again} is named twice: each of its inputs is there twice");
                        table.document().warn(&name.span(), message, "leave out one of the two");
                    }
                }
                Err(message) => {
                    self.wrong(table, &name.span(), message);
                    is_sound = false;
                }
            }
        }
        let stdins = all.iter().filter(|file| file.is_stdin()).count();
        if stdins > 0 && all.len() > 1 {
            let message = "standard input cannot be one of several files";
            table.document().error(&named.names[0].span(), message);
            return None;
        }
        is_sound.then_some((all, is_plural))
    }
}

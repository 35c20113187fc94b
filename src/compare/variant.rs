//! A variant of a job: under one model, or, with `[[stages]]`, as the job file has it.

use std::fmt;

use crate::model::Model;

/// The model or models under which a job runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// Each stage under the model that the job file gives it.
    AsWritten,
    /// All of it under one model: every stage, if it has several.
    Under(Model),
}

impl Variant {
    /// Every variant, the simplest first: nothing is simpler than to change nothing.
    pub const ALL: [Variant; 5] = {
        let [first, second, third, fourth] = Model::ALL;
        [
            Variant::AsWritten,
            Variant::Under(first),
            Variant::Under(second),
            Variant::Under(third),
            Variant::Under(fourth),
        ]
    };

    /// Its position among all variants; the simplest is 0.
    pub fn rank(self) -> usize {
        Variant::ALL.iter().position(|variant| *variant == self).unwrap_or(Variant::ALL.len())
    }

    /// Its name in reports: that of the model, or `staged` as in a summary.
    pub fn name(self) -> &'static str {
        match self {
            Variant::AsWritten => "staged",
            Variant::Under(model) => model.name(),
        }
    }
}

impl From<Model> for Variant {
    fn from(model: Model) -> Self {
        Variant::Under(model)
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

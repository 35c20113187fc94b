//! A way to run a job: under one model, or, with `[[stages]]`, as the job file has it.

use std::fmt;

use crate::model::Model;

/// Who runs the slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// Each stage under the model that the job file gives it.
    AsWritten,
    /// All of it under one model: every stage, if it has several.
    Under(Model),
}

impl Variant {
    /// Every way, the simplest first: nothing is simpler than to change nothing.
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

    /// Where it stands among all, the simplest being 0.
    pub fn rank(self) -> usize {
        Variant::ALL.iter().position(|way| *way == self).unwrap_or(Variant::ALL.len())
    }

    /// The word for it in reports: a model's, or `staged` as in a summary.
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

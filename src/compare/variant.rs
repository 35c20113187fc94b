//! A way to run a job: under one model, or, with `[[stages]]`, as the job file has it.

use std::fmt;

use crate::model::Model;

/// Who runs the slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Each stage under the model that the job file gives it.
    AsWritten,
    /// All of it under one model: every stage, if it has several.
    Under(Model),
}

impl Way {
    /// Every way, the simplest first: nothing is simpler than to change nothing.
    pub const ALL: [Way; 5] = {
        let [first, second, third, fourth] = Model::ALL;
        [
            Way::AsWritten,
            Way::Under(first),
            Way::Under(second),
            Way::Under(third),
            Way::Under(fourth),
        ]
    };

    /// Where it stands among all, the simplest being 0.
    pub fn rank(self) -> usize {
        Way::ALL.iter().position(|way| *way == self).unwrap_or(Way::ALL.len())
    }

    /// The word for it in reports: a model's, or `staged` as in a summary.
    pub fn name(self) -> &'static str {
        match self {
            Way::AsWritten => "staged",
            Way::Under(model) => model.name(),
        }
    }
}

impl From<Model> for Way {
    fn from(model: Model) -> Self {
        Way::Under(model)
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

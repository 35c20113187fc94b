//! Small things that everybody needs: diagnostics, JSON, text for people, sizes and durations.

mod count;
pub mod diagnostic;
mod duration;
pub mod event;
pub mod json;
mod lock;
pub mod mask;
mod median;
pub mod number;
mod pattern;
pub mod screen;
pub(crate) mod setting;
mod size;
pub mod standard_output;
pub mod temporary;
pub mod text;

pub use count::Count;
pub use diagnostic::{Diagnostic, Diagnostics};
pub use duration::{Period, Timeout};
pub use lock::lock;
pub use median::{median, median_in_place};
pub use pattern::{LineSearch, Pattern, Piece, Take};
pub use size::{ByteSize, about, used_of};

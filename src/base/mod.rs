//! Small things that everybody needs: diagnostics, JSON, text for people, sizes and durations.

mod count;
pub mod diagnostic;
mod duration;
pub mod event;
pub mod json;
pub mod mask;
pub mod number;
mod pattern;
pub mod screen;
pub(crate) mod setting;
mod size;
pub mod text;

pub use count::Count;
pub use diagnostic::{Diagnostic, Diagnostics};
pub use duration::{Period, Timeout};
pub use pattern::{LineSearch, Pattern, Take};
pub use size::{ByteSize, about, used_of};

//! What happens to a task: it is taken from the feed, attempted in a slot and handed on as a record.

pub mod attempt;
pub mod cancel;
pub mod clock;
pub mod control;
pub mod feed;
pub mod place;
pub mod run;
pub mod services;
pub mod slot;
pub mod task;

//! What happens to a task: it is taken from the feed, attempted in a slot and handed on as a record.

pub mod control;
pub mod feed;
mod limits;
pub mod run;
pub mod services;
pub mod slot;
pub mod slot_worker;

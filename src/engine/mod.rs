//! Runs a job: tasks are taken from the feed, attempted in a slot and handed on as records.

pub mod control;
pub mod feed;
pub(crate) mod limits;
pub mod made;
pub mod run;
pub mod services;
pub mod slot;
pub mod slot_worker;

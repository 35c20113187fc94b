//! What happens to a task: it is taken from the feed, attempted in a slot and handed on as a record.

mod admission;
pub mod attempt;
pub mod cancel;
pub mod clock;
pub mod control;
mod eviction;
pub mod feed;
pub mod group;
mod guard;
mod headroom;
mod limiter;
pub mod meter;
pub mod payload;
pub mod place;
pub mod run;
pub mod services;
pub mod slot;
pub mod task;

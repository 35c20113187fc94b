//! From the slots to the partial: rows are encoded where they are made, buffered, reordered and written.

pub mod attempts;
pub mod batch;
pub mod buffer;
pub mod disk_sync;
pub mod recorder;
pub mod remarks;
pub mod reorder;
pub mod row;
pub mod wakeup;

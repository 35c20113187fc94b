//! The files of a job that runs: its partial report, the state beside it, and the order in which the rows leave them.

pub mod partial;
pub mod row_order;
pub mod scattered_read;
pub mod state;

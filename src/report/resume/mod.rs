//! Resuming: what an earlier run has left, checked, and which of it is kept.

pub mod finished_inputs;
pub mod kept_figures;
pub mod kept_rows;
pub mod start;
pub mod verify;

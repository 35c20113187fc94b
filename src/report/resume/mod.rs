//! Resuming: checks what an earlier run has left, and decides which of its rows are kept.

pub mod attempt_numbers;
pub mod earlier_rows;
pub mod finished_inputs;
pub mod kept_figures;
pub mod kept_rows;
pub mod numbered_rows;
pub mod place;
pub mod row_numbers;
pub mod start;
pub mod unfinished_rows;
pub mod verify;

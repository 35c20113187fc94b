//! What an attempt waits for before it starts, and what ends a job early: rate, budgets, memory, load, groups, deadline, failures.

pub mod adaptive;
pub mod admission;
pub mod budget;
pub mod due;
pub mod free_memory;
pub mod load;
pub mod rate;
pub mod watchdog;

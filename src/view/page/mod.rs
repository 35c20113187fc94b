//! Pages: one file each, with all that they need in it.

pub mod compare;
pub mod limit;
pub mod lists;
pub mod model;
pub mod over_time;
pub mod run;
pub mod run_times;
pub mod words;

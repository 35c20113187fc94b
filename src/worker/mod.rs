//! Processes that run tasks: the runner's own workers and Python interpreters ([`internal`]), and the user's worker
//! programs ([`external`]).

pub mod external;
pub mod internal;
mod log;
mod pipes;
pub mod private_protocol;
pub mod public_protocol;
pub mod serve;
pub mod shared_page;

pub use log::{Earlier, Log};

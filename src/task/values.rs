//! The values for the templates of a job file.

use crate::task::{Fields, Payload};

/// The values for a template.
#[derive(Clone, Copy, Debug)]
pub struct Values<'a> {
    /// The input's values.
    pub fields: &'a Fields,
    /// The task's number, from 1.
    pub task: u64,
    /// The attempt's number, from 1.
    pub attempt: u32,
    /// The slot's number, from 1.
    pub slot: usize,
    /// The payload from the previous stage.
    pub payload: Option<&'a Payload>,
}

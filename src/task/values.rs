//! What the templates of a job file are filled with.

use crate::task::{Fields, Payload};

/// What a template is filled with.
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
    /// What the stage before has handed on.
    pub payload: Option<&'a Payload>,
}

//! What is the same for every request of a job. It is sent to worker processes as it is.

use serde::{Deserialize, Serialize};

use super::expect::Expected;
use super::save::Folder;

/// What is the same for every request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Names of the headers whose values the texts of a request end with.
    pub headers: Vec<String>,
    /// Whether the texts have a body.
    pub has_body: bool,
    /// Whether the texts have a path to save to, and the folder that it may not leave.
    pub save: Option<Folder>,
    /// Statuses that are a success.
    pub expect: Vec<Expected>,
    /// How many redirects are followed.
    pub redirects: usize,
    /// Whether HTTP/2 is spoken where the server does.
    pub http2: bool,
    /// What is kept of an answer.
    pub keep: Keep,
}

/// What is kept of an answer, for `[columns]` and for whoever prints it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keep {
    /// This much of the body, in bytes; what is beyond is counted.
    pub body: u64,
    /// Whether a longer body is kept too, in a file without a name.
    pub whole: bool,
    /// For the next stage, up to this many bytes of the body are collected; `None` if there is none.
    #[serde(default)]
    pub payload: Option<u64>,
    /// The values of these headers.
    pub headers: Vec<String>,
}

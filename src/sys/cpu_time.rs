//! Processor time.

use std::time::Duration;

/// Processor time of an attempt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuTime {
    /// In user mode.
    pub user: Duration,
    /// In the kernel.
    pub system: Duration,
}

impl CpuTime {
    /// The sum of what was measured.
    pub fn sum(one: Option<Self>, other: Option<Self>) -> Option<Self> {
        let add = |a: Self, b: Self| Self { user: a.user + b.user, system: a.system + b.system };
        match (one, other) {
            (Some(one), Some(other)) => Some(add(one, other)),
            (one, other) => one.or(other),
        }
    }
}

//! What the decision guide has to know of a workload.

/// What a workload spends its time on: what the decision guide has to know of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nature {
    /// The runner's own processor time.
    Computes,
    /// Waiting for something elsewhere.
    Waits,
    /// Waiting for a server that others use, too.
    Requests,
    /// A process of its own, whatever that does.
    Process,
    /// A program that does many tasks, alone or at once: the model is its own.
    Hosted,
}

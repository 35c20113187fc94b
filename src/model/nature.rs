//! What the decision guide has to know about a workload.

/// What a workload spends its time on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nature {
    /// Computing in the runner itself.
    Computes,
    /// Waiting.
    Waits,
    /// Waiting for a server that others use as well.
    Requests,
    /// A process of its own, whatever it does.
    Process,
    /// A program that does many tasks, one at a time or concurrently: it has the threads or the event loop.
    Hosted,
}

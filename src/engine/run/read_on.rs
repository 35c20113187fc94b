//! When reading inputs ends because a job was stopped. Before anything runs that is at once. From then on the inputs are
//! read to their end all the same, since every task that does not run has a row; only a search that finds none is given up.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::job::{InputReader, Stop};
use crate::task::Moment;

/// How long a stopped job looks for its next input: enough for millions of lines that `where` leaves out.
const PATIENCE: Duration = Duration::from_secs(2);

/// How far reading goes on in a job that was stopped.
#[derive(Default)]
pub(super) struct ReadOn {
    /// Whether tasks may have been started.
    has_begun: AtomicBool,
    /// Since when the stopped job has found no input, in nanoseconds; 0 if it has not looked since the last one.
    quiet_since: AtomicU64,
}

impl ReadOn {
    /// Ends reading as far as that has to end once `is_stopped` says so.
    pub(super) fn stop(
        self: &Arc<Self>,
        is_stopped: impl Fn() -> bool + Send + Sync + 'static,
    ) -> Stop {
        let read_on = Arc::clone(self);
        Stop::when(move || is_stopped() && read_on.is_over())
    }

    /// To be called before the first task may start. Returns `inputs`, whose coming is noticed from here on.
    pub(super) fn begin(self: &Arc<Self>, inputs: InputReader) -> InputReader {
        self.has_begun.store(true, Ordering::Relaxed);
        let read_on = Arc::clone(self);
        Box::new(inputs.inspect(move |_| read_on.quiet_since.store(0, Ordering::Relaxed)))
    }

    /// Whether a stopped job has looked for long enough.
    fn is_over(&self) -> bool {
        if !self.has_begun.load(Ordering::Relaxed) {
            return true;
        }
        let now = Moment::now().as_nanos().max(1);
        let (order, since) = (Ordering::Relaxed, &self.quiet_since);
        let since =
            since.compare_exchange(0, now, order, order).map_or_else(|since| since, |_| now);
        now.saturating_sub(since) > PATIENCE.as_nanos() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::Fields;

    #[test]
    fn a_job_that_has_begun_reads_on_when_it_is_stopped() {
        let read_on = Arc::<ReadOn>::default();
        let (goes_on, stopped) = (read_on.stop(|| false), read_on.stop(|| true));
        assert!(stopped.is_raised() && !goes_on.is_raised());
        let mut inputs = read_on.begin(Box::new(std::iter::repeat_with(|| Ok(Fields::default()))));
        assert!(!stopped.is_raised());
        let long_ago = || read_on.quiet_since.store(1, Ordering::Relaxed);
        long_ago();
        assert!(stopped.is_raised() && !goes_on.is_raised());
        inputs.next();
        assert!(!stopped.is_raised(), "an input came");
        long_ago();
        assert!(stopped.is_raised());
    }
}

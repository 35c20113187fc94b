//! Whether the machine is idle: what other programs use while a comparison does nothing.

use std::thread;
use std::time::Duration;

use crate::model::cores;
use crate::sys::ProcessorTimes;

/// How long the processors are observed.
const OBSERVATION: Duration = Duration::from_millis(250);

/// The share of the processors that other programs may use without a warning.
const TOLERATED: f64 = 0.1;

/// The warning that other programs keep processors busy, if they do. Takes a quarter of a second.
pub fn is_busy() -> Option<String> {
    let before = ProcessorTimes::read()?;
    thread::sleep(OBSERVATION);
    let busy = ProcessorTimes::read()?.busy_since(before)?;
    complaint(busy, before.count as f64, cores() as f64)
}

/// The warning for `busy` of `online` processors, of which the runner may use `ours`.
fn complaint(busy: f64, online: f64, ours: f64) -> Option<String> {
    let free = online - busy;
    (free < ours * (1.0 - TOLERATED)).then(|| {
        format!(
            "the machine is busy: other programs use {busy:.1} of {online} processors, so times vary and models that use \
             several processors look worse than they are"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_processors_that_are_left_matter() {
        assert_eq!(complaint(0.1, 2.0, 2.0), None);
        assert!(complaint(0.5, 2.0, 2.0).unwrap().contains("0.5 of 2 processors"));
        assert_eq!(complaint(30.0, 64.0, 2.0), None);
    }
}

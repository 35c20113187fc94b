//! Whether the machine has its processors to spare: what other programs do while a comparison does nothing.

use std::thread;
use std::time::Duration;

use crate::model::cores;
use crate::sys::ProcessorTimes;

/// How long is looked.
const LOOK: Duration = Duration::from_millis(250);

/// This much of the processors may be busy with other things.
const TOLERATED: f64 = 0.1;

/// Says that other programs keep processors busy, if they do. Takes a quarter of a second.
pub fn is_busy() -> Option<String> {
    let before = ProcessorTimes::read()?;
    thread::sleep(LOOK);
    let busy = ProcessorTimes::read()?.busy_since(before)?;
    complaint(busy, before.count as f64, cores() as f64)
}

/// `busy` processors of `online` ones, of which the runner may use `ours`.
fn complaint(busy: f64, online: f64, ours: f64) -> Option<String> {
    let free = online - busy;
    (free < ours * (1.0 - TOLERATED)).then(|| {
        format!(
            "the machine is busy: other programs keep {busy:.1} of {online} processors busy, so times scatter and models \
             that use several of them look worse than they are"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_matters_is_what_is_left() {
        assert_eq!(complaint(0.1, 2.0, 2.0), None);
        assert!(complaint(0.5, 2.0, 2.0).unwrap().contains("0.5 of 2 processors"));
        assert_eq!(complaint(30.0, 64.0, 2.0), None);
    }
}

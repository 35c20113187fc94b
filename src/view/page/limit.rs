//! What limited a run, as far as its figures tell.

use crate::view::page::words;

/// The figures of a run that tell what limited it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Figures<'a> {
    /// From the first start to the last end, in seconds.
    pub span: f64,
    /// For how long slots were busy, summed, in seconds.
    pub busy: f64,
    /// The number of slots.
    pub slots: f64,
    /// Processor time, in seconds.
    pub cpu: Option<f64>,
    /// The number of cores.
    pub cores: Option<f64>,
    /// The part of the wall time before the first task.
    pub startup: f64,
    /// The part of the time, at its end, in which fewer than half of the slots were busy.
    pub tail: f64,
    /// The mean run time, in seconds.
    pub mean: f64,
    /// The summary's `reason`.
    pub reason: &'a str,
    /// Whether the job has stages.
    pub is_staged: bool,
}

/// A part of a whole from which on it is nearly all.
const NEARLY_ALL: f64 = 0.85;

impl Figures<'_> {
    /// One sentence; `None` if there is nothing to say.
    pub fn sentence(&self) -> Option<String> {
        if self.is_staged {
            return self.bottleneck();
        }
        if self.span <= 0.0 || self.slots < 1.0 || self.busy <= 0.0 {
            return None;
        }
        if self.startup > 0.4 {
            return Some(format!(
                "Starting took {} of the time: more tasks in one run would use it better.",
                words::percent(self.startup)
            ));
        }
        let busy = (self.busy / (self.span * self.slots)).min(1.0);
        let cores = self.cores.unwrap_or(f64::INFINITY);
        let computing = self.cpu.map(|cpu| cpu / self.span);
        let processors = computing.map_or_else(String::new, |computing| {
            let of = self.cores.map_or_else(String::new, |cores| format!(" of {cores}"));
            format!("{computing:.1}{of} processors busy on average")
        });
        if let Some(computing) = computing.filter(|computing| *computing >= NEARLY_ALL * cores) {
            return Some(format!(
                "Limited by the processors: {computing:.1} of {cores} were busy on average, so more slots would not help."
            ));
        }
        if self.slots > 1.0 && self.tail >= 0.25 {
            return Some(format!(
                "Limited by its longest tasks: for the last {} of the time fewer than half of the {} slots had work; \
                 longer tasks first would help.",
                words::percent(self.tail),
                self.slots
            ));
        }
        if busy >= NEARLY_ALL {
            return Some(self.all_busy(busy, computing, &processors));
        }
        if busy < 0.5 && self.mean < 0.001 {
            return Some(format!(
                "Limited by handing out tasks: they take {} each, less than starting one does.",
                words::seconds(self.mean)
            ));
        }
        if busy < 0.5 {
            return Some(format!(
                "Limited by what starts tasks: slots were idle for {} of the time, waiting for a rate, for inputs, for a \
                 retry's pause, or for one another.",
                words::percent(1.0 - busy)
            ));
        }
        let also = if processors.is_empty() { processors } else { format!(", {processors}") };
        Some(format!("Slots were busy for {} of the time{also}.", words::percent(busy)))
    }

    fn all_busy(&self, busy: f64, computing: Option<f64>, processors: &str) -> String {
        let shown = words::percent(busy);
        let room = self.cores.unwrap_or(self.slots).min(self.slots);
        let slots = self.slots;
        match computing {
            _ if slots < 2.0 && computing.is_some_and(|computing| computing >= 0.8) => {
                format!("Limited by one slot, which computed for {shown} of the time.")
            }
            Some(computing) if computing < 0.5 * room => format!(
                "Limited by the number of slots: {} was busy for {shown} of the time, and mostly waited ({processors}); more \
                 at once may be faster.",
                if slots < 2.0 { "the only one".to_owned() } else { format!("each of {slots}") }
            ),
            Some(_) => format!("Slots were busy for {shown} of the time, {processors}."),
            None if slots < 2.0 => {
                format!("Limited by its only slot, which was busy for {shown} of the time.")
            }
            None => format!(
                "Limited by the number of slots: all {slots} were busy for {shown} of the time."
            ),
        }
    }

    fn bottleneck(&self) -> Option<String> {
        let said = self.reason.split("; ").find_map(|part| part.strip_prefix("bottleneck "))?;
        Some(format!("Limited by the stage {said}."))
    }
}

/// The part of the time, at its end, in which less than half of `slots` was busy; `busy` is, for each of equal parts of the
/// time, how many were.
pub fn tail(busy: &[f64], slots: f64) -> f64 {
    let idle = busy.iter().rev().take_while(|busy| **busy < slots / 2.0).count();
    // A run that never had half of its slots busy has no tail.
    if idle == busy.len() { 0.0 } else { idle as f64 / busy.len() as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_is_named() {
        let base = Figures {
            span: 10.0,
            busy: 38.0,
            slots: 4.0,
            cores: Some(2.0),
            mean: 0.1,
            ..Figures::default()
        };
        for (figures, said) in [
            (Figures { cpu: Some(19.0), ..base }, "Limited by the processors: 1.9 of 2"),
            (
                Figures { cpu: Some(1.0), ..base },
                "Limited by the number of slots: each of 4 was busy for 95 %",
            ),
            (Figures { cpu: None, ..base }, "Limited by the number of slots: all 4 were"),
            (
                Figures { cpu: Some(1.0), slots: 1.0, busy: 9.5, ..base },
                "Limited by the number of slots: the only one was busy for 95 % of the time, and mostly waited",
            ),
            (
                Figures { cpu: None, slots: 1.0, busy: 9.5, ..base },
                "Limited by its only slot, which was busy for 95 % of the time.",
            ),
            (
                Figures { tail: 0.4, busy: 20.0, cpu: Some(1.0), ..base },
                "Limited by its longest tasks: for the last 40 %",
            ),
            (Figures { startup: 0.5, ..base }, "Starting took 50 %"),
            (
                Figures { busy: 4.0, ..base },
                "Limited by what starts tasks: slots were idle for 90 %",
            ),
            (
                Figures { busy: 4.0, mean: 1e-5, ..base },
                "Limited by handing out tasks: they take 10 µs each",
            ),
            (
                Figures { busy: 28.0, cpu: Some(14.0), ..base },
                "Slots were busy for 70 % of the time, 1.4 of 2 processors",
            ),
            (
                Figures { is_staged: true, reason: "x; bottleneck hash, busy 99 %; a 3 %", ..base },
                "Limited by the stage hash, busy 99 %.",
            ),
        ] {
            let sentence = figures.sentence().unwrap();
            assert!(sentence.starts_with(said), "{sentence}");
        }
        assert_eq!(Figures::default().sentence(), None);
    }

    #[test]
    fn a_tail_is_at_the_end() {
        assert!((tail(&[4.0, 4.0, 1.0, 1.0], 4.0) - 0.5).abs() < 1e-9);
        assert!(tail(&[1.0, 1.0], 4.0).abs() < 1e-9);
        assert!(tail(&[1.0, 4.0], 4.0).abs() < 1e-9);
    }
}

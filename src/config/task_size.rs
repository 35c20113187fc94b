//! `limits.cores` and `limits.memory`: what one task takes of the machine.

use toml::Spanned;

use crate::base::{ByteSize, Count, about};
use crate::config::{Planner, Table};
use crate::sys::total_memory;

/// What one task takes of the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TaskSize {
    /// How many cores.
    pub cores: Option<Count>,
    /// How much memory.
    pub memory: Option<ByteSize>,
}

impl TaskSize {
    /// Reads it from `[limits]`.
    pub(crate) fn read(table: &mut Table<'_>, plan: &Planner<'_>) -> Self {
        let cores = table.get::<Count>("cores");
        if let Some(cores) = &cores {
            let (asked, there) = (cores.get_ref().get() as usize, crate::model::cores());
            if asked > there {
                let message = format!("a task takes {asked} cores, and there are {there}");
                plan.warn(&cores.span(), message, "one task runs at a time, and may be slow");
            }
        }
        let memory = table.get::<ByteSize>("memory");
        if let Some(memory) = &memory {
            check(memory, total_memory(), plan);
        }
        Self { cores: cores.map(Spanned::into_inner), memory: memory.map(Spanned::into_inner) }
    }

    /// So many tasks fit into the machine, at least one; `None` if that is not said.
    pub fn most(&self) -> Option<usize> {
        self.of(crate::model::cores(), total_memory())
    }

    /// The same with so many cores.
    pub(super) fn of(self, cores: usize, total: Option<u64>) -> Option<usize> {
        let by_cores = self.cores.map(|each| cores / each.get() as usize);
        let by_memory =
            self.memory.zip(total).map(|(each, total)| (total / each.bytes().max(1)) as usize);
        by_cores.into_iter().chain(by_memory).min().map(|most| most.max(1))
    }
}

/// No process takes less memory than this, in bytes: a unit is missing.
const LEAST: u64 = 64 << 10;

fn check(memory: &Spanned<ByteSize>, total: Option<u64>, plan: &Planner<'_>) {
    let bytes = memory.get_ref().bytes();
    if bytes == 0 {
        let help = "leave it out if tasks may use what there is";
        plan.error_with_help(memory.span(), "a task cannot do without memory", help);
    } else if bytes < LEAST {
        let message = format!("a task cannot do with {bytes} bytes");
        plan.error_with_help(memory.span(), message, "write the unit, for example \"2GiB\"");
    }
    if let Some(total) = total.filter(|&total| bytes > total) {
        let message = format!("a task may use {}, and there are {}", about(bytes), about(total));
        plan.error_with_help(
            memory.span(),
            message,
            "`memory` is the most that a single task may use",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_tasks_as_fit() {
        let size = |cores: Option<&str>, memory: Option<&str>| TaskSize {
            cores: cores.map(|cores| cores.parse().unwrap()),
            memory: memory.map(|memory| memory.parse().unwrap()),
        };
        let gib = Some(16 << 30);
        assert_eq!(size(None, None).of(8, gib), None);
        assert_eq!(size(Some("3"), None).of(8, gib), Some(2));
        assert_eq!(size(Some("16"), None).of(8, gib), Some(1));
        assert_eq!(size(Some("1"), Some("5GiB")).of(8, gib), Some(3));
        assert_eq!(size(None, Some("5GiB")).of(8, None), None);
    }
}

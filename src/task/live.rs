//! Output that is shown while a task still runs.

use std::fmt::Debug;
use std::pin::Pin;

use crate::task::Values;

/// Ready when there is room for more.
pub type Room<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// Takes whole lines of tasks that still run.
pub trait LiveOutput: Debug + Send + Sync {
    /// What stands before each line of this task.
    fn tag(&self, values: &Values<'_>) -> Vec<u8>;
    /// Takes lines of one task; never blocks.
    fn put(&self, tag: &[u8], lines: &[u8]);
    /// What to wait for before there is more; `None` if there is room.
    fn room(&self) -> Option<Room<'_>>;
}

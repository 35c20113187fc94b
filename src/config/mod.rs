//! TOML with places: one file while it is read, its tables and their keys, templates, and the small types of single
//! settings.

mod arguments;
pub(crate) mod budget;
#[cfg(test)]
pub(crate) mod counts;
mod document;
mod limits;
mod load;
mod name;
mod overrides;
mod planner;
pub mod program;
mod rate;
pub(crate) mod raw;
mod report;
mod retry;
pub(crate) mod runner_toml;
pub mod schema;
pub(crate) mod secrets;
mod stop_after;
pub(crate) mod syntax;
pub(crate) mod table;
mod task_size;
mod template;
mod time_limit;

pub use arguments::Arguments;
pub use budget::{BudgetLimit, ColumnBudget};
pub(crate) use document::{Document, inside};
pub use limits::{Bounds, Concurrency, RawModel};
pub use load::Load;
pub use name::JobName;
pub(crate) use overrides::Argument;
pub use overrides::Overrides;
pub(crate) use planner::Absent;
pub(crate) use planner::InputFacts;
pub use planner::{Choices, FoundFiles, Planner};
pub use rate::Rate;
pub(crate) use raw::RawFile;
pub use report::{Format, Formats, Logs, Order, ReportSettings};
pub use retry::{Retry, RetryOn};
pub use secrets::Secret;
pub use stop_after::{Enough, FailureLimit, Running, StopAfter};
pub use table::Table;
pub use task_size::TaskSize;
pub(crate) use template::{CREATES, created, exact_names};
pub use template::{Demand, Scope, StageScope, Template, TemplateError, ValueStep, ValueTemplate};
pub use time_limit::TimeLimit;

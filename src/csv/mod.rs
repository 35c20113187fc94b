//! The CSV of reports: dialects, cells, numbers and timestamps, written and read back.

mod cells;
pub mod columns;
mod dialect;
pub mod number;
mod originals;
mod reader;
mod table;
mod timestamp;
pub mod writer;

pub use cells::cells;
pub use dialect::{Dialect, has_semicolons};
pub use originals::{InputCell, InputColumns, OpenOriginals, Original, Originals};
pub use reader::{ReportReader, header_names};
pub use table::{plain_cell, table_cell, table_writer};
pub(crate) use timestamp::{Timestamp, TimestampReader, utc};
pub use writer::{Writer, not_whole};

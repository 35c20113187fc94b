//! The files of a running job: its partial report, its state, the inputs that a report cannot hold, the order of the rows in the
//! report, and what budgets have used.

pub mod identify;
pub mod originals;
pub mod partial;
pub mod replaced_rows;
pub mod row_order;
pub mod scattered_read;
pub mod spending;
pub mod state;

//! Reading report files: rows, columns, numbers, and which files there are.

pub mod columns;
pub mod figures;
pub mod files;
pub mod period;
pub mod replaced;
pub mod rows;
pub mod summary;

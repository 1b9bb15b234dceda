//! Columns of the lists on the screen and of `--once`.
//!
//! Each list of columns exists once, as a table of [`ColumnSpec`]: title, width, order, filter and output fields
//! are read from there. A new column is a line in its table and an arm in the function that computes its cell.

mod cell_value;
mod column_spec;
mod job_column;
mod lock_column;
mod session_column;

#[cfg(test)]
mod tests;

pub(crate) use cell_value::CellValue;
pub(crate) use column_spec::{ColumnSpec, ColumnWidth, SortDirection};
pub(crate) use job_column::{JOB_COLUMNS, JobColumn};
pub(crate) use lock_column::{LOCK_COLUMNS, LockColumn};
pub(crate) use session_column::{SESSION_COLUMNS, SessionColumn};

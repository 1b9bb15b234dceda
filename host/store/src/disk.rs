//! Durable copy of the store's data: redb's file and the log before it.
//!
//! - [`interface`]: the calls on a disk, and the values that they take and return.
//! - [`file`]: the disk over two files. [`rows`], [`recovery`]: its rows, and the log of an earlier process.
//! - [`load`], [`tables`], [`change_bytes`]: redb's file. [`log`], [`batch_bytes`]: the log.
//! - [`restored`]: a new store made of a backup. [`times`]: durations, for metrics.
//! - [`directory`], [`medium`], [`location`]: the files themselves, and their names in messages.
//! - [`error`], [`catch_panic`]: failures.

mod batch_bytes;
mod catch_panic;
pub(crate) mod change_bytes;
mod directory;
mod error;
#[cfg(test)]
pub(crate) mod faulty;
mod file;
mod interface;
mod load;
mod location;
mod log;
mod medium;
mod recovery;
mod restored;
mod rows;
mod tables;
#[cfg(test)]
mod tests;
mod times;

pub(crate) use directory::DirectoryClaim;
pub use error::DiskError;
pub(crate) use file::FileDisk;
pub(crate) use interface::{CommitBatch, Disk, DiskImage};
pub(crate) use restored::{RESTORING, write_restored};
pub(crate) use times::DiskTimes;

//! Backups: the store's content at one revision, as a stream or file, and a new store made of one.
//!
//! - `layout`: the bytes. `chunks`: a backup as it is sent. `file`: a backup as it is read.
//! - `floor`: the revision at which a restored store begins. `restore`: the new store. `error`: refusals.
//!
//! These files must never let a restored store give a revision twice that was given after the backup.

mod chunks;
mod error;
mod file;
mod floor;
mod layout;
mod restore;
#[cfg(test)]
mod tests;

pub(crate) use chunks::{BackupChunk, BackupChunks};
pub use error::BackupError;
pub use file::{BackupSummary, inspect_backup};
pub use floor::RevisionFloor;
pub use layout::is_backup;
pub use restore::{RestoredStore, restore_backup};

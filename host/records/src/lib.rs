//! What Leasehold writes into the store about itself, and where.
//!
//! Shared by the host, which writes, and by everything that shows, which reads. This crate knows no
//! network and no clock: it is names and shapes. A field, once here, keeps its name and meaning;
//! readers ignore fields they do not know.
//!
//! - [`Root`]: the layout of keys.
//! - [`HolderRecord`], [`HostRecord`], [`JobRecord`], [`RunRecord`]: the JSON under them.

mod keys;
mod record;

pub use keys::{Root, RootError, RunKey};
pub use record::{
    HolderRecord, HostRecord, JobRecord, JobState, Outcome, Progress, RecordError, RunRecord,
};

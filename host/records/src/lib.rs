//! What Leasehold writes into the store about itself, and where.
//!
//! Shared by the host, which writes, and by everything that shows, which reads. This crate knows no
//! network and no clock: it is names and shapes, and how text from elsewhere is made safe to print. A
//! field, once here, keeps its name and meaning; readers ignore fields they do not know.
//!
//! - [`Root`]: the layout of keys.
//! - [`HolderRecord`], [`HostRecord`], [`IdRecord`], [`JobRecord`], [`RunRecord`], [`TickRecord`], [`DeedRecord`]: the
//!   JSON under them.
//! - [`printable`]: any text as one line that a terminal may be given.

mod keys;
mod merged;
pub mod printable;
mod record;
mod stored;

pub use keys::{Root, RootError, RunKey};
pub use merged::MergedRuns;
pub use record::{
    Deed, DeedRecord, HolderRecord, HostRecord, IdRecord, JobRecord, JobState, Outcome, Progress,
    RecordError, RunRecord, TickBefore, TickRecord, TickState,
};
pub use stored::run_id;

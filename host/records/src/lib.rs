//! Records that Leasehold writes into the store about itself, and their keys.
//!
//! Shared by the host, which writes them, and by the dashboard and other readers. This crate uses no network and no
//! clock: it defines names and types, and makes foreign text safe to print. A field, once here, keeps its name and
//! meaning; readers ignore unknown fields.
//!
//! - [`Root`]: the layout of keys.
//! - [`HolderRecord`], [`HostRecord`], [`IdRecord`], [`JobRecord`], [`RunRecord`], [`TickRecord`], [`DeedRecord`]:
//!   the JSON of their values.
//! - [`printable`]: any text as one line that a terminal may print.

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

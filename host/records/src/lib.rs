//! Records that Leasehold writes into the store about itself, and their keys.
//!
//! Shared by the host, which writes them, and by the dashboard and other readers. This crate uses no network and no
//! clock: it defines names and types, and makes foreign text safe to print. A field, once here, keeps its name and
//! meaning; readers ignore unknown fields.
//!
//! - [`Root`]: the layout of keys.
//! - [`HolderRecord`], [`HostRecord`], [`IdRecord`], [`JobRecord`], [`RunRecord`], [`TickRecord`], [`AdminActionRecord`],
//!   [`FollowRecord`], [`OutputChunk`]: the JSON of their values.
//! - [`JobControl`], [`HostControl`], [`StopRequest`], [`TriggerRecord`]: what operators order, which hosts follow.
//!   Times are Unix milliseconds, for display; nothing is decided by them, with three exceptions. The tick of a
//!   [`TickRecord`] is a name and not a clock reading. Hosts compare recorded times to find a wrong clock. And a pause
//!   may end at a time.
//! - [`explain`](mod@explain): the reasons for which a job runs or does not.
//! - [`RunKey`], [`RunName`]: one run, as a key and for people.
//! - [`UnixMs`]: wall time. [`wall_text`]: moments and spans as text.
//! - `fixtures`, a feature: records for tests.
//! - [`printable`]: any text as one line that a terminal may print.

mod admin_action;
mod control;
pub mod explain;
#[cfg(any(test, feature = "fixtures"))]
pub mod fixtures;
mod follow;
mod holder;
mod host;
mod job;
mod json;
mod keys;
mod lock_label;
mod manual_run;
mod merge;
mod output;
pub mod printable;
mod run;
mod run_name;
mod stored;
#[cfg(test)]
mod tests;
mod tick;
mod trigger;
mod unix_ms;
pub mod wall_text;

pub use admin_action::{AdminAction, AdminActionRecord};
pub use control::{
    DrainMark, HoldKind, HoldMark, HostControl, JobControl, JobHold, StopKind, StopRequest,
};
pub use follow::FollowRecord;
pub use holder::HolderRecord;
pub use host::{HostRecord, IdRecord};
pub use job::{JobFiles, JobPlan, JobRecord, JobState, PendingVersion, Progress};
pub use json::RecordError;
pub use keys::{ControlKey, Root, RootError, RunKey};
pub use lock_label::{join_lock_names, lock_names};
pub use manual_run::ManualRun;
pub use output::{OutputChunk, OutputEnd, OutputLine, OutputStream};
pub use run::{MergedRuns, Outcome, RunRecord};
pub use run_name::{RunName, RunNameError};
pub use stored::run_id;
pub use tick::{TickBefore, TickRecord, TickState};
pub use trigger::{TriggerRecord, TriggerState};
pub use unix_ms::{UnixMs, whole_millis};

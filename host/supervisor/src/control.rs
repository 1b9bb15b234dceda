//! Orders of operators, as this host follows them: pauses, drains, requests to end a run, requested runs.
//!
//! - `state`: the orders at one moment; pure. `follow`: the task that keeps them up to date.
//! - [`ControlHandle`]: the view of one host's jobs and runs.
//!
//! A host that cannot reach the store keeps to the orders that it read last. No job starts before the first reading.

mod follow;
mod handle;
mod state;

pub(crate) use self::follow::follow;
pub(crate) use self::handle::ControlHandle;
pub(crate) use self::state::{ControlState, SeenTrigger};

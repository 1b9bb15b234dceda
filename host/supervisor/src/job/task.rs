//! Tasks of a job: the machine's events and actions with the real grant and the real provisions.

use super::held_lock::HeldLock;
use super::machine::{MachineAction, MachineEvent};
use super::provision::RunProvisions;

/// Result of a piece of work, which is the next event of the job's machine.
pub(crate) type TaskResult = MachineEvent<HeldLock, RunProvisions>;

/// Piece of work to start, or line to log.
pub(crate) type TaskRequest = MachineAction<HeldLock, RunProvisions>;

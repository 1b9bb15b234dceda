//! A command that runs while a lock is held, and ends before the lock can.
//!
//! ```text
//! leasehold lock ──orders─▶ keeper ──▶ command and its descendants
//!                ◀─reports─
//! ```
//!
//! The keeper is this program in a process of its own. It has the deadlines of the lock as moments of the boot-time
//! clock, so it ends the command in time though `leasehold` is stopped, killed or stuck.
//!
//! # Guarantees
//!
//! - From the tenure's deadline on, every process of the command gets SIGTERM; before the lease can end, SIGKILL.
//! - A command whose `leasehold` has ended is ended: at once by SIGTERM, and after its grace by SIGKILL.
//! - A command whose keeper is killed is killed by the kernel, and its descendants by `leasehold`.
//! - The lock is given back when no process of the command is left, background processes included.
//!
//! # What remains possible
//!
//! - Processes that others start on the command's behalf (`systemd-run`, `docker`, `at`) are not its descendants.
//! - Processes of another user (`sudo`) cannot be signalled; the lock is kept while they live, but it may be lost.
//! - Keeper and `leasehold` killed at the same moment leave the command's descendants, though not the command itself.
//! - A stopped keeper is replaced by `leasehold` at the deadline; both stopped, and the command not, is beyond help.
//!
//! # Layout
//!
//! - `control`: the side of `leasehold`; `messages`, `channel`: orders and reports between the two processes
//! - `keeper`: the keeper's process; `phase`: its decisions, pure; `stage`: the process that becomes the command
//! - `signals`: signals from outside; `descendants`: processes below this one, and signals to them; `arguments`: those of the two hidden commands

mod arguments;
mod channel;
pub(crate) mod control;
mod descendants;
mod keeper;
pub(crate) mod messages;
mod phase;
pub(crate) mod signals;
mod stage;

use std::ffi::OsString;
use std::process::ExitCode;

/// Keeps or becomes a command if this process was started for that. `None` in any other process.
pub(crate) fn run_if_asked() -> Option<ExitCode> {
    let mut args = std::env::args_os().skip(1);
    let name = args.next()?;
    let args: Vec<OsString> = args.collect();
    match name.to_str()? {
        arguments::KEEPER => Some(keeper::run(&args)),
        arguments::STAGE => Some(stage::run(&args)),
        _ => None,
    }
}

//! The job machine: `step(state, event, now) -> (state, actions)`. No await, no clock, no I/O.
//!
//! ```text
//!              ┌──────────────── backoff or next time ─────────────────┐
//!              ▼                                                       │
//!  start ─▶ Waiting ──acquired──────▶ Running ──ended───▶ Releasing ──▶ Sleeping
//!              │                        │  ▲                 │
//!              │ skipped                │  └─ again ─ Pausing
//!              ▼                        ▼                    ▼
//!           Sleeping                  (lost)               Ended
//! ```
//!
//! A job with ticks takes three more steps, each with requests to the store. Before it waits for the lock, it reads
//! whether its tick is done already. Under the lock, before the guest runs, it claims the tick. After the guest has
//! stopped, before the lock is given back, it marks the tick.
//!
//! ```text
//!  Sleeping ──due──▶ Looking ──open──▶ Waiting ──acquired──▶ Claiming ──ours──▶ Running ──ended──▶ Marking ──▶ Releasing
//!      ▲                │ done                                  │ not ours                                      ▲
//!      └────────────────┘                                       └───────────────────────────────────────────────┘
//! ```
//!
//! A run needs more than its lock: a slot, secrets, directories, a clock that agrees with those of other hosts. A
//! lack shows before the lock is acquired or while it is held. Either way the job gives back its lock and its place
//! in the queue, and marks nothing. It stands back until the lack may have ended. Its tick stays open for other
//! hosts. An order of an operator, to pause the job or to drain the host, is such a lack; ticks that come while it
//! lasts follow `missed`.
//!
//! ```text
//!  Looking, Waiting ──────────────lacks──────────────▶ StandingBack ──ready──▶ Looking, Waiting
//!  Claiming, Pausing, Running ──lacks──▶ Releasing ──▶      ↺ lacks
//! ```
//!
//! One piece of work is under way for a job at any time, and every piece ends in exactly one event. So nothing
//! needs a lock, and no two events race.
//!
//! # The grant
//!
//! The lock that a job holds moves: an event hands it to the machine, and an action hands it to the next piece of
//! work. No state keeps it, because the piece of work under way has it. So no run, claim, pause, mark or release is
//! possible without one. An event that its state does not expect drops it, which gives the lock back. The
//! machine is generic over the grant and over the provisions of a run; both are `()` in its tests.
//!
//! - `state`, `event`, `action`: the vocabulary. `job_machine`: the machine's own data.
//! - `step`: one step. `before_lock`, `under_lock`: its transitions. `entering`: the ways into each state.
//! - `planning`: the next tick.

mod action;
mod before_lock;
mod entering;
mod event;
mod job_machine;
mod planning;
mod state;
mod step;
mod under_lock;

pub(crate) use self::action::MachineAction;
pub(crate) use self::event::{
    AcquireMiss, MachineEvent, PauseEnd, RunVerdict, TickClaim, TickLook, TickMark,
};
pub(crate) use self::job_machine::{JobMachine, JobRules, MachineGrant, StartCause};
pub(crate) use self::state::{
    JobEnding, JobSleep, LackEnd, MachineState, RunTurn, TimeNow, WakeTime,
};

#[cfg(test)]
mod tests;

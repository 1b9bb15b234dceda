//! Jobs: the state machine of a job (`machine`) and the work that its states start (`work`, `waiting` for the lock,
//! `claiming` for ticks, `run`).
//!
//! The context that this work shares is in `context`, the resources that it takes in `provision`, and the effect of a
//! run's end in `closing`. A guest's events are logged by `guest_events`. The supervisor's entry of a job is in `entry`. `tick` keeps a tick from being run twice,
//! and `clocks` keeps it from being run years early.
//!
//! `manual` is a run that an operator requested, and `overrides` its values; `halt` are requests to end one run.
//!
//! `held_lock` is the grant as it moves between the machine and the work, `lack` the reason for which a run cannot
//! start here, `plan` a job's place in its schedule, and `task` the machine's events and actions with the real grant.

pub(crate) mod claiming;
pub(crate) mod clocks;
pub(crate) mod closing;
pub(crate) mod context;
pub(crate) mod entry;
mod guest_events;
pub(crate) mod halt;
pub(crate) mod held_lock;
pub(crate) mod lack;
pub(crate) mod machine;
pub(crate) mod manual;
pub(crate) mod overrides;
pub(crate) mod plan;
pub(crate) mod provision;
pub(crate) mod run;
mod run_trigger;
pub(crate) mod task;
pub(crate) mod tick;
pub(crate) mod waiting;
pub(crate) mod work;

#[cfg(test)]
mod tests;

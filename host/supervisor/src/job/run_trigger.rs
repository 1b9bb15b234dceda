//! Words for the cause of a run.

use leasehold_runtime::Trigger;

use super::machine::StartCause;

/// Returns the trigger of a run, for its guest.
pub(super) const fn trigger_of(cause: StartCause) -> Trigger {
    match cause {
        StartCause::Continuous => Trigger::Continuous,
        StartCause::Schedule => Trigger::Schedule,
        StartCause::Once => Trigger::Manual,
    }
}

/// Returns the word of a trigger, for events.
pub(super) const fn describe_trigger(trigger: Trigger) -> &'static str {
    match trigger {
        Trigger::Schedule => "schedule",
        Trigger::Manual => "once",
        Trigger::Watch => "watch",
        Trigger::Continuous => "continuous",
    }
}

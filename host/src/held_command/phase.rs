//! The keeper's decisions: the moment and the signal that end a command. Pure.
//!
//! ```text
//! Running ─deadline, end of leasehold, doubt─▶ Ending ─grace or lease over─▶ Killing
//!    └──────────────────loss known──────────────────────────────────────────▲
//! ```

use std::time::Duration;

use leasehold_lock::BootTime;

use super::messages::{EndHaste, HoldLimits};

/// Phase of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// It may act.
    Running,
    /// It was asked to end, and is killed at this moment.
    Ending { kill: BootTime },
    /// It is killed, again and again until nothing is left.
    Killing,
}

/// Action that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DueAction {
    /// Send SIGTERM to every process of the command.
    Terminate,
    /// Send SIGKILL to every process of the command.
    Kill,
}

/// Decides about one command.
#[derive(Debug)]
pub(super) struct CommandClock {
    grace: Duration,
    limits: HoldLimits,
    phase: Phase,
}

impl CommandClock {
    pub(super) const fn new(grace: Duration, limits: HoldLimits) -> Self {
        Self {
            grace,
            limits,
            phase: Phase::Running,
        }
    }

    /// Moves the limits. A command that was asked to end is not reprieved.
    pub(super) fn extend(&mut self, limits: HoldLimits, now: BootTime) {
        if self.phase == Phase::Running && now < self.limits.term() {
            self.limits = limits;
        }
    }

    /// Ends the command, and returns the action for that.
    pub(super) fn end(&mut self, haste: EndHaste, now: BootTime) -> Option<DueAction> {
        match (haste, self.phase) {
            (EndHaste::Now, Phase::Running | Phase::Ending { .. }) => {
                self.phase = Phase::Killing;
                Some(DueAction::Kill)
            }
            (EndHaste::Grace, Phase::Running) => {
                let kill = self.limits.kill().min(now.after(self.grace));
                self.phase = Phase::Ending { kill };
                Some(DueAction::Terminate)
            }
            _ => None,
        }
    }

    /// Returns the action that is due at this moment. Killing is due until nothing is left.
    pub(super) fn due(&mut self, now: BootTime) -> Option<DueAction> {
        match self.phase {
            Phase::Running if now >= self.limits.kill() => {
                self.phase = Phase::Killing;
                Some(DueAction::Kill)
            }
            Phase::Running if now >= self.limits.term() => self.end(EndHaste::Grace, now),
            Phase::Ending { kill } if now >= kill => {
                self.phase = Phase::Killing;
                Some(DueAction::Kill)
            }
            Phase::Killing => Some(DueAction::Kill),
            Phase::Running | Phase::Ending { .. } => None,
        }
    }

    /// The moment of the next action; `None` where it is due already.
    pub(super) const fn next(&self) -> Option<BootTime> {
        match self.phase {
            Phase::Running => Some(self.limits.term()),
            Phase::Ending { kill } => Some(kill),
            Phase::Killing => None,
        }
    }

    /// True until the command was asked to end.
    pub(super) fn is_running(&self) -> bool {
        self.phase == Phase::Running
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> BootTime {
        BootTime::from_nanos(seconds * 1_000_000_000)
    }

    /// Limits at 10 s and 12 s, with a grace of 2 s.
    fn clock() -> CommandClock {
        let limits = HoldLimits::new(at(10), at(12));
        CommandClock::new(Duration::from_secs(2), limits)
    }

    #[test]
    fn deadline_terminates_and_the_lease_end_kills() {
        let mut clock = clock();
        assert_eq!(clock.due(at(9)), None);
        assert_eq!(clock.next(), Some(at(10)));
        assert_eq!(clock.due(at(10)), Some(DueAction::Terminate));
        assert_eq!(clock.due(at(11)), None);
        assert_eq!(clock.next(), Some(at(12)));
        for _ in 0..2 {
            assert_eq!(clock.due(at(12)), Some(DueAction::Kill));
        }
        assert_eq!(clock.next(), None);
    }

    #[test]
    fn extension_moves_both_limits_but_revives_nothing() {
        let mut clock = clock();
        clock.extend(HoldLimits::new(at(20), at(22)), at(9));
        assert_eq!(clock.due(at(12)), None);
        // The limit has passed, though it was not acted on yet.
        clock.extend(HoldLimits::new(at(30), at(32)), at(20));
        assert_eq!(clock.due(at(20)), Some(DueAction::Terminate));
        clock.extend(HoldLimits::new(at(40), at(42)), at(21));
        assert_eq!(clock.due(at(22)), Some(DueAction::Kill));
    }

    #[test]
    fn keeper_that_was_frozen_past_both_limits_kills_at_once() {
        assert_eq!(clock().due(at(13)), Some(DueAction::Kill));
    }

    #[test]
    fn doubt_gives_the_grace_but_never_past_the_lease() {
        for (doubt, kill) in [(3, 5), (11, 12)] {
            let mut clock = clock();
            let asked = clock.end(EndHaste::Grace, at(doubt));
            assert_eq!(asked, Some(DueAction::Terminate));
            assert_eq!(clock.next(), Some(at(kill)));
            // A second doubt gives no second grace.
            assert_eq!(clock.end(EndHaste::Grace, at(doubt + 1)), None);
            assert_eq!(clock.next(), Some(at(kill)));
        }
    }

    #[test]
    fn known_loss_kills_at_once_in_every_phase() {
        let mut running = clock();
        assert_eq!(running.end(EndHaste::Now, at(1)), Some(DueAction::Kill));
        let mut ending = clock();
        ending.end(EndHaste::Grace, at(1));
        assert_eq!(ending.end(EndHaste::Now, at(1)), Some(DueAction::Kill));
        assert!(!ending.is_running());
        assert_eq!(ending.end(EndHaste::Now, at(1)), None);
    }
}

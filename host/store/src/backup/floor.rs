//! The revision at which a restored store begins.
//!
//! It must be at least the last one that the old store ever gave, or a token would be granted twice. The backup
//! cannot know that: the old store went on after it, and one backup may be restored several times.
//!
//! So it begins at the microseconds since 1970. A store begins at revision 1, or at that number. To come past the clock it
//! would have to carry out more than a million writes a second for as long as it lives, each of them applied, logged
//! and answered; no store does. Restoring one backup several times is safe too, as long as the clock is right each time.
//! A revision given by an operator must not be above the clock's for the same reason: the next restore would fall
//! below it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::error::BackupError;

/// Source of the revision at which a restored store begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RevisionFloor {
    /// The clock of this machine.
    Clock,
    /// The old store's last revision, or any above it.
    Above(i64),
}

impl RevisionFloor {
    /// Returns the last revision of a restored store: its first write gets the next one.
    pub(super) fn resolve(
        self,
        revision: i64,
        taken_unix_ms: u64,
        now: SystemTime,
    ) -> Result<i64, BackupError> {
        let now = since_epoch(now);
        let now_unix_ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        let clock = i64::try_from(now.as_micros()).unwrap_or(i64::MAX);
        match self {
            Self::Above(above) if above < revision => {
                Err(BackupError::AboveTooLow { above, revision })
            }
            Self::Above(above) if above > clock.max(revision) => {
                Err(BackupError::AboveTooHigh { above, clock })
            }
            Self::Above(above) => Ok(above),
            Self::Clock if now_unix_ms < taken_unix_ms => Err(BackupError::ClockBehind {
                now_unix_ms,
                taken_unix_ms,
            }),
            Self::Clock if clock < revision => Err(BackupError::RevisionAhead { revision, clock }),
            Self::Clock => Ok(clock),
        }
    }
}

/// Returns the time since 1970; zero for a clock before that.
pub(super) fn since_epoch(time: SystemTime) -> Duration {
    time.duration_since(UNIX_EPOCH).unwrap_or_default()
}

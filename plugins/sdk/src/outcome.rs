//! Ends of a run, and the conversion of errors into them.
//!
//! No failure becomes a success, and the text of every error is kept.

use std::error::Error;
use std::fmt::{self, Write as _};
use std::time::Duration;

use crate::bindings::exports::leasehold::job::guest;
use crate::error::GuardError;

/// End of a run that did its work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Finished, with an optional note of one line for the run's record.
    Done(Option<String>),
    /// Finished for now: keep the lock and run again after this time, to the millisecond. The
    /// next run is a fresh instance under the same token; nothing in memory survives. It starts at
    /// the earliest 100 ms after the start of this run, or the job's `restart.min` after it if that
    /// is less.
    AgainIn(Duration),
}

impl Outcome {
    /// Finished, with nothing to add.
    pub const fn done() -> Self {
        Self::Done(None)
    }

    /// Finished, with a note for the run's record.
    pub fn done_with(note: impl Into<String>) -> Self {
        Self::Done(Some(note.into()))
    }
}

impl From<()> for Outcome {
    fn from((): ()) -> Self {
        Self::done()
    }
}

impl From<String> for Outcome {
    fn from(note: String) -> Self {
        Self::done_with(note)
    }
}

impl From<&str> for Outcome {
    fn from(note: &str) -> Self {
        Self::done_with(note)
    }
}

impl From<Outcome> for guest::Outcome {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Done(note) => Self::Done(note),
            Outcome::AgainIn(pause) => Self::AgainIn(whole_millis(pause)),
        }
    }
}

/// End of a run that did not do its work.
///
/// # Conversion by `?`
///
/// Any [`Error`] converts. When a [`GuardError`] is in its chain of sources, that decides: a
/// missing grant or an exceeded limit is fatal, because only a person can change it; all others
/// are retried. An error without one is retried too. The two mistakes are not equal: a wrong retry
/// costs one more run after a growing pause, under the lock and on the record; a wrong "fatal"
/// keeps the job from running until an operator notices. So the author chooses *fatal*, with
/// [`Failure::fatal`] or [`OrFail::or_fatal`], where no later run can succeed: a broken
/// configuration (for which [`Context::config`](crate::Context::config) does so by itself), or
/// data that must not be touched again before a person has inspected it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// It may succeed another time: start the job again by its restart settings.
    Retry(String),
    /// Trying again cannot help: do not restart the job.
    Fatal(String),
}

impl Failure {
    /// A failure that may pass by itself.
    pub fn retry(reason: impl Into<String>) -> Self {
        Self::Retry(reason.into())
    }

    /// A failure that only a person can fix.
    pub fn fatal(reason: impl Into<String>) -> Self {
        Self::Fatal(reason.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Retry(reason) => write!(f, "{reason} (may be retried)"),
            Self::Fatal(reason) => write!(f, "{reason} (fatal)"),
        }
    }
}

// `Failure` does not implement `Error` itself: that would conflict with this conversion.
impl<E: Error + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        let text = with_sources(&error);
        if chain(&error)
            .find_map(|link| link.downcast_ref::<GuardError>())
            .is_none_or(GuardError::is_transient)
        {
            Self::Retry(text)
        } else {
            Self::Fatal(text)
        }
    }
}

impl From<Failure> for guest::Failure {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Retry(reason) => Self::Retry(reason),
            Failure::Fatal(reason) => Self::Fatal(reason),
        }
    }
}

/// Turns an error into a failure at the call, with a text for the step that failed.
///
/// ```
/// use leasehold_job::{Failure, OrFail};
///
/// let parsed = "four".parse::<u8>().or_fatal("reading the number of accounts");
///
/// assert_eq!(
///     parsed,
///     Err(Failure::fatal("reading the number of accounts: invalid digit found in string")),
/// );
/// ```
pub trait OrFail<T> {
    /// An error that only a person can fix.
    fn or_fatal(self, doing: &str) -> Result<T, Failure>;

    /// An error that may pass by itself.
    fn or_retry(self, doing: &str) -> Result<T, Failure>;
}

impl<T, E: Error + 'static> OrFail<T> for Result<T, E> {
    fn or_fatal(self, doing: &str) -> Result<T, Failure> {
        self.map_err(|error| Failure::Fatal(format!("{doing}: {}", with_sources(&error))))
    }

    fn or_retry(self, doing: &str) -> Result<T, Failure> {
        self.map_err(|error| Failure::Retry(format!("{doing}: {}", with_sources(&error))))
    }
}

/// An error and its causes, outermost first.
fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&link| link.source())
}

/// The texts of a chain on one line. A cause whose text its wrapper already ends with is not repeated.
fn with_sources(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    for cause in chain(error).skip(1) {
        let cause = cause.to_string();
        if !text.ends_with(&cause) {
            // Writing into a string does not fail.
            let _ = write!(text, ": {cause}");
        }
    }
    text
}

/// A duration in milliseconds. Between 0 and 1 counts as 1, so that a short pause does not become
/// none; larger than `u64` saturates.
pub(crate) fn whole_millis(duration: Duration) -> u64 {
    match u64::try_from(duration.as_millis()) {
        Ok(0) if !duration.is_zero() => 1,
        Ok(millis) => millis,
        Err(_) => u64::MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("booking failed")]
    struct Booking(#[source] GuardError);

    #[test]
    fn an_error_of_unknown_kind_may_be_retried() {
        let error = std::io::Error::other("disk on fire");
        assert_eq!(Failure::from(error), Failure::retry("disk on fire"));
    }

    #[test]
    fn a_missing_grant_below_the_authors_error_is_fatal() {
        let error = Booking(GuardError::Denied("kv = [\"ledger/\"]".to_owned()));
        assert_eq!(
            Failure::from(error),
            Failure::fatal("booking failed: not granted: kv = [\"ledger/\"]")
        );
    }

    #[test]
    fn a_transient_guard_error_is_retried() {
        for error in [
            GuardError::Lost,
            GuardError::Conflict,
            GuardError::Unavailable("timed out".to_owned()),
        ] {
            assert!(matches!(Failure::from(error), Failure::Retry(_)));
        }
        assert!(matches!(
            Failure::from(GuardError::TooLarge),
            Failure::Fatal(_)
        ));
    }

    #[test]
    fn or_fatal_and_or_retry_override_the_conversion() {
        let lost: Result<(), _> = Err(GuardError::Lost);
        assert!(matches!(
            lost.clone().or_fatal("closing"),
            Err(Failure::Fatal(_))
        ));
        let denied: Result<(), _> = Err(GuardError::Denied(String::new()));
        assert!(matches!(denied.or_retry("closing"), Err(Failure::Retry(_))));
    }

    #[test]
    fn a_pause_below_a_millisecond_is_rounded_up_to_one() {
        assert_eq!(whole_millis(Duration::from_micros(1)), 1);
        assert_eq!(whole_millis(Duration::ZERO), 0);
        assert_eq!(whole_millis(Duration::MAX), u64::MAX);
    }
}

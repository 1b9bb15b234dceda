//! Error of an operation under the lock, the contract's `guard-error`.
//!
//! Of its cases `Unavailable` alone means "unknown"; all others mean that nothing was changed.

/// Error of an operation under the lock: of [`Lock::check`](crate::Lock::check), or of the fenced
/// [`Kv`](crate::Kv).
///
/// All but [`Unavailable`](Self::Unavailable) mean that nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GuardError {
    /// The lock is no longer held: refused, and nothing happened. Return as soon as you can.
    #[error("the lock is no longer held; nothing was done")]
    Lost,
    /// The job was not granted this; the text names the grant missing from the configuration.
    #[error("not granted: {0}")]
    Denied(String),
    /// The value is no longer at the expected revision: read again before deciding anew.
    #[error("the key is not at the expected revision; nothing was written")]
    Conflict,
    /// The key, value, list or rate is over a limit of this job.
    #[error("over a limit of this job; nothing was done")]
    TooLarge,
    /// The store gave no answer: a write may have happened, or may still happen while the
    /// lock is held. The text names the failure.
    #[error("the store did not answer; a write may or may not have happened: {0}")]
    Unavailable(String),
}

impl GuardError {
    /// True when a write that returned this may have happened all the same.
    ///
    /// ```
    /// use leasehold_job::GuardError;
    ///
    /// assert!(GuardError::Unavailable("timed out".to_owned()).may_have_happened());
    /// assert!(!GuardError::Lost.may_have_happened());
    /// ```
    pub const fn may_have_happened(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }

    /// True when the same call may succeed in a later run with the same job and
    /// configuration.
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Lost | Self::Conflict | Self::Unavailable(_) => true,
            Self::Denied(_) | Self::TooLarge => false,
        }
    }
}

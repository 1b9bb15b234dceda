//! One line about one lock, for the Locks view, `--once` and `--stream`.

use std::sync::Arc;
use std::time::Duration;

use leasehold_lock::Token;
use leasehold_records::{JobState, UnixMs};

use super::lease::LeaseTtl;
use super::lock::{LeaveReason, ObservedLock};
use super::queue_entry::QueueEntry;
use super::store_model::{Model, ShownMoment};

/// Time for which a lock is shown as taken over.
const TAKEOVER_SHOWN: Duration = Duration::from_secs(15);

/// State of a lock, most urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LockState {
    /// The holder has not renewed its lease in time.
    Expiring,
    /// The holder follows one that did not release the lock.
    Takeover,
    /// An operator holds it, with a key that has no lease.
    AdminHold,
    /// Held, with waiters.
    Contend,
    /// Held, without waiters.
    Held,
    /// Not held.
    Free,
}

impl LockState {
    /// Word on the screen.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Expiring => "EXPIRING",
            Self::Takeover => "TAKEOVER",
            Self::AdminHold => "ADMIN HOLD",
            Self::Contend => "CONTEND",
            Self::Held => "HELD",
            Self::Free => "FREE",
        }
    }

    /// Word in JSON and CSV.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Expiring => "expiring",
            Self::Takeover => "takeover",
            Self::AdminHold => "admin-hold",
            Self::Contend => "contend",
            Self::Held => "held",
            Self::Free => "free",
        }
    }
}

/// One line about a lock. Spans are in milliseconds.
#[derive(Clone, Debug)]
pub(crate) struct LockRow<'a> {
    /// Full name, by which it is selected.
    pub(crate) name: &'a Arc<str>,
    /// Label on the screen.
    pub(crate) label: &'a str,
    pub(crate) state: LockState,
    pub(crate) holder: Option<&'a Arc<QueueEntry>>,
    /// The holder before a takeover, while that is shown.
    pub(crate) was: Option<&'a Arc<QueueEntry>>,
    pub(crate) ttl: Option<LeaseTtl>,
    pub(crate) waiters: usize,
    lock: &'a ObservedLock,
    shown: ShownMoment<'a>,
}

impl LockRow<'_> {
    /// Fencing token of the holder.
    pub(crate) fn token(&self) -> Option<Token> {
        self.holder.map(|holder| holder.token())
    }

    /// Time for which it has been held; `None` if that began before the start and no record has it.
    pub(crate) fn held(&self) -> Option<u64> {
        let since = held_since(self.shown, self.lock, self.holder?)?;
        Some(self.shown.now.millis_since(since))
    }

    /// Time for which the first waiter has waited.
    pub(crate) fn oldest(&self) -> Option<u64> {
        let mut waiters = self.lock.waiters().iter();
        waiters.find_map(|entry| Some(self.shown.now.millis_since(entry.since_unix_ms?)))
    }
}

impl Model {
    /// The line about `lock` at the moment that is shown.
    pub(crate) fn row<'a>(&self, shown: ShownMoment<'a>, lock: &'a ObservedLock) -> LockRow<'a> {
        let now = shown.now;
        let holder = lock.holder();
        let ttl = holder.and_then(|entry| self.leases.ttl(entry.lease, now));
        let was = match &lock.tenancy.before {
            Some((who, LeaveReason::Expired | LeaveReason::Forced))
                if holder.is_some()
                    && lock
                        .tenancy
                        .since_unix_ms
                        .is_some_and(|since| now.since(since) < TAKEOVER_SHOWN) =>
            {
                Some(who)
            }
            _ => None,
        };
        let waiters = lock.waiters().len();
        let state = match holder {
            None => LockState::Free,
            Some(holder) if holder.lease.is_none() => LockState::AdminHold,
            Some(_) if ttl.is_some_and(|ttl| ttl.is_running_out()) => LockState::Expiring,
            Some(_) if was.is_some() => LockState::Takeover,
            Some(_) if waiters > 0 => LockState::Contend,
            Some(_) => LockState::Held,
        };
        LockRow {
            name: &lock.name,
            label: &lock.label,
            state,
            holder,
            was,
            ttl,
            waiters,
            lock,
            shown,
        }
    }
}

/// Moment since which the holder holds: as seen, or from the record of its job.
fn held_since(shown: ShownMoment<'_>, lock: &ObservedLock, holder: &QueueEntry) -> Option<UnixMs> {
    if lock.tenancy.since_unix_ms.is_some() {
        return lock.tenancy.since_unix_ms;
    }
    let super::EntryOwner::Job { job, host } = &holder.who else {
        return None;
    };
    let job = shown.state.jobs.get(&(job.to_string(), host.to_string()))?;
    let holds = matches!(job.state, JobState::Running | JobState::Pausing)
        && job.token == Some(holder.token());
    // Inexact: a job that pauses between runs has held it for longer.
    holds.then_some(job.since_unix_ms)
}

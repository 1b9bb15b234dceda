//! One line about one lock: what the Locks view, `--once` and `--stream` show of it.

use std::sync::Arc;

use leasehold_records::JobState;

use super::lease::LeaseTtl;
use super::lock::{LeaveReason, ObservedLock};
use super::queue_entry::QueueEntry;
use super::store_model::{Model, ShownMoment};

/// How long after a takeover a lock says so, in milliseconds.
const TAKEOVER_SHOWN: u64 = 15_000;

/// What a lock is like. The order is that of urgency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LockState {
    /// Its holder has not renewed its lease when it should have.
    Expiring,
    /// Its holder came because the one before did not give it back.
    Takeover,
    /// Somebody holds it by hand, with a key that has no lease.
    AdminHold,
    /// Others wait.
    Contend,
    /// It is held, and nobody waits.
    Held,
    /// Nobody has it.
    Free,
}

impl LockState {
    /// The word for it on the screen.
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

    /// The word for it in JSON and CSV.
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

/// One lock in a line. Spans are in milliseconds.
#[derive(Clone, Debug)]
pub(crate) struct LockRow<'a> {
    /// The full name, by which it is selected.
    pub(crate) name: &'a Arc<str>,
    /// What it is called on the screen.
    pub(crate) label: &'a str,
    pub(crate) state: LockState,
    pub(crate) holder: Option<&'a Arc<QueueEntry>>,
    /// Who was taken over from, while that is shown.
    pub(crate) was: Option<&'a Arc<QueueEntry>>,
    pub(crate) ttl: Option<LeaseTtl>,
    pub(crate) waiters: usize,
    lock: &'a ObservedLock,
    shown: ShownMoment<'a>,
}

impl LockRow<'_> {
    /// The fencing token of the holder.
    pub(crate) fn token(&self) -> Option<i64> {
        self.holder.map(|holder| holder.create_revision)
    }

    /// How long it has been held; absent when that began before we looked and nobody says when.
    pub(crate) fn held(&self) -> Option<u64> {
        let since = held_since(self.shown, self.lock, self.holder?)?;
        Some(self.shown.now.saturating_sub(since))
    }

    /// How long the first waiter has waited.
    pub(crate) fn oldest(&self) -> Option<u64> {
        let mut waiters = self.lock.waiters().iter();
        waiters.find_map(|entry| Some(self.shown.now.saturating_sub(entry.since_unix_ms?)))
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
                        .is_some_and(|since| now.saturating_sub(since) < TAKEOVER_SHOWN) =>
            {
                Some(who)
            }
            _ => None,
        };
        let waiters = lock.waiters().len();
        let state = match holder {
            None => LockState::Free,
            Some(holder) if holder.lease == 0 => LockState::AdminHold,
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

/// Since when the holder holds: as we saw it, or as its job says.
fn held_since(shown: ShownMoment<'_>, lock: &ObservedLock, holder: &QueueEntry) -> Option<u64> {
    if lock.tenancy.since_unix_ms.is_some() {
        return lock.tenancy.since_unix_ms;
    }
    let super::EntryOwner::Job { job, host } = &holder.who else {
        return None;
    };
    let job = shown.state.jobs.get(&(job.to_string(), host.to_string()))?;
    let holds = matches!(job.state, JobState::Running | JobState::Pausing)
        && job.token.and_then(|token| i64::try_from(token).ok()) == Some(holder.create_revision);
    // Not quite: a job that pauses between runs has held it for longer.
    holds.then_some(job.since_unix_ms)
}

//! One line about one lock: what the Locks view, `--once` and `--stream` show of it.

use std::sync::Arc;

use leasehold_records::JobState;

use super::lease::Ttl;
use super::lock::{Lock, Parting};
use super::{Entry, Model, Shown};

/// How long after a takeover a lock says so, in milliseconds.
const TAKEOVER_SHOWN: u64 = 15_000;

/// What a lock is like. The order is that of urgency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum State {
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

impl State {
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
pub(crate) struct LockRow {
    /// The full name, by which it is selected.
    pub(crate) name: Arc<str>,
    /// What it is called on the screen.
    pub(crate) label: Arc<str>,
    pub(crate) state: State,
    pub(crate) holder: Option<Arc<Entry>>,
    /// Who was taken over from, while that is shown.
    pub(crate) was: Option<Arc<Entry>>,
    /// How long it has been held; absent when that began before we looked and nobody says when.
    pub(crate) held: Option<u64>,
    pub(crate) ttl: Option<Ttl>,
    pub(crate) waiters: usize,
    /// How long the first waiter has waited.
    pub(crate) oldest: Option<u64>,
}

impl LockRow {
    /// The fencing token of the holder.
    pub(crate) fn token(&self) -> Option<i64> {
        self.holder.as_ref().map(|holder| holder.create)
    }
}

impl Model {
    /// The line about `lock` at the moment that is shown.
    pub(crate) fn row(&self, shown: Shown<'_>, lock: &Lock) -> LockRow {
        let now = shown.now;
        let holder = lock.holder().cloned();
        let ttl = holder
            .as_ref()
            .and_then(|entry| self.leases.ttl(entry.lease, now));
        let was = match &lock.tenancy.before {
            Some((who, Parting::Expired | Parting::Forced))
                if holder.is_some()
                    && lock
                        .tenancy
                        .since
                        .is_some_and(|since| now.saturating_sub(since) < TAKEOVER_SHOWN) =>
            {
                Some(who.clone())
            }
            _ => None,
        };
        let waiters = lock.waiters().len();
        let state = match &holder {
            None => State::Free,
            Some(holder) if holder.lease == 0 => State::AdminHold,
            Some(_) if ttl.is_some_and(|ttl| ttl.is_running_out()) => State::Expiring,
            Some(_) if was.is_some() => State::Takeover,
            Some(_) if waiters > 0 => State::Contend,
            Some(_) => State::Held,
        };
        let oldest = lock
            .waiters()
            .iter()
            .find_map(|entry| Some(now.saturating_sub(entry.since?)));
        LockRow {
            name: lock.name.clone(),
            label: lock.label.clone(),
            state,
            held: holder
                .as_ref()
                .and_then(|holder| held_since(shown, lock, holder))
                .map(|since| now.saturating_sub(since)),
            holder,
            was,
            ttl,
            waiters,
            oldest,
        }
    }
}

/// Since when the holder holds: as we saw it, or as its job says.
fn held_since(shown: Shown<'_>, lock: &Lock, holder: &Entry) -> Option<u64> {
    if lock.tenancy.since.is_some() {
        return lock.tenancy.since;
    }
    let super::Who::Job { job, host } = &holder.who else {
        return None;
    };
    let job = shown.world.jobs.get(&(job.to_string(), host.to_string()))?;
    let holds = matches!(job.state, JobState::Running | JobState::Pausing)
        && job.token.and_then(|token| i64::try_from(token).ok()) == Some(holder.create);
    // Not quite: a job that pauses between runs has held it for longer.
    holds.then_some(job.since_unix_ms)
}

//! Bytes used by a job's fenced keys, against their limit: `limits.kv_total`.
//!
//! The store does not report sizes, so keys are counted by reading them. That happens not at the start of a run,
//! but when the job has written a small part of its limit uncounted. From then on each write of the run changes the
//! count.
//!
//! The count stays right as long as the token does, because a holder of the lock is the only writer below its
//! prefixes. Of jobs that share a prefix, each counts the other's keys at its next count. A write without an answer
//! counts as successful. Every host lets at most a part of the limit pass uncounted. So all keys together exceed
//! the limit by no more than that for each host.
//!
//! Pure: time and sizes are passed in. This file reads and writes no key.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use leasehold_lock::{BootTime, Token};

/// Bytes that a key costs a store besides its name and value: its revisions, in memory and on disk. It bounds the
/// number of keys, and with them the memory of a count.
pub(crate) const KEY_COST: u64 = 256;
/// Divisor of the limit: this part of it may be written between two counts.
const UNCOUNTED: u64 = 64;
/// Age of a count after which a write that it would refuse requires a new one: jobs that share the prefix may have
/// deleted keys.
const STALE: Duration = Duration::from_secs(10);
/// As [`STALE`], if the count is known to be too high.
const REFRESH: Duration = Duration::from_secs(1);
/// Number of budgets above which those without a user are dropped.
const KEPT: usize = 1_000;

/// Sizes of all keys below a job's prefixes.
#[derive(Debug)]
pub(crate) struct Tally {
    hasher: RandomState,
    sizes: HashMap<u64, u32>,
    used: u64,
    /// True if the keys exceed the limit, so that not all were counted.
    is_over: bool,
}

impl Tally {
    /// Counts one key.
    pub(crate) fn add(&mut self, key: &str, value: usize) {
        let cost = cost(key, value);
        self.used += u64::from(cost);
        self.sizes.insert(self.hasher.hash_one(key), cost);
    }

    /// Records that there are more keys than were counted.
    pub(crate) const fn exceed(&mut self) {
        self.is_over = true;
    }

    /// Returns the number of bytes counted so far.
    pub(crate) const fn used(&self) -> u64 {
        self.used
    }
}

/// A count under the present token.
#[derive(Debug)]
struct Counted {
    tally: Tally,
    at: BootTime,
    /// True if the keys may use less than was counted.
    is_high: bool,
}

/// Permission for one write, to be settled when its end is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Charge {
    key: u64,
    before: Option<u32>,
    cost: u32,
}

/// Answer to a request for a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    Granted(Charge),
    /// Keys must be counted first.
    Count,
    /// There is no room for the write.
    Full {
        used: u64,
    },
}

/// End of a write that was granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Settled {
    Written,
    Refused,
    Unknown,
}

/// The budget of one job on this host, over all its runs.
#[derive(Debug)]
pub(crate) struct Budget {
    hasher: RandomState,
    most: u64,
    token: Token,
    counted: Option<Counted>,
    /// Bytes written since the last count, and the most that may be.
    uncounted: u64,
    room: u64,
    /// True while the end of a granted write is not known.
    is_open: bool,
}

impl Budget {
    pub(crate) fn new(most: u64) -> Self {
        Self {
            hasher: RandomState::new(),
            most,
            token: Token::default(),
            counted: None,
            uncounted: 0,
            room: most / UNCOUNTED,
            is_open: false,
        }
    }

    /// Starts a run under `token`, with this limit.
    pub(crate) fn enter(&mut self, token: Token, most: u64) {
        let has_changed = self.token != token || self.most != most;
        self.mark_open();
        if has_changed && let Some(counted) = self.counted.take() {
            self.uncounted = 0;
            self.room = most.saturating_sub(counted.tally.used);
        }
        self.room = self.room.min(most / UNCOUNTED);
        (self.token, self.most) = (token, most);
    }

    /// Returns an empty tally, to be filled by reading keys.
    pub(crate) fn tally(&self) -> Tally {
        Tally {
            hasher: self.hasher.clone(),
            sizes: HashMap::new(),
            used: 0,
            is_over: false,
        }
    }

    /// Takes over a finished count.
    pub(crate) fn take(&mut self, tally: Tally, now: BootTime) {
        self.uncounted = 0;
        self.room = (self.most / UNCOUNTED).min(self.most.saturating_sub(tally.used));
        self.is_open = false;
        self.counted = Some(Counted {
            tally,
            at: now,
            is_high: false,
        });
    }

    /// Requests a write of a value of this length.
    pub(crate) fn ask(&mut self, key: &str, value: usize, now: BootTime) -> Admission {
        self.mark_open();
        let cost = cost(key, value);
        let mut charge = Charge {
            key: self.hasher.hash_one(key),
            before: None,
            cost,
        };
        let Some(Counted { tally, at, is_high }) = &mut self.counted else {
            if self.uncounted + u64::from(cost) > self.room {
                return Admission::Count;
            }
            self.uncounted += u64::from(cost);
            return Admission::Granted(charge);
        };
        charge.before = tally.sizes.get(&charge.key).copied();
        let before = charge.before.unwrap_or(0);
        let after = tally.used - u64::from(before) + u64::from(cost);
        if before < cost && (tally.is_over || after > self.most) {
            let patience = if *is_high { REFRESH } else { STALE };
            return if now.since(*at) > patience {
                Admission::Count
            } else {
                Admission::Full { used: tally.used }
            };
        }
        tally.used = after;
        tally.sizes.insert(charge.key, cost);
        self.is_open = true;
        Admission::Granted(charge)
    }

    /// Applies the end of a write.
    pub(crate) fn settle(&mut self, charge: Charge, end: Settled) {
        self.is_open = false;
        match (end, &mut self.counted) {
            (Settled::Written, _) | (Settled::Unknown, None) => {}
            (Settled::Refused, None) => {
                self.uncounted = self.uncounted.saturating_sub(charge.cost.into());
            }
            (Settled::Refused, Some(counted)) => {
                let tally = &mut counted.tally;
                tally.used -= u64::from(charge.cost);
                tally.used += u64::from(charge.before.unwrap_or(0));
                match charge.before {
                    Some(before) => tally.sizes.insert(charge.key, before),
                    None => tally.sizes.remove(&charge.key),
                };
            }
            (Settled::Unknown, Some(counted)) => {
                // The old or the new value may be stored; the larger one counts.
                let more = charge.before.unwrap_or(0).saturating_sub(charge.cost);
                counted.tally.used += u64::from(more);
                let larger = charge.cost + more;
                counted.tally.sizes.insert(charge.key, larger);
                counted.is_high = true;
            }
        }
    }

    /// Applies the deletion of a key, or a deletion without an answer.
    pub(crate) fn deleted(&mut self, key: &str, end: Settled) {
        let hash = self.hasher.hash_one(key);
        let Some(counted) = &mut self.counted else {
            return;
        };
        match end {
            Settled::Written => {
                let freed = counted.tally.sizes.remove(&hash);
                counted.tally.used -= u64::from(freed.unwrap_or(0));
                counted.is_high |= counted.tally.is_over;
            }
            Settled::Refused => {}
            Settled::Unknown => counted.is_high = true,
        }
    }

    /// Handles a write whose end is unknown because its run was stopped meanwhile.
    const fn mark_open(&mut self) {
        if self.is_open
            && let Some(counted) = &mut self.counted
        {
            counted.is_high = true;
        }
        self.is_open = false;
    }
}

fn cost(key: &str, value: usize) -> u32 {
    let bytes = KEY_COST.saturating_add((key.len() as u64).saturating_add(value as u64));
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

/// A budget that the runs of one job share.
pub(crate) type SharedBudget = Arc<Mutex<Budget>>;

/// The budgets of all jobs of one host.
#[derive(Debug, Default)]
pub(crate) struct Budgets(Mutex<HashMap<Arc<str>, SharedBudget>>);

impl Budgets {
    /// Returns the budget of the job, the same for every version of it.
    pub(crate) fn of(&self, job: &Arc<str>, most: u64) -> SharedBudget {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() > KEPT {
            all.retain(|_, budget| Arc::strong_count(budget) > 1);
        }
        let new = || Arc::new(Mutex::new(Budget::new(most)));
        all.entry(job.clone()).or_insert_with(new).clone()
    }
}

#[cfg(test)]
mod tests;

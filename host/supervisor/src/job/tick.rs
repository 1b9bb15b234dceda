//! Running each tick once, whatever clocks show: the record of a tick, and the decisions that follow from it.
//!
//! # Flow
//!
//! The record of a job, one key, holds the latest tick that any host has begun. A host that has the lock claims its
//! tick there, in a transaction that compares its lock entry and the record's revision. Only then does the guest
//! run. When the guest has stopped, the tick is marked, and then the lock is given back.
//!
//! # Guarantees
//!
//! - A tick that is done is not run again by any host, nor is an earlier one than any that was begun.
//! - A holder of the lock takes over a tick begun under that lock, because the host that began it has lost the
//!   lock. A tick begun under another lock, as while a configuration changes host by host, is left alone as long as
//!   that lock's entry exists.
//! - A late claim, from a host that has lost the lock, is refused by the store itself.
//! - Marking compares the revision of the claim alone. A host that takes a tick over writes the record anew, so a
//!   late mark succeeds only for a tick that was not taken over.
//!
//! - A tick later than any correct clock can show ([`SKEW`]) is not believed. The holder of the lock then claims as
//!   if the record were the one before it, of another host, which every claim keeps. A host whose own clock is in
//!   doubt ([`clocks`]) neither claims nor skips, but stands back. The clock is checked before every claim.
//!
//! # Assumptions
//!
//! At most one of two hosts that claim one after the other has a wrong clock. If both have, the record that the
//! first one kept is lost with the second claim, and a tick may be run twice.
//!
//! A guest whose effects are not fenced may have done part of its work before its host died. A tick taken over is
//! run from the start.

mod owner;

use std::time::Duration;

use leasehold_lock::{Fence, FencedError, Grant, Kv, StoreError};
use leasehold_records::{HostRecord, Outcome, TickBefore, TickRecord, TickState};

use self::owner::counting;
use super::clocks::{self, LivingHost, Reading, SKEW};
use super::machine::{Claim, Lack, Look, Mark};
use leasehold_config::wall::UnixMs;

/// Most attempts at a claim before the lock is given back. Each attempt reads the record anew, and only hosts that
/// hold the lock claim.
const TRIES: u32 = 5;
/// Pause before a tick that runs under another lock is read again.
const ELSEWHERE: Duration = Duration::from_secs(5);

/// The record of one job, as far as ticks need it. A model of the store stands in for tests.
pub(crate) trait TickReader {
    /// Returns the record as it is.
    fn read(&self) -> impl Future<Output = Result<Option<Found>, StoreError>> + Send;
    /// Returns the living hosts, as they recorded themselves.
    fn hosts(&self) -> impl Future<Output = Result<Vec<LivingHost>, StoreError>> + Send;
}

/// The store for a holder of the lock: [`TickReader`] and writes.
pub(crate) trait TickStore: TickReader {
    /// Writes the record if the lock is ours and the record's last change was at `expected`.
    fn write_fenced(
        &self,
        expected: i64,
        json: Vec<u8>,
    ) -> impl Future<Output = Result<(), FencedError>> + Send;
    /// Returns true if the lock entry under this key still has this create revision.
    fn stands(
        &self,
        entry: &str,
        create: u64,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;
    /// Writes the record if its last change was at `expected`. Returns true if it was.
    fn write(
        &self,
        expected: i64,
        json: Vec<u8>,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;
}

/// The record's value and the revision of its last change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) json: Vec<u8>,
    pub(crate) revision: i64,
}

/// The record in the store.
pub(crate) struct Stored {
    pub(crate) kv: Kv,
    pub(crate) key: String,
    /// The prefix of all hosts.
    pub(crate) hosts: String,
}

/// The record in the store, as a holder of the lock uses it.
pub(crate) struct Held<'a> {
    pub(crate) stored: Stored,
    pub(crate) fence: Fence,
    /// The lock to give back with the write of a mark, in one transaction.
    pub(crate) leaves: Option<&'a Grant>,
}

/// Identity of the host and the run that claim.
#[derive(Clone, Debug)]
pub(crate) struct Claimant {
    pub(crate) job: String,
    pub(crate) host: String,
    /// The full name of the lock that it holds.
    pub(crate) lock: String,
    /// The key of its entry there.
    pub(crate) lock_key: String,
    pub(crate) token: u64,
    pub(crate) run_id: String,
}

/// Request for a tick: this one, or the newest that is due if no host has begun this one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask {
    pub(crate) tick: UnixMs,
    pub(crate) newest: UnixMs,
    pub(crate) now: UnixMs,
    /// Time that a host that has just started waits for others to write.
    pub(crate) settling: Duration,
    /// True if the job was dropped into a folder.
    pub(crate) is_dropped: bool,
}

/// A tick that was not believed and was overwritten.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Overruled {
    pub(crate) tick: UnixMs,
    /// The host that had claimed it, and what its clock showed then.
    pub(crate) host: String,
    pub(crate) shown: UnixMs,
}

/// The parts of the overwritten record that are logged or recorded.
#[derive(Debug, Default)]
pub(crate) struct Replaced {
    /// A tick that was not believed.
    pub(crate) overruled: Option<Overruled>,
    /// A claim whose run was cut off: its host has died or has lost the lock.
    pub(crate) cut_off: Option<TickRecord>,
}

/// Decision of a holder of the lock about a record.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Decision {
    Run { tick: UnixMs, attempt: u32 },
    Over { known: UnixMs, reason: String },
    NotYet { wait: Duration, reason: String },
}

/// Decides by the record, if there is one.
fn decide(record: Option<&TickRecord>, ask: Ask) -> Decision {
    let afresh = Decision::Run {
        tick: ask.newest,
        attempt: 1,
    };
    let Some(record) = record else {
        return afresh;
    };
    let known = UnixMs::new(record.tick_unix_ms);
    if known > ask.newest {
        let reason = ahead(record);
        return Decision::Over { known, reason };
    }
    match record.state {
        TickState::Done if known >= ask.tick => Decision::Over {
            known,
            reason: done(record),
        },
        // Its holder has lost the lock, because this host holds it.
        TickState::Claimed if known >= ask.tick => Decision::Run {
            tick: known,
            attempt: record.attempt.saturating_add(1),
        },
        // A failed tick is retried only until the next one is due.
        TickState::Retry if known == ask.newest => {
            let not_before = UnixMs::new(record.retry_unix_ms.unwrap_or(0));
            let wait = not_before.since(ask.now);
            if wait.is_zero() {
                Decision::Run {
                    tick: known,
                    attempt: record.attempt.saturating_add(1),
                }
            } else {
                let reason = waits(record, not_before);
                Decision::NotYet { wait, reason }
            }
        }
        TickState::Done | TickState::Claimed | TickState::Retry => afresh,
    }
}

fn done(record: &TickRecord) -> String {
    let tick = UnixMs::new(record.tick_unix_ms);
    format!("the tick of {tick} was already run by {}", record.host)
}

fn ahead(record: &TickRecord) -> String {
    let tick = UnixMs::new(record.tick_unix_ms);
    format!(
        "{} is at the tick of {tick} already, by its clock",
        record.host
    )
}

fn waits(record: &TickRecord, not_before: UnixMs) -> String {
    format!(
        "attempt {} at the tick of {} failed on {}; the next one is due at {not_before}",
        record.attempt,
        UnixMs::new(record.tick_unix_ms),
        record.host
    )
}

fn is_ahead(moment: u64, now: UnixMs) -> bool {
    UnixMs::new(moment) > now.after(SKEW)
}

/// Returns a lack if the clock of `own` is in doubt. It is judged by the record, by the revision of the record's
/// last change, and by the living hosts.
fn doubt(
    record: Option<(&TickRecord, i64)>,
    own: &str,
    (now, settling): (UnixMs, Duration),
    living: &[LivingHost],
) -> Option<Lack> {
    let mut fresh = Vec::new();
    if let Some((record, revision)) = record {
        fresh.push(Reading {
            host: &record.host,
            shown: UnixMs::new(record.clock_unix_ms()),
            revision,
        });
        fresh.extend(record.before.as_ref().map(|before| Reading {
            host: &before.host,
            shown: UnixMs::new(before.clock_unix_ms),
            revision: before.revision,
        }));
    }
    clocks::doubt(own, now, settling, &fresh, living)
}

/// Returns the part of a record to be believed at this time. For a tick too far ahead, that is the tick before it.
/// For a clock too far ahead, the time of the next attempt is left out.
fn believed(mut record: TickRecord, now: UnixMs) -> Option<TickRecord> {
    if is_ahead(record.clock_unix_ms(), now) {
        record.retry_unix_ms = None;
    }
    if !is_ahead(record.tick_unix_ms, now) {
        return Some(record);
    }
    let before = record.before.take()?;
    (!is_ahead(before.tick_unix_ms, now)).then_some(TickRecord {
        host: before.host,
        tick_unix_ms: before.tick_unix_ms,
        state: before.state,
        attempt: before.attempt,
        retry_unix_ms: None,
        ..record
    })
}

/// Returns the latest tick of another host than `own`, to be kept in the record that replaces this one.
fn before(record: &TickRecord, revision: i64, own: &str) -> Option<TickBefore> {
    if record.host == own {
        return record.before.clone();
    }
    Some(TickBefore {
        host: record.host.clone(),
        tick_unix_ms: record.tick_unix_ms,
        state: record.state,
        attempt: record.attempt,
        clock_unix_ms: record.clock_unix_ms(),
        revision,
    })
}

/// Reads the state of a tick without the lock. An unreadable record counts as open: the claim reads it again.
pub(crate) async fn look(store: &impl TickReader, own: &str, ask: Ask) -> Look {
    let Ask {
        tick,
        now,
        settling,
        is_dropped,
        ..
    } = ask;
    let Ok(found) = store.read().await else {
        return Look::Open;
    };
    let record = match found
        .as_ref()
        .map(|found| TickRecord::from_json(&found.json))
    {
        None => None,
        Some(Ok(record)) => Some(record),
        Some(Err(_)) => return Look::Open,
    };
    let record = match counting(record, is_dropped) {
        Ok(record) => record,
        Err(lack) => return Look::Lacks(lack),
    };
    let revision = found.map_or(0, |found| found.revision);
    let living = store.hosts().await.unwrap_or_default();
    let known = record.as_ref().map(|record| (record, revision));
    if let Some(lack) = doubt(known, own, (now, settling), &living) {
        return Look::Lacks(lack);
    }
    let record = record.and_then(|record| believed(record, now));
    record.map_or(Look::Open, |record| look_at(&record, tick))
}

/// Returns the state of a tick for a host without the lock.
fn look_at(record: &TickRecord, tick: UnixMs) -> Look {
    let known = UnixMs::new(record.tick_unix_ms);
    match record.state {
        _ if known < tick => Look::Open,
        TickState::Done if known == tick => Look::Over {
            known,
            reason: done(record),
        },
        _ if known > tick => Look::Over {
            known,
            reason: ahead(record),
        },
        _ => Look::Begun,
    }
}

/// Claims a tick for a holder of the lock. Also returns the record that the claim was written over.
pub(crate) async fn claim(store: &impl TickStore, who: &Claimant, ask: Ask) -> (Claim, Replaced) {
    let mut replaced = Replaced::default();
    let claim = try_claim(store, who, ask, &mut replaced).await;
    if !matches!(claim, Claim::Ours { .. }) {
        replaced = Replaced::default();
    }
    (claim, replaced)
}

async fn try_claim(store: &impl TickStore, who: &Claimant, ask: Ask, over: &mut Replaced) -> Claim {
    for _ in 0..TRIES {
        let found = match store.read().await {
            Ok(found) => found,
            Err(error) => return Claim::Trouble(format!("the record of ticks: {error}")),
        };
        let record = match found
            .as_ref()
            .map(|found| TickRecord::from_json(&found.json))
        {
            None => None,
            Some(Ok(record)) => Some(record),
            Some(Err(error)) => {
                return Claim::Trouble(format!(
                    "the record of ticks: {error}; delete the key ticks/{} under the root",
                    who.job
                ));
            }
        };
        let record = match counting(record, ask.is_dropped) {
            Ok(record) => record,
            Err(lack) => return Claim::Lacks(lack),
        };
        if let Some(own) = record.as_ref().filter(|record| is_own(record, who)) {
            // This host wrote it, and the answer did not arrive.
            return Claim::Ours {
                tick: UnixMs::new(own.tick_unix_ms),
                attempt: own.attempt,
            };
        }
        if let Some(begun) = record.as_ref().filter(|record| is_elsewhere(record, who)) {
            match store.stands(&begun.lock_key, begun.token).await {
                Ok(false) => {}
                Ok(true) => {
                    let (wait, reason) = (ELSEWHERE, elsewhere(begun));
                    return Claim::NotYet { wait, reason };
                }
                Err(error) => return Claim::Trouble(format!("the record of ticks: {error}")),
            }
        }
        let expected = found.map_or(0, |found| found.revision);
        // Also before the first claim: a host that has just started may be the one whose clock is wrong.
        let living = match store.hosts().await {
            Ok(living) => living,
            Err(error) => return Claim::Trouble(format!("the records of hosts: {error}")),
        };
        let known = record.as_ref().map(|record| (record, expected));
        if let Some(lack) = doubt(known, &who.host, (ask.now, ask.settling), &living) {
            return Claim::Lacks(lack);
        }
        over.overruled = record
            .as_ref()
            .filter(|record| is_ahead(record.tick_unix_ms, ask.now))
            .map(|record| Overruled {
                tick: UnixMs::new(record.tick_unix_ms),
                host: record.host.clone(),
                shown: UnixMs::new(record.clock_unix_ms()),
            });
        over.cut_off = record
            .as_ref()
            .filter(|record| record.state == TickState::Claimed)
            .cloned();
        let replaced = record
            .as_ref()
            .and_then(|record| before(record, expected, &who.host));
        let record = record.and_then(|record| believed(record, ask.now));
        let (tick, attempt) = match decide(record.as_ref(), ask) {
            Decision::Run { tick, attempt } => (tick, attempt),
            Decision::Over { known, reason } => return Claim::Over { known, reason },
            Decision::NotYet { wait, reason } => return Claim::NotYet { wait, reason },
        };
        let claimed = TickRecord {
            job: who.job.clone(),
            tick_unix_ms: tick.as_u64(),
            state: TickState::Claimed,
            host: who.host.clone(),
            lock_key: who.lock_key.clone(),
            token: who.token,
            attempt,
            run_id: who.run_id.clone(),
            claimed_unix_ms: ask.now.as_u64(),
            ended_unix_ms: None,
            outcome: None,
            retry_unix_ms: None,
            before: replaced,
            dropped: ask.is_dropped,
        };
        match store.write_fenced(expected, claimed.to_json()).await {
            Ok(()) => return Claim::Ours { tick, attempt },
            Err(FencedError::Stale) => return Claim::Lost,
            // Another host wrote meanwhile, or the result is unknown: the record is read again.
            Err(FencedError::Conflict) => {}
            Err(FencedError::Store(error)) if error.is_unknown() => {}
            Err(FencedError::Store(error)) => {
                return Claim::Trouble(format!("the tick could not be claimed: {error}"));
            }
        }
    }
    Claim::Trouble("the store did not confirm the claim of the tick".into())
}

fn is_own(record: &TickRecord, who: &Claimant) -> bool {
    record.state == TickState::Claimed && record.token == who.token && record.run_id == who.run_id
}

/// True if the tick was begun under another lock than this one, which proves nothing about that lock's holder.
fn is_elsewhere(record: &TickRecord, who: &Claimant) -> bool {
    let entry = record.lock_key.strip_prefix(&who.lock);
    record.state == TickState::Claimed && !entry.is_some_and(|entry| entry.starts_with('/'))
}

fn elsewhere(record: &TickRecord) -> String {
    format!(
        "{} runs the tick of {} under another lock: {}",
        record.host,
        UnixMs::new(record.tick_unix_ms),
        record.lock_key
    )
}

/// End of the run for a tick.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ended {
    pub(crate) tick: UnixMs,
    pub(crate) token: u64,
    pub(crate) mark: Mark,
    pub(crate) outcome: Outcome,
    pub(crate) now: UnixMs,
}

/// Reason for which a tick is not marked.
#[derive(Clone, Debug)]
pub(crate) struct Unmarked {
    pub(crate) reason: String,
    /// True if another attempt may succeed.
    pub(crate) may_pass: bool,
}

impl Unmarked {
    fn passing(reason: impl Into<String>) -> Self {
        let (reason, may_pass) = (reason.into(), true);
        Self { reason, may_pass }
    }

    fn lasting(reason: impl Into<String>) -> Self {
        let (reason, may_pass) = (reason.into(), false);
        Self { reason, may_pass }
    }
}

impl From<StoreError> for Unmarked {
    fn from(error: StoreError) -> Self {
        Self::passing(error.to_string())
    }
}

/// Marks a tick whose run has ended, once.
///
/// # Errors
///
/// [`Unmarked`]: the tick may be run again.
pub(crate) async fn mark(store: &impl TickStore, ended: Ended) -> Result<(), Unmarked> {
    let Some(found) = store.read().await? else {
        return Err(Unmarked::lasting("its record was deleted"));
    };
    let Ok(mut record) = TickRecord::from_json(&found.json) else {
        return Err(Unmarked::lasting("its record is not a tick record"));
    };
    if record.token != ended.token || record.tick_unix_ms != ended.tick.as_u64() {
        return Err(Unmarked::lasting(format!("{} has taken over", record.host)));
    }
    if record.state != TickState::Claimed {
        // This host wrote it, and the answer did not arrive.
        return Ok(());
    }
    record.ended_unix_ms = Some(ended.now.as_u64());
    record.outcome = Some(ended.outcome);
    (record.state, record.retry_unix_ms) = match ended.mark {
        Mark::Done => (TickState::Done, None),
        Mark::Retry { not_before } => (TickState::Retry, Some(not_before.as_u64())),
    };
    if store.write(found.revision, record.to_json()).await? {
        Ok(())
    } else {
        Err(Unmarked::passing("its record was written meanwhile"))
    }
}

impl TickReader for Stored {
    async fn read(&self) -> Result<Option<Found>, StoreError> {
        let found = self.kv.get(&self.key).await?;
        Ok(found.map(|found| Found {
            json: found.value,
            revision: found.mod_revision,
        }))
    }

    async fn hosts(&self) -> Result<Vec<LivingHost>, StoreError> {
        let found = self.kv.list(&self.hosts, 0).await?;
        let hosts = found.iter().filter_map(|found| {
            let record = HostRecord::from_json(&found.value).ok()?;
            Some(LivingHost {
                host: record.host,
                started: UnixMs::new(record.started_unix_ms),
                written: found.mod_revision,
                came: found.create_revision,
            })
        });
        Ok(hosts.collect())
    }
}

impl TickReader for Held<'_> {
    async fn read(&self) -> Result<Option<Found>, StoreError> {
        self.stored.read().await
    }

    async fn hosts(&self) -> Result<Vec<LivingHost>, StoreError> {
        self.stored.hosts().await
    }
}

impl TickStore for Held<'_> {
    async fn write_fenced(&self, expected: i64, json: Vec<u8>) -> Result<(), FencedError> {
        let Stored { kv, key, .. } = &self.stored;
        let put = kv.compare_and_put_fenced(&self.fence, key, expected, &json);
        put.await.map(drop)
    }

    async fn stands(&self, entry: &str, create: u64) -> Result<bool, StoreError> {
        let found = self.stored.kv.get(entry).await?;
        Ok(found.is_some_and(|found| u64::try_from(found.create_revision) == Ok(create)))
    }

    async fn write(&self, expected: i64, json: Vec<u8>) -> Result<bool, StoreError> {
        let Stored { kv, key, .. } = &self.stored;
        if let Some(grant) = self.leaves
            && grant.put_and_release(key, expected, &json).await?
        {
            return Ok(true);
        }
        // The lock is lost, or the record has changed: marking compares the record alone.
        kv.compare_and_put(key, expected, &json).await
    }
}

#[cfg(test)]
mod tests;

//! Claiming: a holder of the lock takes a tick, before its guest runs.

use std::time::Duration;

use leasehold_config::wall::UnixMs;
use leasehold_lock::{FencedError, Revision, StoreError, Token};
use leasehold_records::{TickRecord, TickState};

use super::decision::{TickDecision, decide, find_doubt, is_ahead, keep_believed, previous_tick};
use super::owner::filter_by_owner;
use super::passed::ClaimedBefore;
use super::request::TickRequest;
use super::store::TickStore;
use crate::job::machine::TickClaim;

/// Most attempts at a claim before the lock is given back. Each attempt reads the record anew, and only hosts that
/// hold the lock claim.
const TRIES: u32 = 5;
/// Shortest pause before a tick that runs under another lock, or under one that is shared, is read again.
const SOONEST: Duration = Duration::from_secs(5);
/// Longest such pause. A tick whose host has died may wait this long.
const LATEST: Duration = Duration::from_secs(30);

/// Identity of the host and the run that claim.
#[derive(Clone, Debug)]
pub(crate) struct TickClaimant {
    pub(crate) job: String,
    pub(crate) host: String,
    /// The full names of the locks that it holds exclusively.
    pub(crate) exclusive_locks: Vec<String>,
    /// The key of its entry; of several, the first.
    pub(crate) lock_key: String,
    pub(crate) token: Token,
    pub(crate) run_id: String,
    /// The job's schedule, as text.
    pub(crate) schedule: String,
}

/// A tick that was not believed and was overwritten.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OverruledTick {
    pub(crate) tick: UnixMs,
    /// The host that had claimed it, and what its clock showed then.
    pub(crate) host: String,
    pub(crate) shown: UnixMs,
}

/// The parts of the overwritten record that are logged or recorded.
#[derive(Debug, Default)]
pub(crate) struct ReplacedRecord {
    /// A tick that was not believed.
    pub(crate) overruled: Option<OverruledTick>,
    /// A claim whose run was cut off: its host has died or has lost the lock.
    pub(crate) cut_off: Option<TickRecord>,
    /// The tick that was claimed last.
    pub(crate) before: Option<ClaimedBefore>,
}

impl ReplacedRecord {
    /// Returns the facts of this record, which a claim at `now` overwrites.
    fn new(record: Option<&TickRecord>, now: UnixMs) -> Self {
        let overruled = record
            .filter(|record| is_ahead(record.tick_unix_ms, now))
            .map(|record| OverruledTick {
                tick: record.tick_unix_ms,
                host: record.host.clone(),
                shown: record.clock_unix_ms(),
            });
        let cut_off = record.filter(|record| record.state == TickState::Claimed);
        Self {
            overruled,
            cut_off: cut_off.cloned(),
            before: None,
        }
    }
}

/// Claims a tick for a holder of the lock. Also returns the record that the claim was written over.
pub(crate) async fn claim(
    store: &impl TickStore,
    claimant: &TickClaimant,
    request: TickRequest,
) -> (TickClaim, ReplacedRecord) {
    let mut replaced = ReplacedRecord::default();
    for _ in 0..TRIES {
        match try_claim(store, claimant, request, &mut replaced).await {
            Ok(Some(claim @ TickClaim::Ours { .. })) => return (claim, replaced),
            Ok(Some(claim)) | Err(claim) => return (claim, ReplacedRecord::default()),
            Ok(None) => {}
        }
    }
    let unconfirmed = "the store did not confirm the claim of the tick".into();
    (TickClaim::Trouble(unconfirmed), ReplacedRecord::default())
}

/// Makes one attempt at a claim. `None` if the record has to be read again. `replaced` keeps the facts of an earlier
/// attempt whose answer was lost.
///
/// # Errors
///
/// A claim that ended before the record was compared with the request.
async fn try_claim(
    store: &impl TickStore,
    claimant: &TickClaimant,
    request: TickRequest,
    replaced: &mut ReplacedRecord,
) -> Result<Option<TickClaim>, TickClaim> {
    let (record, revision) = read_record(store, claimant, request).await?;
    if let Some(record) = &record
        && let Some(claim) = find_taken(store, record, claimant, request.now).await?
    {
        return Ok(Some(claim));
    }
    // Also before the first claim: a host that has just started may be the one whose clock is wrong.
    let living = store.hosts().await;
    let living =
        living.map_err(|error| TickClaim::Trouble(format!("the records of hosts: {error}")))?;
    let known = record.as_ref().map(|record| (record, revision));
    let clock = (request.now, request.settling);
    if let Some(lack) = find_doubt(known, &claimant.host, clock, &living) {
        return Err(TickClaim::Lacks(lack));
    }
    *replaced = ReplacedRecord::new(record.as_ref(), request.now);
    let before = record
        .as_ref()
        .and_then(|record| previous_tick(record, revision, &claimant.host));
    let record = record.and_then(|record| keep_believed(record, request.now));
    replaced.before = record.as_ref().map(|record| ClaimedBefore {
        tick: record.tick_unix_ms,
        schedule: record.schedule.clone(),
    });
    let (tick, attempt) = match decide(record.as_ref(), request) {
        TickDecision::Run { tick, attempt } => (tick, attempt),
        TickDecision::Over { known, reason } => return Ok(Some(TickClaim::Over { known, reason })),
        TickDecision::NotYet { wait, reason } => {
            return Ok(Some(TickClaim::NotYet { wait, reason }));
        }
    };
    let claimed = TickRecord {
        before,
        ..claimed_record(claimant, request, (tick, attempt))
    };
    match store.write_fenced(revision, claimed.to_json()).await {
        Ok(()) => Ok(Some(TickClaim::Ours { tick, attempt })),
        Err(FencedError::Stale) => Ok(Some(TickClaim::Lost)),
        // Another host wrote meanwhile, or the result is unknown: the record is read again.
        Err(FencedError::Conflict) => Ok(None),
        Err(FencedError::Store(error)) if error.is_unknown() => Ok(None),
        Err(FencedError::Store(error)) => Err(TickClaim::Trouble(format!(
            "the tick could not be claimed: {error}"
        ))),
    }
}

/// Reads the record as it counts for this job, and the revision of its last change.
///
/// # Errors
///
/// A claim that ends because the record cannot be read, or belongs to a job that has precedence.
async fn read_record(
    store: &impl TickStore,
    claimant: &TickClaimant,
    request: TickRequest,
) -> Result<(Option<TickRecord>, Revision), TickClaim> {
    let found = store
        .read()
        .await
        .map_err(|error| describe_unreadable(&error))?;
    let record = found
        .as_ref()
        .map(|found| TickRecord::from_json(&found.json))
        .transpose()
        .map_err(|error| {
            TickClaim::Trouble(format!(
                "the record of ticks: {error}; delete the key ticks/{} under the root",
                claimant.job
            ))
        })?;
    let record = filter_by_owner(record, request.is_dropped).map_err(TickClaim::Lacks)?;
    Ok((record, found.map_or(Revision::NONE, |found| found.revision)))
}

fn describe_unreadable(error: &StoreError) -> TickClaim {
    TickClaim::Trouble(format!("the record of ticks: {error}"))
}

/// Returns the result of a claim on a tick that this host has claimed before, or that another host may still run.
///
/// # Errors
///
/// A claim that ends because the entry of that run cannot be read.
async fn find_taken(
    store: &impl TickStore,
    record: &TickRecord,
    claimant: &TickClaimant,
    now: UnixMs,
) -> Result<Option<TickClaim>, TickClaim> {
    if is_own(record, claimant) {
        // This host wrote it, and the answer did not arrive.
        return Ok(Some(TickClaim::Ours {
            tick: record.tick_unix_ms,
            attempt: record.attempt,
        }));
    }
    if !is_elsewhere(record, claimant) {
        return Ok(None);
    }
    let exists = store.entry_exists(&record.lock_key, record.token).await;
    let exists = exists.map_err(|error| describe_unreadable(&error))?;
    Ok(exists.then(|| TickClaim::NotYet {
        wait: pause_elsewhere(record, now),
        reason: describe_elsewhere(record),
    }))
}

/// Returns the record of this claim, without the tick of another host before it.
fn claimed_record(
    claimant: &TickClaimant,
    request: TickRequest,
    (tick, attempt): (UnixMs, u32),
) -> TickRecord {
    TickRecord {
        job: claimant.job.clone(),
        tick_unix_ms: tick,
        state: TickState::Claimed,
        host: claimant.host.clone(),
        lock_key: claimant.lock_key.clone(),
        token: claimant.token,
        attempt,
        run_id: claimant.run_id.clone(),
        claimed_unix_ms: request.now,
        ended_unix_ms: None,
        outcome: None,
        retry_unix_ms: None,
        before: None,
        schedule: claimant.schedule.clone(),
        dropped: request.is_dropped,
    }
}

fn is_own(record: &TickRecord, claimant: &TickClaimant) -> bool {
    record.state == TickState::Claimed
        && record.token == claimant.token
        && record.run_id == claimant.run_id
}

/// True if the holder of the tick's lock may still hold it: the claimant holds that lock together with others, or not
/// at all.
fn is_elsewhere(record: &TickRecord, claimant: &TickClaimant) -> bool {
    let mut locks = claimant.exclusive_locks.iter();
    let is_excluded = locks.any(|lock| {
        let entry = record.lock_key.strip_prefix(lock);
        entry.is_some_and(|entry| entry.starts_with('/'))
    });
    record.state == TickState::Claimed && !is_excluded
}

/// Returns the pause before a tick that runs elsewhere is looked at again: the longer it has run already, the longer.
fn pause_elsewhere(record: &TickRecord, now: UnixMs) -> Duration {
    (now.since(record.claimed_unix_ms) / 2).clamp(SOONEST, LATEST)
}

fn describe_elsewhere(record: &TickRecord) -> String {
    format!(
        "{} runs the tick of {} now, under {}",
        record.host, record.tick_unix_ms, record.lock_key
    )
}

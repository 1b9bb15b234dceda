//! The claims of this host on one lock, and the effect of the lock's watch on them.
//!
//! Pure state: no I/O, no await, no clock. The watch of a lock feeds it deletions and readings. Each claim's status
//! then shows when it holds, has moved up or lost its entry.
//!
//! A claim keeps all entries ahead of its own. Entries are only ever deleted there, so the known ones include all that
//! exist, and a claim that fits behind the known ones fits behind those. That its own entry exists at the same
//! revision is the other half of the proof.
//!
//! An entry is the pair (key, create revision), never the key alone: the same client re-enters under the same key,
//! and a deletion of the earlier entry must not touch the later one.

use crate::queue_keys::QueueKey;
use crate::tenure::Tenure;
use leasehold_ids::{LockMode, Revision};
use std::collections::HashMap;
use tokio::sync::watch;

mod claim;

pub(crate) use claim::ClaimStatus;
use claim::{ClaimStage, LockClaim, ahead_of, removed_at};

/// Revisions that the watch covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WatchCoverage {
    /// Nothing is delivered.
    Down,
    /// Everything after this revision is delivered.
    Since(Revision),
}

/// One reading of the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct QueueReading(u64);

/// All claims of this host on one lock.
#[derive(Debug)]
pub(crate) struct ClaimSet {
    next: u64,
    by_id: HashMap<u64, LockClaim>,
    reach: WatchCoverage,
    /// The reading under way.
    reading: Option<QueueReading>,
    next_reading: u64,
    /// A reading is wanted though none seems to be missing: the last one is old, or the store may have gone back.
    verify: bool,
    /// Deletions that a claim still in the making, or a reading under way, may have missed.
    recent: Vec<(String, Revision)>,
}

impl ClaimSet {
    pub(crate) fn new() -> Self {
        Self {
            next: 0,
            by_id: HashMap::new(),
            reach: WatchCoverage::Down,
            reading: None,
            next_reading: 0,
            verify: false,
            recent: Vec::new(),
        }
    }

    /// Announces an entry under `key` before it is put, so that no deletion after it is missed.
    pub(crate) fn announce(
        &mut self,
        key: &str,
        mode: LockMode,
    ) -> (u64, watch::Receiver<ClaimStatus>) {
        let (status, receiver) = watch::channel(ClaimStatus::Unknown);
        let id = self.next;
        self.next += 1;
        let claim = LockClaim {
            key: key.to_owned(),
            mode,
            far: false,
            stage: ClaimStage::Pending,
            status,
        };
        self.by_id.insert(id, claim);
        (id, receiver)
    }

    /// The entry exists at `create_revision`, behind the entries that a reading at `as_of` showed.
    pub(crate) fn settle(
        &mut self,
        id: u64,
        create_revision: Revision,
        entries: &[QueueKey],
        as_of: Revision,
    ) {
        let recent = std::mem::take(&mut self.recent);
        if let Some(claim) = self.by_id.get_mut(&id) {
            claim.stage = ClaimStage::Waiting {
                create_revision,
                ahead: ahead_of(create_revision, entries),
                as_of,
            };
            for (key, revision) in &recent {
                claim.deleted(key, *revision);
            }
            claim.publish();
        }
        self.recent = recent;
        self.forget_recent();
    }

    /// The entry exists at `create_revision` in a long queue, behind at least `entry`, and has a follower. Only an
    /// exclusive one can be followed so.
    pub(crate) fn settle_far(
        &mut self,
        id: u64,
        create_revision: Revision,
        entry: &QueueKey,
        as_of: Revision,
    ) {
        if let Some(claim) = self.by_id.get_mut(&id) {
            claim.far = true;
        }
        self.settle(id, create_revision, std::slice::from_ref(entry), as_of);
    }

    /// Takes in a reading of a far claim's follower at `revision`: the existence of our entry, and the entries ahead.
    pub(crate) fn read_far(
        &mut self,
        id: u64,
        revision: Revision,
        exists: bool,
        ahead: &[QueueKey],
    ) {
        let Some(claim) = self.by_id.get_mut(&id) else {
            return;
        };
        let mut entries = ahead.to_vec();
        let create_revision = claim.create_revision();
        if exists {
            entries.push(QueueKey {
                key: claim.key.clone(),
                create_revision,
                mode: claim.mode,
            });
        }
        claim.read(revision, create_revision, &entries);
        claim.publish();
    }

    pub(crate) fn contains(&self, id: u64) -> bool {
        self.by_id.contains_key(&id)
    }

    /// The claim now holds the lock.
    pub(crate) fn hold(
        &mut self,
        id: u64,
        create_revision: Revision,
        as_of: Revision,
        tenure: Tenure,
    ) {
        let recent = std::mem::take(&mut self.recent);
        if let Some(claim) = self.by_id.get_mut(&id) {
            let as_of = match claim.stage {
                // The entry was deleted after it came first and before the claim held.
                ClaimStage::Deleted { revision, .. } => {
                    tenure.end(removed_at(revision));
                    return self.put_back(recent);
                }
                // Revisions verified during the wait stay verified.
                ClaimStage::Waiting { as_of: known, .. } => as_of.max(known),
                ClaimStage::Pending | ClaimStage::Held { .. } => as_of,
            };
            claim.stage = ClaimStage::Held {
                create_revision,
                tenure,
                as_of,
            };
            for (key, revision) in &recent {
                claim.deleted(key, *revision);
            }
        }
        self.put_back(recent);
    }

    fn put_back(&mut self, recent: Vec<(String, Revision)>) {
        self.recent = recent;
        self.forget_recent();
    }

    pub(crate) fn drop_claim(&mut self, id: u64) {
        self.by_id.remove(&id);
        self.forget_recent();
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// True if any claim needs the lock's watch.
    pub(crate) fn wants_watch(&self) -> bool {
        self.by_id
            .values()
            .any(|claim| !claim.far && claim.is_followed())
    }

    /// Requests a reading though none seems to be missing.
    pub(crate) fn verify(&mut self) {
        self.verify = true;
    }

    /// True if some claim rests on a reading from before the watch opened, or must be verified.
    pub(crate) fn wants_reading(&self) -> bool {
        let WatchCoverage::Since(since) = self.reach else {
            return false;
        };
        self.reading.is_none() && (self.verify && self.wants_watch() || self.rests_on_older(since))
    }

    fn rests_on_older(&self, since: Revision) -> bool {
        self.by_id.values().any(|claim| match claim.stage {
            ClaimStage::Waiting { as_of, .. } | ClaimStage::Held { as_of, .. } => {
                !claim.far && as_of < since
            }
            ClaimStage::Pending | ClaimStage::Deleted { .. } => false,
        })
    }

    /// The create revision of our youngest entry: a reading needs no younger ones.
    pub(crate) fn youngest(&self) -> Revision {
        let near = self.by_id.values().filter(|claim| !claim.far);
        near.map(LockClaim::create_revision)
            .max()
            .unwrap_or(Revision::NONE)
    }

    /// The tenures of the claims that hold.
    pub(crate) fn tenures(&self) -> impl Iterator<Item = &Tenure> {
        self.by_id.values().filter_map(|claim| match &claim.stage {
            ClaimStage::Held { tenure, .. } => Some(tenure),
            _ => None,
        })
    }

    /// The watch delivers everything after `revision`.
    pub(crate) fn opened(&mut self, revision: Revision) {
        self.reach = WatchCoverage::Since(revision);
    }

    /// The watch delivers nothing until it opens again.
    pub(crate) fn down(&mut self) {
        self.reach = WatchCoverage::Down;
    }

    /// Begins a reading, unless one is under way already. Deletions are kept until it ends.
    pub(crate) fn reading_began(&mut self) -> Option<QueueReading> {
        if self.reading.is_some() {
            return None;
        }
        self.verify = false;
        self.next_reading += 1;
        self.reading = Some(QueueReading(self.next_reading));
        self.reading
    }

    /// A reading failed, and another is wanted.
    pub(crate) fn reading_failed(&mut self, reading: QueueReading) {
        if self.reading == Some(reading) {
            self.reading_given_up();
            self.verify = true;
        }
    }

    /// Abandons the reading under way.
    pub(crate) fn reading_given_up(&mut self) {
        self.reading = None;
        self.forget_recent();
    }

    /// A reading found, at `revision`, these entries up to the one created at `youngest`.
    pub(crate) fn reading_done(
        &mut self,
        reading: QueueReading,
        revision: Revision,
        youngest: Revision,
        entries: &[QueueKey],
    ) {
        // Deletions since it began were not kept when it was abandoned.
        if self.reading != Some(reading) {
            return;
        }
        self.reading = None;
        let recent = std::mem::take(&mut self.recent);
        for claim in self.by_id.values_mut().filter(|claim| !claim.far) {
            claim.read(revision, youngest, entries);
            for (key, deleted) in &recent {
                claim.deleted(key, *deleted);
            }
            claim.publish();
        }
        self.put_back(recent);
    }

    /// Keys deleted at these revisions, in order.
    pub(crate) fn deleted(&mut self, keys: impl Iterator<Item = (String, Revision)>) {
        let keep = self.keeps_recent();
        for (key, revision) in keys {
            for claim in self.by_id.values_mut() {
                claim.deleted(&key, revision);
            }
            if keep {
                self.recent.push((key, revision));
            }
        }
        for claim in self.by_id.values_mut() {
            claim.publish();
        }
    }

    fn keeps_recent(&self) -> bool {
        self.reading.is_some()
            || self
                .by_id
                .values()
                .any(|claim| matches!(claim.stage, ClaimStage::Pending))
    }

    fn forget_recent(&mut self) {
        if !self.keeps_recent() {
            self.recent.clear();
        }
    }
}

#[cfg(test)]
mod tests;

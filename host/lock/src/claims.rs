//! What this host wants from one lock, and how the events of the lock's watch bear on it.
//!
//! Pure state: no I/O, no await, no clock. The watch of a lock feeds it deletions and readings; it
//! tells each claim when it has come first, moved up, or lost its entry.
//!
//! An entry is the pair (key, create revision), never the key alone: the same client re-enters
//! under the same key, and a deletion of the earlier entry must not touch the later one.

use std::collections::{BTreeMap, HashMap};

use tokio::sync::watch;

use crate::requests::QueueKey;
use crate::tenure::{EndReason, Tenure};

/// Where a waiting claim stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ClaimStatus {
    /// Not known yet.
    Unknown,
    /// Behind `ahead` entries, the first of which is `holder`.
    Behind { ahead: usize, holder: String },
    /// Nobody is ahead, at a revision at which our entry existed.
    First,
    /// Our entry was seen to be gone.
    Gone { revision: i64 },
}

/// How far the watch reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WatchCoverage {
    /// Nothing is delivered.
    Down,
    /// Everything after this revision is delivered.
    Since(i64),
}

/// One reading of the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct QueueReading(u64);

#[derive(Debug)]
enum ClaimStage {
    /// The entry is being put; its revision is not known yet.
    Pending,
    Waiting {
        create_revision: i64,
        ahead: BTreeMap<i64, String>,
        as_of: i64,
    },
    Held {
        create_revision: i64,
        tenure: Tenure,
        as_of: i64,
    },
    /// The entry was seen to be deleted, at this revision, before the claim held.
    Gone { create_revision: i64, revision: i64 },
}

#[derive(Debug)]
struct LockClaim {
    key: String,
    /// Followed by a task of its own instead of by the lock's watch.
    far: bool,
    stage: ClaimStage,
    status: watch::Sender<ClaimStatus>,
}

/// All claims of this host on one lock.
#[derive(Debug)]
pub(crate) struct ClaimSet {
    next: u64,
    by_id: HashMap<u64, LockClaim>,
    reach: WatchCoverage,
    /// The reading under way.
    reading: Option<QueueReading>,
    next_reading: u64,
    /// A reading is wanted whatever is known: nothing was verified for long, or the store may have gone back.
    verify: bool,
    /// Deletions that a claim still in the making, or a reading under way, may have missed.
    recent: Vec<(String, i64)>,
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
    pub(crate) fn announce(&mut self, key: &str) -> (u64, watch::Receiver<ClaimStatus>) {
        let (status, receiver) = watch::channel(ClaimStatus::Unknown);
        let id = self.next;
        self.next += 1;
        let claim = LockClaim {
            key: key.to_owned(),
            far: false,
            stage: ClaimStage::Pending,
            status,
        };
        self.by_id.insert(id, claim);
        (id, receiver)
    }

    /// The entry stands at `create_revision`, behind the `ahead` that a reading at `as_of` showed.
    pub(crate) fn settle(
        &mut self,
        id: u64,
        create_revision: i64,
        entries: &[QueueKey],
        as_of: i64,
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

    /// The entry stands at `create_revision` in a long queue, behind at least `entry`, and has a follower.
    pub(crate) fn settle_far(
        &mut self,
        id: u64,
        create_revision: i64,
        entry: &QueueKey,
        as_of: i64,
    ) {
        if let Some(claim) = self.by_id.get_mut(&id) {
            claim.far = true;
        }
        self.settle(id, create_revision, std::slice::from_ref(entry), as_of);
    }

    /// The follower of a far claim has read, at `revision`, whether its entry stands and who is ahead.
    pub(crate) fn read_far(&mut self, id: u64, revision: i64, exists: bool, ahead: &[QueueKey]) {
        let Some(claim) = self.by_id.get_mut(&id) else {
            return;
        };
        let mut entries = ahead.to_vec();
        let create_revision = claim.create_revision();
        if exists {
            entries.push(QueueKey {
                key: claim.key.clone(),
                create_revision,
            });
        }
        claim.read(revision, create_revision, &entries);
        claim.publish();
    }

    pub(crate) fn contains(&self, id: u64) -> bool {
        self.by_id.contains_key(&id)
    }

    /// The claim now holds the lock.
    pub(crate) fn hold(&mut self, id: u64, create_revision: i64, as_of: i64, tenure: Tenure) {
        let recent = std::mem::take(&mut self.recent);
        if let Some(claim) = self.by_id.get_mut(&id) {
            let as_of = match claim.stage {
                // Between being first and holding, the entry was lost.
                ClaimStage::Gone { revision, .. } => {
                    tenure.end(EndReason::Removed { revision });
                    return self.put_back(recent);
                }
                // What the wait has verified since stays verified.
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

    fn put_back(&mut self, recent: Vec<(String, i64)>) {
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

    /// Whether any claim needs the lock's watch.
    pub(crate) fn wants_watch(&self) -> bool {
        self.by_id
            .values()
            .any(|claim| !claim.far && claim.is_followed())
    }

    /// Asks for a reading though nothing seems to be missing.
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

    fn rests_on_older(&self, since: i64) -> bool {
        self.by_id.values().any(|claim| match claim.stage {
            ClaimStage::Waiting { as_of, .. } | ClaimStage::Held { as_of, .. } => {
                !claim.far && as_of < since
            }
            ClaimStage::Pending | ClaimStage::Gone { .. } => false,
        })
    }

    /// The youngest entry of ours: a reading needs to go no further.
    pub(crate) fn youngest(&self) -> i64 {
        let near = self.by_id.values().filter(|claim| !claim.far);
        near.map(LockClaim::create_revision).max().unwrap_or(0)
    }

    /// The tenures of the claims that hold.
    pub(crate) fn tenures(&self) -> impl Iterator<Item = &Tenure> {
        self.by_id.values().filter_map(|claim| match &claim.stage {
            ClaimStage::Held { tenure, .. } => Some(tenure),
            _ => None,
        })
    }

    /// The watch delivers everything after `revision`.
    pub(crate) fn opened(&mut self, revision: i64) {
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

    /// A reading has found nothing out, and another is wanted.
    pub(crate) fn reading_failed(&mut self, reading: QueueReading) {
        if self.reading == Some(reading) {
            self.reading_given_up();
            self.verify = true;
        }
    }

    /// The answer to a reading under way will not be waited for.
    pub(crate) fn reading_given_up(&mut self) {
        self.reading = None;
        self.forget_recent();
    }

    /// A reading found, at `revision`, these entries up to the one created at `youngest`.
    pub(crate) fn reading_done(
        &mut self,
        reading: QueueReading,
        revision: i64,
        youngest: i64,
        entries: &[QueueKey],
    ) {
        // Deletions since it began were not kept when it was given up.
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
    pub(crate) fn deleted(&mut self, keys: impl Iterator<Item = (String, i64)>) {
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

impl LockClaim {
    const fn create_revision(&self) -> i64 {
        match self.stage {
            ClaimStage::Waiting {
                create_revision, ..
            }
            | ClaimStage::Held {
                create_revision, ..
            }
            | ClaimStage::Gone {
                create_revision, ..
            } => create_revision,
            ClaimStage::Pending => 0,
        }
    }

    /// True if changes of the queue matter to it.
    const fn is_followed(&self) -> bool {
        matches!(
            self.stage,
            ClaimStage::Waiting { .. } | ClaimStage::Held { .. }
        )
    }

    /// The entry was deleted while it waited.
    fn lose(&mut self, revision: i64) {
        let create_revision = self.create_revision();
        self.stage = ClaimStage::Gone {
            create_revision,
            revision,
        };
        self.status.send_replace(ClaimStatus::Gone { revision });
    }

    fn deleted(&mut self, deleted: &str, revision: i64) {
        match &mut self.stage {
            ClaimStage::Pending | ClaimStage::Gone { .. } => {}
            ClaimStage::Waiting {
                create_revision,
                ahead,
                ..
            } => {
                if self.key == deleted && revision > *create_revision {
                    self.lose(revision);
                } else if !self.far {
                    // Of those ahead of a far claim only one is known: that one's end makes nobody first.
                    ahead.retain(|born, key| key != deleted || *born >= revision);
                }
            }
            ClaimStage::Held {
                create_revision,
                tenure,
                ..
            } => {
                if self.key == deleted && revision > *create_revision {
                    tenure.end(EndReason::Removed { revision });
                }
            }
        }
    }

    /// Takes in a reading, except one that ended before this claim's entry and so cannot show it.
    fn read(&mut self, revision: i64, youngest: i64, entries: &[QueueKey]) {
        let own = entries.iter().find(|entry| entry.key == self.key);
        match &mut self.stage {
            ClaimStage::Pending | ClaimStage::Gone { .. } => {}
            ClaimStage::Waiting {
                create_revision, ..
            }
            | ClaimStage::Held {
                create_revision, ..
            } if *create_revision > youngest => {}
            // A reading older than what we already know tells nothing.
            ClaimStage::Waiting { as_of, .. } | ClaimStage::Held { as_of, .. }
                if *as_of > revision => {}
            ClaimStage::Waiting {
                create_revision,
                ahead,
                as_of,
            } => {
                *as_of = revision;
                if own.is_some_and(|entry| entry.create_revision == *create_revision) {
                    *ahead = ahead_of(*create_revision, entries);
                } else {
                    self.lose(revision);
                }
            }
            ClaimStage::Held {
                create_revision,
                tenure,
                as_of,
            } => {
                *as_of = revision;
                match own {
                    Some(entry) if entry.create_revision == *create_revision => {}
                    Some(entry) => tenure.end(EndReason::Replaced {
                        revision: entry.create_revision,
                    }),
                    None => tenure.end(EndReason::Removed { revision }),
                }
            }
        }
    }

    fn publish(&self) {
        let ClaimStage::Waiting { ahead, .. } = &self.stage else {
            return;
        };
        self.status.send_if_modified(|status| {
            if matches!(status, ClaimStatus::Gone { .. } | ClaimStatus::First) {
                return false;
            }
            let now = match ahead.first_key_value() {
                None => ClaimStatus::First,
                // Only the predecessor is known, which tells nobody their place.
                Some(_) if self.far => return false,
                Some((_, holder)) => ClaimStatus::Behind {
                    ahead: ahead.len(),
                    holder: holder.clone(),
                },
            };
            let changed = *status != now;
            *status = now;
            changed
        });
    }
}

fn ahead_of(create_revision: i64, entries: &[QueueKey]) -> BTreeMap<i64, String> {
    entries
        .iter()
        .filter(|entry| entry.create_revision < create_revision)
        .map(|entry| (entry.create_revision, entry.key.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{BootTime, SystemClock};
    use std::sync::Arc;

    fn entries(entries: &[(&str, i64)]) -> Vec<QueueKey> {
        entries
            .iter()
            .map(|&(key, create_revision)| QueueKey {
                key: key.into(),
                create_revision,
            })
            .collect()
    }

    fn del(claims: &mut ClaimSet, key: &str, revision: i64) {
        claims.deleted(std::iter::once((key.to_owned(), revision)));
    }

    fn behind(ahead: usize, holder: &str) -> ClaimStatus {
        ClaimStatus::Behind {
            ahead,
            holder: holder.into(),
        }
    }

    fn held(claims: &mut ClaimSet) -> Tenure {
        let tenure = Tenure::detached(Arc::new(SystemClock), BootTime::from_nanos(u64::MAX));
        let (id, _) = claims.announce("me");
        claims.hold(id, 10, 10, tenure.clone());
        tenure
    }

    #[test]
    fn a_claim_comes_first_when_everyone_ahead_has_gone() {
        let mut claims = ClaimSet::new();
        let (id, status) = claims.announce("me");
        claims.settle(
            id,
            10,
            &entries(&[("a", 3), ("b", 7), ("me", 10), ("c", 11)]),
            10,
        );
        assert_eq!(*status.borrow(), behind(2, "a"));
        del(&mut claims, "a", 12);
        assert_eq!(*status.borrow(), behind(1, "b"));
        del(&mut claims, "c", 13);
        del(&mut claims, "b", 14);
        assert_eq!(*status.borrow(), ClaimStatus::First);
    }

    #[test]
    fn a_deletion_that_overtakes_the_reply_of_our_own_put_is_not_missed() {
        let mut claims = ClaimSet::new();
        let (id, status) = claims.announce("me");
        del(&mut claims, "a", 12);
        claims.settle(id, 10, &entries(&[("a", 3), ("me", 10)]), 10);
        assert_eq!(*status.borrow(), ClaimStatus::First);
    }

    #[test]
    fn an_old_deletion_of_a_key_does_not_remove_its_later_entry() {
        let mut claims = ClaimSet::new();
        let (id, status) = claims.announce("me");
        // "a" left at 5 and came back at 8, before us; the news of 5 arrives late.
        del(&mut claims, "a", 5);
        claims.settle(id, 10, &entries(&[("a", 8), ("me", 10)]), 10);
        del(&mut claims, "a", 5);
        assert_eq!(*status.borrow(), behind(1, "a"));
    }

    #[test]
    fn a_waiter_whose_entry_goes_is_never_first() {
        let mut claims = ClaimSet::new();
        let (id, status) = claims.announce("me");
        claims.settle(id, 10, &entries(&[("a", 3), ("me", 10)]), 10);
        del(&mut claims, "me", 12);
        del(&mut claims, "a", 13);
        assert_eq!(*status.borrow(), ClaimStatus::Gone { revision: 12 });
    }

    #[test]
    fn both_gone_in_one_revision_is_gone_not_first() {
        let mut claims = ClaimSet::new();
        let (id, status) = claims.announce("me");
        claims.settle(id, 10, &entries(&[("a", 3), ("me", 10)]), 10);
        let both = [("a".to_owned(), 12), ("me".to_owned(), 12)];
        claims.deleted(both.into_iter());
        assert_eq!(*status.borrow(), ClaimStatus::Gone { revision: 12 });
    }

    /// Promise P5. Fails on the mutant "no reading once the watch is open", see scripts/mutants.
    #[test]
    fn a_reading_after_a_gap_finds_what_the_watch_missed() {
        let mut claims = ClaimSet::new();
        let (id, status) = claims.announce("me");
        claims.settle(id, 10, &entries(&[("a", 3), ("b", 4), ("me", 10)]), 10);
        claims.opened(20);
        assert!(claims.wants_reading());
        let reading = claims.reading_began().unwrap();
        del(&mut claims, "b", 25);
        claims.reading_done(
            reading,
            22,
            claims.youngest(),
            &entries(&[("b", 4), ("me", 10)]),
        );
        assert_eq!(*status.borrow(), ClaimStatus::First);
        assert!(!claims.wants_reading());
    }

    #[test]
    fn a_far_claim_is_first_by_its_own_reading_alone() {
        let mut claims = ClaimSet::new();
        let (id, status) = claims.announce("me");
        // Its predecessor gives up at once, with others ahead of both; a near claim's watch hears of it.
        del(&mut claims, "b", 101);
        let [ahead] = entries(&[("b", 99)]).try_into().expect("one line");
        claims.settle_far(id, 100, &ahead, 100);
        del(&mut claims, "b", 101);
        assert_eq!(*status.borrow(), ClaimStatus::Unknown);
        claims.read_far(id, 102, true, &entries(&[("a", 3)]));
        del(&mut claims, "a", 103);
        assert_eq!(*status.borrow(), ClaimStatus::Unknown);
        claims.read_far(id, 104, true, &[]);
        assert_eq!(*status.borrow(), ClaimStatus::First);
    }

    #[test]
    fn the_holder_is_told_when_its_entry_is_deleted_or_replaced() {
        let mut claims = ClaimSet::new();
        let tenure = held(&mut claims);
        del(&mut claims, "me", 9);
        assert!(tenure.admits(), "an older deletion is somebody else's");
        del(&mut claims, "me", 12);
        assert_eq!(
            tenure.end_reason(),
            Some(EndReason::Removed { revision: 12 })
        );

        let tenure = held(&mut claims);
        let reading = claims.reading_began().unwrap();
        claims.reading_done(reading, 30, 10, &entries(&[("me", 21)]));
        assert_eq!(
            tenure.end_reason(),
            Some(EndReason::Replaced { revision: 21 })
        );
    }

    /// Promise P1. Fails when the deletion of our own entry is forgotten once we were first: on the
    /// mutant "hold ignores a lost entry", see scripts/mutants.
    #[test]
    fn an_entry_deleted_between_being_first_and_holding_is_never_held() {
        let mut claims = ClaimSet::new();
        let (id, status) = claims.announce("me");
        claims.settle(id, 10, &entries(&[("a", 3), ("me", 10)]), 10);
        claims.opened(10);
        del(&mut claims, "a", 11);
        assert_eq!(*status.borrow(), ClaimStatus::First);
        del(&mut claims, "me", 12);
        let tenure = Tenure::detached(Arc::new(SystemClock), BootTime::from_nanos(u64::MAX));
        claims.hold(id, 10, 10, tenure.clone());
        assert!(!tenure.admits());
        assert_eq!(
            tenure.end_reason(),
            Some(EndReason::Removed { revision: 12 })
        );
    }

    /// A server may lose the event of a deletion; only a reading finds it then.
    #[test]
    fn a_reading_asked_for_is_wanted_though_nothing_seems_to_be_missing() {
        let mut claims = ClaimSet::new();
        let tenure = held(&mut claims);
        claims.opened(10);
        assert!(!claims.wants_reading());
        claims.verify();
        assert!(claims.wants_reading());
        let reading = claims.reading_began().unwrap();
        assert!(!claims.wants_reading());
        claims.reading_done(reading, 30, 30, &[]);
        assert_eq!(
            tenure.end_reason(),
            Some(EndReason::Removed { revision: 30 })
        );
    }

    /// Fails when the answer to a reading that was given up is taken for the one under way: deletions in
    /// between were not kept for it.
    #[test]
    fn the_answer_to_a_reading_given_up_changes_nothing() {
        let mut claims = ClaimSet::new();
        let (id, status) = claims.announce("me");
        claims.settle(id, 10, &entries(&[("a", 3), ("me", 10)]), 10);
        let early = claims.reading_began().unwrap();
        claims.reading_given_up();
        del(&mut claims, "a", 12);
        let late = claims.reading_began().unwrap();
        claims.reading_done(early, 11, 11, &entries(&[("a", 3), ("me", 10)]));
        assert_eq!(*status.borrow(), ClaimStatus::First);
        assert_eq!(claims.reading_began(), None, "the later one is under way");
        claims.reading_done(late, 13, 13, &entries(&[("me", 10)]));
        assert_eq!(*status.borrow(), ClaimStatus::First);
    }
}

//! One claim on a lock: its entry, and its status as deletions and readings show it. Pure.

use std::collections::BTreeMap;

use leasehold_ids::Revision;
use tokio::sync::watch;

use crate::end_reason::EndReason;
use crate::queue_keys::QueueKey;
use crate::tenure::Tenure;

/// Status of a waiting claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ClaimStatus {
    /// No reading has shown it yet.
    Unknown,
    /// Behind `ahead` entries, the first of which is `holder`.
    Behind { ahead: usize, holder: String },
    /// No entry is ahead, at a revision at which our entry existed.
    First,
    /// Our entry was deleted.
    Deleted { revision: Revision },
}

#[derive(Debug)]
pub(super) enum ClaimStage {
    /// The entry is being put; no reply has shown its revision.
    Pending,
    Waiting {
        create_revision: Revision,
        ahead: BTreeMap<Revision, String>,
        as_of: Revision,
    },
    Held {
        create_revision: Revision,
        tenure: Tenure,
        as_of: Revision,
    },
    /// The entry was deleted before the claim held, at this revision or an earlier one.
    Deleted {
        create_revision: Revision,
        revision: Revision,
    },
}

#[derive(Debug)]
pub(super) struct LockClaim {
    pub(super) key: String,
    /// Followed by a task of its own instead of by the lock's watch.
    pub(super) far: bool,
    pub(super) stage: ClaimStage,
    pub(super) status: watch::Sender<ClaimStatus>,
}

impl LockClaim {
    pub(super) const fn create_revision(&self) -> Revision {
        match self.stage {
            ClaimStage::Waiting {
                create_revision, ..
            }
            | ClaimStage::Held {
                create_revision, ..
            }
            | ClaimStage::Deleted {
                create_revision, ..
            } => create_revision,
            ClaimStage::Pending => Revision::NONE,
        }
    }

    /// True if changes of the queue matter to it.
    pub(super) const fn is_followed(&self) -> bool {
        matches!(
            self.stage,
            ClaimStage::Waiting { .. } | ClaimStage::Held { .. }
        )
    }

    /// The entry was deleted while it waited.
    fn lose(&mut self, revision: Revision) {
        let create_revision = self.create_revision();
        self.stage = ClaimStage::Deleted {
            create_revision,
            revision,
        };
        self.status.send_replace(ClaimStatus::Deleted { revision });
    }

    pub(super) fn deleted(&mut self, deleted: &str, revision: Revision) {
        match &mut self.stage {
            ClaimStage::Pending | ClaimStage::Deleted { .. } => {}
            ClaimStage::Waiting {
                create_revision,
                ahead,
                ..
            } => {
                if self.key == deleted && revision > *create_revision {
                    self.lose(revision);
                } else if !self.far {
                    // Of the entries ahead of a far claim only one is known, so its deletion does not make the claim
                    // first.
                    ahead.retain(|born, key| key != deleted || *born >= revision);
                }
            }
            ClaimStage::Held {
                create_revision,
                tenure,
                ..
            } => {
                if self.key == deleted && revision > *create_revision {
                    tenure.end(removed_at(revision));
                }
            }
        }
    }

    /// Takes in a reading, except one that ended before this claim's entry and so cannot show it.
    pub(super) fn read(&mut self, revision: Revision, youngest: Revision, entries: &[QueueKey]) {
        let own = entries.iter().find(|entry| entry.key == self.key);
        match &mut self.stage {
            ClaimStage::Pending | ClaimStage::Deleted { .. } => {}
            ClaimStage::Waiting {
                create_revision, ..
            }
            | ClaimStage::Held {
                create_revision, ..
            } if *create_revision > youngest => {}
            // A reading older than the last one adds nothing.
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
                    None => tenure.end(removed_at(revision)),
                }
            }
        }
    }

    pub(super) fn publish(&self) {
        let ClaimStage::Waiting { ahead, .. } = &self.stage else {
            return;
        };
        self.status.send_if_modified(|status| {
            if matches!(status, ClaimStatus::Deleted { .. } | ClaimStatus::First) {
                return false;
            }
            let now = match ahead.first_key_value() {
                None => ClaimStatus::First,
                // Only the predecessor is known, which does not show the place.
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

/// The end of a tenure whose entry was deleted at `revision`.
pub(super) const fn removed_at(revision: Revision) -> EndReason {
    EndReason::Removed { revision }
}

pub(super) fn ahead_of(
    create_revision: Revision,
    entries: &[QueueKey],
) -> BTreeMap<Revision, String> {
    entries
        .iter()
        .filter(|entry| entry.create_revision < create_revision)
        .map(|entry| (entry.create_revision, entry.key.clone()))
        .collect()
}

//! One claim on a lock: its entry, and its status as deletions and readings show it. Pure.

use leasehold_ids::{LockMode, Revision};
use tokio::sync::watch;

use crate::end_reason::EndReason;
use crate::queue_keys::QueueKey;
use crate::queue_role::{fits_behind, other_capacity};
use crate::tenure::Tenure;

/// Status of a waiting claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ClaimStatus {
    /// No reading has shown it yet.
    Unknown,
    /// Behind `ahead` entries, the first of which is `holder`.
    Behind { ahead: usize, holder: String },
    /// Our entry fits beside all that are ahead, at a revision at which it existed. It stays so for as long as our entry
    /// exists.
    Holder,
    /// The entry `entry` ahead has permits of another capacity, `of`.
    OtherCapacity { entry: String, of: u32 },
    /// Our entry was deleted.
    Deleted { revision: Revision },
}

#[derive(Debug)]
pub(super) enum ClaimStage {
    /// The entry is being put; no reply has shown its revision.
    Pending,
    Waiting {
        create_revision: Revision,
        /// All entries ahead, oldest first, and possibly some that were deleted. For a far claim the nearest alone.
        ahead: Vec<QueueKey>,
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
    pub(super) mode: LockMode,
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
                    ahead.retain(|entry| entry.key != deleted || entry.create_revision >= revision);
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
            if status.is_final() {
                return false;
            }
            let now = if fits_behind(ahead, self.mode) {
                ClaimStatus::Holder
            } else if let Some((other, of)) = other_capacity(ahead, self.mode) {
                ClaimStatus::OtherCapacity {
                    entry: other.key.clone(),
                    of,
                }
            } else if let Some(first) = ahead.first().filter(|_| !self.far) {
                ClaimStatus::Behind {
                    ahead: ahead.len(),
                    holder: first.key.clone(),
                }
            } else {
                // Only the predecessor is known, which does not show the place.
                return false;
            };
            let changed = *status != now;
            *status = now;
            changed
        });
    }
}

impl ClaimStatus {
    /// True if entries ahead do not matter any more.
    const fn is_final(&self) -> bool {
        match self {
            Self::Holder | Self::OtherCapacity { .. } | Self::Deleted { .. } => true,
            Self::Unknown | Self::Behind { .. } => false,
        }
    }
}

/// The end of a tenure whose entry was deleted at `revision`.
pub(super) const fn removed_at(revision: Revision) -> EndReason {
    EndReason::Removed { revision }
}

pub(super) fn ahead_of(create_revision: Revision, entries: &[QueueKey]) -> Vec<QueueKey> {
    entries
        .iter()
        .filter(|entry| entry.create_revision < create_revision)
        .cloned()
        .collect()
}

//! Errors of an acquisition under way.

use leasehold_ids::Revision;

use crate::acquire::attempt::AcquireAttempt;
use crate::enqueue::{Enqueued, QueueTail};
use crate::error::{AcquireError, StoreError};
use crate::lock_entry::LockEntry;
use crate::queue_keys::QueueKey;
use crate::queue_role::{fits_behind, other_capacity};

impl AcquireAttempt {
    /// The error for locks that other entries hold: names the first of ours that has to wait.
    pub(super) fn contended(&self, found: &Enqueued) -> AcquireError {
        let ahead = |queue: &QueueTail| ahead_of_ours(found, queue);
        let mut queues = self.entry.entries().iter().zip(&found.queues);
        let blocked = queues
            .find(|(entry, queue)| queue.truncated || !fits_behind(&ahead(queue), entry.mode()));
        let (name, ahead) = match blocked {
            Some((entry, queue)) => (entry.name().to_owned(), ahead(queue)),
            None => (self.request.label(), Vec::new()),
        };
        AcquireError::Contended {
            name,
            holder: ahead
                .first()
                .map_or_else(|| "another entry".into(), |entry| entry.key.clone()),
            ahead: ahead.len(),
            waited: self.began.elapsed(),
        }
    }

    /// Refuses locks whose queues hold permits of another capacity ahead of ours.
    pub(super) fn check_capacities(&self, found: &Enqueued) -> Result<(), AcquireError> {
        for (at, (entry, queue)) in self.entry.entries().iter().zip(&found.queues).enumerate() {
            let ahead = ahead_of_ours(found, queue);
            if let Some((other, of)) = other_capacity(&ahead, entry.mode()) {
                return Err(self.capacity_differs(at, other.key.clone(), of));
            }
        }
        Ok(())
    }

    /// The error for the lock at the index `at`, where `entry` has permits of `theirs`.
    pub(super) fn capacity_differs(&self, at: usize, entry: String, theirs: u32) -> AcquireError {
        let own = self.entry.entries().get(at);
        AcquireError::CapacityDiffers {
            name: self.name_at(at),
            entry,
            theirs,
            ours: own
                .and_then(|own| own.mode().capacity())
                .unwrap_or_default(),
        }
    }

    /// The error for an entry of ours, at the index `at`, that was deleted.
    pub(super) fn removed(&self, at: usize, revision: Revision) -> AcquireError {
        AcquireError::Removed {
            name: self.name_at(at),
            revision,
        }
    }

    pub(super) fn session_lost(&self) -> AcquireError {
        AcquireError::SessionLost {
            name: self.request.label(),
            reason: self.session.end_reason().to_string(),
        }
    }

    pub(super) fn store(&self, source: StoreError) -> AcquireError {
        AcquireError::Store {
            name: self.request.label(),
            source,
        }
    }

    fn name_at(&self, at: usize) -> String {
        let entry = self.entry.entries().get(at).map(LockEntry::name);
        entry.unwrap_or_default().to_owned()
    }
}

/// The entries of a queue ahead of ours; all of them where ours does not exist.
fn ahead_of_ours(found: &Enqueued, queue: &QueueTail) -> Vec<QueueKey> {
    let own = found.own.create_revision();
    let is_ahead = |entry: &&QueueKey| own.is_none_or(|own| entry.create_revision < own);
    queue.entries.iter().filter(is_ahead).cloned().collect()
}

//! Our entries in the queues of one acquisition, and the guarantee that none stays there by accident.
//!
//! One transaction makes all of them, so they share their lease and their create revision. Whatever happens to the
//! future or the grant that owns them, they are deleted by that revision (never by name alone: a retried delete by
//! name can remove a newer lock of another). Their slot is freed only when the store has confirmed the deletion of
//! each.
//!
//! # Puts without an answer
//!
//! A put that was not answered may be carried out at any later moment: after a repeated one was answered, after a
//! refusal, after the lock was given back. It is a put under our lease, so only the end of the lease rules it out.
//! Such puts are counted past success and refusal. When the owner of the entries is done with them, the keys are searched
//! for until each put was found or the lease has ended. After the first fruitless searches the lease is retired,
//! so that it ends as soon as no other entry is on it.

use std::sync::Arc;
use std::time::Duration;

use leasehold_ids::{LeaseId, Revision};
use tokio::time::{Instant, timeout};

use crate::backoff::Backoff;
use crate::end_reason::EndReason;
use crate::error::StoreError;
use crate::lock_entry::LockEntry;
use crate::locks::LockClient;
use crate::pool::EntrySlot;

/// Time that a put without an answer is searched for before its lease is retired. Most are found at once: only their
/// answer was lost.
const RETIRE_AFTER: Duration = Duration::from_secs(1);

/// Least and most pause between two searches. An entry that appears late blocks its lock for the latter at most.
const LOOK_AGAIN: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// Time that the entry of a session that ended here is searched for. An outage of the store may last.
const OUTAGE: Duration = Duration::from_mins(10);

/// Knowledge about the entries of one acquisition in the store. Pure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct EntryState {
    /// The create revision, once a reply has shown it.
    create_revision: Option<Revision>,
    /// Puts that were sent and may still be carried out.
    unanswered: u32,
}

impl EntryState {
    const fn sending(&mut self) {
        self.unanswered += 1;
    }

    const fn answered(&mut self) {
        self.unanswered = self.unanswered.saturating_sub(1);
    }

    /// Notes that the entry was found at `create_revision`, made by a put whose answer was lost: each put makes it at
    /// most once.
    const fn found(&mut self, create_revision: Revision) {
        self.create_revision = Some(create_revision);
        self.answered();
    }

    const fn is_clear(&self) -> bool {
        self.create_revision.is_none() && self.unanswered == 0
    }
}

/// The entries of one acquisition, of which there is at least one.
pub(crate) struct OwnEntry {
    shared: Arc<LockClient>,
    slot: Option<EntrySlot>,
    entries: Vec<LockEntry>,
    state: EntryState,
}

impl OwnEntry {
    pub(crate) fn new(shared: Arc<LockClient>, slot: EntrySlot, entries: Vec<LockEntry>) -> Self {
        Self {
            shared,
            slot: Some(slot),
            entries,
            state: EntryState::default(),
        }
    }

    /// The entries, in the order of the request's locks.
    pub(crate) fn entries(&self) -> &[LockEntry] {
        &self.entries
    }

    pub(crate) fn shared(&self) -> &Arc<LockClient> {
        &self.shared
    }

    pub(crate) fn lease(&self) -> LeaseId {
        self.slot
            .as_ref()
            .map_or(LeaseId::NONE, |slot| slot.session().lease)
    }

    /// Notes that a put is about to be sent. It counts as unanswered from now on, also if this future is dropped.
    pub(crate) const fn sending(&mut self) {
        self.state.sending();
    }

    /// Notes that the last put was answered, with success or refusal.
    pub(crate) const fn answered(&mut self) {
        self.state.answered();
    }

    /// Notes that the last put was answered: the entry existed already, from an earlier one.
    pub(crate) const fn found_existing(&mut self, create_revision: Revision) {
        self.state.answered();
        self.state.found(create_revision);
    }

    pub(crate) const fn set_created(&mut self, create_revision: Revision) {
        self.state.create_revision = Some(create_revision);
    }

    /// Notes that the entry is deleted.
    pub(crate) const fn set_deleted(&mut self) {
        self.state.create_revision = None;
    }

    /// Leaves the keys to the foreign entry that exists under one of them: this session has no entries of those names
    /// again.
    pub(crate) fn leave_to_foreign(mut self) {
        if self.state.unanswered == 0
            && let Some(slot) = self.slot.take()
        {
            slot.leave_to_foreign();
        }
        // Otherwise the name stays taken until every put was found, or the lease has ended.
    }

    /// Deletes the entries, on the caller's connection and in one transaction. When this fails, a clean-up continues in the background.
    pub(crate) async fn remove(&mut self) -> Result<(), StoreError> {
        if let Some(create_revision) = self.state.create_revision {
            self.shared
                .requests
                .delete_entries(&self.entries, create_revision)
                .await?;
        }
        self.set_deleted();
        Ok(())
    }
}

impl Drop for OwnEntry {
    fn drop(&mut self) {
        let Some(slot) = self.slot.take() else {
            return;
        };
        if self.state.is_clear() {
            return;
        }
        let clean_up = EntryCleanUp {
            shared: self.shared.clone(),
            slot,
            entries: std::mem::take(&mut self.entries),
            state: self.state,
        };
        self.shared.lease_thread.spawn(clean_up.run());
    }
}

/// Removes the entries of one acquisition, on the lease thread, after their owner is done with them.
struct EntryCleanUp {
    shared: Arc<LockClient>,
    slot: EntrySlot,
    entries: Vec<LockEntry>,
    state: EntryState,
}

impl EntryCleanUp {
    /// The keys, for the log.
    fn keys(&self) -> Vec<&str> {
        self.entries.iter().map(LockEntry::key).collect()
    }

    /// Runs until no entry of ours exists or can appear under the keys.
    async fn run(mut self) {
        let began = Instant::now();
        let (mut look, mut delete) = (
            Backoff::new(LOOK_AGAIN.0, LOOK_AGAIN.1),
            Backoff::reconnect(),
        );
        let mut is_retired = false;
        // The session's end is the lease's: nothing renews it any more.
        while self.slot.session().is_alive() {
            if let Err(error) = self.step().await {
                tracing::debug!(keys = ?self.keys(), %error, "cannot remove our entry yet");
            }
            if self.state.is_clear() {
                return;
            }
            if !is_retired && self.state.unanswered > 0 && began.elapsed() >= RETIRE_AFTER {
                is_retired = true;
                self.slot.unanswered();
            }
            // An entry that is known to exist keeps others waiting.
            let pause = match self.state.create_revision {
                Some(_) => delete.next(),
                None => look.next(),
            };
            let closing = self.shared.lease_thread.cancel_token().cancelled();
            // Closing revokes the lease; one more step is for a store that refuses that.
            if timeout(pause, closing).await.is_ok() {
                let _ = self.step().await;
                return;
            }
        }
        if self.slot.session().end_reason() == EndReason::DeadlinePassed {
            self.after_the_session().await;
        }
    }

    /// Removes the entry of a session that ended only on this side. Its lease may live on: a store that was restarted
    /// gives leases their full TTL again, and other clients would wait for our entry.
    async fn after_the_session(self) {
        let began = Instant::now();
        let mut pause = Backoff::new(LOOK_AGAIN.0, LOOK_AGAIN.1);
        let shared = self.shared.clone();
        while began.elapsed() < OUTAGE {
            let turn = shared.looks.acquire().await;
            let requests = &shared.background_requests;
            let lease = self.slot.session().lease;
            // One answer is enough: a put that arrives later ends with its lease, which nothing renews.
            let removed = match self.state.create_revision {
                Some(create_revision) => {
                    requests
                        .delete_entries(&self.entries, create_revision)
                        .await
                }
                None => match requests.own_create_revision(&self.entries, lease).await {
                    Ok(Some(create_revision)) => {
                        requests
                            .delete_entries(&self.entries, create_revision)
                            .await
                    }
                    Ok(None) => Ok(()),
                    Err(error) => Err(error),
                },
            };
            drop(turn);
            match removed {
                Ok(()) => return,
                Err(error) => {
                    tracing::debug!(keys = ?self.keys(), %error, "cannot remove the entry of an ended session yet");
                }
            }
            let closing = shared.lease_thread.cancel_token().cancelled();
            if timeout(pause.next(), closing).await.is_ok() {
                return;
            }
        }
    }

    /// Deletes an entry that is known to exist, or else searches for one that may have appeared.
    async fn step(&mut self) -> Result<(), StoreError> {
        let requests = &self.shared.background_requests;
        if self.state.create_revision.is_none() && self.state.unanswered > 0 {
            let _turn = self.shared.looks.acquire().await;
            let lease = self.slot.session().lease;
            if let Some(create_revision) =
                requests.own_create_revision(&self.entries, lease).await?
            {
                self.state.found(create_revision);
            }
        }
        if let Some(create_revision) = self.state.create_revision {
            requests
                .delete_entries(&self.entries, create_revision)
                .await?;
            self.state.create_revision = None;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The order of events is that of a put delayed beyond its lock's release.
    #[test]
    fn unanswered_put_outlives_success_and_release() {
        let mut state = EntryState::default();
        state.sending(); // never answered
        state.sending();
        state.answered();
        state.create_revision = Some(Revision::new(7));
        state.create_revision = None; // given back
        assert!(!state.is_clear(), "the first put may still arrive");
        state.found(Revision::new(9));
        state.create_revision = None;
        assert!(state.is_clear());
    }

    /// Promise P5. Fails on the mutant "a put without an answer is forgotten", see scripts/mutants.
    #[test]
    fn unanswered_put_outlives_a_refusal() {
        let mut state = EntryState::default();
        state.sending();
        state.sending();
        state.answered(); // refused
        assert_eq!(state.unanswered, 1);
        assert!(!state.is_clear());
    }

    #[test]
    fn put_whose_entry_was_found_is_accounted_for() {
        let mut state = EntryState::default();
        state.sending();
        state.sending();
        state.answered();
        state.found(Revision::new(7));
        assert_eq!(state.unanswered, 0);
        state.create_revision = None;
        assert!(state.is_clear());
    }
}

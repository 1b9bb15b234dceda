//! Our entry in a queue, and the promise that it does not stay there by accident.
//!
//! Whatever happens to the future or the grant that owns it, an entry is deleted by its create
//! revision (never by its name alone: a retried delete by name can remove somebody's newer lock), and
//! its slot is freed only when the store has confirmed that it is gone.

use std::sync::Arc;
use std::time::Duration;

use crate::backoff::Backoff;
use crate::error::StoreError;
use crate::locks::Shared;
use crate::session::Slot;

/// When to look again for an entry whose making was never confirmed. etcd gives up on a proposal
/// after about 7 s, so one that has not appeared by the last look will not appear.
const LOOKS: [Duration; 4] = [
    Duration::ZERO,
    Duration::from_secs(1),
    Duration::from_secs(3),
    Duration::from_secs(8),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Absent,
    /// A put was sent and not answered.
    MayExist,
    At(i64),
}

pub(crate) struct Entry {
    shared: Arc<Shared>,
    slot: Option<Slot>,
    key: String,
    state: State,
}

impl Entry {
    pub(crate) const fn new(shared: Arc<Shared>, slot: Slot, key: String) -> Self {
        Self {
            shared,
            slot: Some(slot),
            key,
            state: State::Absent,
        }
    }

    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(crate) fn lease(&self) -> i64 {
        self.slot.as_ref().map_or(0, |slot| slot.session().lease)
    }

    pub(crate) const fn may_exist(&mut self) {
        self.state = State::MayExist;
    }

    pub(crate) const fn is_absent(&mut self) {
        self.state = State::Absent;
    }

    /// Gives the key up to the stranger who stands under it: this session has no entry of that name again.
    pub(crate) fn set_aside(mut self) {
        if let Some(slot) = self.slot.take() {
            slot.set_aside();
        }
    }

    pub(crate) const fn stands_at(&mut self, create: i64) {
        self.state = State::At(create);
    }

    /// Deletes the entry, on the caller's connection. When this fails, a clean-up goes on behind.
    pub(crate) async fn remove(&mut self) -> Result<(), StoreError> {
        if let State::At(create) = self.state {
            self.shared.wire.delete_entry(&self.key, create).await?;
        }
        self.state = State::Absent;
        Ok(())
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let Some(slot) = self.slot.take() else {
            return;
        };
        let clean_up = CleanUp {
            shared: self.shared.clone(),
            slot,
            key: std::mem::take(&mut self.key),
        };
        match self.state {
            State::Absent => {}
            State::At(create) => self.shared.guard.spawn(clean_up.delete(create)),
            State::MayExist => self.shared.guard.spawn(clean_up.find_and_delete()),
        }
    }
}

/// Removes an entry from the guard, after its owner is gone.
struct CleanUp {
    shared: Arc<Shared>,
    slot: Slot,
    key: String,
}

impl CleanUp {
    async fn delete(self, create: i64) {
        let mut backoff = Backoff::reconnect();
        while self.slot.session().is_alive() {
            match self.shared.guard_wire.delete_entry(&self.key, create).await {
                Ok(()) => return,
                Err(error) => {
                    tracing::debug!(key = %self.key, %error, "cannot remove our entry yet");
                    tokio::time::sleep(backoff.next()).await;
                }
            }
        }
        // The session has ended, and the entry ends with its lease.
    }

    async fn find_and_delete(self) {
        for pause in LOOKS {
            tokio::time::sleep(pause).await;
            if !self.slot.session().is_alive() {
                return;
            }
            let lease = self.slot.session().lease;
            if let Ok(Some(create)) = self.shared.guard_wire.own_create(&self.key, lease).await {
                return self.delete(create).await;
            }
        }
    }
}

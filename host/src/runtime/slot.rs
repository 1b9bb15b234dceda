//! Slots: how many guests may be on this host at once.
//!
//! Starting a guest takes a slot, so a caller has one before it asks for a lock. Slots are handed out first
//! come, first served. This file must never hand out more of them than the pool of the engine was made for.

use std::fmt;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The right to have one guest on this host. Dropping it gives it to the next in line.
pub struct Slot(OwnedSemaphorePermit);

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Slot").field(&self.0.num_permits()).finish()
    }
}

/// All slots of one runtime.
#[derive(Debug)]
pub struct Slots {
    free: Arc<Semaphore>,
    most: u32,
}

impl Slots {
    pub(super) fn new(most: u32) -> Self {
        Self {
            free: Arc::new(Semaphore::new(most as usize)),
            most,
        }
    }

    /// The number of guests that may run at once.
    pub const fn most(&self) -> u32 {
        self.most
    }

    /// A slot, if one is free and no caller waits for it.
    pub fn try_take(&self) -> Option<Slot> {
        let permit = self.free.clone().try_acquire_owned();
        permit.ok().map(Slot)
    }

    /// A slot, when it is this caller's turn.
    pub async fn take(&self) -> Slot {
        match self.free.clone().acquire_owned().await {
            Ok(permit) => Slot(permit),
            // The semaphore is never closed.
            Err(_) => std::future::pending().await,
        }
    }
}

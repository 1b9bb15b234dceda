//! Slots, which limit the number of guests on this host at once.
//!
//! Starting a guest needs a slot, so a caller takes one before it requests a lock. Slots are handed out first come,
//! first served. Dropped-in guests, from plugins in the watched folder, get at most the slots that are not reserved.
//! Each configured job reserves one slot, up to three quarters of all, so that dropped-in guests which sleep in their
//! runs block no configured job. The number of slots is the size of the engine's pool.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Permission to have one guest on this host. Dropping it passes it to the first waiting caller.
pub struct Slot {
    permit: OwnedSemaphorePermit,
    _admission: Option<Admission>,
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Slot")
            .field(&self.permit.num_permits())
            .finish()
    }
}

/// All slots of one runtime.
#[derive(Debug)]
pub struct Slots {
    free: Arc<Semaphore>,
    shared: Arc<Shared>,
}

/// The part of all slots that dropped-in guests may use.
#[derive(Debug)]
struct Shared {
    most: u32,
    /// Free slots in this part.
    free: Arc<Semaphore>,
    share: Mutex<Share>,
}

#[derive(Debug, Default)]
struct Share {
    /// Number of configured jobs.
    reservations: u32,
    /// Number of slots that dropped-in guests hold beyond their share, after it was reduced.
    debt: usize,
}

/// One slot of the share of dropped-in guests.
#[derive(Debug)]
struct Admission {
    permit: Option<OwnedSemaphorePermit>,
    shared: Arc<Shared>,
}

/// Reservation of one configured job's slot, which dropped-in guests do not get. Dropping it makes the slot
/// available to them.
#[derive(Debug)]
pub struct Reservation(Arc<Shared>);

impl Slots {
    pub(super) fn new(most: u32) -> Self {
        let all = most as usize;
        Self {
            free: Arc::new(Semaphore::new(all)),
            shared: Arc::new(Shared {
                most,
                free: Arc::new(Semaphore::new(all)),
                share: Mutex::default(),
            }),
        }
    }

    /// Returns the number of guests that may run at once.
    pub fn most(&self) -> u32 {
        self.shared.most
    }

    /// Returns the number of slots that are currently reserved for configured jobs.
    pub fn reserved(&self) -> u32 {
        self.shared.reserved(self.shared.share().reservations)
    }

    /// Reserves a slot for a configured job.
    pub fn reserve(&self) -> Reservation {
        self.shared.change(|reservations| reservations + 1);
        Reservation(self.shared.clone())
    }

    /// Takes a slot, if one is free and no other caller waits for it.
    pub fn try_take(&self) -> Option<Slot> {
        self.try_with(None)
    }

    /// Takes a slot for a dropped-in guest like [`Slots::try_take`], within the share of such guests.
    pub fn try_take_shared(&self) -> Option<Slot> {
        let permit = self.shared.free.clone().try_acquire_owned().ok()?;
        self.try_with(Some(self.shared.admission(permit)))
    }

    fn try_with(&self, admission: Option<Admission>) -> Option<Slot> {
        let permit = self.free.clone().try_acquire_owned().ok()?;
        Some(Slot {
            permit,
            _admission: admission,
        })
    }

    /// Waits for a slot and takes it. Callers are served in order.
    pub async fn take(&self) -> Slot {
        Slot {
            permit: turn(&self.free).await,
            _admission: None,
        }
    }

    /// Takes a slot for a dropped-in guest like [`Slots::take`]. While it waits for its share it delays no other caller.
    pub async fn take_shared(&self) -> Slot {
        let permit = turn(&self.shared.free).await;
        let admission = Some(self.shared.admission(permit));
        Slot {
            permit: turn(&self.free).await,
            _admission: admission,
        }
    }
}

async fn turn(free: &Arc<Semaphore>) -> OwnedSemaphorePermit {
    match free.clone().acquire_owned().await {
        Ok(permit) => permit,
        // The semaphore is never closed.
        Err(_) => std::future::pending().await,
    }
}

impl Shared {
    fn share(&self) -> MutexGuard<'_, Share> {
        self.share.lock().unwrap_or_else(PoisonError::into_inner)
    }

    const fn reserved(&self, reservations: u32) -> u32 {
        let most = self.most - self.most.div_ceil(4);
        if reservations < most {
            reservations
        } else {
            most
        }
    }

    fn admission(self: &Arc<Self>, permit: OwnedSemaphorePermit) -> Admission {
        Admission {
            permit: Some(permit),
            shared: self.clone(),
        }
    }

    /// Changes the number of reservations, and adjusts the share of dropped-in guests to it.
    fn change(&self, change: impl FnOnce(u32) -> u32) {
        let mut share = self.share();
        let before = self.reserved(share.reservations);
        share.reservations = change(share.reservations);
        let after = self.reserved(share.reservations);
        let fewer = after.saturating_sub(before) as usize;
        share.debt += fewer - self.free.forget_permits(fewer);
        let more = before.saturating_sub(after) as usize;
        let settled = more.min(share.debt);
        share.debt -= settled;
        self.free.add_permits(more - settled);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.0.change(|reservations| reservations.saturating_sub(1));
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        let mut share = self.shared.share();
        if share.debt > 0
            && let Some(permit) = self.permit.take()
        {
            share.debt -= 1;
            permit.forget();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn fill(slots: &Slots) -> Vec<Slot> {
        std::iter::from_fn(|| slots.try_take_shared()).collect()
    }

    #[test]
    fn dropped_in_guests_leave_each_configured_job_a_slot() {
        let slots = Slots::new(8);
        let reservations: Vec<_> = (0..3).map(|_| slots.reserve()).collect();
        let sleepers = fill(&slots);
        assert_eq!(sleepers.len(), 5);
        let configured: Vec<_> = std::iter::from_fn(|| slots.try_take()).collect();
        assert_eq!(configured.len(), 3);
        drop((sleepers, reservations));
        assert_eq!(fill(&slots).len(), 5);
        drop(configured);
        assert_eq!(fill(&slots).len(), 8);
    }

    #[test]
    fn however_many_are_configured_a_quarter_is_shared() {
        for (most, shared) in [(1, 1), (2, 1), (4, 1), (8, 2), (32, 8)] {
            let slots = Slots::new(most);
            let _reservations: Vec<_> = (0..100).map(|_| slots.reserve()).collect();
            assert_eq!(fill(&slots).len(), shared, "of {most}");
            assert_eq!(slots.reserved() as usize, most as usize - shared);
        }
    }

    #[test]
    fn later_job_gets_the_next_slot_of_a_dropped_in_guest() {
        let slots = Slots::new(4);
        let mut sleepers = fill(&slots);
        assert_eq!(sleepers.len(), 4);
        let reservation = slots.reserve();
        sleepers.pop();
        assert!(slots.try_take_shared().is_none());
        let own = slots.try_take();
        assert!(own.is_some());
        drop((own, reservation));
        assert!(slots.try_take_shared().is_some());
    }

    #[test]
    fn a_reservation_that_goes_before_its_debt_is_paid_leaves_none() {
        let slots = Slots::new(4);
        let sleepers = fill(&slots);
        drop(slots.reserve());
        drop(sleepers);
        assert_eq!(fill(&slots).len(), 4);
    }

    #[test]
    fn waiting_for_a_share_does_not_delay_a_configured_job() {
        let slots = Slots::new(2);
        let _reservation = slots.reserve();
        let _sleeper = slots.try_take_shared();
        let mut waits = std::pin::pin!(slots.take_shared());
        assert!(waits.as_mut().now_or_never().is_none());
        assert!(slots.take().now_or_never().is_some());
    }
}

//! Slots: how many guests may be on this host at once.
//!
//! Starting a guest takes a slot, so a caller has one before it asks for a lock. Slots are handed out first come,
//! first served. Guests that were dropped into a folder get at most what is not reserved: each configured job
//! reserves one slot, up to three quarters of all, so that guests which sleep in their runs keep none of them from
//! work. This file must never hand out more slots than the pool of the engine was made for.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The right to have one guest on this host. Dropping it gives it to the next in line.
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

/// Slots for dropped-in guests, as a part of all.
#[derive(Debug)]
struct Shared {
    most: u32,
    /// Those that are not taken by dropped-in guests.
    free: Arc<Semaphore>,
    share: Mutex<Share>,
}

#[derive(Debug, Default)]
struct Share {
    /// Configured jobs that there are.
    reservations: u32,
    /// Slots that dropped-in guests have beyond their share, since it became smaller.
    debt: usize,
}

/// A part of the share of dropped-in guests.
#[derive(Debug)]
struct Admission {
    permit: Option<OwnedSemaphorePermit>,
    shared: Arc<Shared>,
}

/// One configured job's slot, which dropped-in guests do not get. Dropping it gives it to them.
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

    /// The number of guests that may run at once.
    pub fn most(&self) -> u32 {
        self.shared.most
    }

    /// The number of slots that are reserved for configured jobs at present.
    pub fn reserved(&self) -> u32 {
        self.shared.reserved(self.shared.share().reservations)
    }

    /// Reserves a slot for a configured job.
    pub fn reserve(&self) -> Reservation {
        self.shared.change(|reservations| reservations + 1);
        Reservation(self.shared.clone())
    }

    /// A slot, if one is free and no caller waits for it.
    pub fn try_take(&self) -> Option<Slot> {
        self.try_with(None)
    }

    /// As [`Slots::try_take`], for a dropped-in guest.
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

    /// A slot, when it is this caller's turn.
    pub async fn take(&self) -> Slot {
        Slot {
            permit: turn(&self.free).await,
            _admission: None,
        }
    }

    /// As [`Slots::take`], for a dropped-in guest. While it waits for its share it stands in nobody's way.
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

    /// Fits the share of dropped-in guests to the reservations that there are now.
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
    fn a_job_that_comes_later_gets_the_next_slot_that_a_dropped_in_guest_gives_back() {
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
    fn who_waits_for_a_share_does_not_stand_in_the_way_of_a_configured_job() {
        let slots = Slots::new(2);
        let _reservation = slots.reserve();
        let _sleeper = slots.try_take_shared();
        let mut waits = std::pin::pin!(slots.take_shared());
        assert!(waits.as_mut().now_or_never().is_none());
        assert!(slots.take().now_or_never().is_some());
    }
}

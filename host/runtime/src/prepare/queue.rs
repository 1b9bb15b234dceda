//! Places for preparations: several run at once, and small files do not wait behind big ones.
//!
//! One place is kept for small files. A small file that takes long gives its place up to others. The number of
//! such files is limited, because each preparation may use `compile_memory`.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// Largest size of a small file. Most files that Rust, Go and C produce are small.
pub(crate) const SMALL_BYTES: usize = 1024 * 1024;
/// Time after which a preparation no longer counts as one of a small file, regardless of its size.
const SLOW_AFTER: Duration = Duration::from_secs(2);
/// Largest number of places: each preparation uses several cores, and memory of its own.
const MOST_PLACES: usize = 8;

/// Places of one host.
#[derive(Clone)]
pub(super) struct PrepareQueue {
    all: Arc<Semaphore>,
    big: Arc<Semaphore>,
    slow: Arc<Semaphore>,
    slow_after: Duration,
}

/// A taken place.
pub(super) struct PreparePlace {
    /// Permits of the place. They are exchanged for one of `slow` if the preparation turns out slow.
    permits: Vec<OwnedSemaphorePermit>,
    slow: Arc<Semaphore>,
    slow_after: Duration,
}

impl PrepareQueue {
    pub(super) fn for_this_machine() -> Self {
        let cores = available_parallelism().map_or(2, usize::from);
        Self::of(cores.clamp(2, MOST_PLACES), SLOW_AFTER)
    }

    fn of(places: usize, slow_after: Duration) -> Self {
        Self {
            all: Arc::new(Semaphore::new(places)),
            big: Arc::new(Semaphore::new(places - 1)),
            slow: Arc::new(Semaphore::new(places / 2)),
            slow_after,
        }
    }

    /// Waits for a place for a file of this size. Every preparation that holds a place has a time limit.
    pub(super) async fn place(&self, bytes: usize) -> PreparePlace {
        let mut permits = Vec::with_capacity(2);
        if bytes > SMALL_BYTES {
            permits.extend(self.big.clone().acquire_owned().await.ok());
        }
        permits.extend(self.all.clone().acquire_owned().await.ok());
        PreparePlace {
            permits,
            slow: self.slow.clone(),
            slow_after: self.slow_after,
        }
    }
}

impl PreparePlace {
    /// Holds the place while `work` runs.
    pub(super) async fn hold_for<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        if let Ok(done) = timeout(self.slow_after, &mut work).await {
            return done;
        }
        if let Ok(permit) = self.slow.clone().try_acquire_owned() {
            self.permits = vec![permit];
        }
        work.await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BIG: usize = SMALL_BYTES + 1;
    /// Time to wait for an event that must not happen.
    const MOMENT: Duration = Duration::from_millis(20);

    async fn is_free(queue: &PrepareQueue, bytes: usize) -> bool {
        timeout(MOMENT, queue.place(bytes)).await.is_ok()
    }

    #[tokio::test]
    async fn a_small_file_finds_a_place_while_big_ones_wait() {
        let queue = PrepareQueue::of(2, SLOW_AFTER);
        let _compiled = queue.place(BIG).await;
        let mut waiting = pin!(queue.place(BIG));
        assert!(timeout(MOMENT, &mut waiting).await.is_err());
        assert!(is_free(&queue, 10).await);
        assert!(!is_free(&queue, BIG).await);
    }

    #[tokio::test]
    async fn slow_small_file_gives_its_place_up_and_a_second_does_not() {
        let queue = PrepareQueue::of(2, MOMENT);
        let (mut first, mut second) = (queue.place(10).await, queue.place(10).await);
        assert!(!is_free(&queue, 10).await);
        let mut held = pin!(first.hold_for(std::future::pending::<()>()));
        let mut also = pin!(second.hold_for(std::future::pending::<()>()));
        assert!(timeout(MOMENT * 2, &mut held).await.is_err());
        assert!(timeout(MOMENT * 2, &mut also).await.is_err());
        let third = timeout(MOMENT, queue.place(10)).await;
        assert!(third.is_ok());
        assert!(!is_free(&queue, 10).await, "two are held and one is slow");
    }
}

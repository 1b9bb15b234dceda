//! One connection to the store, and the addresses it can move to.
//!
//! Exactly one endpoint is used at a time. Spreading requests over all of them, as the client would,
//! sends every other request to an endpoint that is down; and a lease, its watch and its writes are
//! better off on one member that works. When that one stops answering, everything moves on together.

use std::sync::atomic::{AtomicUsize, Ordering};

use etcd_client::Client;
use tokio::sync::Mutex;

/// A client on one of several endpoints.
pub(crate) struct Link {
    client: Client,
    /// Full addresses, scheme included: the client knows them by these.
    endpoints: Vec<String>,
    current: AtomicUsize,
    moving: Mutex<()>,
}

impl Link {
    pub(crate) fn new(client: Client, endpoints: Vec<String>, current: usize) -> Self {
        Self {
            client,
            endpoints,
            current: AtomicUsize::new(current),
            moving: Mutex::new(()),
        }
    }

    pub(crate) const fn client(&self) -> &Client {
        &self.client
    }

    /// Which endpoint is in use, for [`Link::move_on`].
    pub(crate) fn at(&self) -> usize {
        self.current.load(Ordering::Acquire)
    }

    /// Moves to another endpoint while the one at `from` is only late. Returns whether the link has moved.
    pub(crate) async fn look_elsewhere(&self, from: usize) -> bool {
        self.move_on(from).await;
        self.at() != from
    }

    /// Moves to the next endpoint, unless somebody has moved on from `from` already. Requests under way
    /// end where they are; new ones, and streams that are opened anew, go to the next.
    pub(crate) async fn move_on(&self, from: usize) {
        if self.endpoints.len() < 2 {
            return;
        }
        let _one_at_a_time = self.moving.lock().await;
        if self.at() != from {
            return;
        }
        let next = (from + 1) % self.endpoints.len();
        let (Some(old), Some(new)) = (self.endpoints.get(from), self.endpoints.get(next)) else {
            return;
        };
        tracing::info!(%old, %new, "the store did not answer; moving to the next endpoint");
        if self.client.add_endpoint(new).await.is_ok() {
            let _ = self.client.remove_endpoint(old).await;
            self.current.store(next, Ordering::Release);
        }
    }
}

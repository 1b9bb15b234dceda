//! One connection to the store, and the addresses it can move to.
//!
//! Exactly one endpoint is used at a time. Spreading requests over all of them, as the client library would, sends
//! every other request to an endpoint that is down; and a lease, its watch and its writes are better off on one
//! member that works. When that one stops answering, all others are tried at once, and everything moves to the first
//! that answers.

use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use etcd_client::Client;
use tokio::time::{Instant, timeout};

use crate::connect::ConnectOptions;
use crate::credentials::{CredentialError, StoreCredentials};
use crate::dialer::{EndpointDialer, RaceOrder};
use crate::error::{ConnectError, StoreError};
use crate::identity::StoreIdentity;
use crate::observer::ObserverHandle;

/// Limit for the other endpoints to answer. A lease is running out meanwhile, and an endpoint that needs longer for a
/// connection, a login and a read is not an improvement.
const RACE_PATIENCE: Duration = Duration::from_secs(3);

/// A client on one of several endpoints.
pub(crate) struct StoreLink {
    dialer: EndpointDialer,
    current: RwLock<CurrentEndpoint>,
    moving: tokio::sync::Mutex<()>,
    /// The last race that no endpoint won: where it began, and when it ended.
    lost_race: Mutex<Option<(usize, Instant)>>,
}

struct CurrentEndpoint {
    client: Arc<Client>,
    endpoint: usize,
    /// The number of moves, so that a return to an endpoint counts as a move too.
    moves: usize,
}

impl StoreLink {
    /// Connects to the first endpoint that answers. Each link has a connection of its own, which lives on the
    /// calling runtime; to a store in this process there is none.
    pub(crate) async fn open(
        options: &ConnectOptions,
        identity: &Arc<StoreIdentity>,
        credentials: &Arc<StoreCredentials>,
    ) -> Result<Self, ConnectError> {
        options.check()?;
        let dialer = EndpointDialer::new(options.clone(), credentials.clone(), identity.clone())?;
        if dialer.is_encrypted() {
            // Unusable files are reported at once; later on, the previous ones stay in use.
            let unusable = |error: CredentialError| ConnectError::Setup(error.to_string());
            credentials.tls_config().await.map_err(unusable)?;
        }
        let all: Vec<usize> = (0..dialer.len()).collect();
        let (at, client) = dialer.race(&all, RaceOrder::InOrder).await?;
        Ok(Self::new(dialer, client, at))
    }

    pub(crate) fn new(dialer: EndpointDialer, client: Client, endpoint: usize) -> Self {
        Self {
            dialer,
            current: RwLock::new(CurrentEndpoint {
                client: Arc::new(client),
                endpoint,
                moves: 0,
            }),
            moving: tokio::sync::Mutex::new(()),
            lost_race: Mutex::new(None),
        }
    }

    fn read<T>(&self, read: impl FnOnce(&CurrentEndpoint) -> T) -> T {
        read(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The client in use now. Keep it for one request or stream at most; a longer use would miss a move.
    pub(crate) fn client(&self) -> Arc<Client> {
        self.read(|current| Arc::clone(&current.client))
    }

    /// The number of moves so far, for [`StoreLink::move_to_other`] and [`StoreLink::seek_other`].
    pub(crate) fn at(&self) -> usize {
        self.read(|current| current.moves)
    }

    /// The observer of the client.
    pub(crate) const fn observer(&self) -> &ObserverHandle {
        self.dialer.observer()
    }

    /// True if there is another endpoint to move to.
    pub(crate) fn has_others(&self) -> bool {
        self.dialer.len() > 1
    }

    /// Moves to another endpoint because the one in use at `from` failed. False when none answered.
    ///
    /// Requests under way end where they are; new ones, and streams that are opened anew, go to the new endpoint.
    /// Callers at the same time share one race.
    pub(crate) async fn move_to_other(&self, from: usize) -> bool {
        self.leave_endpoint(from, Instant::now()).await
    }

    /// As [`StoreLink::move_to_other`], while the endpoint in use is only late: nothing that is under way is disturbed,
    /// and dropping the future leaves everything where it is.
    pub(crate) async fn seek_other(&self, from: usize) -> bool {
        self.leave_endpoint(from, Instant::now()).await
    }

    /// Moves on from `from`, unless a race that ended after `since` has shown that no other endpoint answers.
    pub(crate) async fn leave_endpoint(&self, from: usize, since: Instant) -> bool {
        if !self.has_others() {
            return false;
        }
        let _one_at_a_time = self.moving.lock().await;
        if self.at() != from {
            return true;
        }
        if self.lost_since(from, since) {
            return false;
        }
        let old = self.read(|current| current.endpoint);
        let others: Vec<usize> = (1..self.dialer.len())
            .map(|step| (old + step) % self.dialer.len())
            .collect();
        match timeout(
            RACE_PATIENCE,
            self.dialer.race(&others, RaceOrder::AllAtOnce),
        )
        .await
        {
            Ok(Ok((new, client))) => {
                let (old, new_name) = (self.dialer.name(old), self.dialer.name(new));
                tracing::info!(%old, new = %new_name, "the store did not answer; moving to another endpoint");
                let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
                *current = CurrentEndpoint {
                    client: Arc::new(client),
                    endpoint: new,
                    moves: from + 1,
                };
                drop(current);
                self.observer()
                    .notify(|observer| observer.endpoint_changed(&old, &new_name));
                true
            }
            lost => {
                let reason = match lost {
                    Ok(Err(error)) => error.to_string(),
                    _ => format!("no reply within {RACE_PATIENCE:?}"),
                };
                tracing::debug!(%reason, "no other endpoint answers");
                *self.race_lost() = Some((from, Instant::now()));
                false
            }
        }
    }

    fn race_lost(&self) -> std::sync::MutexGuard<'_, Option<(usize, Instant)>> {
        self.lost_race
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn lost_since(&self, from: usize, since: Instant) -> bool {
        self.race_lost()
            .is_some_and(|(place, ended)| place == from && ended >= since)
    }

    /// Logs in again, with the password that its source holds now.
    pub(crate) async fn log_in(&self) -> Result<(), StoreError> {
        self.dialer.log_in(&self.client()).await
    }
}

#[cfg(test)]
pub(crate) mod tests;

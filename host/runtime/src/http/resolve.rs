//! Resolves names to addresses.
//!
//! The system's resolver blocks a thread and cannot be stopped, so the number of concurrent lookups is
//! limited. `destinations` decides which addresses may be reached.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::sync::Semaphore;

/// Number of concurrent lookups, of all guests together.
const AT_ONCE: usize = 16;

/// Resolver of names. The same name may have other addresses a moment later.
pub(crate) trait Resolve: Send + Sync {
    /// Returns the addresses of `host`, which is not an address itself.
    fn resolve<'a>(&'a self, host: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>>;
}

/// Resolver of the system, which every program on this machine uses.
pub(crate) struct SystemResolver {
    places: Arc<Semaphore>,
}

impl Default for SystemResolver {
    fn default() -> Self {
        Self {
            places: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }
}

impl Resolve for SystemResolver {
    fn resolve<'a>(&'a self, host: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        Box::pin(async move {
            let place = self.places.clone().acquire_owned().await;
            let place = place.map_err(io::Error::other)?;
            let host = host.to_owned();
            let asked = tokio::task::spawn_blocking(move || {
                // The place is kept until the system has answered, even if the caller no longer waits.
                let _place = place;
                let found = (host.as_str(), 0).to_socket_addrs()?;
                Ok(found.map(|address: SocketAddr| address.ip()).collect())
            });
            asked.await.map_err(io::Error::other)?
        })
    }
}

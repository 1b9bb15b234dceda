//! From a name to its addresses.
//!
//! The system's resolver blocks a thread and cannot be stopped, so only so many are asked at once. This
//! file must never decide whether an address may be reached.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::sync::Semaphore;

/// Questions to the system at once, of all guests together.
const AT_ONCE: usize = 16;

/// Answers with the addresses of a name; the same name may have others a moment later.
pub(crate) trait Resolve: Send + Sync {
    /// The addresses of `host`, which is no address itself.
    fn resolve<'a>(&'a self, host: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>>;
}

/// Asks as every program on this machine does.
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
                // Kept until the system has answered, also when nobody waits for that any more.
                let _place = place;
                let found = (host.as_str(), 0).to_socket_addrs()?;
                Ok(found.map(|address: SocketAddr| address.ip()).collect())
            });
            asked.await.map_err(io::Error::other)?
        })
    }
}

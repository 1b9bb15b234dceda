//! TCP proxies that misbehave on demand, as a bad network would: [`FaultProxy`] in front of one server, and the
//! network between the members of a cluster.
//!
//! A proxy delays, holds or cuts bytes; it never changes, reorders or forges one. Held bytes arrive once the
//! network is well again, as TCP's retransmissions do; [`FaultProxy::reset`] loses them for good.

mod fronts;
mod mode;
pub(crate) mod peers;
mod relay;
mod trap;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::net::TcpStream;

use fronts::{Fronts, Route};
pub use mode::Mode;
use relay::{Network, relay};
pub use trap::Trigger;

use crate::wait::eventually;

/// Proxy in front of one server; dropping it resets every connection and joins its thread.
#[derive(Debug)]
pub struct FaultProxy {
    scheme: String,
    address: SocketAddr,
    target: Arc<Target>,
    fronts: Fronts,
}

/// Server behind a proxy, and the network to it.
#[derive(Debug)]
struct Target {
    upstream: SocketAddr,
    network: Network,
}

impl Route for Target {
    async fn carry(
        &self,
        _: usize,
        client: &mut TcpStream,
        server: &mut Option<TcpStream>,
    ) -> io::Result<()> {
        relay(client, server, self.upstream, &self.network).await
    }
}

impl FaultProxy {
    /// Starts to pass everything to `upstream`, a URL (`http://127.0.0.1:2379`) or an address (`127.0.0.1:2379`).
    ///
    /// # Errors
    /// The address is not a socket address, or a port or thread is not available.
    pub fn start(upstream: &str) -> Result<Self> {
        let (scheme, authority) = upstream
            .split_once("://")
            .map_or(("", upstream), |(scheme, rest)| (scheme, rest));
        let upstream = authority
            .parse()
            .with_context(|| format!("{authority} is not an IP address with a port"))?;
        let target = Arc::new(Target {
            upstream,
            network: Network::default(),
        });
        let fronts = Fronts::start("fault-proxy", 1, Arc::clone(&target))?;
        let address = *fronts.addresses().first().context("a proxy has a port")?;
        Ok(Self {
            scheme: scheme.to_owned(),
            address,
            target,
            fronts,
        })
    }

    /// Address for clients, with the scheme of the upstream.
    pub fn endpoint(&self) -> String {
        match self.scheme.as_str() {
            "" => self.address.to_string(),
            scheme => format!("{scheme}://{}", self.address),
        }
    }

    /// Changes the network's behaviour, for open and new connections.
    ///
    /// A write that is under way at the call still completes.
    pub fn set(&self, mode: Mode) {
        self.target.network.set(mode);
    }

    /// Resets all open connections now (RST both ways), with all bytes they hold. The mode stays.
    pub fn reset(&self) {
        self.fronts.reset();
    }

    /// Changes the mode to `then` when `trigger` is met, *before* the request that meets it is forwarded.
    ///
    /// That request is forwarded in any case: with [`Mode::DropResponses`] it is carried out and its reply is not
    /// received. Replaces an earlier trigger. See [`FaultProxy::wait_fired`].
    pub fn arm(&self, trigger: Trigger, then: Mode) {
        self.target.network.trap().arm(trigger, then);
    }

    /// Lets the next request bytes through and nothing back from then on.
    ///
    /// These are the bytes that any client sends next, on any connection, keep-alives too. Where that is too
    /// coarse, [`FaultProxy::cut_after_request_with`] looks at the bytes.
    pub fn cut_after_next_request(&self) {
        self.arm(Trigger::Bytes(1), Mode::DropResponses);
    }

    /// Lets the next request that contains `text` through and nothing back from then on. Useless under TLS.
    pub fn cut_after_request_with(&self, text: &str) {
        self.arm(
            Trigger::Contains(text.as_bytes().to_vec()),
            Mode::DropResponses,
        );
    }

    /// Waits until the last armed trigger has fired and its request was forwarded.
    ///
    /// # Errors
    /// It did not in time.
    pub fn wait_fired(&self, timeout: Duration) -> Result<()> {
        eventually(timeout, "a request that springs the proxy's trap", || {
            ensure!(self.target.network.trap().has_fired(), "none came");
            Ok(())
        })
    }

    /// Number of connections accepted since the start.
    pub fn accepted(&self) -> u64 {
        self.fronts.accepted()
    }

    /// Number of open connections.
    pub fn open(&self) -> u64 {
        self.fronts.open()
    }
}

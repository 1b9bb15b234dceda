//! Sockets, and the way in without one.
//!
//! Whatever arrives on a connection ends at worst that connection. This file must never let another
//! machine in, nor know what a request means.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, future};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::runtime::Handle;
use tokio_stream::Stream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::budget::{Account, Budget, Shares};
use crate::core::Core;
use crate::grpc::{self, Context, Endpoints};

use super::connection::{Arrived, Connection, Peer, Reach};
use super::connection_slots::Places;
use super::in_process::{InProcess, Inside};
use super::{descriptors, greeting, socket, tcp};

/// Where to listen.
#[derive(Debug, Clone)]
pub enum Listen {
    /// On this address, which must be a loopback one; port 0 takes a free one. Every user of this machine can
    /// connect to it. Endpoints look like `http://127.0.0.1:2379`.
    Tcp(SocketAddr),
    /// On a socket at this path, private to its owner. Missing directories are made. Endpoints look like
    /// `unix:///path`, which `etcdctl` and [`leasehold_lock::ConnectOptions`] take.
    Unix(PathBuf),
}

/// Why it does not listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The address is not a loopback one.
    #[error(
        "the embedded store does not listen on {0}: it serves this machine only (127.0.0.1 or [::1]), \
         without users or TLS; for more machines run a real etcd"
    )]
    NotThisMachine(SocketAddr),
    /// The system refused the address.
    #[error("the embedded store cannot listen on {address}: {source}")]
    Bind {
        /// The address or path.
        address: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// Another server answers at this socket.
    #[error("the embedded store cannot listen on {0}: another server answers there")]
    InUse(PathBuf),
    /// The store is closed.
    #[error("the embedded store cannot listen any more: it is closed")]
    Closed,
    /// There is a file at this path that is no socket; it is left alone.
    #[error(
        "the embedded store cannot listen on {0}: there is something else at that path; \
         move it away or take another path"
    )]
    NotASocket(PathBuf),
}

/// What connections are granted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Connections at one time over addresses. A client needs one or two.
    pub(crate) connections: usize,
    /// Connections at one time over private sockets.
    pub(crate) private: usize,
    /// How long one more waits outside before it is turned away.
    pub(crate) outside: Duration,
    /// What requests through sockets may make the store hold.
    pub(crate) shares: Shares,
    /// How long a connection may take to say that it speaks HTTP/2.
    pub(crate) greeting: Duration,
    /// How often a silent connection is asked whether somebody is there.
    pub(crate) ping_every: Duration,
    /// How long it may take to answer that.
    pub(crate) ping_timeout: Duration,
    /// How long open requests may take to end when the server closes.
    pub(crate) grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let share = descriptors::connections();
        Self {
            connections: share.addresses,
            private: share.sockets,
            outside: Duration::from_secs(1),
            shares: Shares::DEFAULT,
            greeting: Duration::from_secs(10),
            ping_every: Duration::from_secs(30),
            ping_timeout: Duration::from_secs(20),
            grace: Duration::from_secs(1),
        }
    }
}

/// Streams on one connection at one time: as many as its share of memory holds, with room for what they carry. A
/// client with more waits finds them queued on its side, or opens another connection.
const STREAMS: u32 = 1024;

/// How much one stream, and one connection, may have on the way before we read it, in bytes. What a stream that
/// does not read its answers sends stays there.
const STREAM_WINDOW: u32 = 256 << 10;
const CONNECTION_WINDOW: u32 = 1 << 20;

/// Requests that were taken back before we came to them, at one time. A client that cancels everything it has
/// open is no attack; the transport takes more than 20 for one.
const TAKEN_BACK: usize = STREAMS as usize;

/// The most bytes of metadata of one request. Clients of etcd send a few short words.
const HEADERS: u32 = 8 << 10;

/// The listeners of a store and everything that goes on behind them.
pub(crate) struct Server {
    #[cfg(test)]
    pub(crate) core: Arc<Core>,
    limits: Limits,
    endpoints: Arc<Endpoints>,
    /// Ends accepting, streams and waits.
    cancel: CancellationToken,
    /// Ends connections in the middle of whatever they do.
    cut: CancellationToken,
    tasks: TaskTracker,
    /// Those of connections over addresses; other ways in are not shut out by them.
    pub(super) places: Arc<Places>,
    /// Those of connections over private sockets.
    private: Arc<Places>,
    pub(super) budget: Arc<Budget>,
    inside: Arc<Inside>,
}

impl Server {
    /// A server that is reachable in this process only, until it listens. What goes on in it does so on the
    /// calling runtime.
    pub(crate) fn new(core: Arc<Core>) -> Self {
        Self::with_limits(core, Limits::default())
    }

    pub(crate) fn with_limits(core: Arc<Core>, limits: Limits) -> Self {
        let (endpoints, cancel, tasks) =
            (Arc::default(), CancellationToken::new(), TaskTracker::new());
        #[cfg(test)]
        let shared = Arc::clone(&core);
        let api = grpc::api(&Context {
            core,
            endpoints: Arc::clone(&endpoints),
            cancel: cancel.clone(),
            tasks: tasks.clone(),
            runtime: Handle::current(),
        });
        let cut = CancellationToken::new();
        let inside = Inside {
            api,
            cancel: cancel.clone(),
            cut: cut.clone(),
            under_way: TaskTracker::new(),
        };
        Self {
            #[cfg(test)]
            core: shared,
            limits,
            endpoints,
            cancel,
            cut,
            tasks,
            places: Arc::new(Places::new(limits.connections, limits.outside)),
            private: Arc::new(Places::new(limits.private, limits.outside)),
            budget: Arc::new(Budget::new(limits.shares)),
            inside: Arc::new(inside),
        }
    }

    /// Listens until closed, and gives the endpoint as clients write it.
    pub(crate) async fn listen(&self, at: Listen) -> Result<String, ListenError> {
        let endpoint = match at {
            Listen::Tcp(address) => {
                let (endpoint, listener) = tcp::bind(address)?;
                self.serve(self.places.incoming(listener), Reach::Address);
                endpoint
            }
            Listen::Unix(path) => {
                let (endpoint, listener) = socket::bind(path).await?;
                self.serve(self.private.incoming(listener), Reach::PrivateSocket);
                endpoint
            }
        };
        self.endpoints.add(&endpoint);
        Ok(endpoint)
    }

    /// The way in for clients in this process.
    pub(crate) fn connector(&self) -> InProcess {
        InProcess::new(&self.inside)
    }

    /// Stops listening, tells every client, and returns when the last connection is gone.
    pub(crate) async fn close(&self) {
        self.cancel.cancel();
        self.tasks.close();
        self.inside.under_way.close();
        let ending = future::join(self.tasks.wait(), self.inside.under_way.wait());
        if tokio::time::timeout(self.limits.grace, ending)
            .await
            .is_err()
        {
            self.cut.cancel();
            // Requests from inside are their clients' to end, who may have forgotten them: nothing of the
            // server's is behind them.
            self.tasks.wait().await;
        }
    }

    /// Serves what arrives. A way to arrive is one task; its connections are the transport's, which ends
    /// when they have.
    fn serve<IO>(&self, arriving: impl Stream<Item = Arrived<IO>> + Send + 'static, reach: Reach)
    where
        IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (limits, cut, budget) = (self.limits, self.cut.clone(), Arc::clone(&self.budget));
        let connections = arriving
            .map(move |arrived| greeting::greet(arrived, limits.greeting))
            .buffer_unordered(limits.connections.max(limits.private))
            .filter_map(move |greeted| {
                let connection = greeted.map(|arrived| {
                    let account = Account::new(&budget);
                    Ok::<_, std::io::Error>(Connection::new(arrived, Peer { account, reach }, &cut))
                });
                std::future::ready(connection)
            });
        let serving = tonic::transport::Server::builder()
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_concurrent_streams(STREAMS)
            .http2_max_header_list_size(HEADERS)
            .http2_max_pending_accept_reset_streams(Some(TAKEN_BACK))
            .http2_keepalive_interval(Some(limits.ping_every))
            .http2_keepalive_timeout(Some(limits.ping_timeout))
            .serve_with_incoming_shutdown(
                self.inside.api.clone(),
                connections,
                self.cancel.clone().cancelled_owned(),
            );
        self.tasks.spawn(async move {
            if let Err(error) = serving.await {
                tracing::error!(%error, "the embedded store stopped listening");
            }
        });
    }
}

impl Drop for Server {
    /// Nobody waits here; everything ends by itself.
    fn drop(&mut self) {
        self.cancel.cancel();
        self.cut.cancel();
    }
}

//! Sockets, and the way in without one.
//!
//! Whatever arrives on a connection ends at worst that connection. This file must never let another
//! machine in, nor know what a request means.

use std::sync::Arc;

use futures_util::{StreamExt as _, future};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::runtime::Handle;
use tokio_stream::Stream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connection::{Arrived, Connection};
use super::connection_slots::Places;
use super::in_process::{InProcess, Inside};
use super::limits::Limits;
use super::listen::{Listen, ListenError};
use super::{greeting, socket, tcp};
use crate::budget::{Account, Budget};
use crate::core::Core;
use crate::grpc::{self, Context, Endpoints};
use crate::peer::{Peer, Reach};

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

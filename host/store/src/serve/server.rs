//! The server: its listeners, its connections, and the connection without a socket.
//!
//! Nothing that arrives on a connection affects more than that connection. This file must never accept another
//! machine, nor interpret a request.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt as _, future};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::runtime::Handle;
use tokio_stream::Stream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connection::{ArrivedConnection, PREFACE, ServedConnection};
use super::connection_slots::ConnectionSlots;
use super::greeting::{self, GreetedConnection};
use super::in_process::{InProcessConnector, InProcessService};
use super::limits::ServerLimits;
use super::listen::{ListenAddress, ListenError};
use super::pages::StorePages;
use super::{socket, tcp};
use crate::budget::{ConnectionAccount, MemoryBudget};
use crate::core::StoreCore;
use crate::grpc::{self, EndpointList, RequestCounts, ServiceContext};
use crate::peer::{ClientPeer, ClientReach};

/// Streams on one connection at one time: as many as its share of memory holds, with room for their content. A
/// client queues further requests on its side, or opens another connection.
const MAX_STREAMS: u32 = 1024;

/// Bytes that one stream, and one connection, may have in flight before the store reads them. A stream that does not
/// read its answers keeps its requests there.
const STREAM_WINDOW: u32 = 256 << 10;
const CONNECTION_WINDOW: u32 = 1 << 20;

/// Requests cancelled before they are handled, at one time. A client that cancels all its open requests is not an
/// attack; the transport takes more than 20 for one.
const MAX_EARLY_RESETS: usize = MAX_STREAMS as usize;

/// The most bytes of metadata of one request. Clients of etcd send a few short words.
const MAX_HEADER_BYTES: u32 = 8 << 10;

/// The listeners of a store, and the tasks behind them.
pub(crate) struct Server {
    pub(crate) core: Arc<StoreCore>,
    counts: Arc<RequestCounts>,
    limits: ServerLimits,
    endpoints: Arc<EndpointList>,
    /// Ends accepting, streams and waits.
    cancel: CancellationToken,
    /// Ends connections in the middle of their work.
    cut: CancellationToken,
    tasks: TaskTracker,
    /// Slots of connections over addresses; they do not limit the other ways to connect.
    pub(super) tcp_slots: Arc<ConnectionSlots>,
    /// Slots of connections over private sockets.
    socket_slots: Arc<ConnectionSlots>,
    pub(super) budget: Arc<MemoryBudget>,
    in_process: Arc<InProcessService>,
}

impl Server {
    /// Creates a server that is reachable in this process only, until it listens. Its tasks run on the calling
    /// runtime.
    pub(crate) fn new(core: Arc<StoreCore>) -> Self {
        Self::with_limits(core, ServerLimits::default())
    }

    pub(crate) fn with_limits(core: Arc<StoreCore>, limits: ServerLimits) -> Self {
        let (endpoints, cancel, tasks) =
            (Arc::default(), CancellationToken::new(), TaskTracker::new());
        let counts = Arc::<RequestCounts>::default();
        let api = grpc::build_api(&ServiceContext {
            core: Arc::clone(&core),
            counts: Arc::clone(&counts),
            endpoints: Arc::clone(&endpoints),
            cancel: cancel.clone(),
            tasks: tasks.clone(),
            runtime: Handle::current(),
        });
        let cut = CancellationToken::new();
        let in_process = InProcessService {
            api,
            cancel: cancel.clone(),
            cut: cut.clone(),
            under_way: TaskTracker::new(),
        };
        Self {
            core,
            counts,
            limits,
            endpoints,
            cancel,
            cut,
            tasks,
            tcp_slots: Arc::new(ConnectionSlots::new(
                limits.tcp_connections,
                limits.slot_wait,
            )),
            socket_slots: Arc::new(ConnectionSlots::new(
                limits.socket_connections,
                limits.slot_wait,
            )),
            budget: Arc::new(MemoryBudget::new(limits.shares)),
            in_process: Arc::new(in_process),
        }
    }

    /// Listens until closed, and returns the endpoint as clients write it.
    pub(crate) async fn listen(&self, at: ListenAddress) -> Result<String, ListenError> {
        let endpoint = match at {
            ListenAddress::Tcp(address) => {
                let (endpoint, listener) = tcp::bind(address)?;
                self.serve(self.tcp_slots.incoming(listener), ClientReach::Address);
                endpoint
            }
            ListenAddress::Unix(path) => {
                let (endpoint, listener) = socket::bind(path).await?;
                self.serve(
                    self.socket_slots.incoming(listener),
                    ClientReach::PrivateSocket,
                );
                endpoint
            }
        };
        self.endpoints.add(&endpoint);
        Ok(endpoint)
    }

    /// Returns the connection for clients in this process.
    pub(crate) fn connector(&self) -> InProcessConnector {
        InProcessConnector::new(&self.in_process)
    }

    /// Stops listening, ends all streams, and returns when the last connection has ended.
    pub(crate) async fn close(&self) {
        self.cancel.cancel();
        self.tasks.close();
        self.in_process.under_way.close();
        let ending = future::join(self.tasks.wait(), self.in_process.under_way.wait());
        if tokio::time::timeout(self.limits.close_grace, ending)
            .await
            .is_err()
        {
            self.cut.cancel();
            // Requests from inside the process end with their clients, which may never poll them again: they use no
            // task of the server.
            self.tasks.wait().await;
        }
    }

    fn pages(&self) -> StorePages {
        StorePages {
            core: Arc::clone(&self.core),
            counts: Arc::clone(&self.counts),
            budget: Arc::clone(&self.budget),
            tcp_slots: Arc::clone(&self.tcp_slots),
            socket_slots: Arc::clone(&self.socket_slots),
        }
    }

    /// Serves arriving connections. Each listener is one task; its connections belong to the transport, which ends
    /// after them.
    fn serve<IO>(
        &self,
        arriving: impl Stream<Item = ArrivedConnection<IO>> + Send + 'static,
        reach: ClientReach,
    ) where
        IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let limits = self.limits;
        let (cut, budget, pages) = (self.cut.clone(), Arc::clone(&self.budget), self.pages());
        let connections = arriving
            .map(move |arrived| {
                let (cut, budget, pages) = (cut.clone(), Arc::clone(&budget), pages.clone());
                async move {
                    let account = ConnectionAccount::new(&budget);
                    let peer = ClientPeer { account, reach };
                    match greeting::greet(arrived, limits.greeting_timeout).await? {
                        GreetedConnection::Api(arrived) => {
                            let greeting = Bytes::from_static(&PREFACE);
                            Some(ServedConnection::new(arrived, greeting, peer, &cut))
                        }
                        GreetedConnection::Pages(arrived, begun) => {
                            let connection = ServedConnection::new(arrived, begun, peer, &cut);
                            pages.serve(connection, limits.greeting_timeout).await;
                            None
                        }
                    }
                }
            })
            .buffer_unordered(limits.tcp_connections.max(limits.socket_connections))
            .filter_map(|greeted| std::future::ready(greeted.map(Ok::<_, std::io::Error>)));
        let serving = tonic::transport::Server::builder()
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_concurrent_streams(MAX_STREAMS)
            .http2_max_header_list_size(MAX_HEADER_BYTES)
            .http2_max_pending_accept_reset_streams(Some(MAX_EARLY_RESETS))
            .http2_keepalive_interval(Some(limits.ping_every))
            .http2_keepalive_timeout(Some(limits.ping_timeout))
            .serve_with_incoming_shutdown(
                self.in_process.api.clone(),
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
    /// No caller waits here; everything ends by itself.
    fn drop(&mut self) {
        self.cancel.cancel();
        self.cut.cancel();
    }
}

//! Ways to the store other than TCP: streams inside this process, and sockets in the file system.
//!
//! This file makes channels. It must never decide whom to trust or when to give up.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};
use tokio::net::UnixStream;
use tonic::transport::Endpoint;

use crate::connect::{PING_EVERY, PING_TIMEOUT};

/// What an endpoint that is a socket in the file system begins with.
pub(crate) const UNIX_SCHEME: &str = "unix://";

/// A way to a store in the same process.
///
/// Every call makes a stream of its own, to the same store. Streams are used on the runtime of whoever asked
/// for them, which need not be the store's.
pub trait Connector: Send + Sync + 'static {
    /// Opens a stream. An error means that the store cannot be reached at the moment; it is asked for again
    /// when the next request needs it.
    fn connect(&self) -> BoxFuture<'static, io::Result<DuplexStream>>;

    /// What the store is called in messages, in place of its endpoints.
    fn describe(&self) -> String;
}

/// How to open a stream to the store when it is not by TCP.
#[derive(Clone)]
pub(crate) enum Dial {
    InProcess(Arc<dyn Connector>),
    Unix(PathBuf),
}

trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

impl Dial {
    /// The path of an endpoint that is a socket, if it is one.
    pub(crate) fn unix(endpoint: &str) -> Option<Self> {
        endpoint
            .strip_prefix(UNIX_SCHEME)
            .map(|path| Self::Unix(path.into()))
    }

    /// A channel that opens a stream when it is first used, and another when that one has broken.
    pub(crate) fn channel(self, connect_timeout: Duration) -> etcd_client::Channel {
        let connector = tower::service_fn(move |_| {
            let dial = self.clone();
            async move { dial.open().await.map(TokioIo::new) }
        });
        // The address is only what requests are addressed to; nothing looks it up.
        let channel = Endpoint::from_static("http://localhost")
            .connect_timeout(connect_timeout)
            .http2_keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PING_TIMEOUT)
            .keep_alive_while_idle(false)
            .connect_with_connector_lazy(connector);
        etcd_client::Channel::Tonic(channel)
    }

    async fn open(&self) -> io::Result<Box<dyn Duplex>> {
        Ok(match self {
            Self::InProcess(connector) => Box::new(connector.connect().await?),
            Self::Unix(path) => Box::new(UnixStream::connect(path).await?),
        })
    }
}

impl fmt::Debug for Dial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InProcess(connector) => f.write_str(&connector.describe()),
            Self::Unix(path) => write!(f, "{UNIX_SCHEME}{}", path.display()),
        }
    }
}

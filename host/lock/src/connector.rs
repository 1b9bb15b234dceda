//! Ways to the store other than TCP: calls inside this process, and sockets in the file system.
//!
//! This file makes channels. It must never decide whom to trust or when to give up.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::body::Body;
use tonic::transport::Endpoint;
use tower::BoxError;
use tower::util::BoxCloneSyncService;

use crate::connect::{PING_EVERY, PING_TIMEOUT};

/// What an endpoint that is a socket in the file system begins with.
pub(crate) const UNIX_SCHEME: &str = "unix://";

/// What answers requests in the same process. It is called on the task of whoever asks, with no connection in
/// between, so it must never make that task's thread wait.
pub type Service = BoxCloneSyncService<Request<Body>, Response<Body>, BoxError>;

/// A way to a store in the same process.
pub trait Connector: Send + Sync + 'static {
    /// What answers. A store that cannot be reached at the moment is no reason to fail here: each request then
    /// says so itself.
    fn service(&self) -> Service;

    /// What the store is called in messages, in place of its endpoints.
    fn describe(&self) -> String;
}

/// How to reach the store when it is not by TCP.
#[derive(Clone)]
pub(crate) enum Dial {
    InProcess(Arc<dyn Connector>),
    Unix(PathBuf),
}

impl Dial {
    /// The path of an endpoint that is a socket, if it is one.
    pub(crate) fn unix(endpoint: &str) -> Option<Self> {
        endpoint
            .strip_prefix(UNIX_SCHEME)
            .map(|path| Self::Unix(path.into()))
    }

    /// A channel to the store; over a socket it opens a stream when it is first used, and another when that
    /// one has broken.
    pub(crate) fn channel(self, connect_timeout: Duration) -> etcd_client::Channel {
        let path = match self {
            Self::InProcess(store) => return etcd_client::Channel::Custom(store.service()),
            Self::Unix(path) => path,
        };
        let connector = tower::service_fn(move |_| {
            let path = path.clone();
            async move { UnixStream::connect(path).await.map(TokioIo::new) }
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
}

impl fmt::Debug for Dial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InProcess(connector) => f.write_str(&connector.describe()),
            Self::Unix(path) => write!(f, "{UNIX_SCHEME}{}", path.display()),
        }
    }
}

//! Routes to the store: calls inside this process, sockets in the file system, and TCP with or without TLS.
//!
//! This file makes channels. It never decides about trust or about time limits of requests.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response, Uri};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;
use tonic::body::Body;
use tonic::transport::Endpoint;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, ServiceExt as _};

use crate::credentials::StoreCredentials;

/// Scheme of an endpoint that is a socket in the file system.
pub(crate) const UNIX_SCHEME: &str = "unix://";

/// Ping an idle connection this often. etcd answers pings more frequent than every 5 s by closing.
const PING_EVERY: Duration = Duration::from_secs(6);
/// A ping without an answer for this long means the connection is dead.
const PING_TIMEOUT: Duration = Duration::from_secs(3);

/// Service that answers requests in the same process. It is called on the task of the requester, with no connection
/// in between, so it must never block that task's thread.
pub type StoreService = BoxCloneSyncService<Request<Body>, Response<Body>, BoxError>;

/// A route to a store in the same process.
pub trait Connector: Send + Sync + 'static {
    /// The service that answers. It is returned even where the store cannot be reached: each request then fails with
    /// an error of its own.
    fn service(&self) -> StoreService;

    /// The name of the store in messages, in place of its endpoints.
    fn describe(&self) -> String;
}

/// One route to the store.
#[derive(Clone)]
pub(crate) enum EndpointRoute {
    InProcess(Arc<dyn Connector>),
    Unix(PathBuf),
    Plain(Uri),
    Encrypted(Uri, Arc<StoreCredentials>),
}

impl EndpointRoute {
    /// The route of an endpoint that is a socket; `None` for any other.
    pub(crate) fn unix(endpoint: &str) -> Option<Self> {
        endpoint
            .strip_prefix(UNIX_SCHEME)
            .map(|path| Self::Unix(path.into()))
    }

    /// A channel to the store. Except within this process, it opens a connection when it is first used, and
    /// another when that one has broken. Its connections live on the calling runtime.
    pub(crate) fn channel(&self, connect_timeout: Duration) -> etcd_client::Channel {
        let channel = match self {
            Self::InProcess(store) => return etcd_client::Channel::Custom(store.service()),
            Self::Unix(path) => {
                let path = path.clone();
                let connector = tower::service_fn(move |_| {
                    let path = path.clone();
                    async move { UnixStream::connect(path).await.map(TokioIo::new) }
                });
                // Requests are addressed to this; it is never resolved.
                let socket = Endpoint::from_static("http://localhost");
                timed(socket, connect_timeout).connect_with_connector_lazy(connector)
            }
            Self::Plain(address) => {
                timed(Endpoint::from(address.clone()), connect_timeout).connect_lazy()
            }
            Self::Encrypted(address, credentials) => {
                // tonic would set TLS up once; this connector reads the credentials at each connect. For tonic the
                // connection is therefore a plain one, while requests carry the real address.
                let endpoint = Endpoint::from(without_tls(address)).origin(address.clone());
                let mut tcp = HttpConnector::new();
                tcp.set_nodelay(true);
                tcp.set_connect_timeout(Some(connect_timeout));
                let credentials = Arc::clone(credentials);
                let connector = tower::service_fn(move |address| {
                    encrypted(address, tcp.clone(), Arc::clone(&credentials))
                });
                timed(endpoint, connect_timeout).connect_with_connector_lazy(connector)
            }
        };
        etcd_client::Channel::Tonic(channel)
    }
}

fn timed(endpoint: Endpoint, connect_timeout: Duration) -> Endpoint {
    endpoint
        .connect_timeout(connect_timeout)
        .http2_keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_TIMEOUT)
        .keep_alive_while_idle(false)
}

fn without_tls(address: &Uri) -> Uri {
    let mut parts = address.clone().into_parts();
    parts.scheme = Some(http::uri::Scheme::HTTP);
    // Only the scheme differs, so the parts still fit together.
    Uri::from_parts(parts).unwrap_or_else(|_| address.clone())
}

/// Connects with the credentials of this moment.
async fn encrypted(
    address: Uri,
    tcp: HttpConnector,
    credentials: Arc<StoreCredentials>,
) -> Result<TokioIo<TlsStream<TcpStream>>, BoxError> {
    let host = address.host().unwrap_or_default().trim_matches(['[', ']']);
    let name = ServerName::try_from(host.to_owned())?;
    let config = credentials.tls_config().await?;
    let stream = tcp.oneshot(address).await?.into_inner();
    let stream = TlsConnector::from(config).connect(name, stream).await?;
    Ok(TokioIo::new(stream))
}

impl fmt::Debug for EndpointRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InProcess(connector) => f.write_str(&connector.describe()),
            Self::Unix(path) => write!(f, "{UNIX_SCHEME}{}", path.display()),
            Self::Plain(address) | Self::Encrypted(address, _) => write!(f, "{address}"),
        }
    }
}

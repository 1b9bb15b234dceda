//! One request that carries a message or traces.

use std::fmt;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST, HeaderMap, HeaderValue, USER_AGENT};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use leasehold_config::Endpoint;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

/// Where a request goes, and what it carries.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PostTarget<'a> {
    /// The server.
    pub(crate) endpoint: &'a Endpoint,
    /// Path and query. They may hold a token.
    pub(crate) path: &'a str,
    /// Type of the body.
    pub(crate) content_type: &'static str,
}

/// Reason that a body was not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PostError {
    /// The server answered with this status.
    Status(StatusCode),
    /// There was no answer.
    Unanswered(String),
    /// The headers cannot be read.
    NoHeaders(String),
}

impl PostError {
    /// True if a later request may be accepted.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Status(status) => {
                status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS
            }
            Self::Unanswered(_) => true,
            Self::NoHeaders(_) => false,
        }
    }
}

impl fmt::Display for PostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) if status.is_redirection() => {
                write!(f, "it answered {status}; redirects are not followed")
            }
            Self::Status(status) => write!(f, "it answered {status}"),
            Self::Unanswered(why) | Self::NoHeaders(why) => f.write_str(why),
        }
    }
}

/// Posts a body, within this time. Reading the headers counts.
pub(crate) async fn post(
    target: PostTarget<'_>,
    tls: Option<&TlsConnector>,
    headers: impl Future<Output = Result<HeaderMap, String>>,
    body: Bytes,
    timeout: Duration,
) -> Result<(), PostError> {
    let (end, limit) = (
        Instant::now() + timeout,
        humantime::format_duration(timeout),
    );
    let headers = timeout_at(end, headers)
        .await
        .unwrap_or_else(|_| Err(format!("the header file was not read within {limit}")))
        .map_err(PostError::NoHeaders)?;
    let status = timeout_at(end, try_post(target, tls, headers, body))
        .await
        .unwrap_or_else(|_| Err(format!("no answer within {limit}")))
        .map_err(PostError::Unanswered)?;
    if status.is_success() {
        Ok(())
    } else {
        Err(PostError::Status(status))
    }
}

async fn try_post(
    target: PostTarget<'_>,
    tls: Option<&TlsConnector>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<StatusCode, String> {
    let Endpoint::Net { host, port, .. } = target.endpoint else {
        return Err("it is not an address of the network".to_owned());
    };
    let stream = TcpStream::connect((host.as_str(), *port))
        .await
        .map_err(|error| format!("connecting: {error}"))?;
    let request = make_request(target, headers, body)?;
    let Some(tls) = tls else {
        return send(stream, request).await;
    };
    let name = ServerName::try_from(host.clone()).map_err(|error| error.to_string())?;
    let stream = tls
        .connect(name, stream)
        .await
        .map_err(|error| format!("TLS: {error}"))?;
    send(stream, request).await
}

fn make_request(
    target: PostTarget<'_>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Request<Full<Bytes>>, String> {
    let shown = target.endpoint.to_string();
    let authority = shown
        .split_once("://")
        .map_or("", |(_, authority)| authority);
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = Method::POST;
    // The error would show the target, which may hold a token.
    *request.uri_mut() = target
        .path
        .parse()
        .map_err(|_| "the path of its address is not valid in a request".to_owned())?;
    let own = request.headers_mut();
    own.insert(
        HOST,
        HeaderValue::from_str(authority).map_err(|error| error.to_string())?,
    );
    own.insert(CONTENT_TYPE, HeaderValue::from_static(target.content_type));
    own.insert(
        USER_AGENT,
        HeaderValue::from_static(concat!("leasehold/", env!("CARGO_PKG_VERSION"))),
    );
    own.extend(headers);
    Ok(request)
}

/// Sends the request over a connection of its own, and returns the status of the answer.
async fn send(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    request: Request<Full<Bytes>>,
) -> Result<StatusCode, String> {
    let shaken = http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = shaken.map_err(|error| error.to_string())?;
    let mut connection = pin!(connection);
    let mut answer = pin!(sender.send_request(request));
    let answer = tokio::select! {
        biased;
        answer = &mut answer => answer,
        // A connection that ends has settled the answer.
        _ = &mut connection => answer.await,
    };
    match answer {
        Ok(answer) => Ok(answer.status()),
        Err(error) => Err(format!("no answer: {error}")),
    }
}

//! One connection: a single request within bounds of size and time.

use std::convert::Infallible;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};

use super::answer::answer;
use crate::telemetry::Telemetry;

/// Time for the head of a request.
const HEAD_PATIENCE: Duration = Duration::from_secs(5);
/// Time for a whole connection: a client that reads slowly is cut off.
const PATIENCE: Duration = Duration::from_secs(30);
/// Largest head of a request, in bytes. hyper accepts no less.
const MOST_HEAD: usize = 8 * 1024;
/// Largest number of headers.
const MOST_HEADERS: usize = 64;

/// Serves one request. The connection is closed after it, so that idle clients take no place.
pub(super) async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, telemetry: Telemetry) {
    let service = service_fn(move |request| {
        let response = answer(&telemetry, &request);
        async move { Ok::<_, Infallible>(response) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_PATIENCE)
        .max_buf_size(MOST_HEAD)
        .max_headers(MOST_HEADERS)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    // A client that goes away, or sends nonsense, is its own affair.
    let _ = tokio::time::timeout(PATIENCE, connection).await;
}

//! One connection: a single request within bounds of size and time.

use std::convert::Infallible;
use std::future::ready;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, sink};
use tokio::time::timeout;

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

/// Time for the rest of a request, after the answer.
const DRAIN_PATIENCE: Duration = Duration::from_secs(2);
/// Bytes of it that are read.
const MOST_DRAINED: u64 = 64 * 1024;

/// Serves one request. The connection is closed after it, so that idle clients take no place.
pub(super) async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, telemetry: Telemetry) {
    // A client that goes away, or sends nonsense, is its own affair.
    let _ = timeout(PATIENCE, exchange(stream, &telemetry)).await;
}

async fn exchange(mut stream: impl AsyncRead + AsyncWrite + Unpin, telemetry: &Telemetry) {
    let service = service_fn(|request| ready(Ok::<_, Infallible>(answer(telemetry, &request))));
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_PATIENCE)
        .max_buf_size(MOST_HEAD)
        .max_headers(MOST_HEADERS)
        .keep_alive(false)
        .half_close(true)
        .serve_connection(TokioIo::new(&mut stream), service)
        .await;
    if served.is_err_and(|error| error.is_timeout()) {
        return;
    }
    // A request that cannot be parsed has an answer too. Closing with unread bytes resets the connection, and the
    // answer would be lost.
    let mut unread = stream.take(MOST_DRAINED);
    let _ = timeout(DRAIN_PATIENCE, tokio::io::copy(&mut unread, &mut sink())).await;
}

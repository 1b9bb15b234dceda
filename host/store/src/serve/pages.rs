//! Pages over HTTP/1 for probes and scrapes: `/health`, `/version` and `/metrics`, in etcd's shapes.
//!
//! One connection gets one answer, within a time limit, and takes a slot like any other. These files must never
//! change anything in the store.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::time::timeout;

use super::connection::ServedConnection;
use super::connection_slots::ConnectionSlots;
use super::metrics::{self, MetricSources};
use crate::budget::MemoryBudget;
use crate::core::StoreCore;
use crate::exposition;
use crate::grpc::{API_VERSION, CLUSTER_VERSION, RequestCounts};

/// Bytes of a client's request that are read before the connection ends, so that the client reads the answer.
const DRAIN_BYTES: u64 = 64 << 10;

/// The most bytes of a request's head.
const MAX_HEAD_BYTES: usize = 8 << 10;

/// Body of an unknown page.
const NOT_FOUND: &str = "404 page not found: this is the embedded store of leasehold. Over HTTP/1 it has /health, \
    /version and /metrics; etcd's v3 API is here over HTTP/2 (gRPC), without a JSON gateway\n";

/// Answers to requests over HTTP/1. Cheap to clone.
#[derive(Clone)]
pub(super) struct StorePages {
    pub(super) core: Arc<StoreCore>,
    pub(super) counts: Arc<RequestCounts>,
    pub(super) budget: Arc<MemoryBudget>,
    pub(super) tcp_slots: Arc<ConnectionSlots>,
    pub(super) socket_slots: Arc<ConnectionSlots>,
}

/// Body of `/health`. Its booleans are texts, as etcd's are.
#[derive(Serialize)]
struct HealthBody<'a> {
    health: &'a str,
    reason: &'a str,
}

/// Body of `/version`.
#[derive(Serialize)]
struct VersionBody {
    etcdserver: &'static str,
    etcdcluster: &'static str,
}

impl StorePages {
    /// Answers one request, and ends the connection.
    pub(super) async fn serve<IO>(&self, connection: ServedConnection<IO>, patience: Duration)
    where
        IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        // A client that is slower than that loses its connection, like one whose greeting does not arrive.
        let _ = timeout(patience, self.exchange(connection)).await;
    }

    async fn exchange<IO>(&self, mut connection: ServedConnection<IO>) -> hyper::Result<()>
    where
        IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let answering = service_fn(|request: Request<Incoming>| {
            let answer = self.answer(
                request.method(),
                request.uri().path(),
                request.uri().query(),
            );
            std::future::ready(Ok::<_, Infallible>(answer))
        });
        let served = http1::Builder::new()
            .keep_alive(false)
            .half_close(true)
            .max_buf_size(MAX_HEAD_BYTES)
            .serve_connection(TokioIo::new(&mut connection), answering)
            .await;
        // Closing a connection with unread bytes resets it, and the answer would be lost: that to a head that is too
        // large, too.
        let mut unread = AsyncReadExt::take(connection, DRAIN_BYTES);
        let _ = tokio::io::copy(&mut unread, &mut tokio::io::sink()).await;
        served
    }

    fn answer(&self, method: &Method, path: &str, query: Option<&str>) -> Response<Full<Bytes>> {
        let get = |page: Page| {
            if method == Method::GET {
                page
            } else {
                Page::text(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed\n")
            }
        };
        match path {
            "/health" => get(self.health(query.unwrap_or_default())),
            "/version" => get(version()),
            "/metrics" => get(self.metrics()),
            _ => Page::text(StatusCode::NOT_FOUND, NOT_FOUND),
        }
        .into_response()
    }

    /// As in etcd: `exclude=NOSPACE` in the query ignores that alarm.
    fn health(&self, query: &str) -> Page {
        let health = self.core.health();
        let is_excluded = query.split('&').any(|part| part == "exclude=NOSPACE");
        let reason = match health.read_only {
            Some(reason) => format!("nothing can be written: {reason}"),
            None if health.no_space && !is_excluded => "ALARM NOSPACE".to_owned(),
            None => String::new(),
        };
        let (status, word) = if reason.is_empty() {
            (StatusCode::OK, "true")
        } else {
            (StatusCode::SERVICE_UNAVAILABLE, "false")
        };
        let body = HealthBody {
            health: word,
            reason: &reason,
        };
        Page::json(status, &body)
    }

    fn metrics(&self) -> Page {
        let text = metrics::render(&MetricSources {
            core: &self.core,
            counts: &self.counts,
            budget: &self.budget,
            tcp_slots: &self.tcp_slots,
            socket_slots: &self.socket_slots,
        });
        Page {
            status: StatusCode::OK,
            content_type: exposition::CONTENT_TYPE,
            body: text.into(),
        }
    }
}

fn version() -> Page {
    let body = VersionBody {
        etcdserver: API_VERSION,
        etcdcluster: CLUSTER_VERSION,
    };
    Page::json(StatusCode::OK, &body)
}

/// An answer.
struct Page {
    status: StatusCode,
    content_type: &'static str,
    body: Bytes,
}

impl Page {
    fn text(status: StatusCode, body: &'static str) -> Self {
        Self {
            status,
            content_type: "text/plain; charset=utf-8",
            body: Bytes::from_static(body.as_bytes()),
        }
    }

    fn json(status: StatusCode, body: &impl Serialize) -> Self {
        Self {
            status,
            content_type: "application/json",
            // Texts always serialize.
            body: serde_json::to_vec(body).unwrap_or_default().into(),
        }
    }

    fn into_response(self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(self.body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            http::HeaderValue::from_static(self.content_type),
        );
        if self.status == StatusCode::METHOD_NOT_ALLOWED {
            headers.insert(ALLOW, http::HeaderValue::from_static("GET"));
        }
        response
    }
}

//! [`Transport`]: one request to the collector, over gRPC or HTTP.

use std::error::Error as _;
use std::future::ready;
use std::path::PathBuf;

use hyper::HeaderMap;
use leasehold_config::{Otlp, OtlpProtocol};
use leasehold_records::printable;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use prost::Message as _;
use tokio_rustls::TlsConnector;
use tonic::metadata::MetadataMap;
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};
use tonic::{Code, Request, Status};

use crate::post::{PostTarget, post};
use crate::{request_headers, tls};

/// Name of this program to servers.
const USER_AGENT: &str = concat!("leasehold/", env!("CARGO_PKG_VERSION"));

/// A request that the collector did not take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SendFailure {
    /// The error, printable.
    pub(super) error: String,
    /// True if a later request may be taken.
    pub(super) may_pass: bool,
}

/// Connection to the collector. It is made by the first request, and anew after a failure.
pub(super) struct Transport {
    otlp: Otlp,
    opened: Option<Opened>,
}

enum Opened {
    Grpc(TraceServiceClient<Channel>),
    Http(Option<TlsConnector>),
}

impl Transport {
    pub(super) const fn new(otlp: Otlp) -> Self {
        Self { otlp, opened: None }
    }

    /// Sends a request. Returns the number of spans that the collector refused.
    pub(super) async fn send(
        &mut self,
        request: &ExportTraceServiceRequest,
    ) -> Result<u64, SendFailure> {
        let sent = self.try_send(request).await;
        if sent.is_err() {
            // Certificates may have changed.
            self.opened = None;
        }
        sent
    }

    async fn try_send(&mut self, request: &ExportTraceServiceRequest) -> Result<u64, SendFailure> {
        let limit = self.otlp.timeout();
        let reading = request_headers::read_aside(self.otlp.headers_file());
        let headers = tokio::time::timeout(limit, reading).await;
        let headers = headers
            .unwrap_or_else(|_| Err("the header file was not read in time".to_owned()))
            .map_err(|error| local(&error))?;
        let opened = match self.opened.take() {
            Some(opened) => opened,
            None => open(&self.otlp).await.map_err(|error| local(&error))?,
        };
        match self.opened.insert(opened) {
            Opened::Grpc(client) => send_grpc(client, headers, request).await,
            Opened::Http(tls) => {
                let target = PostTarget {
                    endpoint: self.otlp.endpoint(),
                    path: self.otlp.target(),
                    content_type: "application/x-protobuf",
                };
                let body = request.encode_to_vec().into();
                let posted = post(target, tls.as_ref(), ready(Ok(headers)), body, limit).await;
                posted.map(|()| 0).map_err(|failure| SendFailure {
                    may_pass: failure.may_pass(),
                    error: printable::line(&failure.to_string()),
                })
            }
        }
    }
}

/// A failure on this machine, which an operator may mend.
fn local(error: &str) -> SendFailure {
    SendFailure {
        error: printable::line(error),
        may_pass: true,
    }
}

async fn open(otlp: &Otlp) -> Result<Opened, String> {
    let (ca, is_secure) = (otlp.ca().map(PathBuf::from), otlp.endpoint().is_secure());
    match otlp.protocol() {
        OtlpProtocol::Http if is_secure => {
            let opened = tokio::task::spawn_blocking(move || tls::connector(ca.as_deref())).await;
            let opened = opened.map_err(|error| error.to_string())?;
            Ok(Opened::Http(Some(opened?)))
        }
        OtlpProtocol::Http => Ok(Opened::Http(None)),
        OtlpProtocol::Grpc => {
            let endpoint = Endpoint::from_shared(otlp.endpoint().to_string())
                .and_then(|endpoint| endpoint.user_agent(USER_AGENT))
                .map_err(|error| error.to_string())?
                .connect_timeout(otlp.timeout())
                .timeout(otlp.timeout());
            let endpoint = if is_secure {
                let roots = tokio::task::spawn_blocking(move || tls::read_roots(ca.as_deref()));
                let roots = roots.await.map_err(|error| error.to_string())??;
                let config = ClientTlsConfig::new().trust_anchors(roots.roots);
                endpoint
                    .tls_config(config)
                    .map_err(|error| format!("TLS cannot be set up: {error}"))?
            } else {
                endpoint
            };
            Ok(Opened::Grpc(TraceServiceClient::new(
                endpoint.connect_lazy(),
            )))
        }
    }
}

async fn send_grpc(
    client: &mut TraceServiceClient<Channel>,
    headers: HeaderMap,
    request: &ExportTraceServiceRequest,
) -> Result<u64, SendFailure> {
    let mut request = Request::new(request.clone());
    *request.metadata_mut() = MetadataMap::from_headers(headers);
    let answer = client.export(request).await.map_err(|status| SendFailure {
        error: printable::line(&describe(&status)),
        may_pass: may_pass(status.code()),
    })?;
    let rejected = answer.into_inner().partial_success;
    let rejected = rejected.map_or(0, |partial| partial.rejected_spans);
    Ok(rejected.try_into().unwrap_or(0))
}

/// True if the same request may be taken later, as OTLP defines it. An error of the connection is `Unknown` or
/// `Unavailable`.
const fn may_pass(code: Code) -> bool {
    matches!(
        code,
        Code::Cancelled
            | Code::DeadlineExceeded
            | Code::Aborted
            | Code::OutOfRange
            | Code::Unavailable
            | Code::Unknown
            | Code::DataLoss
            | Code::ResourceExhausted
    )
}

/// Describes an answer by its code, and a failed connection by its causes.
fn describe(status: &Status) -> String {
    let mut parts = vec![status.message().to_owned()];
    let mut cause = status.source();
    if cause.is_none() {
        parts.insert(0, format!("it answered {:?}", status.code()));
    }
    while let Some(error) = cause {
        parts.push(error.to_string());
        cause = error.source();
    }
    // The library's own word for every failure of a connection.
    parts.retain(|part| !part.is_empty() && part != "transport error");
    parts.dedup();
    parts.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answer_is_described_by_its_code() {
        let refused = Status::unauthenticated("no such key");
        assert_eq!(
            describe(&refused),
            "it answered Unauthenticated: no such key"
        );
        assert!(!may_pass(refused.code()) && may_pass(Code::Unavailable));
        assert_eq!(describe(&Status::internal("")), "it answered Internal");
    }

    #[test]
    fn failed_connection_is_described_by_its_causes() {
        let cause = std::io::Error::other("Connection refused");
        let failed = Status::from_error(Box::new(cause));
        assert_eq!(describe(&failed), "Connection refused");
    }
}

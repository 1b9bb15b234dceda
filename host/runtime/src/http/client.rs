//! One request, from its check to its response.
//!
//! Steps: check the origin, resolve and check its addresses, connect to a checked address, send with the
//! host's own headers, and pass the response on. A refusal is returned to the guest as a code and logged
//! as a line of the run. Connections are made only to addresses that `destinations` returned.

use std::error::Error as _;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Request, Response, header};
use http_body_util::BodyExt as _;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use leasehold_lock::Token;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls;
use tokio_rustls::rustls::pki_types::ServerName;
use wasmtime_wasi_http::p2::bindings::http::types::ErrorCode;
use wasmtime_wasi_http::{Error, ForbiddenHeaderFilter, RequestOptions, WasiBody, WasiHttpHooks};

use super::super::current;
use super::super::gate::Gate;
use super::super::leash::Leash;
use super::super::output::Output;
use super::body::{BodyBudget, RequestBody, ResponseBody};
use super::connect::{RequestStream, reach};
use super::destinations::{HttpDestinations, RequestRefusal};
use super::head::{CountedStream, HeadTooLarge, ResponseHead};
use super::in_flight::{InFlight, InFlightRequests};
use super::leashed_stream::LeashedStream;
use super::own_headers::{is_ours, name_trace, remove_ours};
use super::timeouts::RequestTimeouts;
use leasehold_config::allow::Origin;
use leasehold_config::limits::{KIB, Limits};
use leasehold_config::{JobSource, LimitKey, Remedy};

/// Bytes of a request's body that wait for the connection.
const CHUNK: u64 = 64 * KIB;
/// Smallest buffer that the HTTP library accepts for the head of a response, in bytes.
const LEAST_HEAD: u64 = 8 * KIB;
/// Largest number of headers in one response. More are treated as an attack.
const MOST_HEADERS: usize = 100;

/// Future that drives the connection after the head of a response has arrived.
type Driving = Box<dyn Future<Output = Result<(), Error>> + Send>;
pub(super) type HttpAnswer = (Response<WasiBody>, Driving);

/// Carries the requests of one run.
#[derive(Clone)]
pub(crate) struct HttpClient(Arc<Inner>);

struct Inner {
    run: ClientContext,
    open: Arc<Semaphore>,
}

/// Parts of its run that a client uses.
pub(crate) struct ClientContext {
    pub(crate) net: Arc<HttpDestinations>,
    /// Job that remedies in log lines name.
    pub(crate) job: JobSource,
    pub(crate) token: Token,
    /// Header of the run's trace.
    pub(crate) traceparent: Option<HeaderValue>,
    pub(crate) limits: Arc<Limits>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) leash: Arc<Leash>,
    pub(crate) output: Arc<Output>,
    pub(crate) in_flight: Arc<InFlightRequests>,
}

impl HttpClient {
    pub(crate) fn new(run: ClientContext) -> Self {
        let open = Arc::new(Semaphore::new(run.limits.http_requests as usize));
        Self(Arc::new(Inner { run, open }))
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.0.run.limits
    }

    fn run(&self) -> &ClientContext {
        &self.0.run
    }

    /// Returns true for a header that only the host sets.
    fn is_ours(&self, name: &HeaderName) -> bool {
        is_ours(&self.run().net.tokens, name)
    }

    async fn carry(
        self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
    ) -> Result<HttpAnswer, Error> {
        let origin = self.judge(&request).map_err(|refusal| {
            let target = shown_target(request.uri());
            self.refuse(&target, &refusal)
        })?;
        let _timer = self.run().gate.time_request(|| {
            // A guest may choose any word as method.
            let method: String = request.method().as_str().chars().take(16).collect();
            format!("http {method} {origin}")
        });
        let place = self
            .place()
            .map_err(|refusal| self.refuse(&origin, &refusal))?;
        let timeouts = RequestTimeouts::of(options, self.limits().http_timeout);
        let connected = self.connect(&origin, timeouts.connect).await?;
        self.exchange(&origin, request, connected, place, &timeouts)
            .await
    }

    fn judge(&self, request: &Request<WasiBody>) -> Result<Origin, RequestRefusal> {
        if request.method() == http::Method::CONNECT {
            return Err(RequestRefusal::Tunnel);
        }
        self.run().net.origin(request.uri(), &self.run().job)
    }

    /// Takes a place among the open requests.
    fn place(&self) -> Result<OwnedSemaphorePermit, RequestRefusal> {
        let place = self.0.open.clone().try_acquire_owned();
        place.map_err(|_| RequestRefusal::TooMany {
            most: self.limits().http_requests,
            job: self.run().job.clone(),
        })
    }

    /// Logs a refusal and returns the guest's error code. Of the address, only the origin is logged.
    fn refuse(&self, target: &dyn std::fmt::Display, refusal: &RequestRefusal) -> Error {
        let line = format!("request to {target} refused: {refusal}");
        self.run().output.remark(&line);
        refusal.code()
    }

    /// Checks the tenure. It is checked at each step, not only at the first, so that no effect is late.
    fn still(&self) -> Result<(), Error> {
        let still = self.run().gate.still();
        still.map_err(|_| Error::ConnectionTerminated)
    }

    /// Connects to an address of `origin` that was just checked.
    async fn connect(
        &self,
        origin: &Origin,
        within: Duration,
    ) -> Result<Box<dyn RequestStream>, Error> {
        let over = Instant::now() + within;
        let run = self.run();
        let addresses = timeout(within, run.net.addresses(origin, &run.job))
            .await
            .map_err(|_| Error::DnsTimeout)?
            .map_err(|refusal| self.refuse(origin, &refusal))?;
        self.still()?;
        let stream = reach(&addresses, over).await?;
        // If this fails, small packets may be delayed.
        let _ = stream.set_nodelay(true);
        let wire = LeashedStream::new(stream, run.leash.clone());
        let Some(tls) = run.net.tls.as_ref().filter(|_| origin.is_secure()) else {
            return Ok(Box::new(wire));
        };
        let name = ServerName::try_from(origin.host().to_owned());
        let name = name.map_err(|_| Error::TlsCertificateError)?;
        let shaken = TlsConnector::from(tls.clone()).connect(name, wire);
        let left = over.saturating_duration_since(Instant::now());
        match timeout(left, shaken).await {
            Ok(Ok(stream)) => Ok(Box::new(stream)),
            Ok(Err(error)) => Err(self.distrusted(origin, &error)),
            Err(_) => Err(Error::ConnectionTimeout),
        }
    }

    /// Returns the guest's error code for a failed handshake. An untrusted certificate is also logged.
    fn distrusted(&self, origin: &Origin, error: &io::Error) -> Error {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
        let Some(rustls::Error::InvalidCertificate(why)) = inner else {
            return Error::TlsProtocolError;
        };
        let remedy = Remedy::TrustAuthority.for_source(&self.run().job);
        self.run().output.remark(&format!(
            "request to {origin} failed: its certificate is not trusted ({why:?}): correct it there, or {remedy}"
        ));
        Error::TlsCertificateError
    }

    async fn exchange(
        &self,
        origin: &Origin,
        request: Request<WasiBody>,
        stream: Box<dyn RequestStream>,
        place: OwnedSemaphorePermit,
        timeouts: &RequestTimeouts,
    ) -> Result<HttpAnswer, Error> {
        let request = self.dressed(origin, request)?;
        let head = self.limits().http_field_bytes;
        let counted = ResponseHead::default();
        let stream = CountedStream::new(stream, counted.clone());
        let (mut sender, connection) = http1::Builder::new()
            .max_buf_size(size(head.max(LEAST_HEAD)))
            .max_headers(MOST_HEADERS)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(Error::Hyper)?;
        self.still()?;
        let mut connection = Box::pin(connection);
        let mut over = None;
        let mut sending = pin!(sender.send_request(request));
        let answer = poll_fn(|cx| {
            // The request makes progress only while its connection is driven.
            if over.is_none()
                && let std::task::Poll::Ready(end) = connection.as_mut().poll(cx)
            {
                over = Some(end);
            }
            sending.as_mut().poll(cx)
        });
        let answer = timeout(timeouts.first_byte, answer)
            .await
            .map_err(|_| Error::HttpResponseTimeout)?
            .map_err(|error| self.told(origin, error, &counted))?;
        // The HTTP library's bound is not exact.
        let fields = answer.headers().iter();
        let fields: usize = fields
            .map(|(name, value)| name.as_str().len() + value.len())
            .sum();
        if fields > size(head) {
            return Err(self.too_many_fields());
        }
        self.still()?;
        let driving = async move {
            // The request counts as open until its connection ends.
            let _place = place;
            match over {
                Some(end) => end.map_err(Error::Hyper),
                None => connection.await.map_err(Error::Hyper),
            }
        };
        let run = self.run();
        let driving = current::within(run.output.clone(), driving);
        let driving = InFlight::new(&run.in_flight, run.leash.clone(), driving);
        // The guest gets a failure from the body. The library would only log it, outside of the run.
        let driving = async move { driving.await.or(Ok(())) };
        let budget = self.budget();
        let answer = answer
            .map(|body| ResponseBody::new(body, budget, timeouts.between_bytes).boxed_unsync());
        Ok((answer, Box::new(driving)))
    }

    /// Builds the request as it is sent: with only the path as its target, and with the host's own headers.
    fn dressed(
        &self,
        origin: &Origin,
        request: Request<WasiBody>,
    ) -> Result<Request<RequestBody>, Error> {
        let run = self.run();
        let (mut parts, body) = request.into_parts();
        let path = parts.uri.path_and_query().cloned();
        let path = path.unwrap_or_else(|| http::uri::PathAndQuery::from_static("/"));
        parts.uri = http::Uri::from(path);
        // A guest can send on the fields of a response, which have not passed the check of its own fields.
        remove_ours(&mut parts.headers, &run.net.tokens);
        let invalid = |_| Error::HttpRequestUriInvalid;
        let host = HeaderValue::from_str(&origin.authority()).map_err(invalid)?;
        parts.headers.insert(header::HOST, host);
        for token in run.net.tokens.iter() {
            parts
                .headers
                .insert(token.clone(), HeaderValue::from(run.token.get()));
        }
        name_trace(&mut parts.headers, run.traceparent.as_ref());
        Ok(Request::from_parts(
            parts,
            RequestBody::new(body, self.budget(), run.net.tokens.clone()),
        ))
    }

    fn budget(&self) -> BodyBudget {
        let most = self.limits().http_body_bytes;
        BodyBudget::new(most, self.run().job.clone(), self.run().output.clone())
    }

    /// Returns the guest's error code for a failed exchange, and logs an invalid response.
    fn told(&self, origin: &Origin, error: hyper::Error, head: &ResponseHead) -> Error {
        if let Some(Error::HttpRequestBodySize(most)) =
            error.source().and_then(|e| e.downcast_ref())
        {
            return Error::HttpRequestBodySize(*most);
        }
        if !error.is_parse() {
            return Error::Hyper(error);
        }
        let remark = |what: &str| {
            let line = format!("request to {origin} failed: its answer {what}: correct the server");
            self.run().output.remark(&line);
        };
        if !error.is_parse_too_large() {
            remark(&format!("is not valid HTTP/1 ({error})"));
            return Error::Hyper(error);
        }
        let most = size(self.limits().http_field_bytes.max(LEAST_HEAD));
        match head.too_large(MOST_HEADERS, most) {
            HeadTooLarge::Bytes => self.too_many_fields(),
            HeadTooLarge::Headers => {
                remark(&format!(
                    "has more than {MOST_HEADERS} headers, a limit that no key raises"
                ));
                Error::HttpResponseHeaderSectionSize(None)
            }
            HeadTooLarge::Body(length) => {
                remark(&format!(
                    "announces a body of {length} bytes, which is impossible"
                ));
                Error::HttpResponseBodySize(length.parse().ok())
            }
        }
    }

    fn too_many_fields(&self) -> Error {
        let most = self.limits().http_field_bytes;
        let remedy = Remedy::Raise(LimitKey::HttpFields);
        let remedy = remedy.for_source(&self.run().job);
        self.run().output.remark(&format!(
            "an answer's headers have more than {most} bytes: {remedy}"
        ));
        Error::HttpResponseHeaderSectionSize(u32::try_from(most).ok())
    }
}

/// Formats scheme, host and port of an address that may be invalid. A user before `@` is omitted.
fn shown_target(uri: &http::Uri) -> String {
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let host = authority.rsplit('@').next().unwrap_or_default();
    format!("{}://{host}", uri.scheme_str().unwrap_or_default())
}

fn size(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

impl WasiHttpHooks for HttpClient {
    fn is_forbidden_header(&mut self, name: &HeaderName) -> bool {
        self.is_ours(name)
    }

    fn forbidden_header_filter(&mut self) -> ForbiddenHeaderFilter {
        let tokens = self.run().net.tokens.clone();
        Arc::new(move |name| is_ours(&tokens, name))
    }

    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _: Driving,
    ) -> Box<dyn Future<Output = Result<HttpAnswer, Error>> + Send> {
        let run = self.run();
        let carried = self.clone().carry(request, options);
        let carried = current::within(run.output.clone(), carried);
        Box::new(InFlight::new(&run.in_flight, run.leash.clone(), carried))
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        size(CHUNK)
    }

    fn p2_error_from_hyper(&mut self, error: &hyper::Error) -> ErrorCode {
        if error.is_incomplete_message() || error.is_canceled() || error.is_closed() {
            ErrorCode::ConnectionTerminated
        } else {
            ErrorCode::HttpProtocolError
        }
    }

    fn p2_error_from_connect(&mut self, error: &io::Error) -> ErrorCode {
        match error.kind() {
            io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
                ErrorCode::DestinationUnavailable
            }
            io::ErrorKind::TimedOut => ErrorCode::ConnectionTimeout,
            _ => ErrorCode::ConnectionRefused,
        }
    }

    fn p2_error_from_tls(&mut self, _: &io::Error) -> ErrorCode {
        ErrorCode::TlsProtocolError
    }
}

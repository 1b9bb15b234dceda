//! Collectors of traces: one that takes them over gRPC, and one that takes any request over HTTP.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use leasehold_tests::certs::TlsFiles;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::trace::v1::Span;
use tokio::sync::oneshot;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Identity, Server, ServerTlsConfig};
use tonic::{Request, Response, Status};

/// A server of OTLP over gRPC. Dropping it ends it.
pub(crate) struct Collector {
    address: SocketAddr,
    inbox: Inbox,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Requests so far, with their header `authorization`.
#[derive(Clone, Debug, Default)]
struct Inbox(Arc<Mutex<Vec<(String, ExportTraceServiceRequest)>>>);

impl Inbox {
    fn lock(&self) -> MutexGuard<'_, Vec<(String, ExportTraceServiceRequest)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[tonic::async_trait]
impl TraceService for Inbox {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let header = request.metadata().get("authorization");
        let header = header.and_then(|value| value.to_str().ok());
        let header = header.unwrap_or_default().to_owned();
        self.lock().push((header, request.into_inner()));
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Collector {
    /// Listens at this address, encrypted if there are certificates.
    pub(crate) fn start(address: SocketAddr, tls: Option<&TlsFiles>) -> Result<Self> {
        let mut server = Server::builder();
        if let Some(files) = tls {
            let (cert, key) = (std::fs::read(&files.cert)?, std::fs::read(&files.key)?);
            let identity = Identity::from_pem(cert, key);
            server = server.tls_config(ServerTlsConfig::new().identity(identity))?;
        }
        let inbox = Inbox::default();
        let service = server.add_service(TraceServiceServer::new(inbox.clone()));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let incoming = {
            let _entered = runtime.enter();
            TcpIncoming::bind(address)?
        };
        let address = incoming.local_addr()?;
        let (end, ended) = oneshot::channel();
        let thread = thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    end = service.serve_with_incoming(incoming) => end.expect("it serves"),
                    _ = ended => {}
                }
            });
        });
        Ok(Self {
            address,
            inbox,
            end: Some(end),
            thread: Some(thread),
        })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the header `authorization` of each request.
    pub(crate) fn headers(&self) -> Vec<String> {
        let inbox = self.inbox.lock();
        inbox.iter().map(|(header, _)| header.clone()).collect()
    }

    /// Returns the traces so far.
    pub(crate) fn traces(&self) -> Vec<Trace> {
        let inbox = self.inbox.lock();
        Trace::all_of(inbox.iter().map(|(_, request)| request))
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The spans of one trace, in the order in which they came.
#[derive(Clone, Debug)]
pub(crate) struct Trace {
    pub(crate) id: String,
    /// The host that sent it.
    pub(crate) instance: String,
    pub(crate) spans: Vec<Span>,
}

impl Trace {
    pub(crate) fn all_of<'a>(
        requests: impl Iterator<Item = &'a ExportTraceServiceRequest>,
    ) -> Vec<Self> {
        let mut traces: Vec<Self> = Vec::new();
        for resource in requests.flat_map(|request| &request.resource_spans) {
            let attributes = resource.resource.iter().flat_map(|one| &one.attributes);
            let instance = attributes
                .filter(|one| one.key == "service.instance.id")
                .map(|one| shown(one.value.as_ref()))
                .collect::<String>();
            for span in resource.scope_spans.iter().flat_map(|scope| &scope.spans) {
                let id = hex(&span.trace_id);
                match traces.iter_mut().find(|trace| trace.id == id) {
                    Some(trace) => trace.spans.push(span.clone()),
                    None => traces.push(Self {
                        id,
                        instance: instance.clone(),
                        spans: vec![span.clone()],
                    }),
                }
            }
        }
        traces
    }

    /// Returns the only span of this name.
    pub(crate) fn span(&self, name: &str) -> Result<&Span> {
        let mut named = self.spans.iter().filter(|span| span.name == name);
        let span = named.next().with_context(|| format!("no {name}: {self}"))?;
        ensure!(named.next().is_none(), "two of {name}: {self}");
        Ok(span)
    }

    /// Returns the attribute of the span `run`.
    pub(crate) fn attribute(&self, key: &str) -> String {
        let root = self.spans.iter().find(|span| span.name == "run");
        let attributes = root.iter().flat_map(|root| &root.attributes);
        attributes
            .filter(|one| one.key == key)
            .map(|one| shown(one.value.as_ref()))
            .collect()
    }

    /// Checks that every span but the root is the child of another, and begins within its time.
    pub(crate) fn check_tree(&self) -> Result<()> {
        for span in &self.spans {
            ensure!(
                span.start_time_unix_nano <= span.end_time_unix_nano,
                "{self}"
            );
            if span.name == "run" {
                ensure!(span.parent_span_id.is_empty(), "{self}");
                continue;
            }
            let mut others = self.spans.iter();
            let parent = others.find(|one| one.span_id == span.parent_span_id);
            let parent = parent.with_context(|| format!("{} has no parent: {self}", span.name))?;
            ensure!(
                parent.start_time_unix_nano <= span.start_time_unix_nano,
                "{} begins before {}: {self}",
                span.name,
                parent.name
            );
        }
        Ok(())
    }
}

impl std::fmt::Display for Trace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "trace {} of {}", self.id, self.instance)?;
        let root = self.spans.iter().find(|span| span.name == "run");
        root.map_or(Ok(()), |root| self.write_below(f, root, 0))
    }
}

impl Trace {
    fn write_below(
        &self,
        f: &mut std::fmt::Formatter<'_>,
        span: &Span,
        depth: usize,
    ) -> std::fmt::Result {
        let took = Duration::from_nanos(span.end_time_unix_nano - span.start_time_unix_nano);
        let status = span.status.as_ref().map_or("", |status| &status.message);
        let attributes: Vec<String> = span
            .attributes
            .iter()
            .map(|one| format!("{}={}", one.key, shown(one.value.as_ref())))
            .collect();
        writeln!(
            f,
            "{}{} {took:?} {status} {}",
            "  ".repeat(depth),
            span.name,
            attributes.join(" ")
        )?;
        let children = self.spans.iter();
        let mut children = children.filter(|one| one.parent_span_id == span.span_id);
        children.try_for_each(|child| self.write_below(f, child, depth + 1))
    }
}

fn shown(value: Option<&opentelemetry_proto::tonic::common::v1::AnyValue>) -> String {
    use opentelemetry_proto::tonic::common::v1::any_value::Value;
    match value.and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    }
}

/// Formats bytes as they are in the header `traceparent`.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// A server that answers every request with 200 after a pause.
pub(crate) struct HttpServer {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<HttpRequest>>>,
}

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct HttpRequest {
    /// Request line and headers, in lower case.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl HttpServer {
    /// Its thread ends with the test's process.
    pub(crate) fn start(pause: Duration) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let requests = Arc::<Mutex<Vec<HttpRequest>>>::default();
        let kept = requests.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A request that is broken off is not one.
                if let Ok(request) = take(stream, pause) {
                    let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                    kept.push(request);
                }
            }
        });
        Ok(Self { address, requests })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn requests(&self) -> Vec<HttpRequest> {
        let requests = self.requests.lock();
        requests.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn take(mut stream: TcpStream, pause: Duration) -> Result<HttpRequest> {
    let (mut bytes, mut chunk) = (Vec::new(), [0; 4096]);
    loop {
        let end = bytes.windows(4).position(|end| end == b"\r\n\r\n");
        if let Some(end) = end {
            let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
            let mut lines = head.lines();
            let length = lines.find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
            let body = bytes[end + 4..].to_vec();
            let is_whole = match length {
                Some(length) => body.len() >= length,
                None => body.ends_with(b"0\r\n\r\n"),
            };
            if is_whole {
                thread::sleep(pause);
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")?;
                return Ok(HttpRequest { head, body });
            }
        }
        let count = stream.read(&mut chunk)?;
        ensure!(count > 0, "it ended");
        bytes.extend_from_slice(&chunk[..count]);
    }
}

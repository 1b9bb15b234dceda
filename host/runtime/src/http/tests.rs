//! Requests to servers of this machine, with a resolver whose answers a test sets.
//!
//! No request leaves the machine. A request that should be refused goes to a server that would count it.

mod exchange;
mod refused;
mod stopped;
mod trust;

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http::{HeaderValue, Request};
use http_body_util::{BodyExt as _, Full};
use leasehold_lock::{Clock as _, SystemClock, Tenure, Token};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use wasmtime_wasi_http::{Error, WasiBody, WasiHttpHooks as _};

use super::client::{ClientContext, HttpAnswer, HttpClient};
use super::{HttpDestinations, InFlightRequests, Resolve};
use crate::event::GuestEvent;
use crate::gate::Gate;
use crate::leash::Leash;
use crate::output::Output;
use crate::redact::Redactor;
use crate::spec::StopSignal;
use leasehold_config::JobSource;
use leasehold_config::allow::{Allow, Network, Origin};
use leasehold_config::limits::Limits;
use leasehold_config::secrets::Secrets;

/// Resolver that answers one lookup after the other with these addresses. The last answer is repeated.
#[derive(Default)]
struct Names {
    answers: Mutex<VecDeque<Vec<IpAddr>>>,
    asked: AtomicUsize,
}

impl Names {
    fn saying(answers: &[&[&str]]) -> Arc<Self> {
        let parse = |answer: &&[&str]| answer.iter().map(|ip| ip.parse().unwrap()).collect();
        Arc::new(Self {
            answers: Mutex::new(answers.iter().map(parse).collect()),
            asked: AtomicUsize::new(0),
        })
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

impl Resolve for Names {
    fn resolve<'a>(&'a self, _: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let mut answers = self.answers.lock().unwrap();
        let answer = match answers.len() {
            0 => Vec::new(),
            1 => answers[0].clone(),
            _ => answers.pop_front().unwrap(),
        };
        std::future::ready(Ok(answer)).boxed()
    }
}

/// Header of the run's trace.
const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// A client, and the events of its run.
struct Rig {
    client: HttpClient,
    in_flight: Arc<InFlightRequests>,
    heard: mpsc::Receiver<GuestEvent>,
}

impl Rig {
    fn new(allow: &Allow, names: &Arc<Names>) -> Self {
        Self::with(allow, names, Limits::default(), Duration::from_mins(1))
    }

    fn with(allow: &Allow, names: &Arc<Names>, limits: Limits, tenure: Duration) -> Self {
        Self::of(JobSource::table("demo"), allow, names, limits, tenure)
    }

    /// A client of a job that was dropped into a folder.
    fn dropped(allow: &Allow, names: &Arc<Names>) -> Self {
        let job = JobSource::dropped("dropped.demo", Path::new("plugins/demo.wasm"));
        Self::of(job, allow, names, Limits::default(), Duration::from_mins(1))
    }

    fn of(
        job: JobSource,
        allow: &Allow,
        names: &Arc<Names>,
        limits: Limits,
        tenure: Duration,
    ) -> Self {
        let clock = Arc::new(SystemClock);
        let tenure = Tenure::detached(clock.clone(), clock.now().after(tenure));
        let gate = Arc::new(Gate::new(tenure.clone()));
        let redactor = Arc::new(Redactor::new(&Secrets::of(&[("key", "hunter2")])));
        let (events, heard) = mpsc::channel(100);
        let output = Output::new(clock, gate.clone(), &limits, redactor, events, None);
        let resolver: Arc<dyn Resolve> = names.clone();
        let in_flight = Arc::new(InFlightRequests::default());
        let client = HttpClient::new(ClientContext {
            net: Arc::new(HttpDestinations::of(allow, &resolver).unwrap()),
            job,
            token: Token::new(7),
            traceparent: Some(HeaderValue::from_static(TRACEPARENT)),
            limits: Arc::new(limits),
            gate,
            leash: Arc::new(Leash::new(tenure, None, StopSignal::new(Duration::ZERO))),
            output: Arc::new(output),
            in_flight: in_flight.clone(),
        });
        Self {
            client,
            in_flight,
            heard,
        }
    }

    async fn send(&mut self, request: Request<WasiBody>) -> Result<HttpAnswer, Error> {
        let done = Box::new(async { Ok(()) });
        Pin::from(self.client.send_request(request, None, done)).await
    }

    async fn get(&mut self, url: &str) -> Result<HttpAnswer, Error> {
        self.send(get(url)).await
    }

    /// Returns the lines that were logged.
    fn told(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        while let Ok(event) = self.heard.try_recv() {
            if let GuestEvent::Line(line) = event {
                lines.push(line.text);
            }
        }
        lines
    }
}

fn get(url: &str) -> Request<WasiBody> {
    Request::get(url).body(body(Bytes::new())).unwrap()
}

fn body(bytes: Bytes) -> WasiBody {
    Full::new(bytes)
        .map_err(|never| match never {})
        .boxed_unsync()
}

fn allow(origins: &[&str]) -> Allow {
    let parse = |text: &&str| Origin::parse(text).unwrap();
    Allow {
        http: origins.iter().map(parse).collect(),
        ..Allow::default()
    }
}

fn networks(allow: Allow, networks: &[&str]) -> Allow {
    let parse = |text: &&str| Network::parse(text).unwrap();
    Allow {
        http_networks: networks.iter().map(parse).collect(),
        ..allow
    }
}

/// Reads the answer to its end, driving its connection.
async fn read(answered: HttpAnswer) -> Result<(http::StatusCode, Bytes), Error> {
    let (answer, driving) = answered;
    let driving = tokio::spawn(Pin::from(driving));
    let status = answer.status();
    let body = answer.into_body().collect().await?.to_bytes();
    driving.abort();
    Ok((status, body))
}

/// A server that gives every connection the same answer.
struct Server {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Server {
    async fn answering(answer: impl Into<Vec<u8>>) -> Self {
        let answer = Arc::new(answer.into());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            connections: Arc::default(),
            heads: Arc::default(),
        };
        let (connections, heads) = (server.connections.clone(), server.heads.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                connections.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(stream, answer.clone(), heads.clone()));
            }
        });
        server
    }

    fn port(&self) -> u16 {
        self.address.port()
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

/// Reads a head, answers, and waits until the client closes the connection.
async fn serve(mut stream: TcpStream, answer: Arc<Vec<u8>>, heads: Arc<Mutex<Vec<String>>>) {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read_buf(&mut head).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
    let text = String::from_utf8_lossy(&head).into_owned();
    heads.lock().unwrap().push(text);
    if stream.write_all(&answer).await.is_ok() {
        let _ = stream.read_to_end(&mut Vec::new()).await;
    }
}

fn ok(body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

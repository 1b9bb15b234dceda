//! Requests over real sockets: answers, and the bounds that hold against strange clients.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;
use crate::sample;

const PATIENCE: Duration = Duration::from_secs(20);
const ANY_PORT: &str = "127.0.0.1:0";

fn start(telemetry: &Telemetry) -> TelemetryServer {
    let address = ANY_PORT.parse().expect("an address");
    TelemetryServer::start(telemetry, address).expect("a free port")
}

/// Sends a request, and returns the answer until the end of the connection.
async fn ask(address: SocketAddr, request: String) -> String {
    let asked = tokio::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect(address).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream.write_all(request.as_bytes()).expect("a request");
        let mut answer = Vec::new();
        // A server that closes with unread bytes resets the connection.
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    });
    asked.await.expect("an answer")
}

async fn get(server: &TelemetryServer, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
    ask(server.address(), request).await
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").map_or("", |(_, body)| body)
}

#[tokio::test]
async fn each_path_is_answered() {
    let telemetry = sample::telemetry(2);
    let server = start(&telemetry);
    let metrics = get(&server, "/metrics").await;
    assert!(metrics.starts_with("HTTP/1.1 200 OK"), "{metrics}");
    assert!(metrics.contains("text/plain; version=0.0.4"), "{metrics}");
    assert!(body(&metrics).contains(r#"leasehold_build_info{version="1.2.3",contract="0.1.0"} 1"#));
    let open = ask(
        server.address(),
        "GET /metrics HTTP/1.1\r\nHost: x\r\nAccept: application/openmetrics-text;version=1.0.0,text/plain;q=0.5\r\n\r\n".into(),
    );
    let open = open.await;
    assert!(open.contains("application/openmetrics-text; version=1.0.0"));
    assert!(open.ends_with("# EOF\n"));
    assert_eq!(body(&get(&server, "/livez").await), "ok\n");
    assert_eq!(body(&get(&server, "/readyz").await), "ok\n");
    insta::assert_snapshot!(body(&get(&server, "/readyz?verbose").await), @r"
    [+] web1 plugins: ok
    [+] web1 store: ok
    [+] web1 id: ok
    [+] web1 leases: ok
    [+] web1 running: ok
    ready
    ");
    let status = get(&server, "/status").await;
    let status: serde_json::Value = serde_json::from_str(body(&status)).expect("JSON");
    assert_eq!(status["hosts"][0]["jobs"][1]["job"], "job-1");
    assert_eq!(status["hosts"][0]["jobs"][1]["state"], "waiting");
    assert_eq!(status["ready"], true);
    let missing = get(&server, "/metric").await;
    assert!(missing.starts_with("HTTP/1.1 404"), "{missing}");
    assert!(body(&missing).contains("/metrics"));
    let posted = ask(
        server.address(),
        "POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc".into(),
    );
    assert!(posted.await.starts_with("HTTP/1.1 405"));
    server.finish();
}

#[tokio::test]
async fn host_that_is_not_ready_is_answered_with_the_failing_checks() {
    let telemetry = sample::telemetry(0);
    telemetry.add_host("web2");
    let server = start(&telemetry);
    let answer = get(&server, "/readyz").await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    insta::assert_snapshot!(body(&answer), @r"
    [-] web2 plugins: loading and compiling
    [-] web2 store: not connected yet
    not ready
    ");
    server.finish();
}

#[tokio::test]
async fn head_that_is_too_large_is_refused() {
    let server = start(&sample::telemetry(0));
    let request = format!(
        "GET /metrics HTTP/1.1\r\nHost: x\r\nX-Long: {}\r\n\r\n",
        "a".repeat(64 * 1024)
    );
    let answer = ask(server.address(), request).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    let many = "X-A: a\r\n".repeat(100);
    let request = format!("GET /livez HTTP/1.1\r\n{many}\r\n");
    let answer = ask(server.address(), request).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    server.finish();
}

/// A reader that is slower than the server gets every byte.
#[tokio::test]
async fn answer_that_waits_for_its_reader_is_whole() {
    let (mut client, stream) = tokio::io::duplex(64);
    let served = connection::serve(stream, sample::telemetry(50));
    let asked = async move {
        let request = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
        client.write_all(request).await.expect("a request");
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.expect("an answer");
        answer
    };
    let ((), answer) = tokio::join!(served, asked);
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let length = format!("content-length: {}", body.len());
    assert!(head.contains(&length), "{head}");
    assert!(body.len() > 10_000, "{body}");
}

/// The answer arrives although the body is never read to its end by the handler.
#[tokio::test]
async fn request_with_a_body_reads_its_answer() {
    let server = start(&sample::telemetry(0));
    for length in [3, 60 * 1024] {
        let body = "a".repeat(length);
        let request =
            format!("POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{body}");
        let answer = ask(server.address(), request).await;
        assert!(answer.starts_with("HTTP/1.1 405"), "{length}: {answer}");
    }
    server.finish();
}

/// Idle clients take all places. Others are turned away at once, and are served when the idle ones are cut off.
#[tokio::test]
async fn idle_clients_are_cut_off_and_others_turned_away() {
    let telemetry = sample::telemetry(0);
    let server = start(&telemetry);
    let idle = (0..MOST_CONNECTIONS).map(|_| {
        let mut stream = TcpStream::connect(server.address()).expect("a connection");
        stream
            .write_all(b"GET /livez HTTP/1.1\r\nX-Sl")
            .expect("a part");
        stream
    });
    let idle: Vec<TcpStream> = idle.collect();
    let refused = || telemetry.0.refused_connections.load(Ordering::Relaxed);
    let began = std::time::Instant::now();
    while refused() == 0 {
        assert!(began.elapsed() < PATIENCE, "no connection was refused");
        let answer = get(&server, "/livez").await;
        assert!(!answer.contains("200 OK") || refused() == 0, "{answer}");
    }
    while !get(&server, "/livez").await.contains("200 OK") {
        assert!(
            began.elapsed() < PATIENCE,
            "the idle clients keep their places"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    drop(idle);
    server.finish();
}

#[tokio::test]
async fn port_in_use_is_an_error_and_a_finished_server_frees_it() {
    let telemetry = sample::telemetry(0);
    let server = start(&telemetry);
    let address = server.address();
    let error = TelemetryServer::start(&telemetry, address)
        .err()
        .expect("a refusal");
    assert!(error.is_in_use(), "{error}");
    assert_eq!(error.address, address);
    server.finish();
    TelemetryServer::start(&telemetry, address)
        .expect("the port is free")
        .finish();
}

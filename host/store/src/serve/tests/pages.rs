//! Pages over HTTP/1: etcd's shapes, and clients that are slow, many or rude.

use etcd_client::Client;
use tokio::net::TcpStream;

use super::*;

/// Sends a request and returns the whole answer.
async fn send(address: &str, request: &str) -> String {
    let mut connection = TcpStream::connect(address).await.unwrap();
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let reading = connection.read_to_end(&mut answer);
    tokio::time::timeout(PATIENCE, reading)
        .await
        .unwrap()
        .unwrap();
    String::from_utf8(answer).unwrap()
}

async fn get(address: &str, path: &str) -> String {
    let answer = send(
        address,
        &format!("GET {path} HTTP/1.1\r\nHost: store\r\n\r\n"),
    )
    .await;
    let mut lines: Vec<_> = answer.lines().collect();
    lines.retain(|line| !line.starts_with("date: "));
    lines.join("\n")
}

/// Returns the value of a metric, with its labels.
async fn metric(address: &str, name: &str) -> Option<f64> {
    let page = get(address, "/metrics").await;
    let mut lines = page.lines();
    let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
    Some(value.parse().unwrap())
}

#[tokio::test]
async fn health_and_version_are_answered_as_etcd_does() {
    let (server, address) = on_tcp(ServerLimits::default()).await;
    insta::assert_snapshot!(get(&address, "/health").await, @r#"
    HTTP/1.1 200 OK
    content-type: application/json
    connection: close
    content-length: 29

    {"health":"true","reason":""}
    "#);
    insta::assert_snapshot!(get(&address, "/version").await, @r#"
    HTTP/1.1 200 OK
    content-type: application/json
    connection: close
    content-length: 45

    {"etcdserver":"3.5.99","etcdcluster":"3.5.0"}
    "#);
    insta::assert_snapshot!(get(&address, "/v3/kv/range").await, @"
    HTTP/1.1 404 Not Found
    content-type: text/plain; charset=utf-8
    connection: close
    content-length: 177

    404 page not found: this is the embedded store of leasehold. Over HTTP/1 it has /health, /version and /metrics; etcd's v3 API is here over HTTP/2 (gRPC), without a JSON gateway
    ");
    let refused = send(
        &address,
        "POST /health HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc",
    )
    .await;
    assert!(
        refused.starts_with("HTTP/1.1 405") && refused.contains("allow: GET"),
        "{refused}"
    );
    server.close().await;
}

#[tokio::test]
async fn health_is_false_while_the_store_is_full() {
    let options = StoreOptions::memory().quota(100_000);
    let core = StoreCore::open(options).await.unwrap();
    let server = Server::with_limits(core, ServerLimits::default());
    let any = ListenAddress::Tcp("127.0.0.1:0".parse().unwrap());
    let endpoint = server.listen(any).await.unwrap();
    let address = endpoint.strip_prefix("http://").unwrap();
    let mut client = in_process(&server.connector()).await;
    let mut number = 0;
    while client
        .put(number.to_string(), [7; 1000], None)
        .await
        .is_ok()
    {
        number += 1;
    }
    let full = get(address, "/health").await;
    assert!(full.starts_with("HTTP/1.1 503"), "{full}");
    assert!(
        full.ends_with(r#"{"health":"false","reason":"ALARM NOSPACE"}"#),
        "{full}"
    );
    let excluded = get(address, "/health?exclude=NOSPACE").await;
    assert!(excluded.starts_with("HTTP/1.1 200"), "{excluded}");
    assert_eq!(metric(address, "leasehold_store_no_space").await, Some(1.0));
    server.close().await;
}

#[tokio::test]
async fn metrics_follow_what_clients_do() {
    let (server, address) = on_tcp(ServerLimits::default()).await;
    let mut client = Client::connect([&address], None).await.unwrap();
    for key in ["a", "b", "b"] {
        client.put(key, "1", None).await.unwrap();
    }
    let lease = client.lease_grant(60, None).await.unwrap().id();
    let mut watch = client.watch("a", None).await.unwrap();
    watch.message().await.unwrap();
    assert!(client.put("", "1", None).await.is_err());
    let put = r#"{grpc_method="Put",grpc_service="etcdserverpb.KV",grpc_type="unary"}"#;
    let ended = |code: &str| {
        format!(
            r#"grpc_server_handled_total{{grpc_code="{code}",grpc_method="Put",grpc_service="etcdserverpb.KV",grpc_type="unary"}}"#
        )
    };
    for (name, value) in [
        ("etcd_debugging_mvcc_current_revision", 4.0),
        ("etcd_debugging_mvcc_keys_total", 2.0),
        ("etcd_debugging_mvcc_watcher_total", 1.0),
        ("etcd_debugging_mvcc_watch_stream_total", 1.0),
        ("leasehold_store_leases", 1.0),
        ("leasehold_store_read_only", 0.0),
        ("etcd_server_quota_backend_bytes", f64::from(1 << 30)),
        (&format!("grpc_server_started_total{put}"), 4.0),
        (&ended("OK"), 3.0),
        (&ended("InvalidArgument"), 1.0),
    ] {
        assert_eq!(metric(&address, name).await, Some(value), "{name}");
    }
    client.lease_revoke(lease).await.unwrap();
    drop(watch);
    until("the watch has ended", async || {
        metric(&address, "etcd_debugging_mvcc_watcher_total").await == Some(0.0)
    })
    .await;
    assert_eq!(metric(&address, "leasehold_store_leases").await, Some(0.0));
    server.close().await;
}

/// Every line is a comment or a sample, and no series comes twice.
#[tokio::test]
async fn metrics_are_in_the_format_of_prometheus() {
    let (server, address) = on_tcp(ServerLimits::default()).await;
    let mut client = Client::connect([&address], None).await.unwrap();
    assert!(answers(&mut client).await);
    let page = get(&address, "/metrics").await;
    let (head, body) = page.split_once("\n\n").unwrap();
    assert!(
        head.contains("content-type: text/plain; version=0.0.4"),
        "{head}"
    );
    let mut series = std::collections::BTreeSet::new();
    let mut families = std::collections::BTreeSet::new();
    for line in body.lines() {
        if let Some(family) = line.strip_prefix("# TYPE ") {
            assert!(families.insert(family), "{family}");
        } else if !line.starts_with("# HELP ") {
            let (name, value) = line.rsplit_once(' ').unwrap();
            assert!(value.parse::<f64>().is_ok(), "{line}");
            assert!(series.insert(name), "{name}");
        }
    }
    assert!(families.contains("etcd_disk_wal_fsync_duration_seconds histogram"));
    server.close().await;
}

#[tokio::test]
async fn a_page_that_is_requested_slowly_frees_its_slot() {
    let limits = ServerLimits {
        tcp_connections: 2,
        greeting_timeout: Duration::from_millis(300),
        ..ServerLimits::default()
    };
    let (server, address) = on_tcp(limits).await;
    let mut slow = Vec::new();
    for begun in ["GET", "GET /metrics HTTP/1.1\r\nHost: store\r\nX-Slow: "] {
        let mut connection = TcpStream::connect(&address).await.unwrap();
        connection.write_all(begun.as_bytes()).await.unwrap();
        slow.push(connection);
    }
    for mut connection in slow {
        let mut answer = Vec::new();
        let ended = tokio::time::timeout(PATIENCE, connection.read_to_end(&mut answer)).await;
        assert!(ended.is_ok(), "the connection stays open");
    }
    assert!(get(&address, "/health").await.starts_with("HTTP/1.1 200"));
    server.close().await;
}

#[tokio::test]
async fn a_page_with_an_endless_head_is_refused() {
    let (server, address) = on_tcp(ServerLimits::default()).await;
    let mut connection = TcpStream::connect(&address).await.unwrap();
    let _ = connection
        .write_all(b"GET /health HTTP/1.1\r\nX-Long: ")
        .await;
    let sending = async { while connection.write_all(&[b'x'; 4096]).await.is_ok() {} };
    assert!(tokio::time::timeout(PATIENCE, sending).await.is_ok());
    assert!(get(&address, "/health").await.starts_with("HTTP/1.1 200"));
    server.close().await;
}

#[tokio::test]
async fn a_head_that_is_too_large_is_answered() {
    let (server, address) = on_tcp(ServerLimits::default()).await;
    let long = "x".repeat(32 << 10);
    let request = format!("GET /health HTTP/1.1\r\nX-Long: {long}\r\n\r\n");
    let answer = send(&address, &request).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    server.close().await;
}

//! Requests as they are sent, and responses as they are returned.

use super::*;
use http::{HeaderName, HeaderValue};

/// A rig that may reach a server, and the server's address.
fn reaching(server: &Server, limits: Limits) -> (Rig, String) {
    let origin = format!("http://127.0.0.1:{}", server.port());
    let allow = Allow {
        http_token: Some("X-Whatever".to_owned()),
        http_tokens_always: vec!["X-Fencing-Token".to_owned()],
        ..allow(&[&origin])
    };
    let rig = Rig::with(&allow, &Names::saying(&[]), limits, Duration::from_mins(1));
    (rig, origin)
}

#[tokio::test]
async fn the_host_sets_its_own_headers_whatever_the_guest_did() {
    let server = Server::answering(ok("")).await;
    let (mut rig, origin) = reaching(&server, Limits::default());
    let request = Request::post(format!("{origin}/a?b"))
        .header("host", "evil.example")
        .header("x-fencing-token", "forged")
        .header("x.fencing.token", "forged")
        .header("x_whatever", "forged")
        .header("x-mine", "kept")
        .body(body(Bytes::from_static(b"x")))
        .unwrap();
    read(rig.send(request).await.unwrap()).await.unwrap();
    let head = server.heads().remove(0).to_lowercase();
    assert!(head.starts_with("post /a?b http/1.1\r\n"), "{head}");
    for line in [
        format!("host: 127.0.0.1:{}", server.port()),
        "x-fencing-token: 7".to_owned(),
        "x-whatever: 7".to_owned(),
        "x-mine: kept".to_owned(),
    ] {
        assert_eq!(head.matches(&line).count(), 1, "{head}");
    }
    assert!(!head.contains("evil") && !head.contains("forged"), "{head}");
}

#[tokio::test]
async fn request_names_the_runs_trace_unless_the_guest_does() {
    let server = Server::answering(ok("")).await;
    let (mut rig, origin) = reaching(&server, Limits::default());
    for (own, sent) in [(None, TRACEPARENT), (Some("00-guest"), "00-guest")] {
        let mut request = Request::post(&origin);
        if let Some(own) = own {
            request = request.header("traceparent", own);
        }
        let request = request.body(body(Bytes::new())).unwrap();
        read(rig.send(request).await.unwrap()).await.unwrap();
        let head = server.heads().pop().unwrap();
        assert_eq!(head.matches("traceparent: ").count(), 1, "{head}");
        assert!(head.contains(&format!("traceparent: {sent}\r\n")), "{head}");
    }
}

#[tokio::test]
async fn a_guest_cannot_set_the_tokens_header_in_any_spelling() {
    let server = Server::answering(ok("")).await;
    let (mut rig, _) = reaching(&server, Limits::default());
    let mut forbidden = |name: &str| {
        let name = HeaderName::try_from(name).unwrap();
        let filter = rig.client.forbidden_header_filter();
        assert_eq!(filter(&name), rig.client.is_forbidden_header(&name));
        filter(&name)
    };
    for ours in [
        "X-Fencing-Token",
        "x_fencing_token",
        "x-fencing_token",
        "x.fencing.token",
        "X-Fencing.Token",
        "x~fencing!token",
        "X-Whatever",
        "x.whatever",
        "Host",
        "Transfer_Encoding",
        "Keep.Alive",
        "Connection",
    ] {
        assert!(forbidden(ours), "{ours}");
    }
    for theirs in [
        "X-Fencing-Tokens",
        "Fencing-Token",
        "Authorization",
        "Content-Type",
    ] {
        assert!(!forbidden(theirs), "{theirs}");
    }
}

#[tokio::test]
async fn a_body_over_the_limit_is_cut_off_both_ways() {
    let limits = Limits {
        http_body_bytes: 1024,
        ..Limits::default()
    };
    let server = Server::answering(ok(&"x".repeat(1025))).await;
    let (mut rig, origin) = reaching(&server, limits.clone());
    let cut = read(rig.get(&origin).await.unwrap()).await;
    assert!(
        matches!(cut, Err(Error::HttpResponseBodySize(Some(1024)))),
        "{cut:?}"
    );

    let request = Request::post(&origin);
    let request = request.body(body(Bytes::from(vec![b'x'; 1025]))).unwrap();
    let cut = rig.send(request).await.map(|_| ());
    assert!(
        matches!(cut, Err(Error::HttpRequestBodySize(Some(1024)))),
        "{cut:?}"
    );
    let told = rig.told();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(
        told.iter()
            .all(|line| line.contains("raise `http_body` in [jobs.demo.limits]"))
    );

    let server = Server::answering(ok(&"x".repeat(1024))).await;
    let (mut rig, origin) = reaching(&server, limits);
    let (_, whole) = read(rig.get(&origin).await.unwrap()).await.unwrap();
    assert_eq!(whole.len(), 1024);
}

#[tokio::test]
async fn headers_over_the_limit_are_refused() {
    let flood = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "y".repeat(65 * 1024));
    let server = Server::answering(flood).await;
    let (mut rig, origin) = reaching(&server, Limits::default());
    let refused = rig.get(&origin).await.map(|_| ());
    let too_large = matches!(
        refused,
        Err(Error::HttpResponseHeaderSectionSize(Some(65_536)))
    );
    assert!(too_large, "{refused:?}");
    assert!(rig.told()[0].contains("raise `http_fields`"));
}

/// Sends a request to a server with this answer; returns the logged lines and the guest's error.
async fn refused(answer: String) -> (String, Error) {
    let server = Server::answering(answer).await;
    let (mut rig, origin) = reaching(&server, Limits::default());
    let refused = rig.get(&origin).await.map(|_| ());
    let told = rig.told().join("|").replace(&origin, "ORIGIN");
    (told, refused.expect_err("it is refused"))
}

#[tokio::test]
async fn a_limit_that_no_key_raises_is_not_told_as_one_that_does() {
    let many: String = (0..150).fold(String::new(), |all, number| {
        all + &format!("h{number}: 1\r\n")
    });
    let (told, code) = refused(format!("HTTP/1.1 200 OK\r\n{many}\r\n")).await;
    assert_eq!(
        told,
        "request to ORIGIN failed: its answer has more than 100 headers, a limit that no key raises: correct the server"
    );
    assert!(
        matches!(code, Error::HttpResponseHeaderSectionSize(None)),
        "{code:?}"
    );

    let absurd = "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615\r\n\r\nx";
    let (told, code) = refused(absurd.to_owned()).await;
    assert_eq!(
        told,
        "request to ORIGIN failed: its answer announces a body of 18446744073709551615 bytes, which is impossible: \
         correct the server"
    );
    assert!(
        matches!(code, Error::HttpResponseBodySize(Some(u64::MAX))),
        "{code:?}"
    );

    let beyond = "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\nx";
    let (told, _) = refused(beyond.to_owned()).await;
    assert!(
        told.contains("its answer is not valid HTTP/1") && !told.contains("raise"),
        "{told}"
    );
}

#[tokio::test]
async fn so_many_requests_are_open_at_once_and_no_more() {
    let server = Server::answering(ok("x")).await;
    let limits = Limits {
        http_requests: 2,
        ..Limits::default()
    };
    let (mut rig, origin) = reaching(&server, limits);
    let first = rig.get(&origin).await.unwrap();
    let second = rig.get(&origin).await.unwrap();
    let refused = rig.get(&origin).await.map(|_| ());
    assert!(
        matches!(refused, Err(Error::ConnectionLimitReached)),
        "{refused:?}"
    );
    assert!(rig.told()[0].contains("raise `http_requests` in [jobs.demo.limits]"));
    drop(first);
    let third = rig.get(&origin).await;
    assert!(third.is_ok());
    drop((second, third));
    assert_eq!(server.connections(), 3);
}

#[tokio::test]
async fn a_header_value_of_the_token_is_its_decimal_number() {
    assert_eq!(HeaderValue::from(7_u64), "7");
}

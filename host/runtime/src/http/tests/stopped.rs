//! Requests end with their run: no wait for a response continues, and no byte is sent.

use super::*;

/// Longer than any step here takes. No test asserts how fast a step was.
const PATIENCE: Duration = Duration::from_secs(20);

fn to(server: &Server) -> (Allow, String) {
    let origin = format!("http://127.0.0.1:{}", server.port());
    (allow(&[&origin]), origin)
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up_after_the_limit() {
    let server = Server::answering("").await;
    let (allow, origin) = to(&server);
    let limits = Limits {
        http_timeout: Duration::from_millis(50),
        ..Limits::default()
    };
    let mut rig = Rig::with(&allow, &Names::saying(&[]), limits, PATIENCE);
    let end = tokio::time::timeout(PATIENCE, rig.get(&origin))
        .await
        .unwrap();
    assert!(matches!(end.map(|_| ()), Err(Error::HttpResponseTimeout)));
}

#[tokio::test]
async fn response_that_stops_midway_ends_after_the_limit() {
    let half = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello";
    let server = Server::answering(half).await;
    let (allow, origin) = to(&server);
    let limits = Limits {
        http_timeout: Duration::from_millis(50),
        ..Limits::default()
    };
    let mut rig = Rig::with(&allow, &Names::saying(&[]), limits, PATIENCE);
    let answered = rig.get(&origin).await.unwrap();
    let end = tokio::time::timeout(PATIENCE, read(answered))
        .await
        .unwrap();
    assert!(matches!(end, Err(Error::ConnectionReadTimeout)), "{end:?}");
}

#[tokio::test]
async fn connection_of_a_held_request_is_closed_at_the_end() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let mut rig = Rig::new(&allow(&[&origin]), &Names::saying(&[]));
    let in_flight = rig.in_flight.clone();
    let sending = tokio::spawn(async move { rig.get(&origin).await.map(|_| ()) });
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut head = [0; 4];
    stream.read_exact(&mut head).await.unwrap();
    in_flight.close();
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest)).await;
    assert!(ended.is_ok(), "the connection is still open");
    // The task that held it gets the error only when it is polled.
    drop(sending);
}

#[tokio::test]
async fn after_the_tenure_no_byte_leaves() {
    let server = Server::answering(ok("x")).await;
    let (allow, origin) = to(&server);
    let names = Names::saying(&[]);
    let mut rig = Rig::with(&allow, &names, Limits::default(), Duration::ZERO);
    let end = rig.get(&origin).await.map(|_| ());
    assert!(matches!(end, Err(Error::ConnectionTerminated)), "{end:?}");
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_body_that_is_being_sent_stops_with_the_tenure() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let tenure = Duration::from_millis(200);
    let names = Names::saying(&[]);
    let mut rig = Rig::with(&allow(&[&origin]), &names, Limits::default(), tenure);
    // A part every millisecond, without end.
    let parts = futures_util::stream::unfold((), |()| async {
        tokio::time::sleep(Duration::from_millis(1)).await;
        let part = http_body::Frame::data(Bytes::from_static(b"part"));
        Some((Ok::<_, Error>(part), ()))
    });
    let endless = http_body_util::StreamBody::new(parts).boxed_unsync();
    let request = Request::post(&origin).body(endless).unwrap();
    let sending = tokio::spawn(async move { rig.send(request).await.map(|_| ()) });
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut received = Vec::new();
    let ended = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut received)).await;
    assert!(ended.is_ok(), "it goes on sending");
    assert!(received.len() > 100, "it never began");
    assert!(sending.await.unwrap().is_err());
}

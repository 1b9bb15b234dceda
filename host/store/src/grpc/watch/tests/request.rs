//! Requests of clients on a stream, and its end.

use futures_util::StreamExt;

use super::fake::{
    FakeHistory, KeyAction, StreamClient, WatchRequest, events, from, key, revision,
};
use KeyAction::Put;

#[tokio::test]
async fn ids_are_given_upwards_and_a_given_one_is_taken_once() {
    let past = FakeHistory::new();
    let mut client = StreamClient::new(&past);
    assert_eq!(client.create(WatchRequest { id: 1, ..key("a") }).await.0, 1);
    assert_eq!(client.create(key("a")).await.0, 0);
    assert_eq!(client.create(key("a")).await.0, 2);
    client.ask(WatchRequest { id: 2, ..key("b") });
    let response = client.next().await;
    assert!(response.created && response.canceled);
    assert_eq!(response.watch_id, -1);
    insta::assert_snapshot!(
        response.cancel_reason,
        @"mvcc: duplicate watch ID provided on the WatchStream"
    );
    client.cancel(0);
    let response = client.next().await;
    assert!(response.canceled && response.cancel_reason.is_empty());
    assert_eq!(
        client.create(key("a")).await.0,
        3,
        "a given id is not given again"
    );
    past.write(&[Put("b", "1")]);
    assert!(client.is_quiet().await);
}

#[tokio::test]
async fn ranges_select_the_keys_they_select_in_etcd() {
    let past = FakeHistory::new();
    past.write(&[Put("a", "1"), Put("b", "1"), Put("c", "1")]);
    let mut client = StreamClient::new(&past);
    for (first, end, expected) in [
        ("", "b", vec!["+a=1@2"]),
        ("b", "\0", vec!["+b=1@2", "+c=1@2"]),
        ("", "\0", vec!["+a=1@2", "+b=1@2", "+c=1@2"]),
        ("a", "c", vec!["+a=1@2", "+b=1@2"]),
        ("b", "c", vec!["+b=1@2"]),
    ] {
        client
            .create(WatchRequest {
                end,
                start: 2,
                ..key(first)
            })
            .await;
        assert_eq!(
            events(&client.next().await),
            expected,
            "{first:?} to {end:?}"
        );
    }
    for (first, end) in [("c", "b"), ("c", "c")] {
        client.ask(WatchRequest { end, ..key(first) });
        let response = client.next().await;
        assert!(response.created && response.canceled && response.watch_id == -1);
        assert_eq!(response.cancel_reason, "mvcc: watcher range is empty");
    }
    client.ask(from(-1));
    let response = client.next().await;
    assert!(response.created && response.canceled && response.watch_id == -1);
    insta::assert_snapshot!(
        response.cancel_reason,
        @"etcdserver: mvcc: required revision has been compacted"
    );
}

#[tokio::test]
async fn a_cancelled_watch_is_answered_and_an_unknown_one_is_not() {
    let past = FakeHistory::new();
    let mut client = StreamClient::new(&past);
    client.create(key("a")).await;
    client.cancel(5);
    assert!(client.is_quiet().await);
    past.write(&[Put("a", "1")]);
    client.cancel(0);
    let mut last = client.next().await;
    if !last.canceled {
        assert_eq!(events(&last), ["+a=1@2"]);
        last = client.next().await;
    }
    assert!(last.canceled && last.compact_revision == 0);
    assert_eq!((last.watch_id, revision(&last)), (0, 2));
    past.write(&[Put("a", "2")]);
    client.cancel(0);
    assert!(client.is_quiet().await);
}

#[tokio::test]
async fn a_watch_cancelled_while_behind_ends_and_frees_its_id() {
    let past = FakeHistory::new();
    for _ in 0..2000 {
        past.write(&[Put("a", "x")]);
    }
    let mut client = StreamClient::new(&past);
    client.create(WatchRequest { id: 5, ..from(2) }).await;
    client.cancel(5);
    while !client.next().await.canceled {}
    client.create(WatchRequest { id: 5, ..key("b") }).await;
    past.write(&[Put("a", "x")]);
    past.write(&[Put("b", "1")]);
    assert_eq!(events(&client.next().await), ["+b=1@2003"]);
    assert!(client.is_quiet().await);
}

#[tokio::test]
async fn a_dropped_stream_leaves_no_subscription() {
    let past = FakeHistory::new();
    let mut client = StreamClient::new(&past);
    client.create(key("a")).await;
    client.create(from(1)).await;
    assert_eq!(
        past.registry.ranges(),
        1,
        "one range, though it is watched twice"
    );
    drop(client);
    assert_eq!(past.registry.ranges(), 0);
}

#[tokio::test]
async fn a_client_that_ends_its_requests_still_gets_events() {
    let past = FakeHistory::new();
    let mut client = StreamClient::new(&past);
    client.create(key("a")).await;
    client.requests = None;
    assert!(client.is_quiet().await);
    past.write(&[Put("a", "1")]);
    assert_eq!(events(&client.next().await), ["+a=1@2"]);
}

#[tokio::test]
async fn a_stop_or_close_ends_the_stream_as_unavailable() {
    let past = FakeHistory::new();
    for stop in [true, false] {
        let mut client = StreamClient::new(&past);
        client.create(key("a")).await;
        if stop {
            client.cancel.cancel();
        } else {
            past.registry.close();
        }
        let status = client.responses.next().await.unwrap().unwrap_err();
        assert_eq!(status.code(), tonic::Code::Unavailable);
        assert_eq!(status.message(), "etcdserver: server stopped");
        assert!(client.responses.next().await.is_none());
    }
}

//! Large events, slow clients and many watches.

use std::time::Duration;

use super::fake::{
    FakeHistory, KeyAction, StreamClient, WatchRequest, events, from, key, lock, revision,
};
use KeyAction::Put;

#[tokio::test]
async fn a_large_revision_is_whole_unless_fragments_were_asked_for() {
    let past = FakeHistory::new();
    let mut client = StreamClient::new(&past);
    client
        .create(WatchRequest {
            end: "b",
            ..key("a")
        })
        .await;
    client
        .create(WatchRequest {
            end: "b",
            fragment: true,
            ..key("a")
        })
        .await;
    let keys: Vec<String> = (0..100).map(|number| format!("a{number:02}")).collect();
    let large = "x".repeat(50 << 10);
    past.write(&keys.iter().map(|key| Put(key, &large)).collect::<Vec<_>>());
    let whole = client.next().await;
    assert_eq!(
        (whole.watch_id, whole.events.len(), whole.fragment),
        (0, 100, false)
    );
    let mut pieces = vec![client.next().await];
    while pieces.last().unwrap().fragment {
        pieces.push(client.next().await);
    }
    assert_eq!(pieces.len(), 3);
    for piece in &pieces {
        assert!(prost::Message::encoded_len(piece) < 2 << 20);
        assert_eq!((piece.watch_id, revision(piece)), (1, 2));
    }
    let together: Vec<String> = pieces.iter().flat_map(events).collect();
    assert_eq!(together, events(&whole));
}

#[tokio::test]
async fn a_revision_over_the_answer_limit_ends_unfragmented_watches() {
    let past = FakeHistory::new();
    let mut client = StreamClient::new(&past);
    for fragment in [false, true] {
        client
            .create(WatchRequest {
                end: "b",
                fragment,
                ..key("a")
            })
            .await;
    }
    let keys: Vec<String> = (0..70).map(|number| format!("a{number:02}")).collect();
    let large = "x".repeat(1 << 20);
    past.write(&keys.iter().map(|key| Put(key, &large)).collect::<Vec<_>>());
    let ended = client.next().await;
    assert!(ended.canceled && ended.watch_id == 0);
    assert_eq!(
        ended.cancel_reason,
        "leasehold: the answer would be larger than 64 MiB; ask for less, with a limit or for keys only, or watch \
         with fragments"
    );
    let mut seen = 0;
    while seen < 70 {
        let piece = client.next().await;
        assert_eq!((piece.watch_id, piece.canceled), (1, false));
        seen += piece.events.len();
    }
    past.write(&[Put("a", "small")]);
    assert_eq!(client.next().await.watch_id, 1);
}

#[tokio::test]
async fn a_large_response_is_closed_at_the_end_of_a_revision() {
    let past = FakeHistory::new();
    let large = "x".repeat(100 << 10);
    for _ in 0..10 {
        past.write(&[Put("a1", &large), Put("a2", &large)]);
    }
    let mut client = StreamClient::new(&past);
    client
        .create(WatchRequest {
            end: "b",
            ..from(2)
        })
        .await;
    let sizes: Vec<usize> = [client.next().await, client.next().await]
        .iter()
        .map(|response| response.events.len())
        .collect();
    assert_eq!(sizes, [4, 4]);
}

#[tokio::test]
async fn an_unread_stream_reads_no_history_and_no_requests() {
    let past = FakeHistory::new();
    let mut client = StreamClient::new(&past);
    client.create(key("a")).await;
    for _ in 0..5000 {
        past.write(&[Put("a", "x")]);
    }
    for _ in 0..100 {
        client.ask(from(2));
    }
    tokio::time::sleep(Duration::from_millis(30)).await;
    assert_eq!(*lock(&past.read), 0);
    assert_eq!(client.requests.as_ref().unwrap().capacity(), 1024 - 100);
    client.next().await;
    assert_eq!(client.requests.as_ref().unwrap().capacity(), 1024 - 99);
    let read = *lock(&past.read);
    assert!(read <= 512, "read {read} revisions for one response");
}

#[tokio::test]
async fn requests_without_a_pause_do_not_delay_events() {
    let past = FakeHistory::new();
    let mut client = StreamClient::new(&past);
    client.create(key("a")).await;
    for _ in 0..1000 {
        client.ask(key("b"));
    }
    past.write(&[Put("a", "1")]);
    for _ in 0..100 {
        if events(&client.next().await) == ["+a=1@2"] {
            return;
        }
    }
    panic!("a hundred answers, and no event between them");
}

#[tokio::test]
async fn ten_thousand_watches_on_one_stream_each_get_their_own_events() {
    let past = FakeHistory::new();
    let mut client = StreamClient::new(&past);
    let keys: Vec<String> = (0..10_000).map(|number| format!("key/{number}")).collect();
    for (number, name) in (0..).zip(&keys) {
        assert_eq!(client.create(key(name)).await.0, number);
    }
    for number in [0, 9_999, 1, 5_000] {
        past.write(&[Put(&keys[number], "1")]);
        let response = client.next().await;
        assert_eq!(usize::try_from(response.watch_id).unwrap(), number);
        assert_eq!(response.events.len(), 1);
    }
    assert!(client.is_quiet().await);
}

#[tokio::test]
async fn a_live_watch_gets_every_event_over_several_pieces() {
    for count in [255, 256, 257, 512, 513] {
        let past = FakeHistory::new();
        let mut client = StreamClient::new(&past);
        client.create(key("a")).await;
        for _ in 0..count {
            past.write(&[Put("a", "x")]);
        }
        let mut seen = 0;
        while seen < count {
            seen += client.next().await.events.len();
        }
        assert!(client.is_quiet().await);
    }
}

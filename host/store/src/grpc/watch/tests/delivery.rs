//! Events that a watch is sent, and their order.

use super::fake::{
    FakeHistory, KeyAction, StreamClient, WatchRequest, events, from, key, lock, revision,
};
use KeyAction::{Delete, Put};

#[tokio::test]
async fn a_watch_without_start_gets_events_after_its_creation() {
    let past = FakeHistory::new();
    past.write(&[Put("a", "old")]);
    let mut client = StreamClient::new(&past);
    assert_eq!(client.create(key("a")).await, (0, 2));
    past.write(&[Put("b", "1")]);
    past.write(&[Put("a", "1"), Put("c", "1")]);
    past.write(&[Delete("a")]);
    let response = client.next().await;
    assert_eq!(response.watch_id, 0);
    assert_eq!(events(&response), ["+a=1@4", "-a@5"]);
    assert_eq!(revision(&response), 5);
    past.write(&[Put("a", "2")]);
    past.write(&[Put("b", "2")]);
    let response = client.next().await;
    assert_eq!(events(&response), ["+a=2@6"]);
    assert_eq!(
        revision(&response),
        6,
        "the event's, though the store is at 7"
    );
    assert!(client.is_quiet().await);
}

#[tokio::test]
async fn a_revision_visible_before_its_announcement_is_sent_once() {
    let past = FakeHistory::new();
    let mut client = StreamClient::new(&past);
    client.create(key("a")).await;
    let untold = past.write_untold(&[Put("a", "1")]);
    let late = WatchRequest { id: 9, ..key("a") };
    assert_eq!(client.create(late).await, (9, 2), "its created covers it");
    assert_eq!(
        client.create(WatchRequest { id: 8, ..from(2) }).await,
        (8, 2)
    );
    let response = client.next().await;
    assert_eq!(
        (response.watch_id, events(&response)),
        (8, vec!["+a=1@2".into()])
    );
    past.registry.publish(&[untold]);
    let response = client.next().await;
    assert_eq!(
        (response.watch_id, events(&response)),
        (0, vec!["+a=1@2".into()])
    );
    assert!(client.is_quiet().await);
    past.write(&[Put("a", "2")]);
    let mut ids = Vec::new();
    for _ in 0..3 {
        let response = client.next().await;
        assert_eq!(events(&response), ["+a=2@3"]);
        ids.push(response.watch_id);
    }
    ids.sort_unstable();
    assert_eq!(ids, [0, 8, 9]);
}

#[tokio::test]
async fn a_watch_from_the_past_catches_up_and_goes_on_live() {
    let past = FakeHistory::new();
    for number in 0..1000 {
        past.write(&[Put(
            if number % 2 == 0 { "a" } else { "b" },
            &number.to_string(),
        )]);
    }
    let mut client = StreamClient::new(&past);
    assert_eq!(client.create(from(2)).await, (0, 1001));
    let mut seen = Vec::new();
    while seen.len() < 500 {
        let response = client.next().await;
        let last = response
            .events
            .last()
            .unwrap()
            .kv
            .as_ref()
            .unwrap()
            .mod_revision;
        seen.extend(
            response
                .events
                .iter()
                .map(|e| e.kv.as_ref().unwrap().mod_revision),
        );
        let expected = if seen.len() == 500 { 1001 } else { last };
        assert_eq!(
            revision(&response),
            expected,
            "the last one: the current revision"
        );
    }
    assert_eq!(seen, (2..1002).step_by(2).collect::<Vec<i64>>());
    past.write(&[Put("a", "live")]);
    assert_eq!(events(&client.next().await), ["+a=live@1002"]);
    assert!(client.is_quiet().await);
}

#[tokio::test]
async fn watches_behind_at_different_revisions_share_their_reads() {
    let past = FakeHistory::new();
    for number in 0..600 {
        past.write(&[Put("a", &number.to_string())]);
    }
    let mut client = StreamClient::new(&past);
    for start in 2..102 {
        client.ask(from(start));
    }
    let mut seen = vec![Vec::new(); 100];
    while seen.iter().map(Vec::len).sum::<usize>() < (501..=600).sum::<usize>() {
        let response = client.next().await;
        let watch = &mut seen[usize::try_from(response.watch_id).unwrap()];
        watch.extend(
            response
                .events
                .iter()
                .map(|e| e.kv.as_ref().unwrap().mod_revision),
        );
    }
    for (seen, start) in seen.iter().zip(2..) {
        assert_eq!(*seen, (start..602).collect::<Vec<i64>>());
    }
    assert!(
        *lock(&past.read) < 100 * 600 / 10,
        "read {} revisions",
        lock(&past.read)
    );
    assert!(client.is_quiet().await);
    past.write(&[Put("a", "live")]);
    for _ in 0..100 {
        assert_eq!(events(&client.next().await), ["+a=live@602"]);
    }
}

#[tokio::test]
async fn a_watch_from_a_future_revision_is_silent_until_then() {
    let past = FakeHistory::new();
    let mut client = StreamClient::new(&past);
    assert_eq!(client.create(from(4)).await, (0, 1));
    past.write(&[Put("a", "2")]);
    past.write(&[Put("a", "3")]);
    assert!(client.is_quiet().await);
    client.ask_progress();
    let response = client.next().await;
    assert_eq!((response.watch_id, revision(&response)), (-1, 3));
    past.write(&[Put("a", "4")]);
    assert_eq!(events(&client.next().await), ["+a=4@4"]);
}

#[tokio::test]
async fn a_start_below_the_compaction_is_created_then_cancelled() {
    let past = FakeHistory::new();
    for value in ["1", "2", "3", "4"] {
        past.write(&[Put("a", value)]);
    }
    past.compact(4);
    let mut client = StreamClient::new(&past);
    client.create(from(4)).await;
    assert_eq!(events(&client.next().await), ["+a=3@4", "+a=4@5"]);
    assert_eq!(client.create(from(3)).await, (1, 5));
    let response = client.next().await;
    assert!(response.canceled && !response.created);
    assert_eq!((response.watch_id, response.compact_revision), (1, 4));
    assert_eq!(
        (revision(&response), response.cancel_reason.as_str()),
        (0, "")
    );
    past.write(&[Put("a", "5")]);
    let response = client.next().await;
    assert_eq!(
        (response.watch_id, events(&response)),
        (0, vec!["+a=5@6".into()])
    );
    assert!(client.is_quiet().await);
}

#[tokio::test]
async fn a_compaction_cancels_overtaken_watches_and_no_idle_one() {
    let past = FakeHistory::new();
    let mut client = StreamClient::new(&past);
    client.create(key("a")).await;
    client
        .create(WatchRequest {
            start: 100,
            ..key("a")
        })
        .await;
    let mut idle = StreamClient::new(&past);
    idle.create(key("idle")).await;
    for _ in 0..10 {
        past.write(&[Put("a", "x")]);
    }
    past.compact(8);
    let response = client.next().await;
    assert!(response.canceled);
    assert_eq!((response.watch_id, response.compact_revision), (0, 8));
    assert!(client.is_quiet().await);
    past.write(&[Put("idle", "x")]);
    assert_eq!(events(&idle.next().await), ["+idle=x@12"]);
}

#[tokio::test]
async fn the_previous_value_comes_with_every_event_but_a_creation() {
    let past = FakeHistory::new();
    let mut client = StreamClient::new(&past);
    client
        .create(WatchRequest {
            prev_kv: true,
            ..key("a")
        })
        .await;
    past.write(&[Put("a", "1")]);
    past.write(&[Put("a", "2")]);
    past.write(&[Delete("a")]);
    past.write(&[Put("a", "3")]);
    assert_eq!(
        events(&client.next().await),
        ["+a=1@2", "+a=2@3 (was 1)", "-a@4 (was 2)", "+a=3@5"]
    );
}

#[tokio::test]
async fn filtered_events_and_empty_responses_are_left_out() {
    let past = FakeHistory::new();
    let mut client = StreamClient::new(&past);
    client
        .create(WatchRequest {
            filters: &[0],
            ..key("a")
        })
        .await;
    client
        .create(WatchRequest {
            filters: &[1],
            ..key("a")
        })
        .await;
    client
        .create(WatchRequest {
            filters: &[0, 1],
            ..key("a")
        })
        .await;
    past.write(&[Put("a", "1")]);
    let response = client.next().await;
    assert_eq!(
        (response.watch_id, events(&response)),
        (1, vec!["+a=1@2".into()])
    );
    past.write(&[Delete("a")]);
    let response = client.next().await;
    assert_eq!(
        (response.watch_id, events(&response)),
        (0, vec!["-a@3".into()])
    );
    assert!(client.is_quiet().await);
}

//! Progress responses.

use std::time::{Duration, Instant};

use super::fake::{
    FakeHistory, KeyAction, StreamClient, WatchRequest, events, from, key, revision,
};
use KeyAction::Put;

#[tokio::test]
async fn progress_is_sent_after_every_event_up_to_it() {
    let past = FakeHistory::new();
    for _ in 0..700 {
        past.write(&[Put("a", "x")]);
    }
    let mut client = StreamClient::new(&past);
    client.ask(from(2));
    client.ask(key("a"));
    client.ask_progress();
    let (mut seen, mut live) = (0, false);
    loop {
        let response = client.next().await;
        if response.watch_id == -1 {
            assert_eq!((revision(&response), seen, live), (702, 701, true));
            break;
        }
        if response.watch_id == 1 && response.created {
            past.write(&[Put("a", "live")]);
        }
        live |= response.watch_id == 1 && events(&response) == ["+a=live@702"];
        seen += if response.watch_id == 0 {
            response.events.len()
        } else {
            0
        };
    }
    assert!(client.is_quiet().await);
}

#[tokio::test]
async fn progress_waits_for_a_visible_revision_to_be_announced() {
    let past = FakeHistory::new();
    let mut client = StreamClient::new(&past);
    client.create(key("a")).await;
    past.write(&[Put("a", "1")]);
    let untold = past.write_untold(&[Put("a", "2")]);
    client.ask_progress();
    assert_eq!(events(&client.next().await), ["+a=1@2"]);
    assert!(client.is_quiet().await);
    past.registry.publish(&[untold]);
    assert_eq!(events(&client.next().await), ["+a=2@3"]);
    let response = client.next().await;
    assert_eq!((response.watch_id, revision(&response)), (-1, 3));
}

#[tokio::test]
async fn progress_of_a_stream_without_watches_is_the_current_revision() {
    let past = FakeHistory::new();
    past.write(&[Put("a", "1")]);
    let mut client = StreamClient::new(&past);
    client.ask_progress();
    let response = client.next().await;
    assert_eq!((response.watch_id, revision(&response)), (-1, 2));
}

#[tokio::test]
async fn an_idle_watch_gets_progress_after_an_interval() {
    let interval = Duration::from_secs(1);
    let past = FakeHistory::new();
    let mut client = StreamClient::with_progress(&past, interval);
    client
        .create(WatchRequest {
            progress: true,
            ..key("a")
        })
        .await;
    client.create(key("b")).await;
    past.write(&[Put("c", "1")]);
    let begun = Instant::now();
    let response = client.next().await;
    assert!(begun.elapsed() > interval / 2);
    assert_eq!((response.watch_id, revision(&response)), (0, 2));
    assert!(response.events.is_empty());
    let begun = Instant::now();
    past.write(&[Put("a", "1")]);
    assert_eq!(events(&client.next().await), ["+a=1@3"]);
    assert!(client.next().await.events.is_empty());
    assert!(
        begun.elapsed() > interval * 3 / 2,
        "the event stood for one of them"
    );
}

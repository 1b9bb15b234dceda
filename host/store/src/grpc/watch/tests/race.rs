//! Many streams and a concurrent writer: whatever the interleaving, no event is missing, none comes twice.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::fake::{FakeHistory, KeyAction, StreamClient, WatchRequest, revision};

const KEYS: [&str; 5] = ["a/1", "a/2", "b", "c/1", "c/2"];
/// Number of streams.
const STREAMS: u32 = 30;

const RANGES: [(&str, &str); 5] = [
    ("a/", "a0"),
    ("a/1", ""),
    ("b", "c/2"),
    ("c/1", "\0"),
    ("", "\0"),
];

/// Writes, each revision visible a moment before it is announced. When all streams watch, ends with a revision
/// that they all see.
async fn write(past: Arc<FakeHistory>, ready: Arc<Semaphore>, count: usize, seed: u64) -> i64 {
    let mut random = fastrand::Rng::with_seed(seed);
    for number in 0..count {
        let value = number.to_string();
        let mut keys = KEYS.to_vec();
        random.shuffle(&mut keys);
        let writes: Vec<_> = keys[..random.usize(1..=3)]
            .iter()
            .map(|key| match random.u8(0..4) {
                0 => KeyAction::Delete(key),
                _ => KeyAction::Put(key, &value),
            })
            .collect();
        let revision = past.write_untold(&writes);
        if random.u8(0..4) == 0 {
            tokio::task::yield_now().await;
        }
        past.registry.publish(&[revision]);
        if random.u8(0..8) == 0 {
            tokio::task::yield_now().await;
        }
    }
    let _everybody = ready.acquire_many(STREAMS).await.unwrap();
    past.write(&KEYS.map(|key| KeyAction::Put(key, "end")))
}

/// Watches a random range from a random revision, cancelling and creating others meanwhile, to the end.
async fn watch(past: Arc<FakeHistory>, ready: Arc<Semaphore>, number: u64) {
    let mut random = fastrand::Rng::with_seed(number);
    for _ in 0..random.u8(0..50) {
        tokio::task::yield_now().await;
    }
    let mut client = StreamClient::new(&past);
    let mut expected = Vec::new();
    for id in 1..=random.i64(1..6) {
        let (key, end) = RANGES[random.usize(0..RANGES.len())];
        let start = match random.u8(0..3) {
            0 => 0,
            _ => random.i64(2..600),
        };
        client.ask(WatchRequest {
            key,
            end,
            start,
            id,
            ..WatchRequest::default()
        });
        expected.push((key, end, start, Vec::new(), false));
    }
    let (count, mut created) = (expected.len(), 0);
    client.ask(WatchRequest {
        key: "b",
        start: 2,
        id: 99,
        ..WatchRequest::default()
    });
    client.cancel(99);
    client.ask_progress();
    while expected.iter().any(|(.., ended)| !ended) {
        let response = client.next().await;
        if response.watch_id == -1 {
            for (key, end, start, seen, _) in &expected {
                let announced = revision(&response);
                let mut seen = seen.clone();
                seen.retain(|(revision, _)| *revision <= announced);
                let asked = (*key, *end, *start);
                assert_eq!(
                    seen,
                    past.expected(asked, announced),
                    "progress, stream {number}"
                );
            }
        }
        let Some(place) = usize::try_from(response.watch_id - 1)
            .ok()
            .filter(|&place| place < 90)
        else {
            continue;
        };
        let (.., start, seen, ended) = &mut expected[place];
        if response.created {
            created += 1;
            if *start == 0 {
                *start = revision(&response) + 1;
            }
            if created == count {
                ready.add_permits(1);
            }
        }
        for event in response.events {
            let kv = event.kv.unwrap();
            *ended |= kv.value == b"end";
            seen.push((kv.mod_revision, kv.key));
        }
    }
    // The rest of the last revision is in the same response.
    for (key, end, start, seen, _) in expected {
        assert_eq!(
            seen,
            past.expected((key, end, start), i64::MAX),
            "stream {number}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_writes_reach_every_watch_exactly_once() {
    for round in 0..10 {
        let past = FakeHistory::new();
        let ready = Arc::new(Semaphore::new(0));
        let seeds = (0..u64::from(STREAMS)).map(|number| round * 1000 + number);
        let watchers: Vec<_> = seeds
            .map(|seed| tokio::spawn(watch(Arc::clone(&past), Arc::clone(&ready), seed)))
            .collect();
        let last = write(past, ready, 600, round).await;
        assert_eq!(last, 602);
        for watcher in watchers {
            watcher.await.unwrap();
        }
    }
}

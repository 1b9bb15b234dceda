//! Chunks that come twice, late, from dead hosts, and from others than wanted.

use leasehold_lock::{KeyChange, LeaseId, Revision, Token};
use leasehold_records::{Outcome, OutputEnd, OutputLine, OutputStream, UnixMs};

use super::*;

fn key(token: u64, sequence: u32) -> RunKey {
    RunKey {
        job: "j".into(),
        token: Token::new(token),
        sequence,
    }
}

fn chunk(host: &str, from_byte: u64, texts: &[&str]) -> OutputChunk {
    let line = |text: &&str| OutputLine {
        at_unix_ms: UnixMs::new(1),
        stream: OutputStream::Stdout,
        level: None,
        text: (*text).into(),
    };
    OutputChunk {
        host: host.into(),
        attempt: 1,
        started_unix_ms: UnixMs::new(1),
        from_byte,
        lines: texts.iter().map(line).collect(),
        more: false,
        end: None,
    }
}

fn stored(run: &RunKey, number: u64, chunk: &OutputChunk) -> KeyValue {
    KeyValue {
        key: Root::default().output(run, number),
        value: chunk.to_json(),
        create_revision: Revision::new(1),
        mod_revision: Revision::new(1),
        lease: LeaseId::new(7),
    }
}

fn put(run: &RunKey, number: u64, chunk: &OutputChunk) -> FeedItem {
    let now = stored(run, number, chunk);
    FeedItem::Changes {
        revision: Revision::new(1),
        changes: vec![KeyChange {
            key: now.key.clone(),
            revision: Revision::new(1),
            now: Some(now),
        }],
    }
}

fn deleted(run: &RunKey, number: u64) -> FeedItem {
    FeedItem::Changes {
        revision: Revision::new(1),
        changes: vec![KeyChange {
            key: Root::default().output(run, number),
            revision: Revision::new(1),
            now: None,
        }],
    }
}

/// Short form of items, for comparison.
fn short(items: &[OutputItem]) -> Vec<String> {
    let text = |item: &OutputItem| match item {
        OutputItem::Began(head) => format!("began {} on {}", head.key.token, head.host),
        OutputItem::Line { line, .. } => line.text.clone(),
        OutputItem::Gap {
            bytes,
            is_beginning,
            ..
        } => format!("gap {bytes} {is_beginning}"),
        OutputItem::CaughtUp(_) => "caught up".into(),
        OutputItem::Ended(head, ending) => match ending {
            RunEnding::Published(end) => format!("{} {}", head.key.token, end.outcome.as_str()),
            RunEnding::Recorded(run) => format!("{} {}", head.key.token, run.outcome.as_str()),
            RunEnding::Unknown => format!("{} unknown", head.key.token),
        },
        OutputItem::Silent(head) => format!("{} silent", head.key.token),
        OutputItem::Down { .. } => "down".into(),
        OutputItem::Up => "up".into(),
    };
    items.iter().map(text).collect()
}

fn all() -> OutputAssembler {
    OutputAssembler::new(Root::default(), None, None)
}

#[test]
fn repeated_chunk_adds_only_its_new_lines() {
    let (mut all, run) = (all(), key(7, 0));
    let first = all.apply(put(&run, 0, &chunk("web1", 0, &["a", "b"])));
    assert_eq!(short(&first), ["began 7 on web1", "a", "b", "caught up"]);
    let again = all.apply(put(&run, 0, &chunk("web1", 2, &["b", "c"])));
    assert_eq!(short(&again), ["c", "caught up"]);
}

#[test]
fn missing_output_is_a_gap_of_its_bytes() {
    let (mut all, run) = (all(), key(7, 0));
    let late = all.apply(put(&run, 3, &chunk("web1", 100, &["x"])));
    assert_eq!(short(&late)[1..], ["gap 100 true", "x", "caught up"]);
    let next = all.apply(put(&run, 4, &chunk("web1", 110, &["y"])));
    assert_eq!(short(&next), ["gap 8 false", "y", "caught up"]);
}

#[test]
fn feed_that_reads_anew_repeats_nothing_and_orders_runs() {
    let mut all = all();
    let keys = vec![
        stored(&key(7, 1), 0, &chunk("web1", 0, &["second"])),
        stored(&key(7, 0), 0, &chunk("web1", 0, &["first"])),
    ];
    let reading = FeedItem::Reading {
        revision: Revision::new(1),
        keys,
    };
    let items = all.apply(reading.clone());
    let lines = short(&items);
    assert_eq!((lines[1].as_str(), lines[4].as_str()), ("first", "second"));
    all.apply(FeedItem::Down {
        reason: "away".into(),
    });
    assert_eq!(short(&all.apply(reading)), ["up", "caught up", "caught up"]);
}

#[test]
fn run_of_a_dead_host_ends_by_its_record_or_a_later_run() {
    let (mut all, old) = (all(), key(7, 0));
    all.apply(put(&old, 0, &chunk("web1", 0, &["a"])));
    all.apply(deleted(&old, 0));
    assert_eq!(all.withdrawn(), *std::slice::from_ref(&old));
    assert_eq!(all.found(&old, None), None);
    all.apply(put(&key(9, 0), 0, &chunk("web2", 0, &[])));
    let ended = (0..=LOOKS).find_map(|_| all.found(&old, None)).unwrap();
    assert_eq!(short(&[ended]), ["7 unknown"]);
    assert!(all.withdrawn().is_empty());
}

#[test]
fn published_end_is_final_and_its_chunks_may_go() {
    let (mut all, run) = (all(), key(7, 0));
    let mut last = chunk("web1", 0, &["bye"]);
    last.end = Some(OutputEnd {
        at_unix_ms: UnixMs::new(2),
        outcome: Outcome::Exit,
        detail: String::new(),
    });
    let items = all.apply(put(&run, 0, &last));
    assert_eq!(short(&items), ["began 7 on web1", "bye", "7 exit"]);
    assert!(all.apply(put(&run, 0, &last)).is_empty());
    all.apply(deleted(&run, 0));
    assert!(all.withdrawn().is_empty());
}

#[test]
fn other_hosts_and_runs_are_left_out_on_request() {
    let mut one = OutputAssembler::new(Root::default(), Some("web1".into()), Some(Token::new(7)));
    for (token, host) in [(7, "web2"), (8, "web1")] {
        assert!(
            one.apply(put(&key(token, 0), 0, &chunk(host, 0, &["x"])))
                .is_empty()
        );
    }
    let items = one.apply(put(&key(7, 0), 0, &chunk("web1", 0, &["x"])));
    assert_eq!(short(&items), ["began 7 on web1", "x", "caught up"]);
}

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
        OutputItem::RecordedLine { text, .. } => format!("recorded {text}"),
        OutputItem::Gap { bytes, cause, .. } => format!("gap {bytes} {cause:?}"),
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
    assert_eq!(short(&late)[1..], ["gap 100 Earlier", "x", "caught up"]);
    let next = all.apply(put(&run, 4, &chunk("web1", 110, &["y"])));
    assert_eq!(short(&next), ["gap 8 Unsent", "y", "caught up"]);
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
    assert_eq!(all.found(&old, None), []);
    all.apply(put(&key(9, 0), 0, &chunk("web2", 0, &[])));
    let mut ended = (0..=LOOKS).map(|_| all.found(&old, None));
    let ended = ended.find(|items| !items.is_empty()).unwrap();
    assert_eq!(short(&ended), ["7 unknown"]);
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
    let only = Some("7".parse().unwrap());
    let mut one = OutputAssembler::new(Root::default(), Some("web1".into()), only);
    for (token, host) in [(7, "web2"), (8, "web1")] {
        assert!(
            one.apply(put(&key(token, 0), 0, &chunk(host, 0, &["x"])))
                .is_empty()
        );
    }
    let items = one.apply(put(&key(7, 0), 0, &chunk("web1", 0, &["x"])));
    assert_eq!(short(&items), ["began 7 on web1", "x", "caught up"]);
}

/// Fails when a request for one run under a token returns the others under it.
#[test]
fn run_with_a_number_is_returned_alone() {
    let only = Some("7.1".parse().unwrap());
    let mut one = OutputAssembler::new(Root::default(), None, only);
    let first = one.apply(put(&key(7, 0), 0, &ending(&["a"])));
    assert_eq!(first, []);
    let second = one.apply(put(&key(7, 1), 0, &ending(&["b"])));
    assert_eq!(short(&second), ["began 7 on web1", "b", "7 exit"]);
}

/// Fails when only a run under a later token shows that a run is over, or only one that was requested.
#[test]
fn later_run_under_the_same_token_ends_an_earlier_one() {
    let only = Some("7.0".parse().unwrap());
    let mut one = OutputAssembler::new(Root::default(), None, only);
    let old = key(7, 0);
    one.apply(put(&old, 0, &chunk("web1", 0, &["a"])));
    one.apply(deleted(&old, 0));
    one.apply(put(&key(7, 1), 0, &chunk("web1", 0, &[])));
    let mut ended = (0..=LOOKS).map(|_| one.found(&old, None));
    assert!(ended.any(|items| short(&items) == ["7 unknown"]));
}

/// Fails when output that a host recorded, but did not publish in time, is lost or comes twice.
#[test]
fn record_adds_what_was_not_published() {
    let (mut all, run) = (all(), key(7, 0));
    all.apply(put(&run, 0, &chunk("web1", 0, &["a", "bb"])));
    all.apply(deleted(&run, 0));
    let items = all.found(&run, Some(record(7, "bb\nccc\n", 2)));
    assert_eq!(short(&items), ["recorded ccc", "7 done"]);
    assert_eq!(all.complete(record(7, "bb\nccc\n", 2)), []);
    let whole = all.complete(record(8, "x\n", 5));
    let expected = ["began 8 on web1", "gap 5 Earlier", "recorded x", "8 done"];
    assert_eq!(short(&whole), expected);
    assert_eq!(all.apply(put(&key(8, 0), 0, &ending(&["x"]))), []);
}

/// Fails when chunks of a run that was forgotten make it begin anew.
#[test]
fn forgotten_run_does_not_begin_again() {
    let mut all = all();
    for token in 0..=u64::try_from(MOST_RUNS).unwrap() {
        all.apply(put(&key(token, 0), 0, &ending(&["a"])));
    }
    assert_eq!(all.apply(put(&key(0, 0), 0, &ending(&["a"]))), []);
}

/// The only chunk of a run.
fn ending(texts: &[&str]) -> OutputChunk {
    OutputChunk {
        end: Some(OutputEnd {
            at_unix_ms: UnixMs::new(2),
            outcome: Outcome::Exit,
            detail: String::new(),
        }),
        ..chunk("web1", 0, texts)
    }
}

fn record(token: u64, output: &str, before: u64) -> RunRecord {
    let json = format!(
        r#"{{"job":"j","host":"web1","lock":"l","token":{token},"sequence":0,"attempt":1,"plugin_sha256":"00",
            "started_unix_ms":1,"outcome":"done","output":{output:?},"output_truncated_bytes":{before}}}"#
    );
    RunRecord::from_json(json.as_bytes()).unwrap()
}

use leasehold_lock::BootTime;
use leasehold_records::{Outcome, OutputEnd, UnixMs};
use leasehold_runtime::{Line, OutputTap as _, Stream};

use super::*;

fn output() -> Arc<RunOutput> {
    let run = crate::record_writer::sample(7);
    Arc::new(RunOutput::new(run, 16 << 10, None))
}

fn write(output: &RunOutput, text: &str) {
    output.line(&Line {
        stream: Stream::Stderr,
        level: None,
        text: text.into(),
        fields: Vec::new(),
        at: BootTime::from_nanos(0),
    });
}

fn chunk(next: &NextChunk) -> OutputChunk {
    OutputChunk::from_json(&next.value).unwrap()
}

#[test]
fn first_chunk_is_due_without_output_and_the_last_has_the_end() {
    let (root, now) = (Root::default(), Instant::now());
    let mut publication = Publication::new(output(), now);
    assert!(publication.is_due());
    let first = publication.next_chunk(&root, 1_000, now).unwrap();
    assert_eq!(chunk(&first).lines, []);
    publication.written(&first, now);
    assert!(!publication.is_due());

    write(&publication.output, "last words");
    publication.output.end(OutputEnd {
        at_unix_ms: UnixMs::new(9),
        outcome: Outcome::Done,
        detail: String::new(),
    });
    let last = publication.next_chunk(&root, 1_000, now).unwrap();
    publication.written(&last, now);
    let last = chunk(&last);
    assert_eq!((last.from_byte, last.lines.len()), (0, 1));
    assert_eq!(last.end.unwrap().outcome, Outcome::Done);
    assert!(!publication.is_due() && !publication.is_over(now));
    assert!(publication.is_over(now + AFTER_END));
}

/// Fails when a chunk that the store did not take is taken as published.
#[test]
fn lines_of_a_failed_write_are_sent_again_under_the_same_key() {
    let (root, now) = (Root::default(), Instant::now());
    let mut publication = Publication::new(output(), now);
    write(&publication.output, "a");
    let first = publication.next_chunk(&root, 1_000, now).unwrap();
    publication.failed(&first);
    write(&publication.output, "b");
    let again = publication.next_chunk(&root, 1_000, now).unwrap();
    assert_eq!(again.key, first.key);
    assert_eq!(chunk(&again).lines.len(), 2);
}

#[test]
fn talkative_run_stays_within_its_rate_and_its_room() {
    let (root, start) = (Root::default(), Instant::now());
    let mut publication = Publication::new(output(), start);
    let (mut sent, mut gaps) = (0, 0);
    for tick in 0..50_u32 {
        let now = start + Duration::from_millis(200) * tick;
        for _ in 0..1_000 {
            write(&publication.output, &"x".repeat(99));
        }
        while let Some(next) = publication.next_chunk(&root, 8 << 10, now) {
            gaps += u64::from(chunk(&next).from_byte > publication.position);
            sent += next.size();
            publication.written(&next, now);
            if !publication.is_due() {
                break;
            }
        }
        assert!(publication.stored_bytes <= KEPT_BYTES);
    }
    // Ten seconds, a burst, and a chunk more than was allowed.
    let most = 10 * (32 << 10) + (48 << 10) + (16 << 10);
    assert!(sent <= most, "{sent}");
    assert!(sent >= most / 2 && gaps > 10, "{sent} {gaps}");
}

//! A takeover as text and as JSON, and lines that bring colours of their own.

use leasehold_lock::Token;
use leasehold_records::OutputEnd;
use leasehold_records::fixtures::run_record;

use super::*;

fn key(token: u64) -> RunKey {
    RunKey {
        job: "ledger".into(),
        token: Token::new(token),
        sequence: 0,
    }
}

fn head(token: u64, host: &str) -> RunHead {
    RunHead {
        key: key(token),
        host: host.into(),
        attempt: 1,
        started_unix_ms: UnixMs::new(1_764_500_401_000),
    }
}

fn line(token: u64, stream: OutputStream, text: &str) -> OutputItem {
    OutputItem::Line {
        run: key(token),
        line: OutputLine {
            at_unix_ms: UnixMs::new(1_764_500_402_500),
            stream,
            level: (stream == OutputStream::Log).then(|| "warn".into()),
            text: text.into(),
        },
    }
}

/// A takeover, as a reader sees it.
fn takeover() -> Vec<OutputItem> {
    let end = OutputEnd {
        at_unix_ms: UnixMs::new(1_764_500_460_000),
        outcome: Outcome::Exit,
        detail: "exit code 3".into(),
    };
    vec![
        OutputItem::Began(head(1_198, "web1")),
        OutputItem::Gap {
            run: key(1_198),
            bytes: 4_096,
            cause: GapCause::Earlier,
        },
        line(1_198, OutputStream::Stdout, "batch 1"),
        line(1_198, OutputStream::Stderr, "no \u{1b}[31mroom"),
        OutputItem::CaughtUp(key(1_198)),
        OutputItem::Silent(head(1_198, "web1")),
        OutputItem::Began(head(1_204, "web2")),
        OutputItem::Ended(head(1_198, "web1"), RunEnding::Unknown),
        line(1_204, OutputStream::Log, "slow disk"),
        OutputItem::Gap {
            run: key(1_204),
            bytes: 12,
            cause: GapCause::Unsent,
        },
        OutputItem::Ended(head(1_204, "web2"), RunEnding::Published(end)),
        OutputItem::Down {
            reason: "no answer".into(),
        },
        OutputItem::Up,
    ]
}

fn printer(format: OutputFormat, timestamps: bool, colours: bool) -> OutputPrinter {
    OutputPrinter {
        format,
        timestamps,
        colours,
        current: None,
    }
}

fn print(mut printer: OutputPrinter) -> String {
    takeover().iter().map(|item| printer.render(item)).collect()
}

#[test]
fn takeover_reads_as_text() {
    insta::assert_snapshot!(print(printer(OutputFormat::Text, false, false)));
}

#[test]
fn takeover_reads_as_text_with_times() {
    insta::assert_snapshot!(print(printer(OutputFormat::Text, true, false)));
}

#[test]
fn takeover_reads_as_json_lines() {
    insta::assert_snapshot!(print(printer(OutputFormat::Json, false, false)));
}

#[test]
fn colours_tell_streams_apart_and_guests_bring_none() {
    let text = print(printer(OutputFormat::Text, false, true));
    assert!(
        text.contains("\u{1b}[31mno \u{fffd}[31mroom\u{1b}[0m\n"),
        "{text}"
    );
    assert!(
        text.contains("\u{1b}[2m-- run 1204 on web2 began"),
        "{text}"
    );
}

#[test]
fn line_of_another_run_is_announced() {
    let mut printer = printer(OutputFormat::Text, false, false);
    let mut text = String::new();
    for token in [7, 7, 9] {
        text.push_str(&printer.render(&line(token, OutputStream::Stdout, "x")));
    }
    assert_eq!(text, "-- run 7\nx\nx\n-- run 9\nx\n");
}

/// Fails when a run that was killed in its first second reads like one that printed nothing.
#[test]
fn run_cut_off_before_its_output_was_kept_is_noted() {
    let noted = |outcome, output: &str, format| {
        let run = RunRecord {
            outcome,
            output: output.into(),
            ..run_record("ledger", "web1", 7)
        };
        printer(format, false, false).unkept_note(&run)
    };
    let text = OutputFormat::Text;
    insta::assert_snapshot!(
        noted(Outcome::Abandoned, "", text) + &noted(Outcome::Crashed, "", text),
        @r"
    -- run 7 was cut off on web1 (abandoned), and nothing of its output is recorded; a host that starts again adds what it had written down
    -- run 7 was cut off on web1 (crashed), and nothing of its output is recorded; a host that starts again adds what it had written down
    "
    );
    for (outcome, output, format) in [
        (Outcome::Done, "", text),
        (Outcome::Abandoned, "batch 1\n", text),
        (Outcome::Abandoned, "", OutputFormat::Json),
    ] {
        assert_eq!(noted(outcome, output, format), "", "{outcome:?}");
    }
}

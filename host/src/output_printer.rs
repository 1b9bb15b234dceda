//! Printing the output of runs, as text or as one JSON object a line.
//!
//! Lines that begin with `--` are notes of this program: which run begins, what is missing, how a run ended.

use std::fmt::Write as _;
use std::io;

use leasehold_follow::{GapCause, OutputItem, RunEnding, RunHead};
use leasehold_records::wall_text::age;
use leasehold_records::{Outcome, OutputLine, OutputStream, RunKey, RunRecord, UnixMs, printable};
use serde_json::{Value, json};

use crate::look::{Look, paint};
use crate::sink;

/// Format of printed output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum OutputFormat {
    /// The guest's lines, for people.
    Text,
    /// One JSON object a line, for programs.
    Json,
}

/// Bytes of one write of many lines.
const AT_ONCE: usize = 64 << 10;

/// Style of a printed line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LineStyle {
    Plain,
    /// Standard error of the guest.
    Error,
    /// A note of this program.
    Note,
}

/// Printer of output items.
#[derive(Debug)]
pub(crate) struct OutputPrinter {
    format: OutputFormat,
    /// True if each line has its time and its stream.
    timestamps: bool,
    colours: bool,
    /// The run of the last printed line: a line of another run is preceded by a note.
    current: Option<RunKey>,
}

impl OutputPrinter {
    /// Makes a printer for standard output.
    pub(crate) fn new(format: OutputFormat, timestamps: bool) -> Self {
        Self {
            format,
            timestamps,
            colours: Look::of_stdout().colours,
            current: None,
        }
    }

    /// Prints an item. Returns false when the reader of standard output has gone.
    ///
    /// # Errors
    ///
    /// Standard output cannot be written.
    pub(crate) fn print(&mut self, item: &OutputItem) -> io::Result<bool> {
        let text = self.render(item);
        sink::print_on(&text)
    }

    /// Prints a recorded run: its beginning, its output and its end. Returns false when the reader of standard output
    /// has gone.
    ///
    /// # Errors
    ///
    /// Standard output cannot be written.
    pub(crate) fn print_record(&mut self, run: &RunRecord, notes: bool) -> io::Result<bool> {
        self.print_run(run, notes, |each| {
            let _ = recorded_items(run).all(each);
        })
    }

    /// Prints a run that is over, with the lines that `body` passes on while that returns true. Returns false when the
    /// reader of standard output has gone.
    ///
    /// # Errors
    ///
    /// Standard output cannot be written.
    pub(crate) fn print_run(
        &mut self,
        run: &RunRecord,
        notes: bool,
        body: impl FnOnce(&mut dyn FnMut(OutputItem) -> bool),
    ) -> io::Result<bool> {
        let notes = notes || self.format == OutputFormat::Json;
        let head = RunHead::of_record(run);
        self.current = Some(head.key.clone());
        let mut text = String::new();
        if notes {
            text.push_str(&self.render(&OutputItem::Began(head.clone())));
        }
        let mut printed = Ok(true);
        body(&mut |item| {
            text.push_str(&self.render(&item));
            if text.len() >= AT_ONCE {
                printed = sink::print_on(&text);
                text.clear();
            }
            matches!(printed, Ok(true))
        });
        if !matches!(printed, Ok(true)) {
            return printed;
        }
        text.push_str(&self.unkept_note(run));
        if notes {
            let ending = RunEnding::Recorded(Box::new(run.clone()));
            text.push_str(&self.render(&OutputItem::Ended(head, ending)));
        }
        sink::print_on(&text)
    }

    /// Takes note of an item that is not printed.
    pub(crate) fn skip(&mut self, item: &OutputItem) {
        if let OutputItem::Began(head) = item {
            self.current = Some(head.key.clone());
        }
    }

    fn render(&mut self, item: &OutputItem) -> String {
        match self.format {
            OutputFormat::Text => self.render_text(item),
            OutputFormat::Json => json_item(item).map_or_else(String::new, |item| json_line(&item)),
        }
    }

    fn render_text(&mut self, item: &OutputItem) -> String {
        match item {
            OutputItem::Began(head) => {
                self.current = Some(head.key.clone());
                let RunHead {
                    host,
                    attempt,
                    started_unix_ms,
                    ..
                } = head;
                let run = head.key.name();
                self.note(&format!(
                    "run {run} on {host} began {started_unix_ms} (attempt {attempt})"
                ))
            }
            OutputItem::Line { run, line } => {
                let turn = self.turn_to(run);
                turn + &self.line(line)
            }
            OutputItem::RecordedLine { run, text } => {
                let turn = self.turn_to(run);
                turn + &self.styled(LineStyle::Plain, text)
            }
            OutputItem::Gap { run, bytes, cause } => {
                let turn = self.turn_to(run);
                turn + &self.note(&match cause {
                    GapCause::Earlier => format!("{bytes} bytes of earlier output left out"),
                    GapCause::Unsent => format!(
                        "{bytes} bytes of output left out: the guest writes more than is sent"
                    ),
                    GapCause::Unkept => format!(
                        "{bytes} bytes of output are missing here: the host could not write them to its files"
                    ),
                })
            }
            OutputItem::CaughtUp(_) => String::new(),
            OutputItem::Ended(head, ending) => {
                let (run, host) = (head.key.name(), &head.host);
                self.note(&format!("run {run} on {host} {}", describe(head, ending)))
            }
            OutputItem::Silent(head) => {
                let (run, host) = (head.key.name(), &head.host);
                self.note(&format!(
                    "{host} no longer sends the output of run {run}: it stopped, or cannot reach the store"
                ))
            }
            OutputItem::Down { reason } => self.note(&format!(
                "the store cannot be read: {reason}; following goes on when it can"
            )),
            OutputItem::Up => self.note("the store is read again"),
        }
    }

    /// Returns a note for a run that was cut off and has no recorded output. In JSON the run's end shows that.
    fn unkept_note(&self, run: &RunRecord) -> String {
        let is_cut_off = matches!(run.outcome, Outcome::Abandoned | Outcome::Crashed);
        let is_empty = run.output.is_empty() && run.output_truncated_bytes == 0;
        if !is_cut_off || !is_empty || self.format == OutputFormat::Json {
            return String::new();
        }
        self.note(&format!(
            "run {} was cut off on {} ({}), and nothing of its output is recorded; a host that starts again adds what \
             it had written down",
            run.key().name(),
            run.host,
            run.outcome.as_str()
        ))
    }

    /// Returns a note if the last line was of another run.
    fn turn_to(&mut self, run: &RunKey) -> String {
        if self.current.as_ref() == Some(run) {
            return String::new();
        }
        self.current = Some(run.clone());
        self.note(&format!("run {}", run.name()))
    }

    fn note(&self, text: &str) -> String {
        self.styled(LineStyle::Note, &format!("-- {text}"))
    }

    fn line(&self, line: &OutputLine) -> String {
        let style = match line.stream {
            OutputStream::Stderr => LineStyle::Error,
            OutputStream::Stdout | OutputStream::Log => LineStyle::Plain,
        };
        let level = line.level.as_deref().map(|level| format!("{level}: "));
        let text = format!("{}{}", level.unwrap_or_default(), line.text);
        if self.timestamps {
            let (at, stream) = (line.at_unix_ms, line.stream.as_str());
            self.styled(style, &format!("{at} {stream:6} {text}"))
        } else {
            self.styled(style, &text)
        }
    }

    fn styled(&self, style: LineStyle, text: &str) -> String {
        let text = printable::whole(text);
        match style {
            LineStyle::Error if self.colours => paint(&text, 31) + "\n",
            LineStyle::Note if self.colours => paint(&text, 2) + "\n",
            _ => format!("{text}\n"),
        }
    }
}

/// Returns the output of a recorded run.
fn recorded_items(run: &RunRecord) -> impl Iterator<Item = OutputItem> {
    let key = run.key();
    let missing = run.output_truncated_bytes;
    let gap = (missing > 0).then(|| OutputItem::Gap {
        run: key.clone(),
        bytes: missing,
        cause: GapCause::Earlier,
    });
    let lines = run
        .output_lines()
        .map(move |(_, text)| OutputItem::RecordedLine {
            run: key.clone(),
            text: text.to_owned(),
        });
    gap.into_iter().chain(lines)
}

fn describe(head: &RunHead, ending: &RunEnding) -> String {
    let (outcome, detail, ended) = match ending {
        RunEnding::Published(end) => (end.outcome, &end.detail, Some(end.at_unix_ms)),
        RunEnding::Recorded(run) => (run.outcome, &run.detail, run.ended_unix_ms),
        RunEnding::Unknown => return "has no recorded end: its host vanished".into(),
    };
    let mut text = format!("ended: {}", outcome.as_str());
    if !detail.is_empty() {
        let _ = write!(text, " ({detail})");
    }
    if let Some(ended) = ended {
        let _ = write!(text, ", after {}", age(ended.since(head.started_unix_ms)));
    }
    text
}

fn about(run: &RunKey, mut fields: Value) -> Value {
    fields["token"] = json!(run.token);
    fields["sequence"] = run.sequence.into();
    fields
}

fn about_head(head: &RunHead, mut fields: Value) -> Value {
    fields["job"] = head.key.job.as_str().into();
    fields["host"] = head.host.as_str().into();
    about(&head.key, fields)
}

fn json_item(item: &OutputItem) -> Option<Value> {
    Some(match item {
        OutputItem::Began(head) => about_head(
            head,
            json!({
                "event": "run-began",
                "attempt": head.attempt,
                "started_unix_ms": head.started_unix_ms,
            }),
        ),
        OutputItem::Line { run, line } => {
            let mut fields = json!({
                "at_unix_ms": line.at_unix_ms,
                "stream": line.stream.as_str(),
                "text": line.text,
            });
            if let Some(level) = &line.level {
                fields["level"] = level.as_str().into();
            }
            about(run, fields)
        }
        OutputItem::RecordedLine { run, text } => about(run, json!({ "text": text })),
        OutputItem::Gap { run, bytes, .. } => about(run, json!({ "event": "gap", "bytes": bytes })),
        OutputItem::CaughtUp(_) => return None,
        OutputItem::Ended(head, ending) => {
            let (outcome, detail) = match ending {
                RunEnding::Published(end) => (end.outcome.as_str(), end.detail.as_str()),
                RunEnding::Recorded(run) => (run.outcome.as_str(), run.detail.as_str()),
                RunEnding::Unknown => ("unknown", ""),
            };
            let ended: Option<UnixMs> = match ending {
                RunEnding::Published(end) => Some(end.at_unix_ms),
                RunEnding::Recorded(run) => run.ended_unix_ms,
                RunEnding::Unknown => None,
            };
            about_head(
                head,
                json!({
                    "event": "run-ended",
                    "outcome": outcome,
                    "detail": detail,
                    "ended_unix_ms": ended,
                }),
            )
        }
        OutputItem::Silent(head) => about_head(head, json!({ "event": "silent" })),
        OutputItem::Down { reason } => json!({ "event": "down", "reason": reason }),
        OutputItem::Up => json!({ "event": "up" }),
    })
}

fn json_line(value: &Value) -> String {
    format!("{}\n", printable::lines(&value.to_string()))
}

#[cfg(test)]
mod tests;

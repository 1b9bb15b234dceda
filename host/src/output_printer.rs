//! Printing the output of runs, as text or as one JSON object a line.
//!
//! Lines that begin with `--` are notes of this program: which run begins, what is missing, how a run ended.

use std::io::{self, IsTerminal as _};

use leasehold_follow::{OutputItem, RunEnding, RunHead};
use leasehold_records::{OutputLine, OutputStream, RunKey, RunRecord, UnixMs, printable};
use serde_json::{Value, json};

use crate::sink;
use leasehold_records::wall_text::age;

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
    /// Makes a printer. Colours are used on a terminal, unless `NO_COLOR` is set.
    pub(crate) fn new(format: OutputFormat, timestamps: bool) -> Self {
        let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            format,
            timestamps,
            colours: !no_colour && io::stdout().is_terminal(),
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

    /// Prints a recorded run: its beginning, its output and its end.
    ///
    /// # Errors
    ///
    /// Standard output cannot be written.
    pub(crate) fn print_record(&mut self, run: &RunRecord, notes: bool) -> io::Result<bool> {
        sink::print_on(&self.render_record(run, notes))
    }

    /// Prints a recorded run whose lines come from `read`, which passes them on while that returns true. Returns the
    /// number of lines, and false when the reader of standard output has gone. Without lines nothing is printed.
    ///
    /// # Errors
    ///
    /// The lines cannot be read, or standard output cannot be written.
    pub(crate) fn print_kept(
        &mut self,
        run: &RunRecord,
        notes: bool,
        read: impl FnOnce(&mut dyn FnMut(OutputItem) -> io::Result<bool>) -> io::Result<u64>,
    ) -> io::Result<(u64, bool)> {
        let notes = notes || self.format == OutputFormat::Json;
        let head = head_of(run);
        let (mut text, mut is_read) = (self.render(&OutputItem::Began(head.clone())), true);
        if !notes {
            text.clear();
        }
        let lines = read(&mut |item| {
            text.push_str(&self.render(&item));
            if text.len() >= AT_ONCE {
                is_read = sink::print_on(&text)?;
                text.clear();
            }
            Ok(is_read)
        })?;
        if lines == 0 || !is_read {
            return Ok((lines, is_read));
        }
        if notes {
            let ending = RunEnding::Recorded(Box::new(run.clone()));
            text.push_str(&self.render(&OutputItem::Ended(head, ending)));
        }
        Ok((lines, sink::print_on(&text)?))
    }

    /// Takes note of an item that is not printed.
    pub(crate) fn skip(&mut self, item: &OutputItem) {
        if let OutputItem::Began(head) = item {
            self.current = Some(head.key.clone());
        }
    }

    fn render_record(&mut self, run: &RunRecord, notes: bool) -> String {
        let head = head_of(run);
        self.current = Some(head.key.clone());
        let mut text = String::new();
        if notes || self.format == OutputFormat::Json {
            text.push_str(&self.render(&OutputItem::Began(head.clone())));
        }
        let missing = run.output_truncated_bytes;
        if missing > 0 {
            text.push_str(&self.render(&OutputItem::Gap {
                run: head.key.clone(),
                bytes: missing,
                is_beginning: true,
            }));
        }
        for line in run.output.lines().skip_while(|line| is_old_note(line)) {
            text.push_str(&match self.format {
                OutputFormat::Text => self.styled(LineStyle::Plain, line),
                OutputFormat::Json => json_line(&about(&head.key, json!({ "text": line }))),
            });
        }
        if notes || self.format == OutputFormat::Json {
            let ending = RunEnding::Recorded(Box::new(run.clone()));
            text.push_str(&self.render(&OutputItem::Ended(head, ending)));
        }
        text
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
                let run = name(&head.key);
                self.note(&format!(
                    "run {run} on {host} began {started_unix_ms} (attempt {attempt})"
                ))
            }
            OutputItem::Line { run, line } => {
                let turn = self.turn_to(run);
                turn + &self.line(line)
            }
            OutputItem::Gap {
                run,
                bytes,
                is_beginning,
            } => {
                let turn = self.turn_to(run);
                let gap = if *is_beginning {
                    format!("{bytes} bytes of earlier output left out")
                } else {
                    format!("{bytes} bytes of output left out: the guest writes more than is sent")
                };
                turn + &self.note(&gap)
            }
            OutputItem::CaughtUp(_) => String::new(),
            OutputItem::Ended(head, ending) => {
                let (run, host) = (name(&head.key), &head.host);
                self.note(&format!("run {run} on {host} {}", describe(head, ending)))
            }
            OutputItem::Silent(head) => {
                let (run, host) = (name(&head.key), &head.host);
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

    /// Returns a note if the last line was of another run.
    fn turn_to(&mut self, run: &RunKey) -> String {
        if self.current.as_ref() == Some(run) {
            return String::new();
        }
        self.current = Some(run.clone());
        self.note(&format!("run {}", name(run)))
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
            LineStyle::Error if self.colours => format!("\u{1b}[31m{text}\u{1b}[0m\n"),
            LineStyle::Note if self.colours => format!("\u{1b}[2m{text}\u{1b}[0m\n"),
            _ => format!("{text}\n"),
        }
    }
}

/// Returns true for the note that a host puts before the end of a long output. Its number is in the record too.
fn is_old_note(line: &str) -> bool {
    line.starts_with('[') && line.ends_with(" bytes of earlier output left out]")
}

fn head_of(run: &RunRecord) -> RunHead {
    RunHead {
        key: RunKey {
            job: run.job.clone(),
            token: run.token,
            sequence: run.sequence,
        },
        host: run.host.clone(),
        attempt: run.attempt,
        started_unix_ms: run.started_unix_ms,
    }
}

/// Returns the name of a run as `leasehold runs` shows it.
fn name(run: &RunKey) -> String {
    if run.sequence == 0 {
        run.token.to_string()
    } else {
        format!("{}.{}", run.token, run.sequence)
    }
}

fn describe(head: &RunHead, ending: &RunEnding) -> String {
    let (outcome, detail, ended) = match ending {
        RunEnding::Published(end) => (end.outcome, &end.detail, Some(end.at_unix_ms)),
        RunEnding::Recorded(run) => (run.outcome, &run.detail, run.ended_unix_ms),
        RunEnding::Unknown => return "has no recorded end: its host vanished".into(),
    };
    let mut text = format!("ended: {}", outcome.as_str());
    if !detail.is_empty() {
        text.push_str(&format!(" ({detail})"));
    }
    if let Some(ended) = ended {
        text.push_str(&format!(
            ", after {}",
            age(ended.since(head.started_unix_ms))
        ));
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

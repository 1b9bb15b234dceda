//! Output of a job as it comes, in lines for the pane that shows it.

use std::collections::VecDeque;

use leasehold_follow::{OutputItem, RunEnding};
use leasehold_records::{OutputStream, printable};

/// Lines, and bytes of them, that are kept.
const MOST_LINES: usize = 5_000;
const MOST_BYTES: usize = 1 << 20;

/// Kind of a shown line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LiveKind {
    /// Standard output, or the log interface.
    Plain,
    /// Standard error.
    Error,
    /// A note about the run.
    Note,
}

/// Output of one job's runs, the newest last.
#[derive(Debug)]
pub(crate) struct LiveOutput {
    pub(crate) job: String,
    pub(crate) lines: VecDeque<(LiveKind, String)>,
    bytes: usize,
    /// The reason why no live output comes.
    pub(crate) refused: Option<String>,
}

impl LiveOutput {
    pub(super) fn new(job: String) -> Self {
        Self {
            job,
            lines: VecDeque::new(),
            bytes: 0,
            refused: None,
        }
    }

    fn push(&mut self, kind: LiveKind, text: &str) {
        let text = printable::line(text);
        self.bytes += text.len();
        self.lines.push_back((kind, text));
        while (self.lines.len() > MOST_LINES || self.bytes > MOST_BYTES)
            && let Some((_, oldest)) = self.lines.pop_front()
        {
            self.bytes -= oldest.len();
        }
    }

    /// Adds an item. Returns the number of lines that it is shown as.
    pub(super) fn add(&mut self, item: &OutputItem) -> usize {
        let (kind, text) = match item {
            OutputItem::Began(head) => (
                LiveKind::Note,
                format!(
                    "run {} on {} began {} (attempt {})",
                    head.key.name(),
                    head.host,
                    head.started_unix_ms,
                    head.attempt
                ),
            ),
            OutputItem::Line { line, .. } => {
                let kind = match line.stream {
                    OutputStream::Stderr => LiveKind::Error,
                    OutputStream::Stdout | OutputStream::Log => LiveKind::Plain,
                };
                let level = line.level.as_deref().map(|level| format!("{level}: "));
                (kind, format!("{}{}", level.unwrap_or_default(), line.text))
            }
            OutputItem::RecordedLine { text, .. } => (LiveKind::Plain, text.clone()),
            OutputItem::Gap { bytes, .. } => {
                (LiveKind::Note, format!("{bytes} bytes of output left out"))
            }
            OutputItem::CaughtUp(_) => return 0,
            OutputItem::Ended(head, ending) => {
                let how = match ending {
                    RunEnding::Published(end) => format!("ended: {}", end.outcome.as_str()),
                    RunEnding::Recorded(run) => format!("ended: {}", run.outcome.as_str()),
                    RunEnding::Unknown => "has no recorded end".to_owned(),
                };
                let run = head.key.name();
                (LiveKind::Note, format!("run {run} on {} {how}", head.host))
            }
            OutputItem::Silent(head) => {
                let run = head.key.name();
                (
                    LiveKind::Note,
                    format!("{} no longer sends run {run}", head.host),
                )
            }
            OutputItem::Down { reason } => (
                LiveKind::Note,
                format!("the store cannot be read: {reason}"),
            ),
            OutputItem::Up => (LiveKind::Note, "the store is read again".to_owned()),
        };
        self.push(kind, &text);
        1
    }
}

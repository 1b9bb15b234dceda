//! Output of a job as it comes, for the pane that shows it.

use std::collections::VecDeque;

use leasehold_follow::{OutputItem, RunEnding};
use leasehold_records::{OutputStream, RunKey, printable};

use super::app_state::App;
use super::overlay::OpenOverlay;
use super::setup::FactSource;

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
    fn new(job: String) -> Self {
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
    fn add(&mut self, item: &OutputItem) -> usize {
        let (kind, text) = match item {
            OutputItem::Began(head) => (
                LiveKind::Note,
                format!(
                    "run {} on {} began {} (attempt {})",
                    name(&head.key),
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
                let run = name(&head.key);
                (LiveKind::Note, format!("run {run} on {} {how}", head.host))
            }
            OutputItem::Silent(head) => {
                let run = name(&head.key);
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

fn name(run: &RunKey) -> String {
    match run.sequence {
        0 => run.token.to_string(),
        sequence => format!("{}.{sequence}", run.token),
    }
}

impl App {
    /// The job whose output should be requested: that of the open pane, while it shows the present.
    pub(crate) fn wanted_output(&self, now: u64) -> Option<String> {
        let is_open = matches!(self.overlay, Some(OpenOverlay::Logs { .. }));
        let is_store = matches!(self.setup.source, FactSource::Store(_));
        let is_wanted = is_open && is_store && self.shown(now).is_live;
        self.job(now).filter(|_| is_wanted).map(|(job, _)| job)
    }

    /// The live output of a job, if any has come.
    pub(crate) fn live_output(&self, job: &str) -> Option<&LiveOutput> {
        self.live.as_ref().filter(|live| live.job == job)
    }

    fn live_of(&mut self, job: &str) -> &mut LiveOutput {
        let live = self.live.take().filter(|live| live.job == job);
        self.live
            .insert(live.unwrap_or_else(|| LiveOutput::new(job.to_owned())))
    }

    /// Applies live output. A pane that is scrolled up keeps its place.
    pub(super) fn take_output(&mut self, job: &str, item: &OutputItem) {
        let live = self.live_of(job);
        live.refused = None;
        let added = live.add(item);
        if let Some(OpenOverlay::Logs { up }) = &mut self.overlay
            && *up > 0
        {
            *up = up.saturating_add(added);
        }
    }

    /// Applies a new reader's start: it sends everything from the beginning.
    pub(super) fn begin_output(&mut self, job: &str, refused: Option<&str>) {
        let mut live = LiveOutput::new(job.to_owned());
        live.refused = refused.map(printable::line);
        self.live = Some(live);
    }
}

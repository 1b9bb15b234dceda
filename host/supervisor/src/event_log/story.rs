//! Lines of a story, for a person who watches several hosts in one terminal.

use std::fmt::Write as _;

use leasehold_lock::BootTime;
use leasehold_records::printable;

use super::columns::NameColumns;
use super::line::more;
use super::sentence::sentence;
use crate::event::{Event, EventKind};

/// Colours of hosts: blue, green, magenta, cyan and yellow, which differ well on both dark and light backgrounds.
const COLOURS: [u8; 5] = [34, 32, 35, 36, 33];

/// Formats an event as a line of a story; empty for events that repeat the line before.
pub(super) fn story(
    event: &Event,
    began: BootTime,
    colours: bool,
    columns: &mut NameColumns,
) -> String {
    // The line before shows this already.
    if matches!(
        event.kind,
        EventKind::RunStarted { .. } | EventKind::Progress { .. } | EventKind::Blocked { .. }
    ) {
        return String::new();
    }
    let paint = |code: u8, text: String| {
        let text = printable::whole(&text);
        if colours {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text
        }
    };
    let seconds = event.at.since(began).as_secs_f64();
    let kind = match &event.kind {
        EventKind::Note { text } => {
            return format!("{seconds:8.3} {}\n", paint(1, format!(">>> {text}")));
        }
        // A narrow terminal has no room for the holder, and the line above shows it.
        EventKind::Waiting { place, .. } => format!("WAITING    {place} ahead"),
        // The fields repeat the other columns.
        EventKind::Guest {
            stream,
            level,
            text,
            ..
        } => printable::whole(&format!("{}| {text}", level.unwrap_or(stream))),
        EventKind::Acquired { .. } => {
            let token = event.context.token.unwrap_or_default();
            paint(1, format!("{}  (token {token})", sentence(&event.kind)))
        }
        kind => printable::whole(&sentence(kind)),
    };
    let number = event
        .host
        .bytes()
        .fold(0, |sum: usize, byte| sum + usize::from(byte));
    let (host_width, job_width) = columns.fit(event);
    let host = paint(
        COLOURS[number % COLOURS.len()],
        format!("{:<host_width$}", event.host),
    );
    let job = printable::whole(event.context.job.as_deref().unwrap_or("-"));
    let head = format!("{seconds:8.3} {host} {job:<job_width$}");
    let mut line = format!("{head} {kind}\n");
    for further in more(&event.kind) {
        let _ = writeln!(line, "{}", format!("{head}  | {further}").trim_end());
    }
    line
}

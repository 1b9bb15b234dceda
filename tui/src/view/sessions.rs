//! The Sessions view: leases, their owners, and the entries that end with them.
//!
//! ```text
//! | +-- Sessions (12) --------------------------------- 1-12 of 12 --+ |
//! | | SESSION     LEASE      TTL            HOLDS WAITS WHAT          | |
//! | +----------------------------------------------------------------+ |
//! | +-- Lease 694d…3c07 of host-3 -----------------------------------+ |
//! | | host record, and what is freed if it goes                      | |
//! | +----------------------------------------------------------------+ |
//! ```

use leasehold_lock::LeaseId;
use leasehold_records::UnixMs;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};

use super::layout::{inside, window};
use super::paint::{self, TextPage, TextPiece};
use super::scene::ViewScene;
use super::table::{FittedTable, TableCell};
use super::{cells, empty, pane};
use crate::app::{App, RowKey};
use crate::columns::{SESSION_COLUMNS, SessionColumn};
use crate::model::{QueueEntry, SessionRow};
use crate::text;

/// Bodies from this many lines on have a pane about the selected session.
const PANE_FROM: u16 = 14;

pub(super) fn render(frame: &mut Frame<'_>, area: Rect, app: &mut App, now: UnixMs) {
    let detail = if area.height < PANE_FROM {
        0
    } else {
        (area.height / 3).clamp(7, 20)
    };
    let [area, detail] =
        Layout::vertical([Constraint::Min(0), Constraint::Length(detail)]).areas(area);
    let inner = inside(area);
    let (rows, range) = window(app, inner, 1);
    let scene = ViewScene::new(app, now);
    let list = app.list();
    let count = text::count(list.len() as u64);
    let title = format!("Sessions ({count}){}", pane::notes(&scene));
    pane::list(frame, area, &scene, &title, &pane::place(list));
    let table = FittedTable::new(&SESSION_COLUMNS, inner.width);
    let sort = app.sort().mark(&SESSION_COLUMNS);
    table.head(frame.buffer_mut(), inner, sort, scene.theme.header);
    let visible = list.rows().get(range.clone()).unwrap_or_default().iter();
    let mut wanted: Vec<LeaseId> = visible
        .chain(list.selected())
        .filter_map(lease_of)
        .collect();
    wanted.sort_unstable();
    wanted.dedup();
    let sessions = app.model.sessions_of(scene.shown, &wanted);
    let find = |key: &RowKey| sessions.iter().find(|row| Some(row.lease) == lease_of(key));
    let first = range.start;
    for (at, key) in list.rows().iter().enumerate().take(range.end).skip(first) {
        let Some(session) = find(key) else {
            continue;
        };
        let line = paint::row(rows, u16::try_from(at - first).unwrap_or(u16::MAX));
        let is_selected = list.position() == Some(at);
        let cell = |column, width| cell_of(&scene, session, column, width);
        table.row(frame.buffer_mut(), line, cell, is_selected, scene.theme);
    }
    empty::render(frame, rows, &scene);
    if !detail.is_empty() {
        about(frame, detail, &scene, list.selected().and_then(find));
    }
}

const fn lease_of(key: &RowKey) -> Option<LeaseId> {
    match key {
        RowKey::Session(lease) => Some(*lease),
        _ => None,
    }
}

fn cell_of(
    scene: &ViewScene<'_>,
    session: &SessionRow,
    column: SessionColumn,
    width: usize,
) -> TableCell {
    let theme = scene.theme;
    let count = |count: usize| {
        let style = if count > 0 { theme.text } else { theme.dim };
        (count.to_string(), style)
    };
    match column {
        SessionColumn::Session => (session.whose.clone(), theme.text),
        SessionColumn::Lease if width >= 16 => (session.lease.to_string(), theme.dim),
        SessionColumn::Lease => (text::hex_short(session.lease), theme.dim),
        SessionColumn::Ttl => cells::ttl(theme, session.lease, session.ttl, width),
        SessionColumn::Holds => count(session.holds.len()),
        SessionColumn::Waits => count(session.waits.len()),
        SessionColumn::Contents => (contents(session), theme.dim),
    }
}

/// The kind of client, and the first locks that it holds.
fn contents(session: &SessionRow) -> String {
    let kind = match &session.host {
        Some(host) => format!("host, {} jobs", host.record.jobs.len()),
        None => "client".to_owned(),
    };
    let held: Vec<&str> = session
        .holds
        .iter()
        .map(|(lock, _)| &**lock)
        .take(8)
        .collect();
    if held.is_empty() {
        kind
    } else {
        format!("{kind}; holds {}", held.join(", "))
    }
}

/// Draws the effects of the end of the selected session.
fn about(frame: &mut Frame<'_>, area: Rect, scene: &ViewScene<'_>, session: Option<&SessionRow>) {
    let title = session.map_or_else(
        || "Session".to_owned(),
        |session| format!("If the lease of {} ends", session.whose),
    );
    let inner = pane::frame(frame, area, scene, &title);
    let mut page = TextPage::new(frame.buffer_mut(), inner);
    let Some(session) = session else {
        return;
    };
    for line in story(scene, session) {
        page.line(&line);
    }
}

/// Lines about a session, also for its description.
pub(super) fn story(scene: &ViewScene<'_>, session: &SessionRow) -> Vec<Vec<TextPiece>> {
    let theme = scene.theme;
    let named = |name: &str, text: String| {
        vec![
            TextPiece::new(format!(" {}", text::fit(name, 9)), theme.dim),
            TextPiece::new(text, theme.text),
        ]
    };
    let mut lines = Vec::new();
    if let Some(host) = &session.host {
        let record = &host.record;
        let up = text::age(scene.ago(record.started_unix_ms));
        let text = format!(
            "{} pid {}, version {}, up {up}",
            record.host, record.pid, record.version
        );
        lines.push(named("host", text));
        if !record.jobs.is_empty() {
            lines.push(named("jobs", record.jobs.join(", ")));
        }
    }
    let ttl = cells::ttl_of(session.ttl);
    lines.push(named("lease", format!("{}  ttl {ttl}", session.lease)));
    for (lock, entry) in &session.holds {
        let (waiters, next) = after(scene, entry);
        let mut line = named("frees", format!("{lock}  held by {}", entry.who.label()));
        let style = if waiters == 0 { theme.dim } else { theme.warn };
        let text = match next {
            Some(next) => format!("  {waiters} waiting, next {next}"),
            None => "  no waiters".to_owned(),
        };
        line.push(TextPiece::new(text, style));
        lines.push(line);
    }
    for (lock, entry, place) in &session.waits {
        let waited = entry.since_unix_ms.map_or_else(String::new, |since| {
            format!(", waiting {}", text::age(scene.ago(since)))
        });
        let text = format!("place {place} for {lock}, {}{waited}", entry.who.label());
        lines.push(named("leaves", text));
    }
    lines
}

/// Number of waiters behind a holder, and the label of the next one.
fn after(scene: &ViewScene<'_>, entry: &QueueEntry) -> (usize, Option<String>) {
    let lock = entry.key.rsplit_once('/').map_or("", |(lock, _)| lock);
    let Some(lock) = scene.shown.state.locks.get(lock) else {
        return (0, None);
    };
    let next = lock.waiters().first().map(|next| next.who.label());
    (lock.waiters().len(), next)
}

//! The Locks view: every lock in a line, and panes about the selected one.
//!
//! ```text
//! | +-- Locks (41 of 212) --------------------------- 1-11 of 41 --+ |
//! | | LOCK  STATE  HOLDER  HELD  TTL  WAIT  OLDEST  FENCE  60s     | |
//! | +--------------------------------------------------------------+ |
//! | +-- Queue: billing ----------++-- Run inv@host-3 --------------+ |
//! | +-- Events ----------------------------------------------------+ |
//! ```
//!
//! Small screens have one line of the queue instead of the panes.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};

use leasehold_records::UnixMs;

use super::layout::{inside, window};
use super::scene::ViewScene;
use super::table::{FittedTable, TableCell};
use super::{cells, empty, events, paint, pane, queue_pane, run_pane};
use crate::app::{App, RowKey};
use crate::columns::{CellValue, LOCK_COLUMNS, LockColumn};
use crate::model::LockRow;
use crate::text;

/// Screens from this size on have panes below the list: (columns, lines of the body).
const PANES_FROM: (u16, u16) = (100, 26);
/// Screens from this many lines of the body on have a line about the queue.
const LINE_FROM: u16 = 12;
/// Span of the line of the last minute, in milliseconds.
const SPARK: u64 = 60_000;

pub(super) fn render(frame: &mut Frame<'_>, area: Rect, app: &mut App, now: UnixMs) {
    let has_panes = area.width >= PANES_FROM.0 && area.height >= PANES_FROM.1;
    if !has_panes {
        let line = u16::from(area.height >= LINE_FROM);
        let [list, line] =
            Layout::vertical([Constraint::Min(0), Constraint::Length(line)]).areas(area);
        table(frame, list, app, now);
        queue_pane::line(frame, line, &ViewScene::new(app, now));
        return;
    }
    let details = (area.height / 4).clamp(9, 18);
    let events_high = (area.height / 6).clamp(6, 14);
    let [list, details, below] = Layout::vertical([
        Constraint::Min(0),
        Constraint::Length(details),
        Constraint::Length(events_high),
    ])
    .areas(area);
    table(frame, list, app, now);
    let scene = ViewScene::new(app, now);
    let [queue, run] =
        Layout::horizontal([Constraint::Fill(1), Constraint::Fill(1)]).areas(details);
    let lock = scene.lock();
    queue_pane::render(frame, queue, &scene, lock);
    run_pane::render(frame, run, &scene, lock);
    events::pane(frame, below, &scene);
}

fn table(frame: &mut Frame<'_>, area: Rect, app: &mut App, now: UnixMs) {
    let inner = inside(area);
    let (rows, range) = window(app, inner, 1);
    let scene = ViewScene::new(app, now);
    let list = app.list();
    let title = title(&scene);
    pane::list(frame, area, &scene, &title, &pane::place(list));
    let table = FittedTable::new(&LOCK_COLUMNS, inner.width);
    let sort = app.sort().mark(&LOCK_COLUMNS);
    table.head(frame.buffer_mut(), inner, sort, scene.theme.header);
    let first = range.start;
    for (at, key) in list.rows().iter().enumerate().take(range.end).skip(first) {
        let RowKey::Lock(name) = key else {
            continue;
        };
        let Some(lock) = scene.shown.state.locks.get(name) else {
            continue;
        };
        let line = paint::row(rows, u16::try_from(at - first).unwrap_or(u16::MAX));
        let row = app.model.row(scene.shown, lock);
        let cell = |column, width| cell_of(&scene, &row, column, width);
        let is_selected = list.position() == Some(at);
        table.row(frame.buffer_mut(), line, cell, is_selected, scene.theme);
    }
    empty::render(frame, rows, &scene);
}

/// `Locks (41)`, or `Locks (41 of 212)` with a filter.
pub(super) fn title(scene: &ViewScene<'_>) -> String {
    let (app, shown) = (scene.app, text::count(scene.app.list().len() as u64));
    let name = app.view.title();
    let notes = pane::notes(scene);
    if scene.shown.revision.is_none() {
        return format!("{name}{notes}");
    }
    if app.filter.is_empty() {
        return format!("{name} ({shown}){notes}");
    }
    let all = scene.shown.state.locks.values();
    let all = all.filter(|lock| !lock.queue.is_empty() || lock.tenancy.since_unix_ms.is_some());
    format!(
        "{name} ({shown} of {}){notes}",
        text::count(all.count() as u64)
    )
}

fn cell_of(
    scene: &ViewScene<'_>,
    row: &LockRow<'_>,
    column: LockColumn,
    width: usize,
) -> TableCell {
    let theme = scene.theme;
    let or_dim = |is_there: bool| if is_there { theme.text } else { theme.dim };
    let value = column.value(row);
    match value {
        CellValue::State(state) => (value.display().into(), cells::state_style(theme, state)),
        CellValue::Owner(_) => (holder(row, width), or_dim(row.holder.is_some())),
        CellValue::Span(span) => (cells::span(span), or_dim(span.is_some())),
        CellValue::Ttl(ttl) => match &row.holder {
            Some(holder) => cells::ttl(theme, holder.lease, ttl, width),
            None => (text::fit_right("- ", width), theme.dim),
        },
        CellValue::Count(count) => (value.display().into(), or_dim(count > 0)),
        CellValue::Text(_) | CellValue::Token(_) | CellValue::Lease(_) => {
            (value.display().into(), or_dim(row.holder.is_some()))
        }
        CellValue::Depths => (spark(scene, row, width), theme.spark),
    }
}

/// The holder, and after a takeover the previous one.
fn holder(row: &LockRow<'_>, width: usize) -> String {
    let Some(holder) = &row.holder else {
        return "-".into();
    };
    let label = holder.who.label();
    let Some(was) = &row.was else {
        return label;
    };
    let full = format!("{label} (was {})", was.who.label());
    match was.who.host() {
        // The same job on another host: the host matters.
        Some(host) if text::width(&full) > width => format!("{label} (was @{host})"),
        _ => full,
    }
}

fn spark(scene: &ViewScene<'_>, row: &LockRow<'_>, width: usize) -> String {
    let Some(history) = scene.app.model.lock_stats(row.name).filter(|_| width > 0) else {
        return String::new();
    };
    let bucket = (SPARK / width as u64).max(1);
    cells::spark(&history.depths(scene.shown.now, bucket, width))
}

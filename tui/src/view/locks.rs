//! The Locks view: every lock in a line, and what there is to know of the selected one.
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

use super::layout::{inside, window};
use super::scene::ViewScene;
use super::table::{FittedTable, TableCell, TableColumn};
use super::{cells, empty, events, paint, pane, queue_pane, run_pane};
use crate::app::{App, RowKey};
use crate::model::{LockRow, ObservedLock};
use crate::text;

/// Screens from this size on have panes below the list: (columns, lines of the body).
const PANES_FROM: (u16, u16) = (100, 26);
/// Screens from this many lines of the body on have a line about the queue.
const LINE_FROM: u16 = 12;
/// The span of the line of the last minute, in milliseconds.
const SPARK: u64 = 60_000;

const COLUMNS: [TableColumn; 9] = [
    TableColumn::text("LOCK", 16, 40, 0),
    TableColumn::text("STATE", 10, 10, 0),
    TableColumn::text("HOLDER", 18, 44, 0),
    TableColumn::number("HELD", 6, 7, 5),
    TableColumn::bar("TTL", 6, 17, 0),
    TableColumn::number("WAIT", 4, 5, 0),
    TableColumn::number("OLDEST", 6, 7, 3),
    TableColumn::number("FENCE", 7, 12, 4),
    TableColumn::line("60s", 12, 60, 6),
];

pub(super) fn render(frame: &mut Frame<'_>, area: Rect, app: &mut App, now: u64) {
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

fn table(frame: &mut Frame<'_>, area: Rect, app: &mut App, now: u64) {
    let inner = inside(area);
    let (rows, range) = window(app, inner, 1);
    let scene = ViewScene::new(app, now);
    let list = app.list();
    let title = title(&scene);
    pane::list(frame, area, &scene, &title, &pane::place(list));
    let table = FittedTable::new(&COLUMNS, inner.width);
    let sort = (app.sort().name(app.view), app.sort().reverse);
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
        let cells = cells_of(&scene, &table, lock);
        let is_selected = list.position() == Some(at);
        table.row(frame.buffer_mut(), line, &cells, is_selected, scene.theme);
    }
    empty::render(frame, rows, &scene);
}

/// `Locks (41)`, or `Locks (41 of 212)` with a filter.
pub(super) fn title(scene: &ViewScene<'_>) -> String {
    let (app, shown) = (scene.app, text::count(scene.app.list().len() as u64));
    let name = app.view.title();
    let notes = pane::notes(scene);
    if scene.shown.revision == 0 {
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

fn cells_of(
    scene: &ViewScene<'_>,
    table: &FittedTable,
    lock: &ObservedLock,
) -> [TableCell; COLUMNS.len()] {
    let theme = scene.theme;
    let row = scene.app.model.row(scene.shown, lock);
    let state = cells::state_style(theme, row.state);
    let or_dim = |is_there: bool| if is_there { theme.text } else { theme.dim };
    let holder = holder(&row, table.width("HOLDER"));
    let ttl = match &row.holder {
        Some(holder) => cells::ttl(theme, holder.lease, row.ttl, table.width("TTL")),
        None => (text::fit_right("- ", table.width("TTL")), theme.dim),
    };
    let fence = row
        .token()
        .map_or_else(|| "-".to_owned(), |token| token.to_string());
    [
        (row.label.to_string(), or_dim(row.holder.is_some())),
        (row.state.word().to_owned(), state),
        (holder, or_dim(row.holder.is_some())),
        (cells::span(row.held()), or_dim(row.held().is_some())),
        ttl,
        (row.waiters.to_string(), or_dim(row.waiters > 0)),
        (cells::span(row.oldest()), or_dim(row.oldest().is_some())),
        (fence, or_dim(row.holder.is_some())),
        (spark(scene, &row, table.width("60s")), theme.spark),
    ]
}

/// Who holds it, and from whom it was taken over.
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
        // The same job on another host: which host is what matters.
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

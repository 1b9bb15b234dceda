//! What happened, newest first: the Events view, and the pane of it below others.
//!
//! ```text
//! | TIME          REVISION EVENT     LOCK                WHAT                              |
//! | 12:04:31.120   1204518 WAIT      billing/invoice-07  +inv@host-6 (place 17)            |
//! |!12:04:28.014   1204509 TAKEOVER  cron/vacuum         vac@host-9 lease ended, held 41s  |
//! ```

use ratatui::Frame;
use ratatui::layout::Rect;

use super::layout::{inside, window};
use super::scene::ViewScene;
use super::table::{FittedTable, TableCell, TableColumn};
use super::{empty, paint, pane};
use crate::app::{App, RowKey};
use crate::model::StoreEvent;
use crate::text;

const COLUMNS: [TableColumn; 6] = [
    TableColumn::text("", 1, 1, 0),
    TableColumn::text("TIME", 12, 12, 0),
    TableColumn::number("REVISION", 8, 10, 2),
    TableColumn::text("EVENT", 8, 8, 0),
    TableColumn::text("LOCK", 16, 28, 1),
    TableColumn::text("WHAT", 30, 400, 0),
];

pub(super) fn render(frame: &mut Frame<'_>, area: Rect, app: &mut App, now: u64) {
    let inner = inside(area);
    let (rows, range) = window(app, inner, 1);
    let scene = ViewScene::new(app, now);
    let list = app.list();
    let title = format!("Events, newest first{}", pane::notes(&scene));
    pane::list(frame, area, &scene, &title, &pane::place(list));
    let table = FittedTable::new(&COLUMNS, inner.width);
    table.head(frame.buffer_mut(), inner, ("", false), scene.theme.header);
    let first = range.start;
    for (at, key) in list.rows().iter().enumerate().take(range.end).skip(first) {
        let RowKey::Event(number) = key else {
            continue;
        };
        let Some(event) = app.model.events.get(*number) else {
            continue;
        };
        let line = paint::row(rows, u16::try_from(at - first).unwrap_or(u16::MAX));
        let is_selected = list.position() == Some(at);
        let cells = cells_of(&scene, event);
        table.row(frame.buffer_mut(), line, &cells, is_selected, scene.theme);
    }
    empty::render(frame, rows, &scene);
}

/// The newest events, whatever the filter is.
pub(super) fn pane(frame: &mut Frame<'_>, area: Rect, scene: &ViewScene<'_>) {
    let inner = pane::frame(frame, area, scene, "Events");
    let table = FittedTable::new(&COLUMNS, inner.width);
    let events = scene.app.model.events.before(scene.shown.next);
    for (at, (_, event)) in events.take(inner.height.into()).enumerate() {
        let line = paint::row(inner, u16::try_from(at).unwrap_or(u16::MAX));
        let cells = cells_of(scene, event);
        table.row(frame.buffer_mut(), line, &cells, false, scene.theme);
    }
}

fn cells_of(scene: &ViewScene<'_>, event: &StoreEvent) -> [TableCell; COLUMNS.len()] {
    let theme = scene.theme;
    let is_trouble = event.kind.is_trouble();
    let (mark, style) = if is_trouble {
        ("!", theme.bad)
    } else {
        ("", theme.text)
    };
    let revision = if event.revision == 0 {
        "-".to_owned()
    } else {
        event.revision.to_string()
    };
    let lock = event.lock.as_deref().unwrap_or("-");
    [
        (mark.to_owned(), style),
        (text::clock_time(event.at_unix_ms), theme.dim),
        (revision, theme.dim),
        (event.kind.word().to_owned(), style),
        (lock.to_owned(), theme.text),
        (
            event.kind.sentence(),
            if is_trouble { theme.text } else { theme.dim },
        ),
    ]
}

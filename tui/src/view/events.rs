//! Events, newest first: the Events view, and the pane of it below others.
//!
//! ```text
//! | TIME          REVISION EVENT     LOCK                WHAT                              |
//! | 12:04:31.120   1204518 WAIT      billing/invoice-07  +inv@host-6 (place 17)            |
//! |!12:04:28.014   1204509 TAKEOVER  cron/vacuum         vac@host-9 lease ended, held 41s  |
//! ```

use ratatui::Frame;
use ratatui::layout::Rect;

use leasehold_records::UnixMs;

use super::layout::{inside, window};
use super::scene::ViewScene;
use super::table::{FittedTable, TableCell};
use super::{empty, paint, pane};
use crate::app::{App, RowKey};
use crate::columns::{ColumnSpec, ColumnWidth};
use crate::model::StoreEvent;
use crate::text;

/// A column about an event.
#[derive(Clone, Copy, PartialEq, Eq)]
enum EventColumn {
    Mark,
    Time,
    Revision,
    Event,
    Lock,
    Sentence,
}

const EVENT_COLUMNS: [ColumnSpec<EventColumn>; 6] = {
    use ColumnWidth as Width;
    [
        ColumnSpec::new(EventColumn::Mark, "").on_screen(Width::text(1, 1, 0)),
        ColumnSpec::new(EventColumn::Time, "TIME").on_screen(Width::text(12, 12, 0)),
        ColumnSpec::new(EventColumn::Revision, "REVISION").on_screen(Width::number(8, 10, 2)),
        ColumnSpec::new(EventColumn::Event, "EVENT").on_screen(Width::text(8, 8, 0)),
        ColumnSpec::new(EventColumn::Lock, "LOCK").on_screen(Width::text(16, 28, 1)),
        ColumnSpec::new(EventColumn::Sentence, "WHAT").on_screen(Width::text(30, 400, 0)),
    ]
};

pub(super) fn render(frame: &mut Frame<'_>, area: Rect, app: &mut App, now: UnixMs) {
    let inner = inside(area);
    let (rows, range) = window(app, inner, 1);
    let scene = ViewScene::new(app, now);
    let list = app.list();
    let title = format!("Events, newest first{}", pane::notes(&scene));
    pane::list(frame, area, &scene, &title, &pane::place(list));
    let table = FittedTable::new(&EVENT_COLUMNS, inner.width);
    table.head(frame.buffer_mut(), inner, None, scene.theme.header);
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
        let cell = |column, _| cell_of(&scene, event, column);
        table.row(frame.buffer_mut(), line, cell, is_selected, scene.theme);
    }
    empty::render(frame, rows, &scene);
}

/// Draws the newest events, whatever the filter is.
pub(super) fn pane(frame: &mut Frame<'_>, area: Rect, scene: &ViewScene<'_>) {
    let inner = pane::frame(frame, area, scene, "Events");
    let table = FittedTable::new(&EVENT_COLUMNS, inner.width);
    let events = scene.app.model.events.before(scene.shown.next);
    for (at, (_, event)) in events.take(inner.height.into()).enumerate() {
        let line = paint::row(inner, u16::try_from(at).unwrap_or(u16::MAX));
        let cell = |column, _| cell_of(scene, event, column);
        table.row(frame.buffer_mut(), line, cell, false, scene.theme);
    }
}

fn cell_of(scene: &ViewScene<'_>, event: &StoreEvent, column: EventColumn) -> TableCell {
    let theme = scene.theme;
    let is_trouble = event.kind.is_trouble();
    let (mark, style) = if is_trouble {
        ("!", theme.bad)
    } else {
        ("", theme.text)
    };
    match column {
        EventColumn::Mark => (mark.to_owned(), style),
        EventColumn::Time => (text::clock_time(event.at_unix_ms), theme.dim),
        EventColumn::Revision if event.revision.is_none() => ("-".to_owned(), theme.dim),
        EventColumn::Revision => (event.revision.to_string(), theme.dim),
        EventColumn::Event => (event.kind.word().to_owned(), style),
        EventColumn::Lock => (event.lock.as_deref().unwrap_or("-").to_owned(), theme.text),
        EventColumn::Sentence if is_trouble => (event.kind.sentence(), theme.text),
        EventColumn::Sentence => (event.kind.sentence(), theme.dim),
    }
}

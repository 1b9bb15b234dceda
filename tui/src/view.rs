//! The screen. Everything here reads the program and writes cells; only [`draw`] changes anything, and
//! only what whoever draws has to say: which rows are on the screen, and where.
//!
//! ```text
//! | header    whether the store is heard, and counts                    |
//! | tabs      views; filter, order, root                                |
//! | +-- the view's list ------------------------------- 1-12 of 41 --+  |
//! | |                                                                |  |
//! | +----------------------------------------------------------------+  |
//! | +-- panes about the selected row, if there is room --------------+  |
//! | +----------------------------------------------------------------+  |
//! | HIST      the moment that is shown, if it is not now or there is room |
//! | footer    a note, a filter that is typed, or what keys do           |
//! ```
//!
//! No clock is read here: `now` is given, in Unix milliseconds. Whatever a store says is cut to its cell
//! ([`paint`], [`table`]). A store that is not heard never looks like an empty one ([`empty`], [`header`]).
//! Only rows that are on the screen are made.

mod cells;
mod empty;
mod events;
mod footer;
mod header;
mod heatmap;
mod jobs;
mod line_parts;
mod locks;
mod overlay;
mod paint;
mod pane;
mod queue;
mod queue_pane;
mod run_pane;
mod scene;
mod sessions;
mod table;
mod tabs;
mod time_bar;

#[cfg(test)]
mod tests;

use std::ops::Range;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};

use crate::app::{App, HitAreas, View};
use scene::ViewScene;

/// The smallest screen that shows anything: below it names would be cut to nothing.
const LEAST: (u16, u16) = (60, 15);
/// From this height on the moment that is shown has a line of its own, even while it is the present.
const HISTORY_FROM: u16 = 20;

/// Draws everything, as it is `now`.
pub(crate) fn draw(frame: &mut Frame<'_>, app: &mut App, now: u64) {
    app.refresh(now);
    app.spots = HitAreas::default();
    let area = frame.area();
    if area.width < LEAST.0 || area.height < LEAST.1 {
        too_small(frame, app);
        return;
    }
    let has_history = area.height >= HISTORY_FROM || !app.shown(now).is_live;
    let [head, tabs, body, history, foot] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Min(0),
        Constraint::Length(u16::from(has_history)),
        Constraint::Length(1),
    ])
    .areas(area);
    app.spots.tabs = tabs::places(app, tabs);
    header::render(frame, head, &ViewScene::of(app, now));
    tabs::render(frame, tabs, &ViewScene::of(app, now));
    match app.view {
        View::Locks => locks::render(frame, body, app, now),
        View::Queue => queue::render(frame, body, app, now),
        View::Sessions => sessions::render(frame, body, app, now),
        View::Jobs => jobs::render(frame, body, app, now),
        View::Events => events::render(frame, body, app, now),
        View::Heatmap => heatmap::render(frame, body, app, now),
    }
    let scene = ViewScene::of(app, now);
    time_bar::render(frame, history, &scene);
    footer::render(frame, foot, &scene);
    overlay::render(frame, body, &scene);
}

/// Says which rows fit into `area`, below `heads` lines, and gives those that are on the screen.
fn window(app: &mut App, area: Rect, heads: u16) -> (Rect, Range<usize>) {
    let heads = heads.min(area.height);
    let rows = Rect::new(area.x, area.y + heads, area.width, area.height - heads);
    app.spots.list = rows;
    let range = app.list_mut().window(rows.height.into());
    (rows, range)
}

/// The inside of a pane's frame.
fn inside(area: Rect) -> Rect {
    ratatui::widgets::Block::bordered().inner(area)
}

fn too_small(frame: &mut Frame<'_>, app: &App) {
    let area = frame.area();
    let text = format!(
        "terminal too small: {}x{} needed, this is {}x{}",
        LEAST.0, LEAST.1, area.width, area.height
    );
    let lines = paint::wrap(&text, area.width.into());
    let mut page = paint::TextPage::new(frame.buffer_mut(), area);
    for line in lines {
        page.text(&line, app.setup.theme.warn);
    }
}

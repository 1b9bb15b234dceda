//! Drawing of a whole frame.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout};

use leasehold_records::UnixMs;

use super::scene::ViewScene;
use super::{
    events, footer, header, heatmap, jobs, locks, overlay, paint, queue, sessions, tabs, time_bar,
};
use crate::app::{App, HitAreas, View};

/// Smallest screen that shows anything: below it names would be cut to nothing.
const LEAST: (u16, u16) = (60, 15);
/// From this height on the time bar is always shown, even in the present.
const HISTORY_FROM: u16 = 20;

/// Draws everything, as it is `now`.
pub(crate) fn draw(frame: &mut Frame<'_>, app: &mut App, now: UnixMs) {
    app.refresh(now);
    app.hit_areas = HitAreas::default();
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
    app.hit_areas.tabs = tabs::places(app, tabs);
    header::render(frame, head, &ViewScene::new(app, now));
    tabs::render(frame, tabs, &ViewScene::new(app, now));
    match app.view {
        View::Locks => locks::render(frame, body, app, now),
        View::Queue => queue::render(frame, body, app, now),
        View::Sessions => sessions::render(frame, body, app, now),
        View::Jobs => jobs::render(frame, body, app, now),
        View::Events => events::render(frame, body, app, now),
        View::Heatmap => heatmap::render(frame, body, app, now),
    }
    let scene = ViewScene::new(app, now);
    time_bar::render(frame, history, &scene);
    footer::render(frame, foot, &scene);
    overlay::render(frame, body, &scene);
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

//! The second line: the views with their keys, then filter, order, root and store.

use ratatui::Frame;
use ratatui::layout::Rect;

use super::line_parts::LineParts;
use super::paint::{self, TextPiece};
use super::scene::ViewScene;
use crate::app::{App, FactSource, SortOrder, View};
use crate::keymap::{Command, Keymap};
use crate::text;

/// Most columns of a filter here; the prompt has all of it.
const FILTER: usize = 40;

/// Area of each view's tab.
pub(super) fn places(app: &App, area: Rect) -> [Rect; View::ALL.len()] {
    let mut x = area.x.saturating_add(1);
    View::ALL.map(|view| {
        let wide = text::width(&label(&app.setup.keymap, view));
        let wide = u16::try_from(wide).unwrap_or(u16::MAX);
        let place = Rect::new(x, area.y, wide, area.height.min(1));
        x = x.saturating_add(wide).saturating_add(1);
        place.intersection(area)
    })
}

pub(super) fn render(frame: &mut Frame<'_>, area: Rect, scene: &ViewScene<'_>) {
    let theme = scene.theme;
    let places = places(scene.app, area);
    for (view, place) in View::ALL.into_iter().zip(places) {
        let is_shown = view == scene.app.view;
        let style = if is_shown {
            theme.tab_active
        } else {
            theme.tab
        };
        let label = label(&scene.app.setup.keymap, view);
        paint::line(
            frame.buffer_mut(),
            place,
            0,
            &[TextPiece::new(label, style)],
        );
    }
    let used = places.iter().map(|place| place.right()).max().unwrap_or(0);
    let used = used
        .saturating_sub(area.x)
        .saturating_add(2)
        .min(area.width);
    let rest = Rect::new(area.x + used, area.y, area.width - used, area.height);
    let pieces = about(scene).fit(rest.width.into());
    paint::line(frame.buffer_mut(), rest, 0, &pieces);
}

fn label(keymap: &Keymap, view: View) -> String {
    let command = match view {
        View::Locks => Command::ViewLocks,
        View::Queue => Command::ViewQueue,
        View::Sessions => Command::ViewSessions,
        View::Jobs => Command::ViewJobs,
        View::Events => Command::ViewEvents,
        View::Heatmap => Command::ViewHeatmap,
    };
    match keymap.hint(command).as_str() {
        "" => format!("[{}]", view.title()),
        key => format!("[{key}]{}", view.title()),
    }
}

/// Filter, order, root and source of the rows.
fn about(scene: &ViewScene<'_>) -> LineParts {
    let (theme, app) = (scene.theme, scene.app);
    let mut parts = LineParts::default();
    if app.filter.is_empty() {
        parts.add(4, "filter: none", theme.dim);
    } else {
        let text = leasehold_records::printable::line(app.filter.text());
        let text = paint::cut(&text, FILTER);
        parts.add(0, format!("filter: {text}"), theme.match_highlight);
    }
    let sort = app.sort();
    if SortOrder::is_offered(app.view) {
        let sign = if sort.reverse { "v" } else { "^" };
        let text = format!("sort: {} {sign}", sort.title(app.view));
        parts.add(1, text, theme.text);
    }
    let root = leasehold_records::printable::line(app.model.scope.root().as_str());
    let more = app.model.scope.prefixes().len();
    let more = if more == 0 {
        String::new()
    } else {
        format!(" +{more}")
    };
    parts.add(2, format!("root: {root}{more}"), theme.dim);
    let source = match &app.setup.source {
        FactSource::Store(address) => format!("at {address}"),
        FactSource::Recording { file, .. } => format!("from {file}"),
    };
    parts.add(3, leasehold_records::printable::line(&source), theme.dim);
    parts
}

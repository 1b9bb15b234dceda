//! Reason for a list without rows. A lost store, or one that is not read yet, never looks like an empty one.

use ratatui::Frame;
use ratatui::layout::Rect;

use super::paint::{self, TextPage};
use super::scene::ViewScene;
use crate::app::{FactSource, View};
use crate::keymap::Command;
use crate::model::StoreLink;
use crate::text;

/// Shows the reason for a list without rows.
pub(super) fn render(frame: &mut Frame<'_>, area: Rect, scene: &ViewScene<'_>) {
    if scene.app.list().len() > 0 {
        return;
    }
    let (why, also) = why(scene);
    let width = usize::from(area.width.saturating_sub(4));
    let style = match scene.app.model.link {
        StoreLink::Live => scene.theme.text,
        StoreLink::Loading => scene.theme.warn,
        StoreLink::Down { .. } => scene.theme.bad,
    };
    // A little below the heads, where the reader looks.
    let top = u16::from(area.height > 4);
    let inner = Rect::new(
        area.x.saturating_add(2).min(area.right()),
        area.y + top,
        area.width.saturating_sub(4),
        area.height - top,
    );
    let mut page = TextPage::new(frame.buffer_mut(), inner);
    for line in paint::wrap(&why, width) {
        page.text(&line, style);
    }
    for line in paint::wrap(&also, width) {
        page.text(&line, scene.theme.dim);
    }
}

/// The reason, and a further hint.
fn why(scene: &ViewScene<'_>) -> (String, String) {
    let (app, model) = (scene.app, &scene.app.model);
    let from = match &app.setup.source {
        FactSource::Store(address) => leasehold_records::printable::line(address),
        FactSource::Recording { file, .. } => leasehold_records::printable::line(file),
    };
    match &model.link {
        StoreLink::Loading => {
            let text = format!("loading: nothing has been read from {from} yet");
            return (text, "this does not mean that nothing is locked".into());
        }
        StoreLink::Down { reason, since } if scene.shown.revision.is_none() => {
            let age = text::age(scene.now.millis_since(*since));
            let text = format!("disconnected for {age}: {reason}");
            return (text, format!("nothing has ever been read from {from}"));
        }
        _ => {}
    }
    let keymap = &app.setup.keymap;
    let (why, also) = if app.filter.is_empty() {
        (nothing(scene), String::new())
    } else {
        let text = leasehold_records::printable::line(app.filter.text());
        let key = keymap.hint(Command::ClearFilter);
        (
            format!("nothing matches the filter {text:?}"),
            format!("{key} shows all rows again"),
        )
    };
    if !scene.shown.is_live {
        let moment = text::clock_time(scene.shown.now);
        let key = keymap.hint(Command::Live);
        return (
            format!("at {moment}: {why}"),
            format!(
                "{also}{}{key} goes back to now",
                if also.is_empty() { "" } else { "; " }
            ),
        );
    }
    match &model.link {
        StoreLink::Down { reason, since } => {
            let age = text::age(scene.now.millis_since(*since));
            let last = format!("at the last update: {why}");
            (format!("disconnected for {age}: {reason}"), last)
        }
        _ => (why, also),
    }
}

/// Sentence about the absence of the view's rows.
fn nothing(scene: &ViewScene<'_>) -> String {
    let (app, scope) = (scene.app, &scene.app.model.scope);
    let mut under = vec![scope.root().as_str().to_owned()];
    under.extend_from_slice(scope.prefixes());
    let under = leasehold_records::printable::line(&under.join(" and "));
    match app.view {
        View::Locks | View::Heatmap => format!("nothing is locked under {under}"),
        View::Queue => match &app.lock {
            Some(lock) => format!("{} has no holder and no waiters", scene.label(lock)),
            None => format!("nothing is locked under {under}, so there is no queue"),
        },
        View::Sessions => format!("no lease carries a host or a place in a queue under {under}"),
        View::Jobs => format!("no host under {under} reports a job"),
        View::Events => "nothing has changed since this was started".into(),
    }
}

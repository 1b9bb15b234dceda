//! The first line: the connection to the store, the shown moment, and counts of locks in trouble.
//!
//! ```text
//!  LEASEHOLD  etcd 3.5.1  3 members  leader m2  rev 1,204,518  rtt 4ms | LIVE | held 41  waiting 63  ? help
//! ```
//!
//! The state of the connection is always shown, as a word; everything else is left out before it.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::line_parts::LineParts;
use super::paint::{self, TextPiece};
use super::scene::ViewScene;
use crate::app::FactSource;
use crate::keymap::Command;
use crate::model::StoreLink;
use crate::text;

/// Most columns of a file's name.
const FILE: usize = 32;
/// Fewest columns of the reason for a lost connection.
const LEAST_REASON: usize = 40;

pub(super) fn render(frame: &mut Frame<'_>, area: Rect, scene: &ViewScene<'_>) {
    let theme = scene.theme;
    let width = usize::from(area.width);
    let mut parts = LineParts::default();
    parts.add(3, " LEASEHOLD", theme.title);
    store(&mut parts, scene);
    let counts = counts(scene);
    let room = width.saturating_sub(counts.width() + text::width(" LEASEHOLD |  | "));
    for piece in states(scene, room) {
        parts.after(" | ", theme.dim, 0, vec![piece]);
    }
    parts.append(" | ", theme.dim, counts);
    let mut pieces = parts.fit(width);
    let used: usize = pieces.iter().map(|piece| text::width(&piece.text)).sum();
    let hint = scene.app.setup.keymap.hint(Command::Help);
    let help = text::width(&hint) + text::width(" help ");
    if !hint.is_empty() && used + 2 + help <= width {
        pieces.push(TextPiece::new(
            " ".repeat(width - used - help),
            Style::new(),
        ));
        pieces.push(TextPiece::new(hint, theme.key_hint));
        pieces.push(TextPiece::new(" help ", theme.dim));
    }
    paint::line(frame.buffer_mut(), area, 0, &pieces);
}

/// Facts about the store itself.
fn store(parts: &mut LineParts, scene: &ViewScene<'_>) {
    let (theme, model) = (scene.theme, &scene.app.model);
    let revision = scene.shown.revision.as_u64();
    if !matches!(model.link, StoreLink::Live) {
        // The last health of a lost store is not its present health.
        return;
    }
    match &model.health {
        Some(Ok(health)) => {
            parts.add(5, format!("etcd {}", health.version), theme.text);
            let many = if health.members == 1 { "" } else { "s" };
            let members = format!("{} member{many}", health.members);
            parts.add(7, members, theme.text);
            let (leader, style) = match health.leader.as_str() {
                "" => ("leader unknown".to_owned(), theme.dim),
                leader => (format!("leader {leader}"), theme.text),
            };
            parts.add(6, paint::cut(&leader, FILE), style);
            parts.add(4, format!("rev {}", text::count(revision)), theme.text);
            let millis = leasehold_records::whole_millis(health.round_trip);
            parts.add(6, format!("rtt {}", text::age(millis)), theme.text);
        }
        Some(Err(reason)) => {
            parts.add(5, format!("rev {}", text::count(revision)), theme.text);
            let text = format!("health unknown: {reason}");
            parts.add(4, paint::cut(&text, 2 * FILE), theme.warn);
        }
        None => parts.add(4, format!("rev {}", text::count(revision)), theme.text),
    }
}

/// Words for the state of the connection and the shown moment.
fn states(scene: &ViewScene<'_>, room: usize) -> Vec<TextPiece> {
    let (theme, app) = (scene.theme, scene.app);
    let mut states = Vec::new();
    if let FactSource::Recording { file, .. } = &app.setup.source {
        states.push(TextPiece::new(replay(scene, file), theme.history));
        return states;
    }
    if !scene.shown.is_live {
        states.push(TextPiece::new(past(scene), theme.history));
    }
    if !app.model.denied.is_empty() {
        let denied = leasehold_records::printable::line(&app.model.denied.join(", "));
        let text = paint::cut(
            &format!("not permitted to read {denied}"),
            room.max(LEAST_REASON),
        );
        states.push(TextPiece::new(text, theme.warn));
    }
    match &app.model.link {
        StoreLink::Loading => states.push(TextPiece::new("LOADING", theme.warn)),
        StoreLink::Live if scene.shown.is_live => {
            states.push(TextPiece::new("LIVE", theme.good));
            if let Some(behind) = behind(scene) {
                states.push(TextPiece::new(format!("behind {behind}"), theme.warn));
            }
        }
        StoreLink::Live => {}
        StoreLink::Down { reason, since } => {
            let age = text::age(scene.now.millis_since(*since));
            // The Events view has the whole reason.
            let room = room.max(LEAST_REASON);
            let text = paint::cut(&format!("DISCONNECTED {age}: {reason}"), room);
            states.push(TextPiece::new(text, theme.bad));
        }
    }
    states
}

/// Number of revisions by which the store is ahead of the shown state.
fn behind(scene: &ViewScene<'_>) -> Option<String> {
    let health = scene.app.model.health.as_ref()?.as_ref().ok()?;
    let behind = health
        .revision
        .as_u64()
        .checked_sub(scene.shown.revision.as_u64())?;
    (behind > 0).then(|| text::count(behind))
}

fn past(scene: &ViewScene<'_>) -> String {
    let moment = text::clock_time(scene.shown.now);
    match scene.app.model.changes_behind() {
        0 => format!("FROZEN {moment}, nothing new"),
        1 => format!("PAST {moment}, 1 change behind"),
        behind => format!("PAST {moment}, {} changes behind", text::count(behind)),
    }
}

fn replay(scene: &ViewScene<'_>, file: &str) -> String {
    let file = file.rsplit('/').next().unwrap_or(file);
    let file = text::fit_middle(file, FILE.min(text::width(file)));
    let moment = text::clock_time(scene.shown.now);
    let plays = if scene.app.playing.is_some() {
        " playing"
    } else {
        ""
    };
    let end = if scene.shown.is_live {
        " (its end)"
    } else {
        ""
    };
    format!("REPLAY {file}{plays} {moment}{end}")
}

/// Counts of locks by state; none before the first reading, which is not a count of 0.
fn counts(scene: &ViewScene<'_>) -> LineParts {
    let theme = scene.theme;
    let mut parts = LineParts::default();
    if scene.shown.revision.is_none() {
        parts.add(0, "nothing known of any lock", theme.warn);
        return parts;
    }
    let counts = scene.app.counts();
    for (name, count, style, rank) in [
        ("held", counts.held, theme.text, 2),
        ("waiting", counts.waiting, theme.text, 2),
        ("expiring", counts.expiring, theme.expiring, 1),
        ("takeover", counts.takeover, theme.takeover, 1),
    ] {
        let style = if count == 0 { theme.dim } else { style };
        parts.add(rank, format!("{name} {}", text::count(count as u64)), style);
    }
    parts
}

//! The last line: the filter prompt, the note about a command, or hints about keys.

use ratatui::Frame;
use ratatui::layout::{Position, Rect};

use super::line_parts::LineParts;
use super::paint::{self, TextPiece};
use super::scene::ViewScene;
use crate::app::{OpenOverlay, StatusNote, TextInput, View};
use crate::keymap::Command;
use crate::text;

/// Prompt of a filter.
const FILTER: &str = " filter: ";

pub(super) fn render(frame: &mut Frame<'_>, area: Rect, scene: &ViewScene<'_>) {
    let (theme, app) = (scene.theme, scene.app);
    if let Some(OpenOverlay::Filter { typing, .. }) = &app.overlay {
        // The error of the filter is beside it.
        let note = app.note.as_ref().filter(|note| note.is_bad);
        let typed = text::width(&typing.text()) + text::width(FILTER) + 3;
        let typed = u16::try_from(typed).unwrap_or(u16::MAX).min(area.width / 2);
        let half = if note.is_some() { typed } else { area.width };
        let left = Rect {
            width: half,
            ..area
        };
        input(frame, left, FILTER, typing, scene);
        let right = Rect::new(area.x + half, area.y, area.width - half, area.height);
        if let Some(note) = note {
            let pieces = [TextPiece::new(format!("! {}", note.text), theme.bad)];
            paint::line(frame.buffer_mut(), right, 0, &pieces);
        }
        return;
    }
    let pieces = match &app.note {
        Some(note) => note_pieces(scene, note, usize::from(area.width)),
        None if app.overlay.is_some() => closing(scene),
        None => {
            let hints = hints(scene).fit(usize::from(area.width).saturating_sub(1));
            std::iter::once(TextPiece::new(" ", theme.text))
                .chain(hints)
                .collect()
        }
    };
    paint::line(frame.buffer_mut(), area, 0, &pieces);
}

/// A note; for one that is too long, where the rest of it is.
fn note_pieces(scene: &ViewScene<'_>, note: &StatusNote, width: usize) -> Vec<TextPiece> {
    let theme = scene.theme;
    let (mark, style) = if note.is_bad {
        (" ! ", theme.bad)
    } else {
        (" ", theme.good)
    };
    let text = format!("{mark}{}", note.text);
    let key = scene.app.setup.keymap.hint(Command::ViewEvents);
    if !note.is_event || key.is_empty() || text::width(&text) <= width {
        return vec![TextPiece::new(text, style)];
    }
    let rest = format!(" {key} all of it ");
    let room = width.saturating_sub(text::width(&rest));
    vec![
        TextPiece::new(paint::cut(&text, room), style),
        TextPiece::new(rest, theme.key_hint),
    ]
}

/// Draws a text input after a prompt, with the terminal's cursor in it.
pub(super) fn input(
    frame: &mut Frame<'_>,
    area: Rect,
    prompt: &str,
    typing: &TextInput,
    scene: &ViewScene<'_>,
) {
    let room = usize::from(area.width).saturating_sub(text::width(prompt) + 1);
    let before = tail(&typing.before(), room);
    let after: String = typing
        .text()
        .chars()
        .skip(typing.before().chars().count())
        .collect();
    let column = text::width(prompt) + text::width(&before);
    let pieces = [
        TextPiece::new(prompt, scene.theme.key_hint),
        TextPiece::new(before + &after, scene.theme.text),
    ];
    paint::line(frame.buffer_mut(), area, 0, &pieces);
    let x = area
        .x
        .saturating_add(u16::try_from(column).unwrap_or(u16::MAX));
    if !area.is_empty() && x < area.right() {
        frame.set_cursor_position(Position::new(x, area.y));
    }
}

/// End of a text that fits.
fn tail(text: &str, room: usize) -> String {
    let mut shown = text;
    while text::width(shown) > room {
        let mut chars = shown.chars();
        chars.next();
        shown = chars.as_str();
    }
    shown.to_owned()
}

/// Hints about keys of the overlay; these keys are not bound.
fn closing(scene: &ViewScene<'_>) -> Vec<TextPiece> {
    let theme = scene.theme;
    let hints: &[(&str, &str)] = match scene.app.overlay {
        Some(OpenOverlay::Confirm { .. }) => &[
            ("Enter", "does it, if the name is typed"),
            ("Esc", "does nothing"),
        ],
        Some(OpenOverlay::Form(_)) => &[
            ("Enter", "next field, then does it"),
            ("↑ ↓", "field"),
            ("Esc", "does nothing"),
        ],
        Some(OpenOverlay::Palette { .. }) => {
            &[("Enter", "does it"), ("↑ ↓", "choose"), ("Esc", "closes")]
        }
        _ => &[("↑ ↓ PgUp PgDn", "scroll"), ("Esc", "closes")],
    };
    let mut pieces = Vec::new();
    for (keys, does) in hints {
        pieces.push(TextPiece::new(format!(" {keys}"), theme.key_hint));
        pieces.push(TextPiece::new(format!(" {does} "), theme.dim));
    }
    pieces
}

/// Hints about keys of this view, as bound now.
fn hints(scene: &ViewScene<'_>) -> LineParts {
    use Command as C;
    let mut parts = LineParts::default();
    let open = match scene.app.view {
        View::Locks | View::Heatmap | View::Events => "queue",
        View::Queue | View::Sessions => "describe",
        View::Jobs => "logs",
    };
    let mut hint = |rank, command: Command, does: &str| {
        let key = scene.app.setup.keymap.hint(command);
        if key.is_empty() {
            return;
        }
        let pieces = vec![
            TextPiece::new(key, scene.theme.key_hint),
            TextPiece::new(format!(" {does}"), scene.theme.dim),
        ];
        parts.after("  ", scene.theme.text, rank, pieces);
    };
    hint(0, C::Open, open);
    hint(1, C::Filter, "filter");
    if crate::app::SortOrder::is_offered(scene.app.view) {
        hint(5, C::Sort, "sort");
    }
    if open != "describe" {
        hint(4, C::Describe, "describe");
    }
    hint(4, C::Logs, "logs");
    hint(6, C::Follow, "follow");
    hint(5, C::Copy, "copy");
    if scene.app.setup.allow_write {
        let acts: &[(Command, &str)] = match scene.app.view {
            View::Jobs => &[
                (C::Trigger, "trigger"),
                (C::Pause, "pause"),
                (C::Resume, "resume"),
                (C::Stop, "stop"),
            ],
            View::Sessions => &[
                (C::Drain, "drain"),
                (C::Undrain, "undrain"),
                (C::RevokeLease, "revoke"),
            ],
            View::Locks | View::Queue | View::Events | View::Heatmap => &[
                (C::StopRun, "stop run"),
                (C::RemoveEntry, "remove"),
                (C::RevokeLease, "revoke"),
            ],
        };
        for (command, does) in acts {
            hint(3, *command, does);
        }
    }
    hint(2, C::Palette, "commands");
    hint(1, C::Help, "help");
    hint(0, C::Quit, "quit");
    parts
}

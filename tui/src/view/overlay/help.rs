//! Help about keys, as bound now. Nothing here names a key: the keymap does.

use ratatui::Frame;
use ratatui::layout::Rect;

use super::super::layout::inside;
use super::super::paint::TextPiece;
use super::super::scene::ViewScene;
use super::scroll::{OverlayLine, middle, plain, scrolled};
use crate::keymap::{Command, CommandGroup};
use crate::text;

/// Columns of keys, and of a whole entry.
const KEYS: usize = 10;
const ENTRY: usize = 57;
/// Columns between entries.
const GAP: usize = 2;

pub(super) fn render(frame: &mut Frame<'_>, area: Rect, scene: &ViewScene<'_>, top: usize) {
    let entries = entries(scene);
    let room = usize::from(inside(area).width);
    let columns = ((room + GAP) / (ENTRY + GAP)).clamp(1, 3);
    // As few columns as show everything: a list is easier to read than a grid.
    let height = usize::from(inside(area).height);
    let columns = entries.len().div_ceil(height.max(1)).clamp(1, columns);
    let wide = (ENTRY + GAP) * columns;
    let lines = beside(&entries, columns);
    let width = u16::try_from(wide + 2).unwrap_or(u16::MAX);
    let tall = u16::try_from(lines.len() + 2).unwrap_or(u16::MAX);
    let area = middle(area, width, tall);
    scrolled(frame, area, scene, "Help: what the keys do", &lines, top);
}

/// Every command below the title of its group.
fn entries(scene: &ViewScene<'_>) -> Vec<OverlayLine> {
    let theme = scene.theme;
    let setup = &scene.app.setup;
    let mut entries: Vec<OverlayLine> = Vec::new();
    let mut group: Option<CommandGroup> = None;
    for command in Command::ALL.iter().copied() {
        if group != Some(command.group()) {
            group = Some(command.group());
            if !entries.is_empty() {
                entries.push(OverlayLine::new());
            }
            let title = command.group().title();
            let note = match command.group() {
                CommandGroup::Act if !setup.allow_write => ", changes only with --allow-write",
                _ => "",
            };
            entries.push(plain(format!(" {title}{note}"), theme.title));
        }
        let keys = setup.keymap.keys_of(command).join("  ");
        let keys = if keys.is_empty() {
            "no key".to_owned()
        } else {
            keys
        };
        let allowed = setup.allow_write || !command.writes();
        let (style, mark) = if allowed {
            (theme.text, "")
        } else {
            (theme.dim, "(off) ")
        };
        entries.push(vec![
            TextPiece::new(format!(" {} ", text::fit(&keys, KEYS)), theme.key_hint),
            TextPiece::new(format!("{mark}{}", command.description()), style),
        ]);
    }
    entries
}

/// Entries in columns of equal height, as lines.
fn beside(entries: &[OverlayLine], columns: usize) -> Vec<OverlayLine> {
    if columns == 1 {
        return entries.to_vec();
    }
    let height = entries.len().div_ceil(columns);
    let line = |at: usize| {
        let mut line = OverlayLine::new();
        for column in 0..columns {
            let entry = entries.get(column * height + at);
            let used: usize = entry
                .iter()
                .copied()
                .flatten()
                .map(|piece| text::width(&piece.text))
                .sum();
            line.extend(entry.cloned().into_iter().flatten());
            let rest = (ENTRY + GAP).saturating_sub(used);
            line.push(TextPiece::new(
                " ".repeat(rest),
                ratatui::style::Style::new(),
            ));
        }
        line
    };
    (0..height).map(line).collect()
}

//! Palette: commands by name.

use ratatui::Frame;
use ratatui::layout::Rect;

use super::super::footer;
use super::super::paint::{TextPage, TextPiece};
use super::super::pane;
use super::super::scene::ViewScene;
use super::scroll::middle;
use crate::app::{TextInput, matching_commands};
use crate::text;

const WIDTH: u16 = 76;
const HEIGHT: u16 = 18;

pub(super) fn render(
    frame: &mut Frame<'_>,
    area: Rect,
    scene: &ViewScene<'_>,
    typing: &TextInput,
    at: usize,
) {
    let theme = scene.theme;
    let setup = &scene.app.setup;
    let found = matching_commands(&typing.text(), setup.allow_write);
    let area = middle(area, WIDTH, HEIGHT);
    let right = text::count(found.len() as u64);
    let inner = pane::over(frame, area, scene, "Commands", &right);
    let prompt = Rect {
        height: inner.height.min(1),
        ..inner
    };
    footer::input(frame, prompt, " > ", typing, scene);
    let list = Rect::new(
        inner.x,
        prompt.bottom(),
        inner.width,
        inner.height - prompt.height,
    );
    let mut page = TextPage::new(frame.buffer_mut(), list);
    if found.is_empty() {
        page.text("   no command is called so or does that", theme.warn);
        return;
    }
    let room = page.left().max(1);
    let at = at.min(found.len() - 1);
    let top = (at + 1).saturating_sub(room);
    for (number, command) in found.iter().enumerate().skip(top).take(room) {
        let mark = if number == at { ">" } else { " " };
        let keys = text::fit(&setup.keymap.hint(*command), 10);
        page.line(&[
            TextPiece::new(
                format!("{mark}{} ", text::fit(command.name(), 16)),
                theme.text,
            ),
            TextPiece::new(keys, theme.key_hint),
            TextPiece::new(command.description(), theme.dim),
        ]);
        if number == at {
            page.mark_last(theme.selected);
        }
    }
}

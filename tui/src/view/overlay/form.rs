//! Form of an order to hosts: its consequence, the operator, and the fields to fill in.

use leasehold_records::printable;
use ratatui::Frame;
use ratatui::layout::Rect;

use super::super::paint::{self, TextPage, TextPiece};
use super::super::scene::ViewScene;
use super::super::{footer, pane};
use super::scroll::middle;
use crate::app::{FieldKind, OrderForm};
use crate::text;

const WIDTH: u16 = 76;
/// Lines beside those of the consequence and the fields: the frame, the operator, and two empty ones.
const OTHERS: usize = 5;
/// Columns of a field's name.
const NAME: usize = 7;

pub(super) fn render(frame: &mut Frame<'_>, area: Rect, scene: &ViewScene<'_>, form: &OrderForm) {
    let theme = scene.theme;
    let width = usize::from(WIDTH.min(area.width)).saturating_sub(4);
    let consequence = paint::wrap(&printable::line(&form.consequence), width);
    let height = OTHERS + consequence.len() + form.fields.len();
    let area = middle(area, WIDTH, u16::try_from(height).unwrap_or(u16::MAX));
    let title = format!(
        "{} {}?",
        form.verb.as_str(),
        printable::line(&form.verb.target())
    );
    let inner = pane::over(frame, area, scene, &title, "Esc does nothing");
    // The fields are at the end, and seen on the smallest screen.
    let below = u16::try_from(form.fields.len()).unwrap_or(u16::MAX);
    let above = inner.height.saturating_sub(below);
    let text_area = Rect {
        height: above,
        ..inner
    };
    let mut page = TextPage::new(frame.buffer_mut(), text_area);
    let room = usize::from(above).saturating_sub(3).max(1);
    for line in consequence.iter().take(room) {
        page.text(&format!(" {line}"), theme.warn);
    }
    page.text("", theme.text);
    page.line(&[
        TextPiece::new(format!(" {} ", text::fit("by", NAME)), theme.dim),
        TextPiece::new(printable::line(&scene.app.setup.operator), theme.text),
    ]);
    for (at, field) in form.fields.iter().enumerate() {
        let line = paint::row(inner, above + u16::try_from(at).unwrap_or(u16::MAX));
        let prompt = prompt(&field.kind, width);
        let is_empty = field.typing.text().is_empty();
        if at == form.at {
            footer::input(frame, line, &prompt, &field.typing, scene);
        } else {
            let pieces = [
                TextPiece::new(prompt.as_str(), theme.dim),
                TextPiece::new(field.typing.text(), theme.text),
            ];
            paint::line(frame.buffer_mut(), line, 0, &pieces);
        }
        if is_empty {
            let after = u16::try_from(text::width(&prompt) + 1).unwrap_or(u16::MAX);
            let rest = Rect {
                x: line.x.saturating_add(after),
                width: line.width.saturating_sub(after),
                ..line
            };
            let hint = TextPiece::new(hint(&field.kind), theme.dim);
            paint::line(frame.buffer_mut(), rest, 0, &[hint]);
        }
    }
}

fn prompt(kind: &FieldKind, width: usize) -> String {
    match kind {
        FieldKind::Why => format!(" {} ", text::fit("why", NAME)),
        FieldKind::Until => format!(" {} ", text::fit("until", NAME)),
        FieldKind::Name(name) => {
            let name = paint::cut(&printable::line(name), width.saturating_sub(32));
            format!(" type {name} to confirm: ")
        }
    }
}

const fn hint(kind: &FieldKind) -> &'static str {
    match kind {
        FieldKind::Why => "the reason, on record; may be empty",
        FieldKind::Until => "06:00, 2h or 2026-12-01T06:00:00Z; empty: until it is resumed",
        FieldKind::Name(_) => "",
    }
}

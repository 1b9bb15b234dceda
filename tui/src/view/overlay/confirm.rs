//! Confirmation of an admin action: its consequence, its target, and the name to type.

use leasehold_records::printable;
use ratatui::Frame;
use ratatui::layout::Rect;

use super::super::paint::TextPage;
use super::super::paint::TextPiece;
use super::super::pane;
use super::super::scene::ViewScene;
use super::super::{footer, paint};
use super::scroll::middle;
use crate::app::{EntryOrder, TextInput};

const WIDTH: u16 = 76;
const HEIGHT: u16 = 13;

pub(super) fn render(
    frame: &mut Frame<'_>,
    area: Rect,
    scene: &ViewScene<'_>,
    order: &EntryOrder,
    typing: &TextInput,
) {
    let theme = scene.theme;
    let area = middle(area, WIDTH, HEIGHT);
    let title = format!("{} {}?", order.deed.as_str(), order.whom);
    let inner = pane::over(frame, area, scene, &title, "Esc does nothing");
    let width = usize::from(inner.width).saturating_sub(2);
    let [above, prompt] = ratatui::layout::Layout::vertical([
        ratatui::layout::Constraint::Min(0),
        ratatui::layout::Constraint::Length(1),
    ])
    .areas(inner);
    let mut page = TextPage::new(frame.buffer_mut(), above);
    for line in paint::wrap(&order.consequence, width).iter().take(3) {
        page.text(&format!(" {line}"), theme.bad);
    }
    page.text("", theme.text);
    for (name, text) in [
        ("lock ", printable::line(&order.lock)),
        ("key  ", printable::line(&order.key)),
        ("token", order.create_revision.to_string()),
        ("lease", order.lease.to_string()),
        ("by   ", printable::line(&scene.app.setup.operator)),
    ] {
        let pieces = [
            TextPiece::new(format!(" {name} "), theme.dim),
            TextPiece::new(text, theme.text),
        ];
        page.line(&pieces);
    }
    let name = paint::cut(&order.confirm, width.saturating_sub(24));
    page.text(&format!(" type {name} to confirm:"), theme.warn);
    footer::input(frame, prompt, " > ", typing, scene);
}

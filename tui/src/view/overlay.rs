//! Overlays of a view: help, palette, description, output, confirmation, and the form of an order. The filter prompt is in the footer instead,
//! so that its matches stay visible.

mod confirm;
mod describe;
mod form;
mod help;
mod logs;
mod palette;
mod scroll;

use ratatui::Frame;
use ratatui::layout::Rect;

use super::scene::ViewScene;
use crate::app::OpenOverlay;

/// Draws the overlay, if there is one, over `area`.
pub(super) fn render(frame: &mut Frame<'_>, area: Rect, scene: &ViewScene<'_>) {
    match &scene.app.overlay {
        None | Some(OpenOverlay::Filter { .. }) => {}
        Some(OpenOverlay::Help { top }) => help::render(frame, area, scene, *top),
        Some(OpenOverlay::Palette { typing, at }) => {
            palette::render(frame, area, scene, typing, *at);
        }
        Some(OpenOverlay::Describe { top }) => describe::render(frame, area, scene, *top),
        Some(OpenOverlay::Logs { up }) => logs::render(frame, area, scene, *up),
        Some(OpenOverlay::Confirm { order, typing }) => {
            confirm::render(frame, area, scene, order, typing);
        }
        Some(OpenOverlay::Form(form)) => form::render(frame, area, scene, form),
    }
}

//! Keys while an overlay covers the view: typing, choosing and closing.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use leasehold_records::UnixMs;

use super::admin_order::AdminOrder;
use super::app_state::App;
use super::effect::AppEffect;
use super::order_form::OrderForm;
use super::overlay::{OpenOverlay, matching_commands};
use super::text_input::TextInput;
use crate::filter::Filter;
use crate::keymap::Command;

impl App {
    pub(super) fn typing(&mut self) -> Option<&mut TextInput> {
        match &mut self.overlay {
            Some(
                OpenOverlay::Filter { typing, .. }
                | OpenOverlay::Palette { typing, .. }
                | OpenOverlay::Confirm { typing, .. },
            ) => Some(typing),
            Some(OpenOverlay::Form(form)) => form.typing(),
            _ => None,
        }
    }

    /// Applies the typed text at once, where that is possible.
    pub(super) fn apply_input(&mut self, now: UnixMs) {
        match &mut self.overlay {
            Some(OpenOverlay::Filter { typing, .. }) => match Filter::parse(&typing.text()) {
                Ok(filter) => {
                    self.filter = filter;
                    self.note = None;
                }
                Err(error) => self.warn(now, error.to_string()),
            },
            Some(OpenOverlay::Palette { at, .. }) => *at = 0,
            _ => {}
        }
    }

    pub(super) fn overlay_key(&mut self, key: KeyEvent, now: UnixMs) -> Vec<AppEffect> {
        // These keys close it whatever the bindings are, so that every overlay can be left.
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        if control && key.code == KeyCode::Char('c') {
            return vec![AppEffect::Quit];
        }
        if key.code == KeyCode::Esc {
            if let Some(OpenOverlay::Filter { before, .. }) = self.overlay.take() {
                self.filter = Filter::parse(&before).unwrap_or_default();
                // The note was about the filter that is given up.
                self.note = None;
            }
            return Vec::new();
        }
        if self.typing().is_some() {
            return self.typing_key(key, now);
        }
        let command = self.setup.keymap.command(key);
        if key.code == KeyCode::Enter || matches!(command, Some(Command::Quit | Command::Back)) {
            self.overlay = None;
            return Vec::new();
        }
        let by = match command {
            Some(Command::Up) => -1,
            Some(Command::Down) => 1,
            Some(Command::PageUp | Command::HalfPageUp) => -10,
            Some(Command::PageDown | Command::HalfPageDown) => 10,
            Some(Command::Top) => isize::MIN / 2,
            Some(Command::Bottom) => isize::MAX / 2,
            // The key that opened it closes it.
            Some(Command::Help | Command::Describe | Command::Logs) => {
                self.overlay = None;
                return Vec::new();
            }
            _ => return Vec::new(),
        };
        self.scroll(by, now);
        Vec::new()
    }

    pub(super) fn typing_key(&mut self, key: KeyEvent, now: UnixMs) -> Vec<AppEffect> {
        if key.code == KeyCode::Enter {
            return self.confirm_input(now);
        }
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        if let Some(OpenOverlay::Palette { typing, at }) = &mut self.overlay {
            let last = matching_commands(&typing.text(), self.setup.allow_write)
                .len()
                .saturating_sub(1);
            match key.code {
                KeyCode::Down | KeyCode::Tab => {
                    *at = (*at + 1).min(last);
                    return Vec::new();
                }
                KeyCode::Up | KeyCode::BackTab => {
                    *at = at.saturating_sub(1);
                    return Vec::new();
                }
                _ => {}
            }
        }
        if let Some(OpenOverlay::Form(form)) = &mut self.overlay {
            match key.code {
                KeyCode::Down | KeyCode::Tab => form.step(1),
                KeyCode::Up | KeyCode::BackTab => form.step(-1),
                _ => {}
            }
        }
        let Some(typing) = self.typing() else {
            return Vec::new();
        };
        match key.code {
            KeyCode::Char('u') if control => typing.clear(),
            KeyCode::Char('w') if control => typing.delete_word(),
            KeyCode::Char('a') if control => typing.home(),
            KeyCode::Char('e') if control => typing.end(),
            KeyCode::Char(c) if !control => typing.insert(c),
            KeyCode::Backspace => typing.backspace(),
            KeyCode::Delete => typing.delete(),
            KeyCode::Left => typing.step(-1),
            KeyCode::Right => typing.step(1),
            KeyCode::Home => typing.home(),
            KeyCode::End => typing.end(),
            _ => return Vec::new(),
        }
        self.apply_input(now);
        Vec::new()
    }

    /// Carries out the typed text.
    pub(super) fn confirm_input(&mut self, now: UnixMs) -> Vec<AppEffect> {
        match self.overlay.take() {
            Some(OpenOverlay::Palette { typing, at }) => {
                let found = matching_commands(&typing.text(), self.setup.allow_write);
                match found.get(at) {
                    Some(command) => self.command(*command, now),
                    None => Vec::new(),
                }
            }
            Some(OpenOverlay::Confirm { order, typing }) => {
                if typing.text() == order.confirm {
                    self.notify(now, format!("{}: sent to the store", order.deed.as_str()));
                    return vec![AppEffect::Order(AdminOrder::Entry(order))];
                }
                self.warn(
                    now,
                    format!(
                        "nothing was done: {:?} is not {:?}",
                        typing.text(),
                        order.confirm
                    ),
                );
                Vec::new()
            }
            Some(OpenOverlay::Form(form)) => self.send_form(form, now),
            _ => Vec::new(),
        }
    }

    /// Goes on to the next field of a form, or sends the order after the last one.
    fn send_form(&mut self, mut form: OrderForm, now: UnixMs) -> Vec<AppEffect> {
        if !form.is_at_end() {
            form.step(1);
            self.overlay = Some(OpenOverlay::Form(form));
            return Vec::new();
        }
        match form.fill(now, self.setup.zone) {
            Ok(order) => {
                let sent = format!(
                    "{} of {}: sent to the store",
                    order.verb.as_str(),
                    order.verb.target()
                );
                self.notify(now, sent);
                vec![AppEffect::Order(AdminOrder::Hosts(order))]
            }
            Err(reason) => {
                self.warn(now, reason);
                self.overlay = Some(OpenOverlay::Form(form));
                Vec::new()
            }
        }
    }
}

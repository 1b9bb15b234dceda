//! Effects of an input.

use std::time::Duration;

use crossterm::event::{KeyEvent, KeyEventKind, MouseEvent, MouseEventKind};
use leasehold_records::UnixMs;

use super::admin_order::EntryAction;
use super::admin_plan::plan_order;
use super::app_state::App;
use super::effect::AppEffect;
use super::list::RowKey;
use super::order_plan::plan_host_order;
use super::overlay::OpenOverlay;
use super::text_input::TextInput;
use super::view::View;
use crate::filter::Filter;
use crate::keymap::Command;
use crate::theme::Theme;

/// Time for which rows keep their places after the cursor has moved.
const HOLD: Duration = Duration::from_secs(2);
/// Time for which a note is shown.
const NOTE_STAYS: Duration = Duration::from_secs(6);
/// Rows per turn of the mouse wheel.
const WHEEL: isize = 3;

/// Input from the terminal or from a timer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum AppInput {
    Key(KeyEvent),
    Mouse(MouseEvent),
    Paste(String),
    /// A second has passed.
    Tick,
}

impl App {
    /// Handles an input, and returns requests to the outside.
    pub(crate) fn update(&mut self, input: AppInput, now: UnixMs) -> Vec<AppEffect> {
        let effects = match input {
            AppInput::Key(key) if key.kind == KeyEventKind::Release => Vec::new(),
            AppInput::Key(key) => self.press_key(key, now),
            AppInput::Mouse(mouse) => {
                self.use_mouse(mouse, now);
                Vec::new()
            }
            AppInput::Paste(text) => {
                if let Some(typing) = self.typing() {
                    text.chars().for_each(|c| typing.insert(c));
                }
                self.apply_input(now);
                Vec::new()
            }
            AppInput::Tick => {
                self.tick(now);
                Vec::new()
            }
        };
        self.refresh(now);
        effects
    }

    fn tick(&mut self, now: UnixMs) {
        if self
            .note
            .as_ref()
            .is_some_and(|note| now.since(note.at_unix_ms) > NOTE_STAYS)
        {
            self.note = None;
        }
        if let Some((since, from)) = self.playing {
            let to = from.after(now.since(since));
            let present = self.present(now);
            self.model.seek(present, to);
            if to >= present {
                self.playing = None;
            }
        }
    }

    fn press_key(&mut self, key: KeyEvent, now: UnixMs) -> Vec<AppEffect> {
        if self.overlay.is_some() {
            return self.overlay_key(key, now);
        }
        match self.setup.keymap.command(key) {
            Some(command) => self.command(command, now),
            None => Vec::new(),
        }
    }

    /// Carries out a command.
    pub(crate) fn command(&mut self, command: Command, now: UnixMs) -> Vec<AppEffect> {
        match command {
            Command::Quit => return vec![AppEffect::Quit],
            Command::Suspend => return vec![AppEffect::Suspend],
            Command::ToggleMouse => {
                self.setup.mouse = !self.setup.mouse;
                let whose = if self.setup.mouse {
                    "taken"
                } else {
                    "left to the terminal"
                };
                self.notify(now, format!("the mouse is {whose}"));
                return vec![AppEffect::Mouse(self.setup.mouse)];
            }
            Command::Copy => return self.copy_row(now),
            Command::RevokeLease => self.open_confirm(EntryAction::RevokeLease, now),
            Command::RemoveEntry => self.open_confirm(EntryAction::RemoveEntry, now),
            Command::StopRun => self.open_confirm(EntryAction::StopRun, now),
            Command::Trigger
            | Command::Pause
            | Command::Resume
            | Command::PauseAll
            | Command::ResumeAll
            | Command::Stop
            | Command::Restart
            | Command::Drain
            | Command::Undrain => self.open_form(command, now),
            Command::Palette => {
                let typing = TextInput::default();
                self.overlay = Some(OpenOverlay::Palette { typing, at: 0 });
            }
            Command::Help => self.overlay = Some(OpenOverlay::Help { top: 0 }),
            Command::Describe => self.overlay = Some(OpenOverlay::Describe { top: 0 }),
            Command::NextTheme => {
                let name = self.setup.theme.name.next();
                self.setup.theme = Theme::choose(name, &self.setup.env);
            }
            Command::Filter => {
                let before = self.filter.text().to_owned();
                let typing = TextInput::new(&before);
                self.overlay = Some(OpenOverlay::Filter { typing, before });
            }
            Command::ClearFilter => self.filter = Filter::default(),
            Command::Sort => {
                let sort = &mut self.sorts[self.view.index()];
                *sort = sort.next(self.view);
                self.hold_until = UnixMs::default();
            }
            Command::ReverseSort => {
                let sort = &mut self.sorts[self.view.index()];
                *sort = sort.reversed();
                self.hold_until = UnixMs::default();
            }
            Command::Logs => self.open_logs(now),
            Command::Follow => self.toggle_follow(now),
            _ if self.move_in_time(command, now) => {}
            _ if self.change_view(command, now) => {}
            _ => self.move_cursor(command, now),
        }
        Vec::new()
    }

    /// Carries out commands that change the view.
    fn change_view(&mut self, command: Command, now: UnixMs) -> bool {
        let at = self.view.index();
        let count = View::ALL.len();
        let view = match command {
            Command::ViewLocks => View::Locks,
            Command::ViewQueue => View::Queue,
            Command::ViewSessions => View::Sessions,
            Command::ViewJobs => View::Jobs,
            Command::ViewEvents => View::Events,
            Command::ViewHeatmap => View::Heatmap,
            Command::NextView | Command::Right => View::ALL[(at + 1) % count],
            Command::PreviousView | Command::Left => View::ALL[(at + count - 1) % count],
            Command::Open => {
                self.open_row(now);
                return true;
            }
            Command::Back => {
                if let Some(view) = self.trail.pop() {
                    self.view = view;
                } else if !self.filter.is_empty() {
                    self.filter = Filter::default();
                }
                return true;
            }
            _ => return false,
        };
        self.trail.clear();
        self.show_view(view, now);
        true
    }

    /// Shows a view; the Queue view shows the lock that was selected before.
    fn show_view(&mut self, view: View, now: UnixMs) {
        if view == View::Queue
            && self.view != View::Queue
            && let Some(lock) = self.selected_lock(now)
        {
            self.lock = Some(lock);
        }
        self.view = view;
    }

    /// Opens the selected row.
    fn open_row(&mut self, now: UnixMs) {
        let Some(row) = self.list().selected().cloned() else {
            return;
        };
        let from = self.view;
        match row {
            RowKey::Lock(_) => self.show_view(View::Queue, now),
            RowKey::Job(..) => {
                self.overlay = Some(OpenOverlay::Logs { up: 0 });
                return;
            }
            RowKey::Event(number) => {
                let event = self.model.events.get(number);
                let label = event.and_then(|event| event.lock.clone());
                let locks = &self.shown(now).state.locks;
                let lock = locks
                    .values()
                    .find(|lock| Some(&lock.label) == label.as_ref());
                let Some(lock) = lock.map(|lock| lock.name.clone()) else {
                    self.overlay = Some(OpenOverlay::Describe { top: 0 });
                    return;
                };
                self.lock = Some(lock);
                self.view = View::Queue;
            }
            RowKey::Entry(lock, _) if self.lock.as_ref() != Some(&lock) => self.lock = Some(lock),
            RowKey::Session(_) | RowKey::Entry(..) => {
                self.overlay = Some(OpenOverlay::Describe { top: 0 });
                return;
            }
        }
        self.trail.push(from);
    }

    fn open_logs(&mut self, now: UnixMs) {
        if self.job(now).is_some() {
            self.overlay = Some(OpenOverlay::Logs { up: 0 });
        } else {
            self.notify(now, "no job of ours is selected, so there is no output");
        }
    }

    fn toggle_follow(&mut self, now: UnixMs) {
        self.follow = !self.follow && self.list().selected().is_some();
        if self.follow {
            // Following selects the row: the cursor moves with it.
            if let Some(row) = self.list().selected().cloned() {
                self.list_mut().select(row);
            }
            self.hold_until = UnixMs::default();
        }
        let text = if self.follow {
            "following"
        } else {
            "not following"
        };
        self.notify(now, format!("{text} the selected row"));
    }

    /// Carries out commands that move the cursor.
    fn move_cursor(&mut self, command: Command, now: UnixMs) {
        let page = isize::try_from(self.list().height().max(2) - 1).unwrap_or(1);
        if !self.follow {
            self.hold_until = now.after(HOLD);
        }
        let list = self.list_mut();
        match command {
            Command::Up => list.move_by(-1),
            Command::Down => list.move_by(1),
            Command::PageUp => list.move_by(-page),
            Command::PageDown => list.move_by(page),
            Command::HalfPageUp => list.move_by(-(page / 2).max(1)),
            Command::HalfPageDown => list.move_by((page / 2).max(1)),
            Command::Top => list.select_first(),
            Command::Bottom => list.select_at(usize::MAX),
            _ => {}
        }
    }

    fn use_mouse(&mut self, mouse: MouseEvent, now: UnixMs) {
        match mouse.kind {
            MouseEventKind::ScrollUp => self.scroll(-WHEEL, now),
            MouseEventKind::ScrollDown => self.scroll(WHEEL, now),
            MouseEventKind::Down(crossterm::event::MouseButton::Left) => {
                self.click(mouse.column, mouse.row, now);
            }
            _ => {}
        }
    }

    pub(super) fn scroll(&mut self, rows: isize, now: UnixMs) {
        match &mut self.overlay {
            Some(OpenOverlay::Help { top } | OpenOverlay::Describe { top }) => {
                *top = top.saturating_add_signed(rows);
            }
            Some(OpenOverlay::Logs { up }) => *up = up.saturating_add_signed(-rows),
            Some(_) => {}
            None => {
                self.hold_until = now.after(HOLD);
                self.list_mut().move_by(rows);
            }
        }
    }

    fn click(&mut self, column: u16, row: u16, now: UnixMs) {
        if self.overlay.is_some() {
            return;
        }
        let hit_areas = self.hit_areas;
        if let Some(view) = hit_areas.tab(column, row) {
            self.trail.clear();
            self.show_view(view, now);
        } else if let Some(line) = hit_areas.line(column, row) {
            let at = self.list().top() + line;
            if at < self.list().len() {
                self.hold_until = now.after(HOLD);
                if self.list().position() == Some(at) {
                    self.open_row(now);
                } else {
                    self.list_mut().select_at(at);
                }
            }
        }
    }

    fn open_form(&mut self, command: Command, now: UnixMs) {
        match plan_host_order(self, command, now) {
            Ok(form) => {
                // A note would cover the keys of the form.
                self.note = None;
                self.overlay = Some(OpenOverlay::Form(form));
            }
            Err(why) => self.warn(now, why),
        }
    }

    fn open_confirm(&mut self, deed: EntryAction, now: UnixMs) {
        match plan_order(self, deed, now) {
            Ok(order) => {
                let typing = TextInput::default();
                self.overlay = Some(OpenOverlay::Confirm { order, typing });
            }
            Err(why) => self.warn(now, why),
        }
    }

    fn copy_row(&mut self, now: UnixMs) -> Vec<AppEffect> {
        let text = match self.list().selected() {
            None => return Vec::new(),
            Some(RowKey::Lock(lock)) => lock.to_string(),
            Some(RowKey::Entry(_, key)) => key.to_string(),
            Some(RowKey::Session(lease)) => lease.to_string(),
            Some(RowKey::Job(job, host)) => format!("{job}@{host}"),
            Some(RowKey::Event(number)) => match self.model.events.get(*number) {
                Some(event) => {
                    let lock = event.lock.as_deref().unwrap_or("-");
                    let (word, text) = (event.kind.word(), event.kind.sentence());
                    format!("{} {word} {lock} {text}", event.revision)
                }
                None => return Vec::new(),
            },
        };
        let text = leasehold_records::printable::line(&text);
        self.notify(now, format!("copied: {text}"));
        vec![AppEffect::Copy(text)]
    }
}

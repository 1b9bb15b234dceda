//! What an input does.

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers, MouseEvent, MouseEventKind};
use leasehold_records::Deed;

use super::prompt::matches;
use super::{App, Effect, Overlay, RowKey, Source, Typing, View};
use crate::filter::Filter;
use crate::keymap::Command;
use crate::theme::Theme;

/// How long rows keep their places after somebody has moved among them, in milliseconds.
const HOLD: u64 = 2_000;
/// How long a note stays, in milliseconds.
const NOTE_STAYS: u64 = 6_000;
/// Rows that a turn of the wheel moves.
const WHEEL: isize = 3;
/// How far a long jump through time goes, in milliseconds.
const JUMP: u64 = 10_000;

/// What comes from the terminal, or from a clock.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Input {
    Key(KeyEvent),
    Mouse(MouseEvent),
    Paste(String),
    /// A second has passed.
    Tick,
}

impl App {
    /// Takes an input, and says what should be done outside.
    pub(crate) fn update(&mut self, input: Input, now: u64) -> Vec<Effect> {
        let effects = match input {
            Input::Key(key) if key.kind == KeyEventKind::Release => Vec::new(),
            Input::Key(key) => self.key(key, now),
            Input::Mouse(mouse) => {
                self.mouse(mouse, now);
                Vec::new()
            }
            Input::Paste(text) => {
                if let Some(typing) = self.typing() {
                    text.chars().for_each(|c| typing.insert(c));
                }
                self.typed(now);
                Vec::new()
            }
            Input::Tick => {
                self.tick(now);
                Vec::new()
            }
        };
        self.refresh(now);
        effects
    }

    fn tick(&mut self, now: u64) {
        if self
            .note
            .as_ref()
            .is_some_and(|note| now.saturating_sub(note.at) > NOTE_STAYS)
        {
            self.note = None;
        }
        if let Some((since, from)) = self.playing {
            let to = from + now.saturating_sub(since);
            let present = self.present(now);
            self.model.seek(present, to);
            if to >= present {
                self.playing = None;
            }
        }
    }

    fn key(&mut self, key: KeyEvent, now: u64) -> Vec<Effect> {
        if self.overlay.is_some() {
            return self.overlay_key(key, now);
        }
        match self.setup.keymap.command(key) {
            Some(command) => self.command(command, now),
            None => Vec::new(),
        }
    }

    /// Does what a command says.
    pub(crate) fn command(&mut self, command: Command, now: u64) -> Vec<Effect> {
        match command {
            Command::Quit => return vec![Effect::Quit],
            Command::Suspend => return vec![Effect::Suspend],
            Command::ToggleMouse => {
                self.setup.mouse = !self.setup.mouse;
                let whose = if self.setup.mouse {
                    "taken"
                } else {
                    "left to the terminal"
                };
                self.say(now, format!("the mouse is {whose}"));
                return vec![Effect::Mouse(self.setup.mouse)];
            }
            Command::Copy => return self.copy(now),
            Command::RevokeLease => self.ask(Deed::RevokeLease, now),
            Command::RemoveEntry => self.ask(Deed::RemoveEntry, now),
            Command::StopRun => self.ask(Deed::StopRun, now),
            Command::Palette => {
                let typing = Typing::default();
                self.overlay = Some(Overlay::Palette { typing, at: 0 });
            }
            Command::Help => self.overlay = Some(Overlay::Help { top: 0 }),
            Command::Describe => self.overlay = Some(Overlay::Describe { top: 0 }),
            Command::NextTheme => {
                let name = self.setup.theme.name.next();
                self.setup.theme = Theme::choose(name, &self.setup.env);
            }
            Command::Filter => {
                let before = self.filter.text().to_owned();
                let typing = Typing::new(&before);
                self.overlay = Some(Overlay::Filter { typing, before });
            }
            Command::ClearFilter => self.filter = Filter::default(),
            Command::Sort => {
                let sort = &mut self.sorts[self.view.at()];
                *sort = sort.next(self.view);
                self.hold_until = 0;
            }
            Command::ReverseSort => {
                let sort = &mut self.sorts[self.view.at()];
                *sort = sort.reversed();
                self.hold_until = 0;
            }
            Command::Logs => self.logs(now),
            Command::Follow => self.toggle_follow(now),
            _ if self.travel(command, now) => {}
            _ if self.go(command, now) => {}
            _ => self.walk(command, now),
        }
        Vec::new()
    }

    /// Commands that change the moment that is shown.
    fn travel(&mut self, command: Command, now: u64) -> bool {
        let present = self.present(now);
        let at = self.shown(now).now;
        self.playing = match command {
            Command::Freeze if matches!(self.setup.source, Source::Recording { .. }) => {
                // A recording has no present to go on with: it plays, or stands still.
                self.model.freeze(present);
                let plays = self.playing.is_none() && at < present;
                plays.then_some((now, at))
            }
            _ => None,
        };
        let found = match command {
            Command::Freeze => {
                if matches!(self.setup.source, Source::Store(_)) {
                    if self.shown(now).is_live {
                        self.model.freeze(now);
                    } else {
                        self.model.live();
                    }
                }
                true
            }
            Command::StepBack => self.model.step_back(present),
            Command::StepForward => self.model.step_forward(present),
            Command::JumpBack10s => {
                self.model.seek(present, at.saturating_sub(JUMP));
                true
            }
            Command::JumpForward10s => {
                self.model.seek(present, (at + JUMP).min(present));
                true
            }
            Command::Oldest => {
                self.model.seek(present, 0);
                true
            }
            Command::Live => {
                self.model.live();
                true
            }
            _ => return false,
        };
        if !found {
            self.say(now, "there is nothing further in that direction");
        }
        true
    }

    /// Commands that change the view.
    fn go(&mut self, command: Command, now: u64) -> bool {
        let at = self.view.at();
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
                self.open(now);
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
        self.show(view, now);
        true
    }

    /// Shows a view; the Queue view is about the lock that is selected so far.
    fn show(&mut self, view: View, now: u64) {
        if view == View::Queue
            && self.view != View::Queue
            && let Some(lock) = self.selected_lock(now)
        {
            self.lock = Some(lock);
        }
        self.view = view;
    }

    /// Looks inside the selected row.
    fn open(&mut self, now: u64) {
        let Some(row) = self.list().selected().cloned() else {
            return;
        };
        let from = self.view;
        match row {
            RowKey::Lock(_) => self.show(View::Queue, now),
            RowKey::Job(..) => {
                self.overlay = Some(Overlay::Logs { up: 0 });
                return;
            }
            RowKey::Event(number) => {
                let event = self.model.events.get(number);
                let label = event.and_then(|event| event.lock.clone());
                let locks = &self.shown(now).world.locks;
                let lock = locks
                    .values()
                    .find(|lock| Some(&lock.label) == label.as_ref());
                let Some(lock) = lock.map(|lock| lock.name.clone()) else {
                    self.overlay = Some(Overlay::Describe { top: 0 });
                    return;
                };
                self.lock = Some(lock);
                self.view = View::Queue;
            }
            RowKey::Entry(lock, _) if self.lock.as_ref() != Some(&lock) => self.lock = Some(lock),
            RowKey::Session(_) | RowKey::Entry(..) => {
                self.overlay = Some(Overlay::Describe { top: 0 });
                return;
            }
        }
        self.trail.push(from);
    }

    fn logs(&mut self, now: u64) {
        if self.job(now).is_some() {
            self.overlay = Some(Overlay::Logs { up: 0 });
        } else {
            self.say(now, "no job of ours is selected, so there is no output");
        }
    }

    fn toggle_follow(&mut self, now: u64) {
        self.follow = !self.follow && self.list().selected().is_some();
        if self.follow {
            // Following is choosing: the cursor goes where the row goes.
            if let Some(row) = self.list().selected().cloned() {
                self.list_mut().select(row);
            }
            self.hold_until = 0;
        }
        let text = if self.follow {
            "following"
        } else {
            "not following"
        };
        self.say(now, format!("{text} the selected row"));
    }

    /// Commands that move through the rows.
    fn walk(&mut self, command: Command, now: u64) {
        let page = isize::try_from(self.list().height().max(2) - 1).unwrap_or(1);
        if !self.follow {
            self.hold_until = now + HOLD;
        }
        let list = self.list_mut();
        match command {
            Command::Up => list.step(-1),
            Command::Down => list.step(1),
            Command::PageUp => list.step(-page),
            Command::PageDown => list.step(page),
            Command::HalfPageUp => list.step(-(page / 2).max(1)),
            Command::HalfPageDown => list.step((page / 2).max(1)),
            Command::Top => list.first(),
            Command::Bottom => list.go(usize::MAX),
            _ => {}
        }
    }

    fn mouse(&mut self, mouse: MouseEvent, now: u64) {
        match mouse.kind {
            MouseEventKind::ScrollUp => self.wheel(-WHEEL, now),
            MouseEventKind::ScrollDown => self.wheel(WHEEL, now),
            MouseEventKind::Down(crossterm::event::MouseButton::Left) => {
                self.click(mouse.column, mouse.row, now);
            }
            _ => {}
        }
    }

    fn wheel(&mut self, rows: isize, now: u64) {
        match &mut self.overlay {
            Some(Overlay::Help { top } | Overlay::Describe { top }) => {
                *top = top.saturating_add_signed(rows);
            }
            Some(Overlay::Logs { up }) => *up = up.saturating_add_signed(-rows),
            Some(_) => {}
            None => {
                self.hold_until = now + HOLD;
                self.list_mut().step(rows);
            }
        }
    }

    fn click(&mut self, column: u16, row: u16, now: u64) {
        if self.overlay.is_some() {
            return;
        }
        let spots = self.spots;
        if let Some(view) = spots.tab(column, row) {
            self.trail.clear();
            self.show(view, now);
        } else if let Some(line) = spots.line(column, row) {
            let at = self.list().top() + line;
            if at < self.list().len() {
                self.hold_until = now + HOLD;
                if self.list().position() == Some(at) {
                    self.open(now);
                } else {
                    self.list_mut().go(at);
                }
            }
        }
    }

    fn ask(&mut self, deed: Deed, now: u64) {
        match self.order(deed, now) {
            Ok(order) => {
                let typing = Typing::default();
                self.overlay = Some(Overlay::Confirm { order, typing });
            }
            Err(why) => self.complain(now, why),
        }
    }

    fn copy(&mut self, now: u64) -> Vec<Effect> {
        let text = match self.list().selected() {
            None => return Vec::new(),
            Some(RowKey::Lock(lock)) => lock.to_string(),
            Some(RowKey::Entry(_, key)) => key.to_string(),
            Some(RowKey::Session(lease)) => format!("{lease:x}"),
            Some(RowKey::Job(job, host)) => format!("{job}@{host}"),
            Some(RowKey::Event(number)) => match self.model.events.get(*number) {
                Some(event) => {
                    let lock = event.lock.as_deref().unwrap_or("-");
                    let (word, text) = (event.what.word(), event.what.tell());
                    format!("{} {word} {lock} {text}", event.revision)
                }
                None => return Vec::new(),
            },
        };
        let text = leasehold_records::printable::line(&text);
        self.say(now, format!("copied: {text}"));
        vec![Effect::Copy(text)]
    }

    fn typing(&mut self) -> Option<&mut Typing> {
        match &mut self.overlay {
            Some(
                Overlay::Filter { typing, .. }
                | Overlay::Palette { typing, .. }
                | Overlay::Confirm { typing, .. },
            ) => Some(typing),
            _ => None,
        }
    }

    /// What has been typed applies at once, where it can.
    fn typed(&mut self, now: u64) {
        match &mut self.overlay {
            Some(Overlay::Filter { typing, .. }) => match Filter::parse(&typing.text()) {
                Ok(filter) => {
                    self.filter = filter;
                    self.note = None;
                }
                Err(error) => self.complain(now, error.to_string()),
            },
            Some(Overlay::Palette { at, .. }) => *at = 0,
            _ => {}
        }
    }

    fn overlay_key(&mut self, key: KeyEvent, now: u64) -> Vec<Effect> {
        // These end it however the keys are bound, so that nobody is ever caught.
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        if control && key.code == KeyCode::Char('c') {
            return vec![Effect::Quit];
        }
        if key.code == KeyCode::Esc {
            if let Some(Overlay::Filter { before, .. }) = self.overlay.take() {
                self.filter = Filter::parse(&before).unwrap_or_default();
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
        self.wheel(by, now);
        Vec::new()
    }

    fn typing_key(&mut self, key: KeyEvent, now: u64) -> Vec<Effect> {
        if key.code == KeyCode::Enter {
            return self.entered(now);
        }
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        if let Some(Overlay::Palette { typing, at }) = &mut self.overlay {
            let last = matches(&typing.text(), self.setup.allow_write)
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
        self.typed(now);
        Vec::new()
    }

    /// What has been typed is meant.
    fn entered(&mut self, now: u64) -> Vec<Effect> {
        match self.overlay.take() {
            Some(Overlay::Palette { typing, at }) => {
                let found = matches(&typing.text(), self.setup.allow_write);
                match found.get(at) {
                    Some(command) => self.command(*command, now),
                    None => Vec::new(),
                }
            }
            Some(Overlay::Confirm { order, typing }) => {
                if typing.text() == order.confirm {
                    self.say(now, format!("{}: asked of the store", order.deed.as_str()));
                    return vec![Effect::Order(order)];
                }
                self.complain(
                    now,
                    format!(
                        "nothing was done: {:?} is not {:?}",
                        typing.text(),
                        order.confirm
                    ),
                );
                Vec::new()
            }
            _ => Vec::new(),
        }
    }
}

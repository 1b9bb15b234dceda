//! Table of keys and their commands.

use crossterm::event::{KeyEvent, KeyEventKind};

use super::command::Command;
use super::key::KeyPress;

/// The keys that always do the same.
pub(super) const FIXED: [(&str, Command); 8] = [
    ("up", Command::Up),
    ("down", Command::Down),
    ("left", Command::Left),
    ("right", Command::Right),
    ("home", Command::Top),
    ("end", Command::Bottom),
    ("pgup", Command::PageUp),
    ("pgdn", Command::PageDown),
];

/// Which key does what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Keymap {
    /// Each key once; those of one command in the order in which they are shown.
    pub(super) bindings: Vec<(KeyPress, Command)>,
}

impl Default for Keymap {
    fn default() -> Self {
        let keys_of = |command: Command| {
            let keys = command.default_keys().iter();
            keys.filter_map(move |key| Some((KeyPress::parse(key).ok()?, command)))
        };
        let bindings = Command::ALL.iter().copied().flat_map(keys_of);
        Self {
            bindings: bindings.collect(),
        }
    }
}

impl Keymap {
    /// What this key does, if anything; letting a key go does nothing.
    pub(crate) fn command(&self, event: KeyEvent) -> Option<Command> {
        if event.kind == KeyEventKind::Release {
            return None;
        }
        self.command_of(KeyPress::from_event(event))
    }

    /// The keys of a command as a screen shows them: `j`, `↓`, `^D`, `Space`, `PgUp`.
    pub(crate) fn keys_of(&self, command: Command) -> Vec<String> {
        let of_command = self.bindings.iter().filter(|(_, bound)| *bound == command);
        of_command.map(|(key, _)| key.to_string()).collect()
    }

    /// The first key of a command; empty if it has none.
    pub(crate) fn hint(&self, command: Command) -> String {
        self.keys_of(command).into_iter().next().unwrap_or_default()
    }

    pub(super) fn command_of(&self, key: KeyPress) -> Option<Command> {
        let found = self.bindings.iter().find(|(bound, _)| *bound == key);
        found.map(|(_, command)| *command)
    }

    /// Gives `command` these keys instead of its own; the fixed ones stay.
    pub(super) fn rebind(&mut self, command: Command, keys: &[KeyPress]) {
        self.bindings.retain(|(key, bound)| {
            *bound != command || (fixed(*key).is_some() && !keys.contains(key))
        });
        // In front of the fixed ones: what a person chose is what the hints should show.
        let chosen = keys.iter().map(|key| (*key, command));
        self.bindings.splice(0..0, chosen);
    }
}

/// What a key does that always does the same.
pub(super) fn fixed(key: KeyPress) -> Option<Command> {
    let is_key = |name| KeyPress::parse(name).is_ok_and(|fixed| fixed == key);
    let found = FIXED.iter().find(|(name, _)| is_key(name));
    found.map(|(_, command)| *command)
}

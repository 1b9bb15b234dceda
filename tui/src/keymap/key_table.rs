//! Table of keys and their commands.

use crossterm::event::{KeyEvent, KeyEventKind};

use super::command::Command;
use super::key::KeyPress;

/// Keys whose command never changes.
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

/// Bindings of keys to commands.
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
    /// Finds the command of a key event; releasing a key has none.
    pub(crate) fn command(&self, event: KeyEvent) -> Option<Command> {
        if event.kind == KeyEventKind::Release {
            return None;
        }
        self.command_of(KeyPress::from_event(event))
    }

    /// Keys of a command as a screen shows them: `j`, `↓`, `^D`, `Space`, `PgUp`.
    pub(crate) fn keys_of(&self, command: Command) -> Vec<String> {
        let of_command = self.bindings.iter().filter(|(_, bound)| *bound == command);
        of_command.map(|(key, _)| key.to_string()).collect()
    }

    /// First key of a command; empty if it has none.
    pub(crate) fn hint(&self, command: Command) -> String {
        self.keys_of(command).into_iter().next().unwrap_or_default()
    }

    pub(super) fn command_of(&self, key: KeyPress) -> Option<Command> {
        let found = self.bindings.iter().find(|(bound, _)| *bound == key);
        found.map(|(_, command)| *command)
    }

    /// Replaces the keys of `command`; the fixed ones stay.
    pub(super) fn rebind(&mut self, command: Command, keys: &[KeyPress]) {
        self.bindings.retain(|(key, bound)| {
            *bound != command || (fixed(*key).is_some() && !keys.contains(key))
        });
        // Before the fixed ones: hints show the keys that the user chose.
        let chosen = keys.iter().map(|key| (*key, command));
        self.bindings.splice(0..0, chosen);
    }
}

/// Command of a key that never changes.
pub(super) fn fixed(key: KeyPress) -> Option<Command> {
    let is_key = |name| KeyPress::parse(name).is_ok_and(|fixed| fixed == key);
    let found = FIXED.iter().find(|(name, _)| is_key(name));
    found.map(|(_, command)| *command)
}

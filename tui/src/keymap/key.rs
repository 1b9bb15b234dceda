//! One key: as a terminal sends it, as a file writes it, as a screen shows it.
//!
//! A key that terminals send in two ways is one key here. This file must never accept the name of a key
//! that no terminal sends.

use std::fmt;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// Keys with a name: in a file, in an event, on the screen. Of several names the first one is suggested.
const NAMED: [(&str, KeyCode, &str); 24] = [
    ("space", KeyCode::Char(' '), "Space"),
    ("enter", KeyCode::Enter, "Enter"),
    ("return", KeyCode::Enter, "Enter"),
    ("esc", KeyCode::Esc, "Esc"),
    ("escape", KeyCode::Esc, "Esc"),
    ("tab", KeyCode::Tab, "Tab"),
    ("backtab", KeyCode::BackTab, "Shift-Tab"),
    ("backspace", KeyCode::Backspace, "Backspace"),
    ("delete", KeyCode::Delete, "Del"),
    ("del", KeyCode::Delete, "Del"),
    ("insert", KeyCode::Insert, "Ins"),
    ("ins", KeyCode::Insert, "Ins"),
    ("up", KeyCode::Up, "↑"),
    ("down", KeyCode::Down, "↓"),
    ("left", KeyCode::Left, "←"),
    ("right", KeyCode::Right, "→"),
    ("home", KeyCode::Home, "Home"),
    ("end", KeyCode::End, "End"),
    ("pgup", KeyCode::PageUp, "PgUp"),
    ("pageup", KeyCode::PageUp, "PgUp"),
    ("page-up", KeyCode::PageUp, "PgUp"),
    ("pgdn", KeyCode::PageDown, "PgDn"),
    ("pagedown", KeyCode::PageDown, "PgDn"),
    ("page-down", KeyCode::PageDown, "PgDn"),
];
/// Prefixes of a key's name.
const MODIFIERS: [(&str, KeyModifiers); 3] = [
    ("ctrl", KeyModifiers::CONTROL),
    ("alt", KeyModifiers::ALT),
    ("shift", KeyModifiers::SHIFT),
];
/// Keys that terminals have always sent as other keys.
const SENT_AS_OTHERS: [(char, &str); 3] = [('i', "tab"), ('m', "enter"), ('[', "esc")];
/// The highest function key that terminals send.
const LAST_FUNCTION_KEY: u8 = 24;

/// One key, with its modifiers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct KeyPress {
    code: KeyCode,
    modifiers: KeyModifiers,
}

/// Error parsing a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BadKey {
    /// No such key exists.
    Unknown,
    /// Terminals send this one as another.
    SentAs(&'static str),
    /// Shift makes another character of it, and which one depends on the keyboard.
    ShiftedCharacter,
}

impl KeyPress {
    /// Converts a key event.
    pub(super) fn from_event(event: KeyEvent) -> Self {
        Self::normalize(event.code, event.modifiers)
    }

    /// Reads `q`, `G`, `space`, `ctrl-d`, `alt-x`, `shift-tab` or `f5`.
    pub(super) fn parse(text: &str) -> Result<Self, BadKey> {
        let (modifiers, name) = modifiers(text);
        let code = code(name).ok_or(BadKey::Unknown)?;
        let is_shifted = modifiers.contains(KeyModifiers::SHIFT);
        let is_ctrl = modifiers.contains(KeyModifiers::CONTROL);
        match code {
            KeyCode::Char(c) if is_ctrl => {
                let lower = c.to_ascii_lowercase();
                if let Some((_, other)) = SENT_AS_OTHERS.iter().find(|(sent, _)| *sent == lower) {
                    return Err(BadKey::SentAs(other));
                }
            }
            KeyCode::Char(c) if is_shifted && !c.is_alphabetic() => {
                return Err(BadKey::ShiftedCharacter);
            }
            _ => {}
        }
        Ok(Self::normalize(code, modifiers))
    }

    /// Names of keys for suggestions.
    pub(super) fn names() -> impl Iterator<Item = &'static str> + Clone {
        NAMED.iter().map(|(name, _, _)| *name)
    }

    /// Normalizes keys that terminals send in several ways.
    fn normalize(code: KeyCode, modifiers: KeyModifiers) -> Self {
        let is_shifted = modifiers.contains(KeyModifiers::SHIFT);
        let code = match code {
            // Most terminals cannot distinguish a shifted letter here.
            KeyCode::Char(c) if modifiers.contains(KeyModifiers::CONTROL) => {
                KeyCode::Char(c.to_ascii_lowercase())
            }
            KeyCode::Char(c) if is_shifted => KeyCode::Char(upper(c)),
            KeyCode::Tab if is_shifted => KeyCode::BackTab,
            other => other,
        };
        let shift_is_in_code = matches!(code, KeyCode::Char(_) | KeyCode::BackTab);
        let modifiers = if shift_is_in_code {
            modifiers.difference(KeyModifiers::SHIFT)
        } else {
            modifiers
        };
        Self { code, modifiers }
    }
}

/// Splits off the modifiers at the beginning of `text`.
fn modifiers(text: &str) -> (KeyModifiers, &str) {
    let mut found = KeyModifiers::NONE;
    let mut rest = text;
    'next: loop {
        for (name, modifier) in MODIFIERS {
            let Some((head, tail)) = rest.split_at_checked(name.len()) else {
                continue;
            };
            let key = tail.strip_prefix(['-', '+']).unwrap_or_default();
            if head.eq_ignore_ascii_case(name) && !key.is_empty() {
                found |= modifier;
                rest = key;
                continue 'next;
            }
        }
        return (found, rest);
    }
}

/// Parses the name of a key without modifiers.
fn code(name: &str) -> Option<KeyCode> {
    let mut chars = name.chars();
    if let (Some(only), None) = (chars.next(), chars.next()) {
        return (!only.is_control()).then_some(KeyCode::Char(only));
    }
    if let Some((_, code, _)) = NAMED
        .iter()
        .find(|(known, _, _)| known.eq_ignore_ascii_case(name))
    {
        return Some(*code);
    }
    let digits = name.strip_prefix(['f', 'F'])?;
    let number = digits.parse().ok()?;
    if !digits.starts_with(|c: char| matches!(c, '1'..='9')) {
        return None;
    }
    (1..=LAST_FUNCTION_KEY)
        .contains(&number)
        .then_some(KeyCode::F(number))
}

/// Capital of a letter, if it is one character.
fn upper(c: char) -> char {
    let mut upper = c.to_uppercase();
    match (upper.next(), upper.next()) {
        (Some(only), None) => only,
        _ => c,
    }
}

impl fmt::Display for KeyPress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_character = matches!(self.code, KeyCode::Char(c) if c != ' ');
        for (modifier, name) in [
            (
                KeyModifiers::CONTROL,
                if is_character { "^" } else { "Ctrl-" },
            ),
            (KeyModifiers::ALT, "Alt-"),
            (KeyModifiers::SHIFT, "Shift-"),
        ] {
            if self.modifiers.contains(modifier) {
                f.write_str(name)?;
            }
        }
        if let Some((_, _, shown)) = NAMED.iter().find(|(_, code, _)| *code == self.code) {
            return f.write_str(shown);
        }
        match self.code {
            KeyCode::Char(c) if self.modifiers.contains(KeyModifiers::CONTROL) => {
                write!(f, "{}", upper(c))
            }
            KeyCode::Char(c) => write!(f, "{c}"),
            KeyCode::F(number) => write!(f, "F{number}"),
            // No file can name it and no default has it.
            other => write!(f, "{other:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> KeyPress {
        KeyPress::parse(text).unwrap()
    }

    fn sent(code: KeyCode, modifiers: KeyModifiers) -> KeyPress {
        KeyPress::from_event(KeyEvent::new(code, modifiers))
    }

    #[test]
    fn key_is_equal_however_a_terminal_sends_it() {
        use KeyModifiers as M;
        assert_eq!(sent(KeyCode::Char('G'), M::NONE), key("G"));
        assert_eq!(sent(KeyCode::Char('G'), M::SHIFT), key("shift-g"));
        assert_eq!(sent(KeyCode::Char('g'), M::SHIFT), key("G"));
        assert_eq!(sent(KeyCode::Char('?'), M::SHIFT), key("?"));
        assert_eq!(
            sent(KeyCode::Char('C'), M::CONTROL | M::SHIFT),
            key("ctrl-c")
        );
        assert_eq!(sent(KeyCode::BackTab, M::SHIFT), key("backtab"));
        assert_eq!(sent(KeyCode::Tab, M::SHIFT), key("shift-tab"));
        assert_eq!(sent(KeyCode::Up, M::SHIFT), key("shift-up"));
        assert_ne!(sent(KeyCode::Up, M::SHIFT), key("up"));
        assert_ne!(sent(KeyCode::Char('q'), M::SUPER), key("q"));
    }

    #[test]
    fn key_names_parse_in_any_case_with_either_sign() {
        assert_eq!(key("Ctrl+D"), key("ctrl-d"));
        assert_eq!(key("ALT-SHIFT-F12"), key("shift-alt-f12"));
        assert_eq!(key(" "), key("Space"));
        assert_eq!(
            key("ctrl--"),
            sent(KeyCode::Char('-'), KeyModifiers::CONTROL)
        );
        assert_eq!(key("-"), sent(KeyCode::Char('-'), KeyModifiers::NONE));
    }

    #[test]
    fn key_that_no_terminal_sends_is_refused() {
        for text in [
            "",
            "qq",
            "ctrl-",
            "hyper-q",
            "f0",
            "f25",
            "f+1",
            "\u{1b}",
            "ctrl-é́",
        ] {
            assert_eq!(KeyPress::parse(text), Err(BadKey::Unknown), "{text:?}");
        }
        assert_eq!(KeyPress::parse("ctrl-I"), Err(BadKey::SentAs("tab")));
        assert_eq!(KeyPress::parse("ctrl-["), Err(BadKey::SentAs("esc")));
        assert_eq!(KeyPress::parse("shift-1"), Err(BadKey::ShiftedCharacter));
    }

    #[test]
    fn keys_are_shown_short() {
        for (text, shown) in [
            ("j", "j"),
            ("G", "G"),
            ("ctrl-d", "^D"),
            ("ctrl-space", "Ctrl-Space"),
            ("alt-x", "Alt-x"),
            ("down", "↓"),
            ("shift-up", "Shift-↑"),
            ("pgup", "PgUp"),
            ("shift-tab", "Shift-Tab"),
            ("f5", "F5"),
        ] {
            assert_eq!(key(text).to_string(), shown);
        }
    }
}

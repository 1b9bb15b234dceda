//! What can cover a view: a line to type into, the help, the palette, a description, a question.

use super::admin_order::AdminOrder;
use crate::keymap::Command;

/// The longest text that can be typed.
const LONGEST: usize = 512;

/// A line that is typed, with its cursor (a number of characters).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TextInput {
    text: Vec<char>,
    cursor: usize,
}

impl TextInput {
    pub(crate) fn new(text: &str) -> Self {
        let text: Vec<char> = text.chars().collect();
        let cursor = text.len();
        Self { text, cursor }
    }

    pub(crate) fn text(&self) -> String {
        self.text.iter().collect()
    }

    /// The text before the cursor.
    pub(crate) fn before(&self) -> String {
        self.text[..self.cursor].iter().collect()
    }

    /// Types a character; control characters are nothing that can be typed.
    pub(crate) fn insert(&mut self, c: char) {
        if !c.is_control() && self.text.len() < LONGEST {
            self.text.insert(self.cursor, c);
            self.cursor += 1;
        }
    }

    pub(crate) fn backspace(&mut self) {
        if self.cursor > 0 {
            self.cursor -= 1;
            self.text.remove(self.cursor);
        }
    }

    pub(crate) fn delete(&mut self) {
        if self.cursor < self.text.len() {
            self.text.remove(self.cursor);
        }
    }

    /// Deletes the word before the cursor.
    pub(crate) fn delete_word(&mut self) {
        while self.cursor > 0 && self.text[self.cursor - 1].is_whitespace() {
            self.backspace();
        }
        while self.cursor > 0 && !self.text[self.cursor - 1].is_whitespace() {
            self.backspace();
        }
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(crate) fn step(&mut self, by: isize) {
        self.cursor = self.cursor.saturating_add_signed(by).min(self.text.len());
    }

    pub(crate) const fn home(&mut self) {
        self.cursor = 0;
    }

    pub(crate) fn end(&mut self) {
        self.cursor = self.text.len();
    }
}

/// What covers the view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum OpenOverlay {
    /// The filter is typed; it applies at once. What it was before comes back with Esc.
    Filter { typing: TextInput, before: String },
    /// What the keys do, from this line on.
    Help { top: usize },
    /// Commands by name: what is typed, and which of the matches is chosen.
    Palette { typing: TextInput, at: usize },
    /// Everything about the selected row, from this line on.
    Describe { top: usize },
    /// The output of the selected job's last run, so many lines up from its end.
    Logs { up: usize },
    /// Something is to be done to somebody: it is, when the name has been typed.
    Confirm {
        order: AdminOrder,
        typing: TextInput,
    },
}

/// The commands that a palette shows for what is typed.
pub(crate) fn matching_commands(typed: &str, allow_write: bool) -> Vec<Command> {
    let typed = typed.to_lowercase();
    let mut found: Vec<Command> = Command::ALL
        .iter()
        .copied()
        .filter(|command| allow_write || !command.writes())
        .filter(|command| {
            let text = format!("{} {}", command.name(), command.description()).to_lowercase();
            typed.split_whitespace().all(|word| text.contains(word))
        })
        .collect();
    // Names before descriptions.
    found.sort_by_key(|command| !command.name().contains(typed.trim()));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_edited_as_everywhere() {
        let mut line = TextInput::new("one two");
        line.insert('!');
        line.step(-1);
        line.delete_word();
        assert_eq!(line.text(), "one !");
        line.home();
        line.delete();
        line.insert('é');
        assert_eq!(
            (line.text().as_str(), line.before().as_str()),
            ("éne !", "é")
        );
        line.insert('\u{1b}');
        line.end();
        line.backspace();
        assert_eq!(line.text(), "éne ");
    }

    #[test]
    fn the_palette_finds_by_name_and_by_description_and_hides_what_may_not_be_done() {
        assert_eq!(
            matching_commands("view-heat", false),
            [Command::ViewHeatmap]
        );
        assert!(
            matching_commands("lease", false)
                .iter()
                .all(|command| !command.writes())
        );
        assert!(matching_commands("revoke", true).contains(&Command::RevokeLease));
    }
}

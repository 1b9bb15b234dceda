//! Text that is being typed, with its cursor.

/// Longest text that can be typed.
const LONGEST: usize = 512;

/// Text input with a cursor (counted in characters).
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

    /// Types a character; control characters are ignored.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_input_edits_at_the_cursor() {
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
}

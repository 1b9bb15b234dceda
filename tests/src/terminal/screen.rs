//! Content of a terminal, as text.

use std::fmt;

use anyhow::{Context, Result};

/// Lines of a terminal, without the blanks at their ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Screen(String);

impl Screen {
    pub(super) const fn new(text: String) -> Self {
        Self(text)
    }

    /// All of it.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// Its lines.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.0.lines()
    }

    /// True if this text is on the screen, within one line.
    pub fn contains(&self, text: &str) -> bool {
        self.0.contains(text)
    }

    /// The first line with this text.
    ///
    /// # Errors
    /// There is none.
    pub fn row(&self, text: &str) -> Result<&str> {
        self.lines()
            .find(|line| line.contains(text))
            .with_context(|| format!("no line has {text:?}"))
    }
}

impl fmt::Display for Screen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_found_by_its_text_or_reported_absent() {
        let screen = Screen("one\ntwo\n".to_owned());
        assert_eq!(screen.row("tw").unwrap(), "two");
        let error = screen.row("three").unwrap_err().to_string();
        assert_eq!(error, "no line has \"three\"");
    }
}

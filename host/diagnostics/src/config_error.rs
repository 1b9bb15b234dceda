//! One error in a text, before its line is known.

use std::ops::Range;

/// One error in a text.
#[derive(Debug)]
pub struct ConfigError {
    /// The bytes it is about; `None` if it is about the whole file.
    pub span: Option<Range<usize>>,
    /// Description of the fault.
    pub message: String,
    /// Other positions that explain it.
    pub notes: Vec<(Range<usize>, String)>,
    /// Remedies.
    pub help: Vec<String>,
    /// True if the line may hold a secret, so that it is not shown.
    pub is_private: bool,
}

impl ConfigError {
    /// An error about these bytes.
    pub fn at(span: Range<usize>, message: impl Into<String>) -> Self {
        Self {
            span: Some(span),
            message: message.into(),
            notes: Vec::new(),
            help: Vec::new(),
            is_private: false,
        }
    }

    /// An error about the file as a whole.
    pub fn whole(message: impl Into<String>) -> Self {
        Self {
            span: None,
            ..Self::at(0..0, message)
        }
    }

    /// Moves the error to bytes that lie this much further on.
    #[must_use]
    pub fn moved(mut self, by: usize) -> Self {
        let moved = |span: Range<usize>| span.start + by..span.end + by;
        self.span = self.span.map(moved);
        for (place, _) in &mut self.notes {
            *place = moved(place.clone());
        }
        self
    }

    /// Adds a remedy.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help.push(help.into());
        self
    }

    /// Adds a second position.
    #[must_use]
    pub fn note(mut self, span: Range<usize>, text: impl Into<String>) -> Self {
        self.notes.push((span, text.into()));
        self
    }

    /// Start and end in the text; errors of the whole file come first.
    pub(crate) fn order(&self) -> Option<(usize, usize)> {
        self.span.as_ref().map(|span| (span.start, span.end))
    }
}

//! Languages of a project, and their detection from its files.
//!
//! A folder that matches none of them is refused, not guessed.

use std::path::Path;

use clap::ValueEnum;

/// A language with a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Language {
    /// A typed job with the SDK, tested with its mock.
    Rust,
    /// A typed job with generated bindings.
    C,
    /// A typed job, with an engine inside: 12 MB.
    Js,
    /// A typed job, with an interpreter inside: 18 MB.
    Python,
    /// A plain command: it cannot write fenced keys.
    Go,
}

impl Language {
    /// Returns the language of the project in a folder, by the file that each one has.
    pub(super) fn of(dir: &Path) -> Option<Self> {
        let has = |name: &str| dir.join(name).is_file();
        [
            ("Cargo.toml", Self::Rust),
            ("go.mod", Self::Go),
            ("job.js", Self::Js),
            ("app.py", Self::Python),
            ("job.c", Self::C),
        ]
        .into_iter()
        .find_map(|(file, language)| has(file).then_some(language))
    }

    /// Name for people.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Rust => "Rust",
            Self::C => "C",
            Self::Js => "JavaScript",
            Self::Python => "Python",
            Self::Go => "Go",
        }
    }
}

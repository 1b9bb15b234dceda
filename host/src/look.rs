//! The look of output for people: its width, its colours and its characters, as the terminal allows.

use std::env;
use std::io::{self, IsTerminal as _};

/// Properties of the place where a table is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Look {
    /// Columns of the terminal. `None` for a file or a pipe, where lines may have any length.
    pub(crate) width: Option<usize>,
    /// True if colours can be shown and are wanted.
    pub(crate) colours: bool,
    /// True if the locale has more characters than ASCII.
    pub(crate) unicode: bool,
}

impl Look {
    /// Returns the look of standard output. Colours need a terminal; `NO_COLOR` and `CLICOLOR_FORCE` have their usual
    /// meaning.
    pub(crate) fn of_stdout() -> Self {
        let is_terminal = io::stdout().is_terminal();
        Self {
            width: is_terminal.then(columns).flatten(),
            colours: has_colours(is_terminal),
            unicode: is_unicode(locale().as_deref()),
        }
    }

    /// Returns the same look without colours, for text that passes a writer which removes them.
    pub(crate) const fn without_colours(self) -> Self {
        Self {
            colours: false,
            ..self
        }
    }

    /// A look without bounds: every column, no colours, every character.
    #[cfg(test)]
    pub(crate) const fn plain() -> Self {
        Self {
            width: None,
            colours: false,
            unicode: true,
        }
    }

    /// As [`Look::plain`], for a terminal of so many columns.
    #[cfg(test)]
    pub(crate) const fn wide(width: usize) -> Self {
        Self {
            width: Some(width),
            ..Self::plain()
        }
    }
}

/// Returns true if colours can be shown on standard error and are wanted.
pub(crate) fn has_colours_on_stderr() -> bool {
    has_colours(io::stderr().is_terminal())
}

fn has_colours(is_terminal: bool) -> bool {
    let is_dumb = env::var_os("TERM").is_some_and(|term| term == "dumb");
    (is_terminal && !is_dumb || is_set("CLICOLOR_FORCE")) && !is_set("NO_COLOR")
}

/// Paints a text with the code of a colour or a style, as ECMA-48 numbers them.
pub(crate) fn paint(text: &str, code: u8) -> String {
    format!("\u{1b}[{code}m{text}\u{1b}[0m")
}

/// Returns the columns of the terminal at standard output.
fn columns() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
    (size.ws_col > 0).then_some(usize::from(size.ws_col))
}

fn is_set(name: &str) -> bool {
    env::var_os(name).is_some_and(|value| !value.is_empty())
}

/// Returns the locale for characters, by the precedence of POSIX.
fn locale() -> Option<String> {
    let values = ["LC_ALL", "LC_CTYPE", "LANG"].map(|name| env::var(name).ok());
    values.into_iter().flatten().find(|value| !value.is_empty())
}

fn is_unicode(locale: Option<&str>) -> bool {
    let locale = locale.unwrap_or_default().to_ascii_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locale_without_utf_8_has_ascii_alone() {
        for (locale, expected) in [
            (Some("de_DE.UTF-8"), true),
            (Some("C.utf8"), true),
            (Some("C"), false),
            (Some("en_US.ISO-8859-1"), false),
            (None, false),
        ] {
            assert_eq!(is_unicode(locale), expected, "{locale:?}");
        }
    }
}

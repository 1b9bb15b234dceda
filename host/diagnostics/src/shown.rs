//! Text of others inside a message: printable, on one line and short.

use std::path::Path;

use leasehold_records::printable;

/// Longest text that is shown whole, in characters.
const LONGEST_TEXT: usize = 60;
/// Longest path that is shown whole, in characters.
const LONGEST_PATH: usize = 200;

/// Returns `text` for use inside a message: at most 60 characters of it.
pub fn shown(text: &str) -> String {
    let kept: String = text.chars().take(LONGEST_TEXT).collect();
    let cut = if kept.len() < text.len() { "…" } else { "" };
    format!("{}{cut}", one_line(&kept))
}

/// Returns a path for use inside a message: at most the last 200 characters, for its end matters more than its
/// start.
pub fn shown_path(path: &Path) -> String {
    let text = path.to_string_lossy();
    let left_out = text.chars().count().saturating_sub(LONGEST_PATH);
    let tail: String = text.chars().skip(left_out).collect();
    let cut = if left_out > 0 { "…" } else { "" };
    format!("{cut}{}", one_line(&tail))
}

/// Replaces characters that move a cursor, reorder text or hide.
pub(crate) fn one_line(text: &str) -> String {
    printable::whole(text).replace('\t', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_printable_and_cut_at_sixty_characters() {
        assert_eq!(shown("a\tb\u{1b}[2J\u{202e}"), "a b\u{fffd}[2J\u{fffd}");
        assert_eq!(shown(&"é".repeat(60)), "é".repeat(60));
        assert_eq!(shown(&"é".repeat(61)), format!("{}…", "é".repeat(60)));
    }

    #[test]
    fn long_path_keeps_its_end() {
        let path = format!("/{}/end.toml", "x".repeat(300));
        let shown = shown_path(Path::new(&path));
        assert!(shown.starts_with('…') && shown.ends_with("/end.toml"));
        assert_eq!(shown.chars().count(), 201);
    }
}

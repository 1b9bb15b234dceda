//! Paths in messages.

use std::path::Path;

use super::source::printable;

/// Shortens a path for messages; its end matters more than its start.
pub fn shown_path(path: &Path) -> String {
    const LONGEST: usize = 200;
    let text = path.to_string_lossy();
    let count = text.chars().count();
    if count <= LONGEST {
        return text.chars().map(printable).collect();
    }
    let tail: String = text.chars().skip(count - LONGEST).collect();
    let tail: String = tail.chars().map(printable).collect();
    format!("…{tail}")
}

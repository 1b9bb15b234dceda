//! Sizes and places of files.

use super::{is_test_file, sources};

/// Most lines of a file that ships, its inline tests included: a file is one noun, read in one sitting.
const MOST_LINES: usize = 400;

#[test]
fn no_shipped_file_has_more_than_400_lines() {
    let found: Vec<String> = ["host", "tui", "plugins"]
        .iter()
        .flat_map(|folder| sources(folder))
        .filter(|(name, text)| !is_test_file(name) && text.lines().count() > MOST_LINES)
        .map(|(name, text)| format!("{name}: {} lines", text.lines().count()))
        .collect();
    assert!(found.is_empty(), "too long:\n{}", found.join("\n"));
}

#[test]
fn a_module_with_children_is_a_file_beside_its_folder() {
    let found: Vec<String> = ["host", "tui", "plugins", "tests"]
        .iter()
        .flat_map(|folder| sources(folder))
        .map(|(name, _)| name)
        .filter(|name| name.ends_with("/mod.rs"))
        .collect();
    assert!(
        found.is_empty(),
        "x.rs beside x/ is the place:\n{}",
        found.join("\n")
    );
}

//! Words of doc comments: each says what a thing is or does, and names its actor.

use super::{is_test_file, sources, without_tests};

/// First words that announce a riddle in place of a noun or a verb.
const OPENINGS: [&str; 3] = ["What", "Who", "Whether"];

/// Words that hide the actor: a holder, waiter, client, operator, caller or guest.
const ACTORS: [&str; 3] = ["somebody", "nobody", "whoever"];

fn is_bad(line: &str) -> bool {
    let line = line.trim_start();
    let Some(text) = line
        .strip_prefix("///")
        .or_else(|| line.strip_prefix("//!"))
    else {
        return false;
    };
    let words: Vec<&str> = text
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect();
    let opens = text.trim_start().starts_with(char::is_alphabetic)
        && words.first().is_some_and(|word| OPENINGS.contains(word));
    let hides = |word: &&str| ACTORS.contains(&word.to_lowercase().as_str());
    opens || words.iter().any(hides)
}

#[test]
fn doc_comments_of_shipped_code_open_well_and_name_actors() {
    let mut found = Vec::new();
    for folder in ["host", "tui", "plugins/sdk"] {
        for (name, text) in sources(folder) {
            if is_test_file(&name) {
                continue;
            }
            let tested = without_tests(&text);
            let lines = tested.lines().filter(|line| is_bad(line));
            found.extend(lines.map(|line| {
                let number = text.lines().position(|other| other == line).unwrap_or(0) + 1;
                format!("{name}:{number}: {}", line.trim())
            }));
        }
    }
    assert!(
        found.is_empty(),
        "{} doc lines that open with What, Who or Whether, or hold somebody, nobody or whoever:\n{}",
        found.len(),
        found.join("\n")
    );
}

#[test]
fn bad_doc_lines_are_found_and_good_ones_are_not() {
    for bad in [
        "/// What the scan found.",
        "    //! Whether it runs.",
        "/// Stops whoever holds it.",
        "/// Nobody waits.",
    ] {
        assert!(is_bad(bad), "{bad}");
    }
    for good in [
        "/// Result of the scan.",
        "/// Whatever the scan found.",
        "// What the scan found.",
        "let what = who;",
        "/// `What` is a type.",
    ] {
        assert!(!is_bad(good), "{good}");
    }
}

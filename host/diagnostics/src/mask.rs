//! Hides values that look like secrets in the lines that a report shows.
//!
//! The file has no key for a secret's value, so people write one into the wrong key. This is not a
//! secret scanner: it only avoids repeating the obvious ones.

/// Text shown in place of a value.
pub const HIDDEN: &str = "<hidden>";

/// Returns `line` without the values of keys named like secrets and without passwords in addresses.
pub fn hide_secrets(line: &str) -> String {
    hide_user_info(&hide_values(line))
}

fn hide_values(line: &str) -> String {
    let mut shown = String::new();
    let mut rest = line;
    while let Some(equals) = rest.find('=') {
        let (before, after) = (&rest[..equals], &rest[equals + 1..]);
        shown.push_str(before);
        shown.push('=');
        rest = after;
        if names_a_secret(before) {
            let (value, tail) = split_value(after);
            if !value.trim().is_empty() {
                shown.push(' ');
                shown.push_str(HIDDEN);
                rest = tail;
            }
        }
    }
    shown.push_str(rest);
    shown
}

/// Returns true if the last word before the equals sign suggests a secret.
fn names_a_secret(before: &str) -> bool {
    let word = before
        .rsplit([',', '{', '.'])
        .next()
        .unwrap_or(before)
        .to_lowercase();
    sounds_secret(word.trim().trim_matches(['"', '\'']))
}

/// Returns true if a key of this name may hold a secret.
pub fn sounds_secret(name: &str) -> bool {
    let word = name.to_lowercase();
    ["password", "passwd", "secret", "token", "credential"]
        .iter()
        .any(|sign| word.contains(sign))
        // Keys that hold references, and the name of a header.
        && !word.ends_with("_file")
        && word != "http_token"
}

/// The value at the start of `text`, blanks included, and what follows it.
fn split_value(text: &str) -> (&str, &str) {
    let start = text.len() - text.trim_start().len();
    let value = &text[start..];
    let length = match value.chars().next() {
        Some(quote @ ('"' | '\'')) => closing_quote(value, quote),
        // The end of a bare value is uncertain, so the whole rest is hidden.
        _ => value.len(),
    };
    text.split_at(start + length)
}

/// Returns the length of a quoted value; the whole rest if the quote never closes.
fn closing_quote(value: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in value.char_indices().skip(1) {
        if escaped {
            escaped = false;
        } else if c == '\\' && quote == '"' {
            escaped = true;
        } else if c == quote && at > 1 {
            return at + 1;
        } else if c == quote {
            // Two quotes in a row may open a text of several lines.
            return value.len();
        }
    }
    value.len()
}

fn hide_user_info(line: &str) -> String {
    let mut shown = String::new();
    let mut rest = line;
    while let Some(scheme) = rest.find("://") {
        let (before, after) = rest.split_at(scheme + 3);
        shown.push_str(before);
        let end = after
            .find(['"', '\'', ' ', ',', '/'])
            .unwrap_or(after.len());
        rest = match after[..end].rfind('@') {
            Some(at) => {
                shown.push_str(HIDDEN);
                &after[at..]
            }
            None => after,
        };
    }
    shown.push_str(rest);
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_secret_sounding_keys_are_hidden() {
        for (line, shown) in [
            (r#"password = "hunter2""#, "password = <hidden>"),
            (r"password = hunter2", "password = <hidden>"),
            (r#"password = "hunter2"#, "password = <hidden>"),
            (r#"password = """hunter2"#, "password = <hidden>"),
            (
                r#"env = { API_TOKEN = "a\"b", MODE = "x" }"#,
                r#"env = { API_TOKEN = <hidden>, MODE = "x" }"#,
            ),
            ("a.secret = 'x' # why", "a.secret = <hidden> # why"),
        ] {
            assert_eq!(hide_secrets(line), shown);
        }
    }

    #[test]
    fn passwords_in_addresses_are_hidden() {
        assert_eq!(
            hide_secrets(r#"endpoints = ["http://me:pw@a:1", "https://b:2"]"#),
            r#"endpoints = ["http://<hidden>@a:1", "https://b:2"]"#
        );
    }

    #[test]
    fn other_lines_stay_as_they_are() {
        for line in [
            r#"password_file = "secret.txt""#,
            r#"user = "me@example.com""#,
            r#"allow = { http_token = "X-Token" }"#,
            "ttl = \"10s\" # a = b",
            "",
            "====",
        ] {
            assert_eq!(hide_secrets(line), line);
        }
    }
}

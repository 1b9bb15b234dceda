//! Kinds of the TOML parser's errors, by their messages: it has no other names for them.

use toml::de::Error;

/// Returns true for a key or a table that is in the text a second time.
pub fn is_duplicate(error: &Error) -> bool {
    error.message() == "duplicate key"
}

/// Returns true for text without quotes.
pub fn is_unquoted(error: &Error) -> bool {
    error.message().starts_with("string values must be quoted")
}

/// Returns true if the parser parsed all other lines in spite of this error.
pub fn keeps_lines(error: &Error) -> bool {
    is_duplicate(error)
        || is_unquoted(error)
        || error.message().starts_with("invalid date")
        || error.message().starts_with("cannot extend value")
}

#[cfg(test)]
mod tests {
    use toml::de::DeTable;

    use super::*;

    fn first_error(text: &str) -> Error {
        let (_, errors) = DeTable::parse_recoverable(text);
        errors.into_iter().next().expect("the text has an error")
    }

    #[test]
    fn parser_messages_are_still_the_known_ones() {
        assert!(is_duplicate(&first_error("a = 1\na = 2\n")));
        assert!(is_unquoted(&first_error("a = word\n")));
        assert!(keeps_lines(&first_error("a = 2024-13-01\n")));
        assert!(keeps_lines(&first_error("a = 1\na.b = 2\n")));
        assert!(!keeps_lines(&first_error("a = [1,\n")));
    }
}

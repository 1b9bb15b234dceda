//! Text as lines that fit a terminal.

use unicode_width::UnicodeWidthStr as _;

/// Breaks a text between words into lines of at most so many columns, without an end at the last. Every line after
/// the first is indented. A word that is longer than a line stays whole.
pub(crate) fn wrap(text: &str, width: Option<usize>, indent: usize) -> String {
    let Some(width) = width.filter(|width| text.width() > *width) else {
        return text.to_owned();
    };
    let start = text.len() - text.trim_start().len();
    let mut out = text[..start].to_owned();
    let mut used = start;
    for (at, word) in text.split_whitespace().enumerate() {
        let wide = word.width();
        if at > 0 && used + 1 + wide > width {
            out.push('\n');
            out.push_str(&" ".repeat(indent));
            used = indent;
        } else if at > 0 {
            out.push(' ');
            used += 1;
        }
        out.push_str(word);
        used += wide;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_line_is_broken_between_words_and_indented() {
        let text = "  web1: blocked for 3m12s by tick@web3, which holds it";
        assert_eq!(wrap(text, None, 4), text);
        assert_eq!(wrap(text, Some(80), 4), text);
        insta::assert_snapshot!(wrap(text, Some(24), 4), @r"
          web1: blocked for
            3m12s by tick@web3,
            which holds it
        ");
    }
}

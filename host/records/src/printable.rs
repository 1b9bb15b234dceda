//! Foreign text made safe to print.
//!
//! Control characters move cursors, retitle terminals and reorder or hide text. They are replaced here, once, so
//! that no later code has to. This file must never let a caller choose to skip it, and never touch a letter of any
//! script.

use std::fmt::Write as _;

use serde::Serialize;

/// The longest single text that is kept, in bytes.
pub const LONGEST_TEXT: usize = 8 * 1024;

/// The mark at the end of a shortened text.
pub const CUT: &str = " […]";

/// Makes one printable line of any text: control and direction marks and hidden characters become `�`, line ends
/// inside become `⏎`, and text beyond [`LONGEST_TEXT`] is cut with a mark. A second pass changes nothing.
pub fn line(text: &str) -> String {
    // A text that was cut before keeps its mark, and gets no second one.
    let (text, was_cut) = match text.strip_suffix(CUT) {
        Some(head) => (head, true),
        None => (text, false),
    };
    let (mut out, is_cut) = bounded(text, LONGEST_TEXT);
    if was_cut || is_cut {
        out.push_str(CUT);
    }
    out
}

/// The same as [`line()`], without a bound: for text that the caller has bounded.
pub fn whole(text: &str) -> String {
    bounded(text, usize::MAX).0
}

/// The printable form of `text` within `most` bytes, and true if there was more.
fn bounded(text: &str, most: usize) -> (String, bool) {
    let mut out = String::with_capacity(text.len().min(most));
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let shown = match c {
            '\r' if chars.peek() == Some(&'\n') => continue,
            '\n' => '⏎',
            c if is_unprintable(c) => char::REPLACEMENT_CHARACTER,
            c => c,
        };
        if out.len() + shown.len_utf8() > most {
            return (out, true);
        }
        out.push(shown);
    }
    (out, false)
}

/// Makes a message of several lines printable, each line by itself. Line ends stay, so foreign parts must have
/// passed [`line()`] before they became a part.
pub fn lines(text: &str) -> String {
    let lines: Vec<String> = text.split('\n').map(whole).collect();
    lines.join("\n")
}

/// Makes JSON text printable without a change of its meaning: characters that [`line()`] would replace are escaped.
/// Line ends stay.
pub fn json(text: String) -> String {
    // Beyond white space, such characters occur only inside strings.
    let hidden = |c| c != '\n' && is_unprintable(c);
    if !text.contains(hidden) {
        return text;
    }
    let mut out = String::with_capacity(text.len() + 64);
    for c in text.chars() {
        if hidden(c) {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                // Writing to a string cannot fail.
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(c);
        }
    }
    out
}

/// The same as [`line()`], for bytes that should be UTF-8.
pub fn bytes(raw: &[u8]) -> String {
    line(&String::from_utf8_lossy(raw))
}

/// Returns the longest head of `text` within [`LONGEST_TEXT`] that ends between characters, and true if more
/// followed.
pub fn head(text: &str) -> (&str, bool) {
    let kept = &text[..text.floor_char_boundary(LONGEST_TEXT)];
    (kept, kept.len() < text.len())
}

/// Returns true for a character that [`line()`] replaces: a control character other than a tab, a direction mark, or
/// a hidden character.
pub fn is_unprintable(c: char) -> bool {
    // C0, DEL and C1 are control characters, ESC among them.
    c != '\t' && (c.is_control() || reorders(c) || hides(c))
}

/// Direction marks, overrides and isolates, and the invisible separators that end a line.
const fn reorders(c: char) -> bool {
    matches!(
        c,
        '\u{061C}' | '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}'
    )
}

/// Characters that take no room and join nothing, for two names that look the same must be the same; and annotations
/// and tags, which carry invisible texts. The joiners U+200C and U+200D stay, because Persian, Indic scripts and
/// emoji need them.
const fn hides(c: char) -> bool {
    matches!(
        c,
        '\u{00AD}'
            | '\u{200B}'
            | '\u{2060}'..='\u{2065}'
            | '\u{206A}'..='\u{206F}'
            | '\u{FEFF}'
            | '\u{FFF9}'..='\u{FFFB}'
            | '\u{E0000}'..='\u{E007F}'
    )
}

/// Formats a value as one JSON object and a line end.
pub fn json_line(value: &impl Serialize) -> String {
    // Plain data always serializes; an empty line would show an internal error.
    let mut text = json(serde_json::to_string(value).unwrap_or_default());
    text.push('\n');
    text
}

/// Formats a value as JSON over several lines, with a line end.
pub fn json_pretty(value: &impl Serialize) -> String {
    let mut text = json(serde_json::to_string_pretty(value).unwrap_or_default());
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_and_direction_marks_are_replaced() {
        assert_eq!(line("a\u{1b}[31mred"), "a�[31mred");
        assert_eq!(line("x\u{9b}2J\u{7f}\u{0}\u{8}"), "x�2J���");
        assert_eq!(
            line("safe\u{202e}exe.\u{2066}\u{200f}\u{61c}"),
            "safe�exe.���"
        );
    }

    #[test]
    fn hidden_characters_are_replaced() {
        assert_eq!(line("\u{feff}pay\u{200b}roll\u{ad}"), "�pay�roll�");
        assert_eq!(line("a\u{2060}b\u{206f}c\u{fff9}"), "a�b�c�");
        assert_eq!(line("hi\u{e0041}\u{e007f}"), "hi��");
    }

    #[test]
    fn tabs_and_ordinary_letters_of_every_script_stay() {
        for text in [
            "\tgrün 漢字 🚀",
            "می\u{200c}خواهم",
            "क्\u{200d}ष",
            "👩🏽\u{200d}🔬 ☁\u{fe0f}",
            "שלום",
        ] {
            assert_eq!(line(text), text);
        }
    }

    #[test]
    fn line_ends_inside_a_text_are_shown_and_cannot_forge_a_line() {
        assert_eq!(line("one\r\ntwo\nthree\rfour"), "one⏎two⏎three�four");
    }

    #[test]
    fn a_message_keeps_its_lines_and_nothing_that_forges_one() {
        assert_eq!(
            lines("error: a\r\n  = help:\u{1b}[2J b\n"),
            "error: a�\n  = help:�[2J b\n"
        );
    }

    #[test]
    fn json_keeps_its_meaning_without_control_characters() {
        let value = "a\u{9b}2J\u{2028}\u{e0041}\u{200b}\nü";
        let text = format!("{{\n  \"k\": \"{}\"\n}}\n", value.replace('\n', "\\n"));
        assert_eq!(
            json(text),
            "{\n  \"k\": \"a\\u009b2J\\u2028\\udb40\\udc41\\u200b\\nü\"\n}\n"
        );
        assert_eq!(json("{}\n".to_owned()), "{}\n");
    }

    #[test]
    fn bytes_that_are_not_utf8_are_replaced() {
        assert_eq!(bytes(b"ok \xff\xfe"), "ok ��");
    }

    #[test]
    fn a_long_text_is_cut_between_characters_and_marked() {
        let long = "é".repeat(LONGEST_TEXT);
        let cut = line(&long);
        assert!(cut.ends_with("é […]"));
        assert!(cut.len() <= LONGEST_TEXT + CUT.len());
    }

    #[test]
    fn second_pass_over_a_long_text_changes_nothing() {
        let fits = LONGEST_TEXT - CUT.len();
        for text in [
            // What is replaced takes three bytes instead of one or two.
            "\u{1b}".repeat(LONGEST_TEXT),
            "\u{9b}x".repeat(LONGEST_TEXT / 2),
            "\n".repeat(LONGEST_TEXT / 2),
            "x\r".repeat(LONGEST_TEXT),
            // A cut that leaves room for a part of its own mark.
            format!("{}漢漢漢", "x".repeat(LONGEST_TEXT - 1)),
            format!("{}漢漢漢", "x".repeat(LONGEST_TEXT - 2)),
            // Texts that end as cut ones do.
            format!("{}{CUT}", "x".repeat(fits)),
            format!("{}{CUT}", "x".repeat(fits + 1)),
            format!("{}{CUT}{CUT}", "x".repeat(LONGEST_TEXT)),
            CUT.repeat(LONGEST_TEXT),
            CUT.to_owned(),
        ] {
            let once = line(&text);
            assert!(
                once.len() <= LONGEST_TEXT + CUT.len(),
                "{} bytes",
                once.len()
            );
            assert_eq!(line(&once), once);
        }
    }
}

//! Single values: text, numbers, durations, sizes, percentages, names and paths.
//!
//! Each reader takes one value. It returns it valid, or records the error and the text to write
//! instead. None depends on the table it reads for.

use std::path::PathBuf;
use std::time::Duration;

use leasehold_diagnostics::shown;
use toml::de::DeValue;

use super::node::Node;
use crate::limits::{KIB, MIB};

/// Longer than any intended wait; it keeps sums of times far from overflow.
pub(super) const LONGEST: Duration = Duration::from_hours(365 * 24);
/// Bytes in one gibibyte.
const GIB: u64 = 1024 * MIB;
/// The longest name of a host or job, in bytes.
const LONGEST_NAME: usize = 63;

/// Reads any text that can be passed to a program.
pub(super) fn text(node: &Node<'_>) -> Option<String> {
    let DeValue::String(text) = node.value() else {
        return node.wrong_kind("text", "\"…\"");
    };
    if text.contains('\0') {
        return node.reject(
            "holds a NUL character",
            "remove it: no program can be given one",
        );
    }
    Some(text.clone().into_owned())
}

/// Reads a text that is not empty.
pub(super) fn words(node: &Node<'_>) -> Option<String> {
    let text = text(node)?;
    if text.is_empty() {
        return node.reject("is empty", "write a value, or remove the key");
    }
    Some(text)
}

/// Reads `true` or `false`.
pub(super) fn boolean(node: &Node<'_>) -> Option<bool> {
    match node.value() {
        DeValue::Boolean(value) => Some(*value),
        _ => node.wrong_kind("true or false", "true"),
    }
}

/// Reads a whole number from `least` to `most`.
pub(super) fn integer(node: &Node<'_>, least: u64, most: u64) -> Option<u64> {
    let DeValue::Integer(value) = node.value() else {
        return node.wrong_kind("a whole number", &least.max(1).to_string());
    };
    u64::from_str_radix(value.as_str(), value.radix())
        .ok()
        .filter(|value| (least..=most).contains(value))
        .or_else(|| {
            node.reject(
                "is out of range",
                format!("write a whole number from {least} to {most}"),
            )
        })
}

/// Reads a number as `integer` does, in 32 bits.
pub(super) fn integer_u32(node: &Node<'_>, least: u32, most: u32) -> Option<u32> {
    u32::try_from(integer(node, least.into(), most.into())?).ok()
}

/// Reads a duration from `least` to `most`, such as `"1m 30s"`.
pub(super) fn duration(node: &Node<'_>, least: Duration, most: Duration) -> Option<Duration> {
    let example = format!("\"{}\"", format_duration(least.max(Duration::from_secs(1))));
    let DeValue::String(text) = node.value() else {
        return node.wrong_kind("a duration in quotes", &example);
    };
    match humantime::parse_duration(text) {
        Err(_) => node.reject(
            &format!("is not a duration: \"{}\"", shown(text)),
            "write a number and a unit, as in \"250ms\", \"10s\", \"5m\" or \"1h 30m\"",
        ),
        Ok(value) if value < least => node.reject(
            &format!("is too short: {}", format_duration(value)),
            format!("write \"{}\" or more", format_duration(least)),
        ),
        Ok(value) if value > most => node.reject(
            &format!("is too long: {}", format_duration(value)),
            format!("write \"{}\" or less", format_duration(most)),
        ),
        Ok(value) => Some(value),
    }
}

/// Prints a duration as `humantime` does, but never in months: those are not whole days.
pub(super) fn format_duration(duration: Duration) -> String {
    const DAY: Duration = Duration::from_hours(24);
    if duration < DAY {
        return humantime::format_duration(duration).to_string();
    }
    let days = duration.as_secs() / DAY.as_secs();
    let days = format!("{days}day{}", if days == 1 { "" } else { "s" });
    let rest = duration.as_nanos() % DAY.as_nanos();
    match u64::try_from(rest) {
        Ok(rest) if rest > 0 => {
            format!(
                "{days} {}",
                humantime::format_duration(Duration::from_nanos(rest))
            )
        }
        _ => days,
    }
}

/// Reads a number of bytes from `least` to `most`: a whole number, or text such as `"64MiB"`.
pub(super) fn size(node: &Node<'_>, least: u64, most: u64) -> Option<u64> {
    let bytes = match node.value() {
        DeValue::Integer(value) => u64::from_str_radix(value.as_str(), value.radix()).ok(),
        DeValue::String(text) => match parse_size(text) {
            Some(bytes) => Some(bytes),
            None => {
                return node.reject(
                    &format!("is not a size: \"{}\"", shown(text)),
                    "write a whole number with KiB, MiB or GiB, as in \"64MiB\"",
                );
            }
        },
        _ => return node.wrong_kind("a size", "\"64MiB\""),
    };
    bytes
        .filter(|bytes| (least..=most).contains(bytes))
        .or_else(|| {
            let (least, most) = (format_size(least), format_size(most));
            node.reject(
                "is out of range",
                format!("write a size from \"{least}\" to \"{most}\""),
            )
        })
}

/// Returns the bytes of `"64MiB"`; `u64::MAX` for a size that does not fit.
pub fn parse_size(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let unit = match unit.trim() {
        "" | "B" => 1,
        "KiB" => KIB,
        "MiB" => MIB,
        "GiB" => GIB,
        _ => return None,
    };
    // A number that consists of digits fails to parse only if it is too large.
    if number.is_empty() {
        return None;
    }
    Some(
        number
            .parse::<u64>()
            .unwrap_or(u64::MAX)
            .saturating_mul(unit),
    )
}

/// Prints the shortest exact form of a size, as `parse_size` reads it.
pub fn format_size(bytes: u64) -> String {
    [(GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")]
        .into_iter()
        .find(|(unit, _)| bytes >= *unit && bytes.is_multiple_of(*unit))
        .map_or_else(
            || format!("{bytes}B"),
            |(unit, name)| format!("{}{name}", bytes / unit),
        )
}

/// Reads the name of a host or job.
pub(super) fn name(node: &Node<'_>) -> Option<String> {
    let text = text(node)?;
    if is_name(&text) {
        return Some(text);
    }
    node.reject(
        &format!("is not a usable name: \"{}\"", shown(&text)),
        NAME_RULE,
    )
}

/// Rule for names, as a remedy.
pub(super) const NAME_RULE: &str =
    "use 1 to 63 letters, digits, `.`, `_` or `-`, starting with a letter or digit";

/// Returns true if `text` can name a host or job.
pub(super) fn is_name(text: &str) -> bool {
    text.len() <= LONGEST_NAME
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(is_name_char)
}

/// Returns true if `c` may be in a name or in a segment of a lock's name.
pub(super) const fn is_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')
}

/// Reads a SHA-256 digest in hexadecimal digits.
pub(super) fn sha256(node: &Node<'_>) -> Option<[u8; 32]> {
    let digits = text(node)?;
    let nibbles: Option<Vec<u8>> = digits
        .chars()
        .map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect();
    let digest = nibbles
        .filter(|nibbles| nibbles.len() == 64)
        .map(|nibbles| {
            let mut digest = [0; 32];
            for (byte, pair) in digest.iter_mut().zip(nibbles.chunks(2)) {
                *byte = pair.iter().fold(0, |byte, nibble| byte << 4 | nibble);
            }
            digest
        });
    digest.or_else(|| {
        node.reject(
            "is not a SHA-256 digest",
            "write the 64 hexadecimal digits that `sha256sum` prints",
        )
    })
}

/// Prints a digest as `sha256sum` does.
pub fn hex(digest: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(2 * digest.len());
    for byte in digest {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// Reads a path, relative to the folder of the file that names it.
pub(super) fn path(node: &Node<'_>) -> Option<PathBuf> {
    let text = words(node)?;
    if text == "~" || text.starts_with("~/") {
        return node.reject(
            "starts with `~`, which is not expanded",
            "write the path in full, or relative to the folder of this file",
        );
    }
    Some(node.context().resolve(&text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_whole_numbers_with_binary_units() {
        for (text, bytes) in [
            ("64MiB", Some(64 * MIB)),
            ("512 KiB", Some(512 * KIB)),
            ("1GiB", Some(GIB)),
            ("7", Some(7)),
            ("7B", Some(7)),
            ("99999999999999999999999GiB", Some(u64::MAX)),
            ("64MB", None),
            ("1.5GiB", None),
            ("-1KiB", None),
            ("MiB", None),
            ("", None),
        ] {
            assert_eq!(parse_size(text), bytes, "{text}");
        }
    }

    #[test]
    fn a_formatted_size_reads_back_the_same() {
        for bytes in [0, 1, 1023, KIB, 1536, 64 * MIB, GIB, 4 * GIB - 64 * KIB] {
            assert_eq!(parse_size(&format_size(bytes)), Some(bytes));
        }
    }

    #[test]
    fn names_are_plain() {
        for good in ["a", "A9", "billing.ledger-1_x", &"x".repeat(63)] {
            assert!(is_name(good), "{good}");
        }
        for bad in ["", "-a", ".a", "a/b", "a b", "é", &"x".repeat(64)] {
            assert!(!is_name(bad), "{bad}");
        }
    }
}

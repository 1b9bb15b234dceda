//! Bounding the size of a stored record, by cutting the guest's texts.
//!
//! JSON writes some characters as six, so a text is measured as it will be written. Readers receive several records
//! in one message, and one job's records must not displace another's.

use leasehold_records::RunRecord;

/// Size of a record of a run without output, in bytes of JSON.
const FACTS_BYTES: usize = 4 << 10;
/// Size of the largest record of a run whose output is short.
const SHORT_BYTES: usize = 36 << 10;
/// Largest output that a record may keep: the greatest value of `limits.output_kept`.
const LARGEST_OUTPUT: usize = 128 << 10;
/// Number of bytes kept of a sentence, if even a record without output is too large.
const SENTENCE_BYTES: usize = 1 << 10;

/// Returns the most bytes of JSON of a record: twice its output, for line ends and quotes double.
fn most_bytes(record: &RunRecord) -> usize {
    SHORT_BYTES.max(2 * record.output.len().min(LARGEST_OUTPUT) + FACTS_BYTES)
}

/// Returns the record as JSON of bounded size. The output keeps its end, a sentence its beginning.
pub(crate) fn run(record: &RunRecord) -> Vec<u8> {
    let json = record.to_json();
    let most = most_bytes(record);
    if json.len() <= most {
        return json;
    }
    let cut = head(&record.output, json.len() - most);
    let mut short = record.clone();
    short.output.drain(..cut);
    short.output_truncated_bytes += u64::try_from(cut).unwrap_or(u64::MAX);
    // The number of cut bytes is part of the record, so its length is measured again.
    let json = short.to_json();
    if json.len() <= most {
        return json;
    }
    short.output_truncated_bytes += u64::try_from(short.output.len()).unwrap_or(u64::MAX);
    short.output.clear();
    let kept = tail(&short.detail, SENTENCE_BYTES);
    short.detail.truncate(kept);
    short.detail.push_str(" […]");
    short.to_json()
}

/// Returns the length of the shortest beginning of `text` that is at least `least` bytes of JSON, plus a margin for
/// the count.
fn head(text: &str, least: usize) -> usize {
    let least = least + 64;
    let mut written = 0;
    let longer = text.char_indices().find(|(_, c)| {
        let is_enough = written >= least;
        written += written_as(*c);
        is_enough
    });
    longer.map_or(text.len(), |(at, _)| at)
}

/// Returns the length of the longest beginning of `text` that is at most `most` bytes of JSON.
fn tail(text: &str, most: usize) -> usize {
    let mut written = 0;
    let beyond = text.char_indices().find(|(_, c)| {
        written += written_as(*c);
        written > most
    });
    beyond.map_or(text.len(), |(at, _)| at)
}

/// Returns the number of bytes of a character in a JSON string.
const fn written_as(c: char) -> usize {
    match c {
        '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
        '\0'..='\u{1f}' => 6,
        c => c.len_utf8(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_makes_a_record_larger_than_its_bound() {
        for text in ["x", "\u{1b}", "\n", "\"", "€", "\u{0}\u{10ffff}"] {
            for length in [0, 100, 16 << 10, 1 << 20] {
                for detail in [0, 8 << 10, 1 << 20] {
                    let record = RunRecord {
                        output: text.repeat(length),
                        detail: text.repeat(detail),
                        ..super::super::sample(7)
                    };
                    let json = run(&record);
                    assert!(
                        json.len() <= most_bytes(&record),
                        "{} of {text:?}",
                        json.len()
                    );
                    let read = RunRecord::from_json(&json).unwrap();
                    // The end of the output shows the cause, and every byte that is cut is counted.
                    assert!(record.output.ends_with(&read.output));
                    let lost = record.output.len() - read.output.len();
                    assert_eq!(read.output_truncated_bytes, lost as u64);
                }
            }
        }
    }

    #[test]
    fn as_much_is_kept_as_fits() {
        let record = RunRecord {
            output: "\u{1b}".repeat(16 << 10),
            ..super::super::sample(7)
        };
        assert!(run(&record).len() > most_bytes(&record) - 128);
        let record = RunRecord {
            output: "line\n".repeat(3_000),
            ..super::super::sample(7)
        };
        assert_eq!(run(&record), record.to_json());
    }
}

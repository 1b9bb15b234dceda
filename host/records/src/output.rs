//! Record of a part of a running guest's output.
//!
//! A host writes them while a [`FollowRecord`](crate::FollowRecord) requests them, and deletes them afterwards.
//! Positions count the bytes of a run's output, one for each line's end included. A reader finds from them which
//! lines it has already, and how much is missing.

use serde::{Deserialize, Serialize};

use crate::json::impl_json;
use crate::run::Outcome;
use crate::unix_ms::UnixMs;

impl_json!(OutputChunk);

/// Stream from which a line came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OutputStream {
    /// Standard output.
    #[default]
    Stdout,
    /// Standard error.
    Stderr,
    /// The log interface, or a remark of the host.
    Log,
}

impl OutputStream {
    /// Returns the stream's word, as in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
            Self::Log => "log",
        }
    }

    /// Parses the stream's word.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Stdout, Self::Stderr, Self::Log]
            .into_iter()
            .find(|stream| stream.as_str() == word)
    }

    // Serde passes a reference.
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    fn is_stdout(&self) -> bool {
        *self == Self::Stdout
    }
}

/// A line of output. The host has removed secrets from it and made it printable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputLine {
    /// The time when the host received it.
    #[serde(rename = "at")]
    pub at_unix_ms: UnixMs,
    /// Its stream.
    #[serde(default, skip_serializing_if = "OutputStream::is_stdout")]
    pub stream: OutputStream,
    /// Its level, if it came through the log interface.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<String>,
    /// The text, without a line end.
    pub text: String,
}

impl OutputLine {
    /// Returns its length in a run's output: the text and the line end.
    pub fn length(&self) -> u64 {
        u64::try_from(self.text.len()).map_or(u64::MAX, |length| length.saturating_add(1))
    }
}

/// End of the run, in its last chunk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputEnd {
    /// The time when it had ended.
    pub at_unix_ms: UnixMs,
    /// Its outcome.
    pub outcome: Outcome,
    /// The reason, in a sentence.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

/// A part of one run's output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputChunk {
    /// The host on which it runs.
    pub host: String,
    /// Number of the attempt, from 1.
    pub attempt: u32,
    /// The time when the run started.
    pub started_unix_ms: UnixMs,
    /// The position of its first line. Output before it that no earlier chunk has is missing.
    pub from_byte: u64,
    /// Its lines.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<OutputLine>,
    /// True if the host had more output when it wrote this.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub more: bool,
    /// The run's end, in its last chunk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<OutputEnd>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunk_reads_back_and_unknown_fields_are_ignored() {
        let json = r#"{"host":"web1","attempt":2,"started_unix_ms":5,"from_byte":7,"later":1,
            "lines":[{"at":6,"text":"a"},{"at":7,"stream":"stderr","text":"b"},
                     {"at":8,"stream":"log","level":"warn","text":"c"}],
            "end":{"at_unix_ms":9,"outcome":"done"}}"#;
        let chunk = OutputChunk::from_json(json.as_bytes()).unwrap();
        assert_eq!(chunk.lines[0].stream, OutputStream::Stdout);
        assert_eq!(chunk.lines[1].stream, OutputStream::Stderr);
        assert_eq!(chunk.lines[2].level.as_deref(), Some("warn"));
        assert!(!chunk.more && chunk.end.is_some());
        assert_eq!(OutputChunk::from_json(&chunk.to_json()).unwrap(), chunk);
        let short = String::from_utf8(chunk.to_json()).unwrap();
        assert!(short.contains(r#"{"at":6,"text":"a"}"#), "{short}");
    }
}

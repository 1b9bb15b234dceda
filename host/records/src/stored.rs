//! Stored form of the records that are written for every run: without the parts that a reader can restore.
//!
//! The store keeps every version until it is compacted, so each byte counts as often as a job runs. Fields that
//! earlier versions of this program require are emptied, never left out: hosts of both versions share a root.

use leasehold_ids::Token;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::json::{RecordError, read};
use crate::run::RunRecord;
use crate::tick::{TickRecord, TickState};

/// Counts of a run that are left out when zero.
const COUNTS: [&str; 4] = [
    "calls_admitted",
    "calls_refused",
    "peak_memory_bytes",
    "output_truncated_bytes",
];

/// Returns the id of a run: its host, its token, and its number under that token.
pub fn run_id(host: &str, token: Token, sequence: u32) -> String {
    format!("{host}-{token}-{sequence}")
}

impl RunRecord {
    /// Returns the record as JSON bytes.
    pub fn to_json(&self) -> Vec<u8> {
        let mut fields = fields(self);
        for count in COUNTS {
            if fields.get(count).and_then(Value::as_u64) == Some(0) {
                fields.remove(count);
            }
        }
        if self.ended_unix_ms.is_some() {
            empty(&mut fields, "lock_key");
        }
        if self.run_id == run_id(&self.host, self.token, self.sequence) {
            empty(&mut fields, "run_id");
        }
        bytes(&fields)
    }

    /// Parses the record.
    ///
    /// # Errors
    ///
    /// [`RecordError`] when the bytes are not such a record.
    pub fn from_json(bytes: &[u8]) -> Result<Self, RecordError> {
        let mut record: Self = read(bytes)?;
        if record.run_id.is_empty() {
            record.run_id = run_id(&record.host, record.token, record.sequence);
        }
        Ok(record)
    }
}

impl TickRecord {
    /// Returns the record as JSON bytes.
    pub fn to_json(&self) -> Vec<u8> {
        let mut fields = fields(self);
        // The entry it was begun under matters only while its run may be in progress there.
        if self.state != TickState::Claimed {
            empty(&mut fields, "lock_key");
        }
        // Only the first run under a grant claims a tick.
        if self.run_id == run_id(&self.host, self.token, 0) {
            empty(&mut fields, "run_id");
        }
        bytes(&fields)
    }

    /// Parses the record.
    ///
    /// # Errors
    ///
    /// [`RecordError`] when the bytes are not such a record.
    pub fn from_json(bytes: &[u8]) -> Result<Self, RecordError> {
        let mut record: Self = read(bytes)?;
        if record.run_id.is_empty() {
            record.run_id = run_id(&record.host, record.token, 0);
        }
        Ok(record)
    }
}

fn fields(record: &impl Serialize) -> Map<String, Value> {
    // Strings, numbers and lists of them always serialize.
    match serde_json::to_value(record) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    }
}

fn empty(fields: &mut Map<String, Value>, name: &str) {
    fields.insert(name.into(), Value::String(String::new()));
}

fn bytes(fields: &Map<String, Value>) -> Vec<u8> {
    serde_json::to_vec(fields).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::Outcome;
    use crate::unix_ms::UnixMs;

    const RUN: &str = r#"{"job":"j","host":"h","lock":"l","lock_key":"/leasehold/locks/l/1","token":7,"sequence":2,
        "run_id":"h-7-2","attempt":1,"plugin_sha256":"00","started_unix_ms":5,"ended_unix_ms":9,"outcome":"done",
        "calls_admitted":0,"calls_refused":0,"peak_memory_bytes":0,"output_truncated_bytes":0}"#;
    const TICK: &str = r#"{"job":"j","tick_unix_ms":4,"state":"claimed","host":"h","lock_key":"/leasehold/locks/l/1",
        "token":7,"attempt":1,"run_id":"h-7-0","claimed_unix_ms":5}"#;

    /// Fields without which an earlier host cannot read a record.
    const REQUIRED_OF_RUNS: [&str; 11] = [
        "job",
        "host",
        "lock",
        "lock_key",
        "token",
        "sequence",
        "run_id",
        "attempt",
        "plugin_sha256",
        "started_unix_ms",
        "outcome",
    ];
    const REQUIRED_OF_TICKS: [&str; 9] = [
        "job",
        "tick_unix_ms",
        "state",
        "host",
        "lock_key",
        "token",
        "attempt",
        "run_id",
        "claimed_unix_ms",
    ];

    fn names(json: &[u8]) -> Map<String, Value> {
        serde_json::from_slice(json).unwrap()
    }

    #[test]
    fn a_full_record_reads_as_its_short_form() {
        let full = RunRecord::from_json(RUN.as_bytes()).unwrap();
        let short = full.to_json();
        let read = RunRecord::from_json(&short).unwrap();
        assert_eq!(
            read,
            RunRecord {
                lock_key: String::new(),
                ..full
            }
        );
        assert_eq!(read.run_id, "h-7-2");
        let full = TickRecord::from_json(TICK.as_bytes()).unwrap();
        assert_eq!(TickRecord::from_json(&full.to_json()).unwrap(), full);
    }

    #[test]
    fn fields_that_earlier_hosts_require_are_written() {
        let mut run = RunRecord::from_json(RUN.as_bytes()).unwrap();
        for outcome in [Outcome::Done, Outcome::Running] {
            run.outcome = outcome;
            let fields = names(&run.to_json());
            for name in REQUIRED_OF_RUNS {
                assert!(fields.contains_key(name), "{name} of {outcome:?}");
            }
            assert!(!fields.contains_key("calls_refused"));
        }
        let mut tick = TickRecord::from_json(TICK.as_bytes()).unwrap();
        for state in [TickState::Claimed, TickState::Retry, TickState::Done] {
            tick.state = state;
            let fields = names(&tick.to_json());
            for name in REQUIRED_OF_TICKS {
                assert!(fields.contains_key(name), "{name} of {state:?}");
            }
            // Other hosts look for this entry.
            let is_kept = fields["lock_key"] == "/leasehold/locks/l/1";
            assert_eq!(is_kept, state == TickState::Claimed);
        }
    }

    #[test]
    fn a_running_run_keeps_its_lock_key() {
        let mut run = RunRecord::from_json(RUN.as_bytes()).unwrap();
        run.ended_unix_ms = None;
        run.run_id = "of another kind".into();
        let read = RunRecord::from_json(&run.to_json()).unwrap();
        assert_eq!(read, run);
    }

    #[test]
    fn runs_that_share_a_record_are_counted_and_found() {
        let run = |token, sequence| RunRecord {
            token: Token::new(token),
            sequence,
            started_unix_ms: UnixMs::new(token),
            calls_admitted: 2,
            peak_memory_bytes: 100 - token,
            run_id: run_id("h", Token::new(token), sequence),
            ..RunRecord::from_json(RUN.as_bytes()).unwrap()
        };
        let three = run(9, 1).after(&run(9, 0).after(&run(7, 0)));
        assert_eq!((three.runs(), three.calls_admitted), (3, 6));
        assert_eq!(three.peak_memory_bytes, 93);
        assert_eq!(
            (three.token, three.started_unix_ms),
            (Token::new(9), UnixMs::new(9))
        );
        let merged = three.merged.unwrap();
        assert_eq!(
            (merged.first_token, merged.first_started_unix_ms),
            (Token::new(7), UnixMs::new(7))
        );
        assert!(
            three.covers(Token::new(7), 0)
                && three.covers(Token::new(8), 5)
                && three.covers(Token::new(9), 1)
        );
        assert!(!three.covers(Token::new(6), 0) && !three.covers(Token::new(9), 2));
        assert!(run(3, 1).covers(Token::new(3), 1) && !run(3, 1).covers(Token::new(3), 0));
        assert_eq!(
            RunRecord::from_json(&three.to_json()).unwrap().merged,
            three.merged
        );
        let mut other = run(10, 0);
        assert!(other.continues(&three));
        other.outcome = Outcome::Exit;
        assert!(!other.continues(&three));
    }
}

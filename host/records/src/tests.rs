//! Records as JSON, and their words.

use crate::{HolderRecord, JobState, Outcome, TickState};

#[test]
fn a_reader_of_today_reads_a_record_with_fields_of_tomorrow() {
    let text = br#"{"host":"a","job":"j","pid":7,"since_unix_ms":1,"mood":"fine"}"#;
    let record = HolderRecord::from_json(text).expect("unknown fields are ignored");
    assert_eq!(record.job, "j");
}

#[test]
fn what_is_not_ours_is_an_error_not_a_panic() {
    for bytes in [&b""[..], b"\xff", b"[]", b"{\"host\":1}"] {
        assert!(HolderRecord::from_json(bytes).is_err());
    }
}

#[test]
fn words_in_tables_are_the_words_in_json() {
    for state in [TickState::Claimed, TickState::Retry, TickState::Done] {
        let json = serde_json::to_string(&state).expect("a word");
        assert_eq!(json, format!("\"{}\"", state.as_str()));
    }
    for state in [JobState::Waiting, JobState::StandingBack] {
        let json = serde_json::to_string(&state).expect("a word");
        assert_eq!(json, format!("\"{}\"", state.as_str()));
    }
    for outcome in [Outcome::Abandoned, Outcome::Crashed, Outcome::Limit] {
        let json = serde_json::to_string(&outcome).expect("a word");
        assert_eq!(json, format!("\"{}\"", outcome.as_str()));
    }
}

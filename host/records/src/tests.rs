//! Records as JSON, and their words.

use crate::{
    AdminAction, AdminActionRecord, HolderRecord, HostControl, HostRecord, IdRecord, JobControl,
    JobRecord, JobState, Outcome, RunRecord, StopRequest, TickRecord, TickState, TriggerRecord,
    UnixMs,
};

#[test]
fn a_record_with_unknown_fields_is_read() {
    let text = br#"{"host":"a","job":"j","pid":7,"since_unix_ms":1,"mood":"fine"}"#;
    let record = HolderRecord::from_json(text).expect("unknown fields are ignored");
    assert_eq!(record.job, "j");
}

#[test]
fn bytes_that_are_not_a_record_are_an_error() {
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

/// Every record as an earlier release wrote it, read and written again.
#[test]
fn stored_json_is_written_byte_for_byte() {
    macro_rules! assert_same {
        ($record:ty, $json:expr) => {{
            let record = <$record>::from_json($json.as_bytes()).expect("a record");
            assert_eq!(String::from_utf8_lossy(&record.to_json()), $json);
        }};
    }
    assert_same!(
        HolderRecord,
        r#"{"host":"a","job":"j","pid":7,"since_unix_ms":1790000000000}"#
    );
    assert_same!(
        HostRecord,
        r#"{"host":"a","pid":7,"version":"0.1.0","started_unix_ms":1790000000000,"jobs":["j"]}"#
    );
    assert_same!(
        IdRecord,
        r#"{"host":"a","instance":"i","life":"l","machine":"m","pid":7,"since_unix_ms":3}"#
    );
    assert_same!(
        JobRecord,
        r#"{"job":"j","host":"a","lock":"l","state":"sleeping","since_unix_ms":3,"next_unix_ms":4}"#
    );
    assert_same!(
        RunRecord,
        r#"{"attempt":1,"ended_unix_ms":9,"host":"h","job":"j","lock":"l","lock_key":"","merged":{"first_sequence":0,"first_started_unix_ms":2,"first_token":6,"runs":2},"outcome":"done","plugin_sha256":"00","run_id":"","sequence":2,"started_unix_ms":5,"tick_unix_ms":4,"token":7}"#
    );
    assert_same!(
        TickRecord,
        r#"{"attempt":1,"before":{"attempt":1,"clock_unix_ms":4,"host":"b","revision":9,"state":"done","tick_unix_ms":3},"claimed_unix_ms":5,"ended_unix_ms":6,"host":"h","job":"j","lock_key":"","outcome":"retry","retry_unix_ms":8,"run_id":"","state":"retry","tick_unix_ms":4,"token":7}"#
    );
    assert_same!(
        JobRecord,
        r#"{"job":"j","host":"a","lock":"l","state":"running","since_unix_ms":3,"token":7,"holds":[{"kind":"all-paused","by":"ann@vm","at_unix_ms":4,"until_unix_ms":9}],"pending":{"plugin_sha256":"00","since_unix_ms":5}}"#
    );
    assert_same!(
        JobControl,
        r#"{"pause":{"by":"ann@vm","why":"w","at_unix_ms":3,"until_unix_ms":4}}"#
    );
    assert_same!(
        HostControl,
        r#"{"drain":{"by":"ann@vm","at_unix_ms":3,"keep":true}}"#
    );
    assert_same!(
        StopRequest,
        r#"{"job":"j","token":18446744073709551615,"kind":"restart","by":"ann@vm","why":"w","at_unix_ms":3}"#
    );
    assert_same!(
        TriggerRecord,
        r#"{"id":"1","job":"j","by":"ann@vm","at_unix_ms":3,"config":{"k":"v"},"host":"a","state":"open"}"#
    );
    assert_same!(
        TriggerRecord,
        r#"{"id":"1","job":"j","by":"ann@vm","at_unix_ms":3,"state":"claimed","runs_on":"a","lock_key":"/l/1","token":18446744073709551615,"run_id":"a-7-0"}"#
    );
    assert_same!(
        TriggerRecord,
        r#"{"id":"1","job":"j","by":"ann@vm","at_unix_ms":3,"state":"ended","runs_on":"a","token":7,"run_id":"a-7-0","outcome":"done","detail":"d"}"#
    );
    assert_same!(
        AdminActionRecord,
        r#"{"deed":"pause","by":"a@m","lock":"","key":"","token":0,"lease":"","whom":"","at_unix_ms":3,"job":"j","why":"w"}"#
    );
    assert_same!(
        AdminActionRecord,
        r#"{"deed":"stop-run","by":"a@m","lock":"/l","key":"/l/1","token":5,"lease":"1","whom":"h","at_unix_ms":3}"#
    );
}

#[test]
fn an_order_reads_as_a_sentence() {
    let order = |job: Option<&str>, host: Option<&str>, why: &str| {
        let at = UnixMs::new(3);
        let mut record =
            AdminActionRecord::of_order(AdminAction::Pause, "ann@vm".into(), why.into(), at);
        record.job = job.map(Into::into);
        record.host = host.map(Into::into);
        record.to_string()
    };
    assert_eq!(order(None, None, ""), "ann@vm pause of all jobs");
    assert_eq!(
        order(Some("ledger"), None, "the disk is full"),
        "ann@vm pause of ledger: the disk is full"
    );
    assert_eq!(
        order(Some("ledger"), Some("web1"), ""),
        "ann@vm pause of ledger@web1"
    );
}

#[test]
fn an_admin_action_has_its_time_and_word_in_key_and_json() {
    let root = crate::Root::default();
    assert_eq!(
        root.admin_action(UnixMs::new(1_790_000_000_000), 7),
        "/leasehold/deeds/001790000000000-00000007"
    );
    let json = serde_json::to_string(&AdminAction::RevokeLease).expect("a word");
    assert_eq!(json, "\"revoke-lease\"");
}

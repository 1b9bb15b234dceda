//! The format of recordings.

use leasehold_lock::{LeaseId, Revision};
use leasehold_records::UnixMs;

use super::*;

#[test]
fn recorded_fact_keeps_the_names_of_its_fields() {
    let key = KeyValue {
        key: "/leasehold/locks/a/7".into(),
        value: b"text".to_vec(),
        create_revision: Revision::new(3),
        mod_revision: Revision::new(4),
        lease: LeaseId::new(7),
    };
    let fact = Fact {
        at_unix_ms: UnixMs::new(1),
        kind: FactKind::Keys(FeedItem::Reading {
            revision: Revision::new(5),
            keys: vec![key],
        }),
    };
    let line = serde_json::to_string(&RecordedFact::from_fact(&fact).unwrap()).unwrap();
    assert_eq!(
        line,
        r#"{"at":1,"reading":{"revision":5,"keys":[{"key":"/leasehold/locks/a/7","text":"text","create":3,"changed":4,"lease":7}]}}"#
    );
    let read: RecordedFact = serde_json::from_str(&line).unwrap();
    assert_eq!(read.into_fact(), fact);
}

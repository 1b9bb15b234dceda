//! The quota, and the history that is compacted to stay within it.

use super::*;
use crate::mvcc::HistoryRetention;

#[test]
fn no_write_passes_the_quota_even_one_that_keeps_values() {
    let mut fixture = StateFixture::with_quota(10_000);
    let big = "x".repeat(3_000);
    fixture.put("a", &big);
    fixture.put("b", &big);
    let keep = |key: &str| {
        op(PbTxnOpRequest::RequestPut(PbPutRequest {
            ignore_value: true,
            value: Vec::new(),
            ..put(key, "", 0)
        }))
    };
    let both = PbTxnRequest {
        success: vec![keep("a"), keep("b")],
        ..PbTxnRequest::default()
    };
    let before = fixture.state.memory_use();
    assert_eq!(fixture.txn(both), Err(StoreError::NoSpace));
    assert_eq!(fixture.state.memory_use(), before);
    // The branch that does not run takes no room.
    let one = PbTxnRequest {
        success: vec![keep("a")],
        failure: vec![keep("a"), keep("b")],
        ..PbTxnRequest::default()
    };
    assert_eq!(fixture.txn(one), Ok(true));
    assert!(fixture.state.memory_use().0 <= 10_000);
}

#[test]
fn compaction_frees_the_wanted_bytes_and_keeps_live_keys() {
    let mut fixture = StateFixture::with_quota(100_000);
    let value = "x".repeat(1_000);
    for turn in 0..50 {
        fixture.put(&format!("k{}", turn % 5), &value);
        if turn % 10 == 9 {
            fixture.delete("k4", "");
        }
    }
    let live = fixture.at(0).expect("readable");
    let (before, _) = fixture.state.memory_use();
    for wanted in [1, 5_000, 20_000] {
        let mut image = fixture.image.clone();
        image.leases.clear();
        let mut copy = MvccState::new(&image, 100_000, fixture.now);
        let at = copy
            .compaction_for(wanted)
            .expect("there is enough history");
        copy.apply(WriteCommand::Compact(at), fixture.now)
            .expect("compacts");
        let batch = copy.take_batch();
        copy.publish(&batch);
        let freed = before - copy.memory_use().0;
        assert!(freed >= wanted, "{freed} of {wanted}");
        assert!(freed <= wanted + 10_000, "{freed} for {wanted}");
    }
    assert_eq!(
        fixture.state.compaction_for(before),
        None,
        "more than all history"
    );
    assert_eq!(fixture.state.compaction_for(0), None);
    let all = HistoryRetention {
        revisions: None,
        bytes: 0,
    };
    let at = fixture
        .state
        .overdue_compaction(all)
        .expect("all of it is too much");
    fixture.run(WriteCommand::Compact(at)).expect("compacts");
    assert_eq!(fixture.at(0).expect("readable"), live);
    let few = HistoryRetention {
        revisions: None,
        bytes: 10_000,
    };
    assert_eq!(fixture.state.overdue_compaction(few), None);
}

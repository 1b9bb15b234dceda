//! The quota, and the history that is given up to stay within it.

use super::*;
use crate::mvcc::HistoryRetention;

#[test]
fn nothing_passes_the_quota_not_even_a_transaction_that_keeps_values() {
    let mut bench = Bench::with_quota(10_000);
    let big = "x".repeat(3_000);
    bench.put("a", &big);
    bench.put("b", &big);
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
    let before = bench.state.memory_use();
    assert_eq!(bench.txn(both), Err(StoreError::NoSpace));
    assert_eq!(bench.state.memory_use(), before);
    // The branch that does not run takes no room.
    let one = PbTxnRequest {
        success: vec![keep("a")],
        failure: vec![keep("a"), keep("b")],
        ..PbTxnRequest::default()
    };
    assert_eq!(bench.txn(one), Ok(true));
    assert!(bench.state.memory_use().0 <= 10_000);
}

#[test]
fn history_is_freed_no_further_than_is_wanted_and_what_is_live_stays() {
    let mut bench = Bench::with_quota(100_000);
    let value = "x".repeat(1_000);
    for turn in 0..50 {
        bench.put(&format!("k{}", turn % 5), &value);
        if turn % 10 == 9 {
            bench.delete("k4", "");
        }
    }
    let live = bench.at(0).expect("readable");
    let (before, _) = bench.state.memory_use();
    for wanted in [1, 5_000, 20_000] {
        let mut image = bench.image.clone();
        image.leases.clear();
        let mut copy = MvccState::new(&image, 100_000, bench.now);
        let at = copy
            .compaction_for(wanted)
            .expect("there is enough history");
        copy.apply(WriteCommand::Compact(at), bench.now)
            .expect("compacts");
        let batch = copy.take_batch();
        copy.publish(&batch);
        let freed = before - copy.memory_use().0;
        assert!(freed >= wanted, "{freed} of {wanted}");
        assert!(freed <= wanted + 10_000, "{freed} for {wanted}");
    }
    assert_eq!(
        bench.state.compaction_for(before),
        None,
        "more than all history"
    );
    assert_eq!(bench.state.compaction_for(0), None);
    let all = HistoryRetention {
        revisions: None,
        bytes: 0,
    };
    let at = bench
        .state
        .overdue_compaction(all)
        .expect("all of it is too much");
    bench.run(WriteCommand::Compact(at)).expect("compacts");
    assert_eq!(bench.at(0).expect("readable"), live);
    let few = HistoryRetention {
        revisions: None,
        bytes: 10_000,
    };
    assert_eq!(bench.state.overdue_compaction(few), None);
}

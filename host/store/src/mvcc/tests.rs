//! The rules of keys, revisions, transactions, leases and compaction, one promise each.

use std::time::Duration;

use etcd_client::proto::{
    PbCompare, PbDeleteRequest, PbLeaseGrantRequest, PbLeaseTimeToLiveRequest, PbPutRequest,
    PbRangeRequest, PbTargetUnion, PbTxnOpRequest, PbTxnRequest, PbTxnRequestOp,
};
use leasehold_lock::clock::BootTime;

use super::{MvccState, WriteCommand, WriteReply, check};
use crate::change::ChangeKind;
use crate::disk::{CommitBatch, DiskImage};
use crate::error::StoreError;

mod quota;

struct Bench {
    state: MvccState,
    now: BootTime,
    image: DiskImage,
}

impl Bench {
    fn new() -> Self {
        Self::with_quota(u64::MAX)
    }

    fn with_quota(quota: u64) -> Self {
        let image = DiskImage {
            revision: 1,
            ..DiskImage::default()
        };
        let now = BootTime::from_nanos(1);
        Self {
            state: MvccState::new(&image, quota, now),
            now,
            image,
        }
    }

    /// Applies and publishes, and keeps what a disk would.
    fn run(&mut self, command: WriteCommand) -> Result<WriteReply, StoreError> {
        let reply = self.state.apply(command, self.now);
        let batch = self.state.take_batch();
        self.keep(&batch);
        self.state.publish(&batch);
        reply
    }

    fn keep(&mut self, batch: &CommitBatch) {
        let image = &mut self.image;
        for revision in &batch.revisions {
            image.revision = revision.number;
            image.changes.extend(revision.changes.iter().cloned());
        }
        image.leases.extend(batch.granted.iter().copied());
        image.leases.retain(|id, _| !batch.ended.contains(id));
        image.compacted = batch.compacted.unwrap_or(image.compacted);
        let gone = |change: &(i64, u32)| batch.dropped.contains(change);
        image.changes.retain(|c| !gone(&(c.revision, c.sub)));
    }

    /// As after a crash and a start.
    fn restart(&mut self) {
        self.state = MvccState::new(&self.image, u64::MAX, self.now);
    }

    fn put(&mut self, key: &str, value: &str) -> i64 {
        self.put_with(key, value, 0).expect("a plain put succeeds")
    }

    fn put_with(&mut self, key: &str, value: &str, lease: i64) -> Result<i64, StoreError> {
        let reply = self.run(WriteCommand::Put(put(key, value, lease)))?;
        let WriteReply::Put(reply) = reply else {
            panic!("not a put's reply");
        };
        Ok(reply.header.expect("a header").revision)
    }

    fn delete(&mut self, key: &str, end: &str) -> i64 {
        match self.run(WriteCommand::Delete(delete(key, end))) {
            Ok(WriteReply::Delete(reply)) => reply.deleted,
            other => panic!("{other:?}"),
        }
    }

    fn txn(&mut self, request: PbTxnRequest) -> Result<bool, StoreError> {
        check::txn(&request)?;
        match self.run(WriteCommand::Txn(request))? {
            WriteReply::Txn(reply) => Ok(reply.succeeded),
            other => panic!("{other:?}"),
        }
    }

    fn grant(&mut self, id: i64, ttl: i64) -> Result<i64, StoreError> {
        match self.run(WriteCommand::Grant(PbLeaseGrantRequest { id, ttl }))? {
            WriteReply::Grant(reply) => Ok(reply.ttl),
            other => panic!("{other:?}"),
        }
    }

    fn expire(&mut self) -> usize {
        let (due, _) = self.state.leases_due(self.now);
        match self.run(WriteCommand::Expire(due)) {
            Ok(WriteReply::Expire(count)) => count,
            other => panic!("{other:?}"),
        }
    }

    /// Keys, create revisions and versions at a revision.
    fn at(&self, revision: i64) -> Result<Vec<(String, i64, i64)>, StoreError> {
        let request = PbRangeRequest {
            key: vec![0],
            range_end: vec![0],
            revision,
            ..PbRangeRequest::default()
        };
        let found = self.state.view().range(&request)?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(found
            .kvs
            .iter()
            .map(|kv| (text(&kv.key), kv.create_revision, kv.version))
            .collect())
    }

    fn keys(&self) -> String {
        let keys: Vec<_> = self.at(0).expect("now can be read");
        keys.into_iter()
            .map(|(key, ..)| key)
            .collect::<Vec<_>>()
            .join(" ")
    }
}

fn put(key: &str, value: &str, lease: i64) -> PbPutRequest {
    PbPutRequest {
        key: key.into(),
        value: value.into(),
        lease,
        ..PbPutRequest::default()
    }
}

fn delete(key: &str, end: &str) -> PbDeleteRequest {
    PbDeleteRequest {
        key: key.into(),
        range_end: end.into(),
        prev_kv: true,
    }
}

fn op(request: PbTxnOpRequest) -> PbTxnRequestOp {
    PbTxnRequestOp {
        request: Some(request),
    }
}

fn put_op(key: &str) -> PbTxnRequestOp {
    op(PbTxnOpRequest::RequestPut(put(key, "v", 0)))
}

/// The condition that a key is not there.
fn absent(key: &str) -> PbCompare {
    PbCompare {
        target: 1,
        key: key.into(),
        target_union: Some(PbTargetUnion::CreateRevision(0)),
        ..PbCompare::default()
    }
}

#[test]
fn a_key_counts_its_versions_from_its_creation_and_anew_after_a_delete() {
    let mut bench = Bench::new();
    assert_eq!(bench.put("a", "1"), 2);
    assert_eq!(bench.put("a", "2"), 3);
    assert_eq!(bench.at(0), Ok(vec![("a".into(), 2, 2)]));
    assert_eq!(bench.delete("a", ""), 1);
    assert_eq!(bench.put("a", "3"), 5);
    assert_eq!(bench.at(0), Ok(vec![("a".into(), 5, 1)]));
    assert_eq!(bench.at(3), Ok(vec![("a".into(), 2, 2)]));
    assert_eq!(bench.at(4), Ok(vec![]));
}

#[test]
fn what_changes_nothing_makes_no_revision() {
    let mut bench = Bench::new();
    bench.put("a", "1");
    assert_eq!(bench.delete("b", "z"), 0);
    bench.grant(7, 10).expect("granted");
    let nothing = PbTxnRequest {
        success: vec![op(PbTxnOpRequest::RequestDeleteRange(delete("x", "")))],
        ..PbTxnRequest::default()
    };
    assert_eq!(bench.txn(nothing), Ok(true));
    assert_eq!(bench.state.published(), 2);
}

#[test]
fn every_change_of_a_transaction_has_the_same_revision() {
    let mut bench = Bench::new();
    let request = PbTxnRequest {
        compare: vec![absent("a")],
        success: vec![put_op("a"), put_op("b")],
        ..PbTxnRequest::default()
    };
    assert_eq!(bench.txn(request.clone()), Ok(true));
    assert_eq!(
        bench.at(0),
        Ok(vec![("a".into(), 2, 1), ("b".into(), 2, 1)])
    );
    assert_eq!(bench.txn(request), Ok(false), "the key is there now");
}

#[test]
fn nested_conditions_are_decided_before_the_first_operation_runs() {
    let mut bench = Bench::new();
    let nested = PbTxnRequest {
        compare: vec![absent("a")],
        success: vec![put_op("still-absent")],
        failure: vec![put_op("seen")],
    };
    let request = PbTxnRequest {
        success: vec![put_op("a"), op(PbTxnOpRequest::RequestTxn(nested))],
        ..PbTxnRequest::default()
    };
    assert_eq!(bench.txn(request), Ok(true));
    assert_eq!(bench.keys(), "a still-absent");
}

#[test]
fn a_refused_transaction_has_changed_nothing() {
    let mut bench = Bench::new();
    let with_lease = op(PbTxnOpRequest::RequestPut(put("b", "v", 99)));
    let request = PbTxnRequest {
        success: vec![put_op("a"), with_lease],
        ..PbTxnRequest::default()
    };
    assert_eq!(bench.txn(request), Err(StoreError::LeaseNotFound));
    assert_eq!(bench.keys(), "");
    assert_eq!(bench.state.published(), 1);
}

#[test]
fn one_transaction_may_not_write_a_key_twice() {
    let refused = |success: Vec<PbTxnRequestOp>| {
        let request = PbTxnRequest {
            success,
            ..PbTxnRequest::default()
        };
        check::txn(&request) == Err(StoreError::DuplicateKey)
    };
    let nested = |success, failure| {
        op(PbTxnOpRequest::RequestTxn(PbTxnRequest {
            success,
            failure,
            ..PbTxnRequest::default()
        }))
    };
    let range = |key, end| op(PbTxnOpRequest::RequestDeleteRange(delete(key, end)));
    assert!(refused(vec![put_op("a"), put_op("a")]));
    assert!(refused(vec![range("a", "c"), put_op("b")]));
    assert!(refused(vec![
        nested(vec![put_op("a")], vec![]),
        put_op("a")
    ]));
    assert!(!refused(vec![put_op("a"), put_op("b")]));
    assert!(!refused(vec![range("a", "b"), put_op("b")]));
    assert!(!refused(vec![range("a", "c"), range("b", "d")]));
    let either = nested(vec![put_op("a")], vec![put_op("a")]);
    assert!(!refused(vec![either]), "only one of the branches runs");
}

#[test]
fn the_keys_of_a_lease_go_in_one_revision() {
    let mut bench = Bench::new();
    assert_eq!(bench.grant(7, 5), Ok(5));
    bench.put_with("b", "", 7).expect("the lease is there");
    bench.put_with("a", "", 7).expect("the lease is there");
    bench.put("c", "");
    bench
        .run(WriteCommand::Revoke(7))
        .expect("the lease is there");
    assert_eq!(bench.keys(), "c");
    let last = bench.state.history(5, 10).expect("not compacted");
    assert_eq!(last.len(), 1);
    let gone: Vec<_> = last[0].changes.iter().map(|c| c.key.to_vec()).collect();
    assert_eq!(gone, [b"a", b"b"]);
    let again = bench.run(WriteCommand::Revoke(7)).expect_err("it is gone");
    assert_eq!(again, StoreError::LeaseNotFound);
}

#[test]
fn a_key_put_without_its_lease_or_with_another_outlives_it() {
    let mut bench = Bench::new();
    bench.grant(7, 5).expect("granted");
    bench.grant(8, 5).expect("granted");
    for key in ["free", "moved", "kept", "reborn"] {
        bench.put_with(key, "", 7).expect("the lease is there");
    }
    bench.put("free", "");
    bench.put_with("moved", "", 8).expect("the lease is there");
    bench.delete("reborn", "");
    bench.put("reborn", "");
    let same = PbPutRequest {
        ignore_lease: true,
        ..put("kept", "new", 0)
    };
    bench
        .run(WriteCommand::Put(same))
        .expect("the key is there");
    bench
        .run(WriteCommand::Revoke(7))
        .expect("the lease is there");
    assert_eq!(bench.keys(), "free moved reborn");
}

#[test]
fn a_lease_never_ends_early_and_a_renewal_counts_even_when_it_was_found_due() {
    let mut bench = Bench::new();
    bench.grant(7, 5).expect("granted");
    bench.put_with("a", "", 7).expect("the lease is there");
    bench.now = BootTime::from_nanos(1)
        .after(Duration::from_secs(5))
        .before(Duration::from_nanos(1));
    assert_eq!(bench.expire(), 0);
    assert_eq!(bench.state.keep_alive(7, bench.now).ttl, 5);
    let found_due_earlier = vec![7];
    let reply = bench.run(WriteCommand::Expire(found_due_earlier));
    assert!(matches!(reply, Ok(WriteReply::Expire(0))));
    bench.now = bench.now.after(Duration::from_secs(5));
    assert_eq!(
        bench.state.keep_alive(7, bench.now).ttl,
        0,
        "it has run out"
    );
    assert_eq!(bench.expire(), 1);
    assert_eq!(bench.keys(), "");
}

#[test]
fn the_ttl_is_at_least_two_seconds_and_not_beyond_reason() {
    let mut bench = Bench::new();
    assert_eq!(bench.grant(1, 0), Ok(2));
    assert_eq!(bench.grant(2, -5), Ok(2));
    assert_eq!(bench.grant(3, 9_000_000_001), Err(StoreError::TtlTooLarge));
    assert_eq!(bench.grant(1, 5), Err(StoreError::LeaseExists));
    let asked = PbLeaseTimeToLiveRequest { id: 44, keys: true };
    assert_eq!(bench.state.time_to_live(&asked, bench.now).ttl, -1);
}

#[test]
fn after_a_restart_everything_is_as_it_was_and_leases_have_their_whole_ttl() {
    let mut bench = Bench::new();
    bench.grant(7, 5).expect("granted");
    bench.grant(8, 5).expect("granted");
    bench.put_with("a", "1", 7).expect("the lease is there");
    bench.put("b", "2");
    bench.delete("b", "");
    bench
        .run(WriteCommand::Revoke(8))
        .expect("the lease is there");
    let (before, hash) = (bench.at(0), bench.state.hash(0));
    bench.now = bench.now.after(Duration::from_secs(4));
    bench.restart();
    assert_eq!(bench.at(0), before);
    assert_eq!(bench.state.hash(0), hash);
    assert_eq!(
        bench.state.published(),
        4,
        "though the last change was a delete"
    );
    let asked = PbLeaseTimeToLiveRequest { id: 7, keys: true };
    let left = bench.state.time_to_live(&asked, bench.now);
    assert_eq!((left.ttl, left.keys), (5, vec![b"a".to_vec()]));
    assert_eq!(bench.put("c", ""), 5);
}

#[test]
fn compaction_keeps_what_its_revision_shows_and_nothing_older() {
    let mut bench = Bench::new();
    bench.put("a", "1"); // 2
    bench.put("a", "2"); // 3
    bench.put("b", "1"); // 4
    bench.delete("b", ""); // 5
    bench.put("c", "1"); // 6
    bench.delete("c", ""); // 7
    bench.put("d", "1"); // 8
    bench.run(WriteCommand::Compact(7)).expect("compacts");
    for _ in ["at once", "after a restart"] {
        assert_eq!(bench.at(6), Err(StoreError::Compacted));
        assert_eq!(bench.at(7), Ok(vec![("a".into(), 2, 2)]));
        assert_eq!(bench.keys(), "a d");
        assert_eq!(bench.state.history(6, 10), Err(7));
        let kept = bench.state.history(7, 10).expect("not compacted");
        let deletes_c = &kept[0].changes[0];
        assert_eq!(
            (&*deletes_c.key, &deletes_c.kind),
            (&b"c"[..], &ChangeKind::Delete)
        );
        assert_eq!(kept.len(), 2);
        bench.restart();
    }
    let again = bench
        .run(WriteCommand::Compact(7))
        .expect_err("done already");
    assert_eq!(again, StoreError::Compacted);
    let future = bench
        .run(WriteCommand::Compact(9))
        .expect_err("not there yet");
    assert_eq!(future, StoreError::FutureRevision);
    bench.run(WriteCommand::Compact(8)).expect("compacts");
    assert_eq!(
        bench.image.changes.len(),
        2,
        "the delete of c is gone from the disk too"
    );
}

#[test]
fn who_watched_up_to_a_moment_ago_misses_nothing_by_a_compaction() {
    let mut bench = Bench::new();
    for turn in 0..10 {
        bench.put("a", &turn.to_string());
    }
    bench.run(WriteCommand::Compact(11)).expect("compacts");
    assert_eq!(bench.state.history(5, 10), Err(11), "a new watch is told");
    let numbers = |from| {
        let found = bench.state.recent(from, 100).expect("still there");
        found.iter().map(|r| r.number).collect::<Vec<_>>()
    };
    assert_eq!(numbers(9), [9, 10, 11]);
    for _ in 0..3_000 {
        bench.put("a", "");
    }
    let now = bench.state.published();
    bench.run(WriteCommand::Compact(now)).expect("compacts");
    assert_eq!(
        bench.state.recent(now - 2_000, 1),
        Err(now),
        "but not for ever"
    );
    assert_eq!(bench.state.recent(now - 900, 1).map(|r| r.len()), Ok(1));
}

#[test]
fn memory_shrinks_with_the_history_and_a_full_store_takes_deletes() {
    let mut bench = Bench::with_quota(10_000);
    let big = "x".repeat(3_000);
    for _ in 0..3 {
        bench.put("a", &big);
    }
    let full = loop {
        if let Err(error) = bench.put_with("a", &big, 0) {
            break error;
        }
    };
    assert_eq!(full, StoreError::NoSpace);
    assert_eq!(bench.grant(1, 5), Ok(5));
    assert_eq!(
        bench.grant(2, 5),
        Err(StoreError::NoSpace),
        "leases take room"
    );
    assert!(!bench.state.memory_use().1, "history is no alarm");
    bench.delete("a", "");
    let now = bench.state.published();
    bench.run(WriteCommand::Compact(now)).expect("compacts");
    assert!(bench.state.memory_use().0 < 1_000);
    for number in 0.. {
        assert!(!bench.state.memory_use().1, "nothing was refused");
        if bench.put_with(&format!("k{number}"), "small", 0).is_err() {
            break;
        }
    }
    assert!(bench.state.memory_use().1, "the alarm is raised");
    for number in 0..20 {
        bench.delete(&format!("k{number}"), "");
    }
    assert!(
        !bench.state.memory_use().1,
        "the alarm ends with what was deleted"
    );
}

#[test]
fn what_is_not_published_is_not_seen() {
    let mut bench = Bench::new();
    bench.put("a", "1");
    let applied = bench
        .state
        .apply(WriteCommand::Put(put("a", "2", 0)), bench.now);
    assert!(applied.is_ok());
    assert_eq!(bench.at(0), Ok(vec![("a".into(), 2, 1)]));
    assert_eq!(bench.at(3), Err(StoreError::FutureRevision));
    assert_eq!(bench.state.history(2, 10).map(|found| found.len()), Ok(1));
    let batch = bench.state.take_batch();
    bench.state.publish(&batch);
    assert_eq!(bench.at(0), Ok(vec![("a".into(), 2, 2)]));
}

#[test]
fn limits_orders_and_filters_cut_as_etcd_cuts() {
    let mut bench = Bench::new();
    for (key, value) in [("c", "1"), ("a", "3"), ("b", "2"), ("a", "3")] {
        bench.put(key, value);
    }
    let read = |change: &dyn Fn(&mut PbRangeRequest)| {
        let mut request = PbRangeRequest {
            key: vec![0],
            range_end: vec![0],
            ..PbRangeRequest::default()
        };
        change(&mut request);
        let found = bench.state.view().range(&request).expect("readable");
        let keys: String = found.kvs.iter().map(|kv| char::from(kv.key[0])).collect();
        (keys, found.more, found.count)
    };
    assert_eq!(read(&|r| r.limit = 2), ("ab".into(), true, 3));
    assert_eq!(read(&|r| r.limit = 3), ("abc".into(), false, 3));
    assert_eq!(read(&|r| r.count_only = true), (String::new(), false, 3));
    let by_create = |r: &mut PbRangeRequest| {
        r.sort_target = 2;
        r.sort_order = 1;
        r.limit = 1;
    };
    assert_eq!(read(&by_create), ("c".into(), true, 3));
    assert_eq!(
        read(&|r| (r.sort_target, r.sort_order) = (4, 2)),
        ("abc".into(), false, 3)
    );
    assert_eq!(read(&|r| r.sort_order = 2), ("cba".into(), false, 3));
    assert_eq!(read(&|r| r.min_mod_revision = 4), ("ab".into(), false, 3));
    assert_eq!(read(&|r| r.max_create_revision = 2), ("c".into(), false, 3));
}

#[test]
fn a_value_is_never_equal_on_a_missing_key_while_numbers_are_zero_there() {
    let mut bench = Bench::new();
    let compare = |target, union| PbCompare {
        target,
        key: b"absent".to_vec(),
        target_union: Some(union),
        ..PbCompare::default()
    };
    let mut holds = |compare| {
        bench
            .txn(PbTxnRequest {
                compare: vec![compare],
                success: vec![op(PbTxnOpRequest::RequestDeleteRange(delete("x", "")))],
                ..PbTxnRequest::default()
            })
            .expect("well formed")
    };
    assert!(!holds(compare(3, PbTargetUnion::Value(Vec::new()))));
    assert!(holds(compare(0, PbTargetUnion::Version(0))));
    assert!(holds(compare(4, PbTargetUnion::Lease(0))));
}

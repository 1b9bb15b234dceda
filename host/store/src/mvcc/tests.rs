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

struct StateFixture {
    state: MvccState,
    now: BootTime,
    image: DiskImage,
}

impl StateFixture {
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

    /// Applies and publishes, and keeps the content of a disk.
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

    /// Restores the state as after a crash and a start.
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

/// The condition that a key does not exist.
fn absent(key: &str) -> PbCompare {
    PbCompare {
        target: 1,
        key: key.into(),
        target_union: Some(PbTargetUnion::CreateRevision(0)),
        ..PbCompare::default()
    }
}

#[test]
fn a_key_counts_its_versions_anew_after_a_delete() {
    let mut fixture = StateFixture::new();
    assert_eq!(fixture.put("a", "1"), 2);
    assert_eq!(fixture.put("a", "2"), 3);
    assert_eq!(fixture.at(0), Ok(vec![("a".into(), 2, 2)]));
    assert_eq!(fixture.delete("a", ""), 1);
    assert_eq!(fixture.put("a", "3"), 5);
    assert_eq!(fixture.at(0), Ok(vec![("a".into(), 5, 1)]));
    assert_eq!(fixture.at(3), Ok(vec![("a".into(), 2, 2)]));
    assert_eq!(fixture.at(4), Ok(vec![]));
}

#[test]
fn a_write_without_changes_makes_no_revision() {
    let mut fixture = StateFixture::new();
    fixture.put("a", "1");
    assert_eq!(fixture.delete("b", "z"), 0);
    fixture.grant(7, 10).expect("granted");
    let nothing = PbTxnRequest {
        success: vec![op(PbTxnOpRequest::RequestDeleteRange(delete("x", "")))],
        ..PbTxnRequest::default()
    };
    assert_eq!(fixture.txn(nothing), Ok(true));
    assert_eq!(fixture.state.published(), 2);
}

#[test]
fn every_change_of_a_transaction_has_the_same_revision() {
    let mut fixture = StateFixture::new();
    let request = PbTxnRequest {
        compare: vec![absent("a")],
        success: vec![put_op("a"), put_op("b")],
        ..PbTxnRequest::default()
    };
    assert_eq!(fixture.txn(request.clone()), Ok(true));
    assert_eq!(
        fixture.at(0),
        Ok(vec![("a".into(), 2, 1), ("b".into(), 2, 1)])
    );
    assert_eq!(fixture.txn(request), Ok(false), "the key is there now");
}

#[test]
fn nested_conditions_are_decided_before_any_operation() {
    let mut fixture = StateFixture::new();
    let nested = PbTxnRequest {
        compare: vec![absent("a")],
        success: vec![put_op("still-absent")],
        failure: vec![put_op("seen")],
    };
    let request = PbTxnRequest {
        success: vec![put_op("a"), op(PbTxnOpRequest::RequestTxn(nested))],
        ..PbTxnRequest::default()
    };
    assert_eq!(fixture.txn(request), Ok(true));
    assert_eq!(fixture.keys(), "a still-absent");
}

#[test]
fn a_refused_transaction_has_changed_nothing() {
    let mut fixture = StateFixture::new();
    let with_lease = op(PbTxnOpRequest::RequestPut(put("b", "v", 99)));
    let request = PbTxnRequest {
        success: vec![put_op("a"), with_lease],
        ..PbTxnRequest::default()
    };
    assert_eq!(fixture.txn(request), Err(StoreError::LeaseNotFound));
    assert_eq!(fixture.keys(), "");
    assert_eq!(fixture.state.published(), 1);
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
fn the_keys_of_a_lease_are_deleted_in_one_revision() {
    let mut fixture = StateFixture::new();
    assert_eq!(fixture.grant(7, 5), Ok(5));
    fixture.put_with("b", "", 7).expect("the lease is there");
    fixture.put_with("a", "", 7).expect("the lease is there");
    fixture.put("c", "");
    fixture
        .run(WriteCommand::Revoke(7))
        .expect("the lease is there");
    assert_eq!(fixture.keys(), "c");
    let last = fixture.state.history(5, 10).expect("not compacted");
    assert_eq!(last.len(), 1);
    let gone: Vec<_> = last[0].changes.iter().map(|c| c.key.to_vec()).collect();
    assert_eq!(gone, [b"a", b"b"]);
    let again = fixture
        .run(WriteCommand::Revoke(7))
        .expect_err("it is revoked");
    assert_eq!(again, StoreError::LeaseNotFound);
}

#[test]
fn a_key_put_without_its_lease_or_with_another_outlives_it() {
    let mut fixture = StateFixture::new();
    fixture.grant(7, 5).expect("granted");
    fixture.grant(8, 5).expect("granted");
    for key in ["free", "moved", "kept", "reborn"] {
        fixture.put_with(key, "", 7).expect("the lease is there");
    }
    fixture.put("free", "");
    fixture
        .put_with("moved", "", 8)
        .expect("the lease is there");
    fixture.delete("reborn", "");
    fixture.put("reborn", "");
    let same = PbPutRequest {
        ignore_lease: true,
        ..put("kept", "new", 0)
    };
    fixture
        .run(WriteCommand::Put(same))
        .expect("the key is there");
    fixture
        .run(WriteCommand::Revoke(7))
        .expect("the lease is there");
    assert_eq!(fixture.keys(), "free moved reborn");
}

#[test]
fn a_renewal_after_a_lease_was_found_due_still_counts() {
    let mut fixture = StateFixture::new();
    fixture.grant(7, 5).expect("granted");
    fixture.put_with("a", "", 7).expect("the lease is there");
    fixture.now = BootTime::from_nanos(1)
        .after(Duration::from_secs(5))
        .before(Duration::from_nanos(1));
    assert_eq!(fixture.expire(), 0);
    assert_eq!(fixture.state.keep_alive(7, fixture.now).ttl, 5);
    let found_due_earlier = vec![7];
    let reply = fixture.run(WriteCommand::Expire(found_due_earlier));
    assert!(matches!(reply, Ok(WriteReply::Expire(0))));
    fixture.now = fixture.now.after(Duration::from_secs(5));
    assert_eq!(
        fixture.state.keep_alive(7, fixture.now).ttl,
        0,
        "it has run out"
    );
    assert_eq!(fixture.expire(), 1);
    assert_eq!(fixture.keys(), "");
}

#[test]
fn the_ttl_is_at_least_two_seconds_and_bounded() {
    let mut fixture = StateFixture::new();
    assert_eq!(fixture.grant(1, 0), Ok(2));
    assert_eq!(fixture.grant(2, -5), Ok(2));
    assert_eq!(
        fixture.grant(3, 9_000_000_001),
        Err(StoreError::TtlTooLarge)
    );
    assert_eq!(fixture.grant(1, 5), Err(StoreError::LeaseExists));
    let asked = PbLeaseTimeToLiveRequest { id: 44, keys: true };
    assert_eq!(fixture.state.time_to_live(&asked, fixture.now).ttl, -1);
}

#[test]
fn a_restart_keeps_the_state_and_gives_leases_their_full_ttl() {
    let mut fixture = StateFixture::new();
    fixture.grant(7, 5).expect("granted");
    fixture.grant(8, 5).expect("granted");
    fixture.put_with("a", "1", 7).expect("the lease is there");
    fixture.put("b", "2");
    fixture.delete("b", "");
    fixture
        .run(WriteCommand::Revoke(8))
        .expect("the lease is there");
    let (before, hash) = (fixture.at(0), fixture.state.hash(0));
    fixture.now = fixture.now.after(Duration::from_secs(4));
    fixture.restart();
    assert_eq!(fixture.at(0), before);
    assert_eq!(fixture.state.hash(0), hash);
    assert_eq!(
        fixture.state.published(),
        4,
        "though the last change was a delete"
    );
    let asked = PbLeaseTimeToLiveRequest { id: 7, keys: true };
    let left = fixture.state.time_to_live(&asked, fixture.now);
    assert_eq!((left.ttl, left.keys), (5, vec![b"a".to_vec()]));
    assert_eq!(fixture.put("c", ""), 5);
}

#[test]
fn compaction_keeps_the_values_at_its_revision_and_no_older() {
    let mut fixture = StateFixture::new();
    fixture.put("a", "1"); // 2
    fixture.put("a", "2"); // 3
    fixture.put("b", "1"); // 4
    fixture.delete("b", ""); // 5
    fixture.put("c", "1"); // 6
    fixture.delete("c", ""); // 7
    fixture.put("d", "1"); // 8
    fixture.run(WriteCommand::Compact(7)).expect("compacts");
    for _ in ["at once", "after a restart"] {
        assert_eq!(fixture.at(6), Err(StoreError::Compacted));
        assert_eq!(fixture.at(7), Ok(vec![("a".into(), 2, 2)]));
        assert_eq!(fixture.keys(), "a d");
        assert_eq!(fixture.state.history(6, 10), Err(7));
        let kept = fixture.state.history(7, 10).expect("not compacted");
        let deletes_c = &kept[0].changes[0];
        assert_eq!(
            (&*deletes_c.key, &deletes_c.kind),
            (&b"c"[..], &ChangeKind::Delete)
        );
        assert_eq!(kept.len(), 2);
        fixture.restart();
    }
    let again = fixture
        .run(WriteCommand::Compact(7))
        .expect_err("done already");
    assert_eq!(again, StoreError::Compacted);
    let future = fixture
        .run(WriteCommand::Compact(9))
        .expect_err("not there yet");
    assert_eq!(future, StoreError::FutureRevision);
    fixture.run(WriteCommand::Compact(8)).expect("compacts");
    assert_eq!(
        fixture.image.changes.len(),
        2,
        "the delete of c is dropped from the disk too"
    );
}

#[test]
fn a_compaction_keeps_recent_revisions_for_watchers() {
    let mut fixture = StateFixture::new();
    for turn in 0..10 {
        fixture.put("a", &turn.to_string());
    }
    fixture.run(WriteCommand::Compact(11)).expect("compacts");
    assert_eq!(
        fixture.state.history(5, 10),
        Err(11),
        "a new watch gets an error"
    );
    let numbers = |from| {
        let found = fixture.state.recent(from, 100).expect("still there");
        found.iter().map(|r| r.number).collect::<Vec<_>>()
    };
    assert_eq!(numbers(9), [9, 10, 11]);
    for _ in 0..3_000 {
        fixture.put("a", "");
    }
    let now = fixture.state.published();
    fixture.run(WriteCommand::Compact(now)).expect("compacts");
    assert_eq!(
        fixture.state.recent(now - 2_000, 1),
        Err(now),
        "but not for ever"
    );
    assert_eq!(fixture.state.recent(now - 900, 1).map(|r| r.len()), Ok(1));
}

#[test]
fn memory_shrinks_with_history_and_a_full_store_deletes() {
    let mut fixture = StateFixture::with_quota(10_000);
    let big = "x".repeat(3_000);
    for _ in 0..3 {
        fixture.put("a", &big);
    }
    let full = loop {
        if let Err(error) = fixture.put_with("a", &big, 0) {
            break error;
        }
    };
    assert_eq!(full, StoreError::NoSpace);
    assert_eq!(fixture.grant(1, 5), Ok(5));
    assert_eq!(
        fixture.grant(2, 5),
        Err(StoreError::NoSpace),
        "leases take room"
    );
    assert!(!fixture.state.memory_use().1, "history raises no alarm");
    fixture.delete("a", "");
    let now = fixture.state.published();
    fixture.run(WriteCommand::Compact(now)).expect("compacts");
    assert!(fixture.state.memory_use().0 < 1_000);
    for number in 0.. {
        assert!(!fixture.state.memory_use().1, "nothing was refused");
        if fixture.put_with(&format!("k{number}"), "small", 0).is_err() {
            break;
        }
    }
    assert!(fixture.state.memory_use().1, "the alarm is raised");
    for number in 0..20 {
        fixture.delete(&format!("k{number}"), "");
    }
    assert!(
        !fixture.state.memory_use().1,
        "the alarm ends with what was deleted"
    );
}

#[test]
fn unpublished_changes_are_not_visible() {
    let mut fixture = StateFixture::new();
    fixture.put("a", "1");
    let applied = fixture
        .state
        .apply(WriteCommand::Put(put("a", "2", 0)), fixture.now);
    assert!(applied.is_ok());
    assert_eq!(fixture.at(0), Ok(vec![("a".into(), 2, 1)]));
    assert_eq!(fixture.at(3), Err(StoreError::FutureRevision));
    assert_eq!(fixture.state.history(2, 10).map(|found| found.len()), Ok(1));
    let batch = fixture.state.take_batch();
    fixture.state.publish(&batch);
    assert_eq!(fixture.at(0), Ok(vec![("a".into(), 2, 2)]));
}

#[test]
fn limits_orders_and_filters_cut_as_etcd_cuts() {
    let mut fixture = StateFixture::new();
    for (key, value) in [("c", "1"), ("a", "3"), ("b", "2"), ("a", "3")] {
        fixture.put(key, value);
    }
    let read = |change: &dyn Fn(&mut PbRangeRequest)| {
        let mut request = PbRangeRequest {
            key: vec![0],
            range_end: vec![0],
            ..PbRangeRequest::default()
        };
        change(&mut request);
        let found = fixture.state.view().range(&request).expect("readable");
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
fn a_missing_key_has_no_equal_value_and_zero_numbers() {
    let mut fixture = StateFixture::new();
    let compare = |target, union| PbCompare {
        target,
        key: b"absent".to_vec(),
        target_union: Some(union),
        ..PbCompare::default()
    };
    let mut holds = |compare| {
        fixture
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

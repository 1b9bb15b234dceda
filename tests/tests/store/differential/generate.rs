//! Random sequences over a key space so small that steps meet: the same seed makes the same sequence.
//!
//! Steps need not be sensible. A step without a single right answer on a correct server is never made; where one
//! would be (a lease that ends by itself in the middle), [`Op`] has a step without that.

use etcd_client::proto::{
    PbCompactionRequest, PbCompare, PbDeleteRequest, PbLeaseGrantRequest, PbLeaseRevokeRequest,
    PbLeaseTimeToLiveRequest, PbPutRequest, PbRangeRequest, PbTargetUnion, PbTxnOpRequest,
    PbTxnRequest, PbTxnRequestOp,
};
use fastrand::Rng;

use super::op::{FAR, Op, Watch};

/// Every key of a sequence, in order. Few enough to collide, with the smallest and the largest byte.
pub(super) const KEYS: [&[u8]; 9] = [
    b"\0",
    b"k/",
    b"k/a",
    b"k/a/x",
    b"k/b",
    b"k/c",
    b"k0",
    b"m",
    b"\xff\xff",
];

/// Leases of a sequence, and one that is never granted.
const LEASES: [i64; 5] = [11, 12, 13, 0x7fff_ffff_ffff_fff1, 999];

/// Long enough that no lease ends by itself within a sequence.
const LONG_TTL: i64 = 100_000;

/// Makes the steps of one sequence.
pub(super) struct Generator {
    rng: Rng,
    /// About how far the sequence is: revisions to ask for are near.
    revision: i64,
}

/// The sequence of this seed.
pub(super) fn sequence(seed: u64, length: usize) -> Vec<Op> {
    let mut generator = Generator {
        rng: Rng::with_seed(seed),
        revision: 1,
    };
    (0..length).map(|_| generator.step()).collect()
}

impl Generator {
    fn step(&mut self) -> Op {
        match self.rng.u32(0..1000) {
            0..260 => {
                self.revision += 1;
                Op::Put(self.put())
            }
            260..455 => Op::Range(self.range()),
            455..460 => Op::Range(self.unknown_order()),
            460..540 => {
                self.revision += 1;
                Op::Delete(self.delete())
            }
            540..760 => {
                self.revision += 1;
                let mut txn = self.txn(0);
                spare_etcd(&mut txn);
                Op::Txn(txn)
            }
            760..775 => Op::Compact(PbCompactionRequest {
                revision: self.revision(),
                physical: self.rng.bool(),
            }),
            775..925 => self.lease(),
            925..975 => Op::Watch(self.watch()),
            975..990 => Op::CancelWatch(self.rng.usize(0..6)),
            _ => Op::Progress,
        }
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.rng.usize(0..from.len())]
    }

    /// True once in `times`.
    fn rarely(&mut self, times: u32) -> bool {
        self.rng.u32(0..times) == 0
    }

    fn key(&mut self) -> Vec<u8> {
        if self.rarely(60) {
            return Vec::new();
        }
        self.pick(&KEYS).to_vec()
    }

    /// A key and an end: one key, a prefix, from a key on, everything, a few, or none.
    fn keys(&mut self) -> (Vec<u8>, Vec<u8>) {
        let first = self.key();
        let end: &[u8] = match self.rng.u32(0..10) {
            0..4 => b"",
            4 => return (b"k/".to_vec(), b"k0".to_vec()),
            5 => b"\0",
            6 => return (b"\0".to_vec(), b"\0".to_vec()),
            _ => self.pick(&KEYS),
        };
        (first, end.to_vec())
    }

    /// A revision for a request: any so far, sometimes zero or one ahead.
    fn revision(&mut self) -> i64 {
        match self.rng.u32(0..40) {
            0 => FAR,
            1 => -1,
            2 => 0,
            _ => self.rng.i64(1..=self.revision + 2),
        }
    }

    /// Mostly no bound.
    fn bound(&mut self) -> i64 {
        if self.rarely(8) { self.revision() } else { 0 }
    }

    fn value(&mut self) -> Vec<u8> {
        match self.rng.u32(0..12) {
            0 => Vec::new(),
            1 => (0..self.rng.usize(1..100))
                .map(|_| self.rng.u8(..))
                .collect(),
            _ => self.pick(&["a", "b", "c"]).into(),
        }
    }

    fn lease_id(&mut self) -> i64 {
        self.pick(&LEASES)
    }

    fn range(&mut self) -> PbRangeRequest {
        let (key, range_end) = self.keys();
        let mut request = PbRangeRequest {
            key,
            range_end,
            ..PbRangeRequest::default()
        };
        if self.rng.bool() {
            request.limit = self.pick(&[0, 0, 1, 2, 3, 100, -1]);
        }
        if self.rng.bool() {
            request.revision = self.revision();
        }
        if self.rng.bool() {
            request.sort_order = self.rng.i32(0..3);
            request.sort_target = self.rng.i32(0..5);
        }
        request.keys_only = self.rarely(6);
        request.count_only = self.rarely(8);
        request.serializable = self.rarely(4);
        request.min_mod_revision = self.bound();
        request.max_mod_revision = self.bound();
        request.min_create_revision = self.bound();
        request.max_create_revision = self.bound();
        request
    }

    /// By an order that does not exist. Never in a transaction, which real etcd would carry out.
    fn unknown_order(&mut self) -> PbRangeRequest {
        PbRangeRequest {
            // With a target that does not exist, too, a real one panics.
            sort_order: self.pick(&[3, -1]),
            ..self.range()
        }
    }

    fn put(&mut self) -> PbPutRequest {
        let mut request = PbPutRequest {
            key: self.key(),
            value: self.value(),
            prev_kv: self.rarely(3),
            ..PbPutRequest::default()
        };
        if self.rarely(4) {
            request.lease = self.lease_id();
        }
        if self.rarely(8) {
            request.ignore_value = true;
            if !self.rarely(6) {
                request.value.clear();
            }
        }
        if self.rarely(8) {
            request.ignore_lease = true;
            if !self.rarely(6) {
                request.lease = 0;
            }
        }
        request
    }

    fn delete(&mut self) -> PbDeleteRequest {
        let (key, range_end) = self.keys();
        PbDeleteRequest {
            key,
            range_end,
            prev_kv: self.rarely(3),
        }
    }

    fn txn(&mut self, depth: u32) -> PbTxnRequest {
        if self.rarely(80) {
            return self.big_txn();
        }
        let compares = self.pick(&[0, 1, 1, 1, 2, 3]);
        PbTxnRequest {
            compare: (0..compares).map(|_| self.compare()).collect(),
            success: self.branch(depth),
            failure: self.branch(depth),
        }
    }

    /// As many operations as may be, or one more. It adds no keys: etcd's order among more than twelve equals,
    /// when it sorts, is whatever Go's sort makes it.
    fn big_txn(&mut self) -> PbTxnRequest {
        let count = self.pick(&[128_usize, 129]);
        let deletes = self.rng.bool();
        let success = (0..count).map(|number| {
            let key = format!("many/{number:03}").into_bytes();
            let request = if deletes {
                PbTxnOpRequest::RequestDeleteRange(PbDeleteRequest {
                    key,
                    ..PbDeleteRequest::default()
                })
            } else {
                PbTxnOpRequest::RequestRange(PbRangeRequest {
                    key,
                    ..PbRangeRequest::default()
                })
            };
            PbTxnRequestOp {
                request: Some(request),
            }
        });
        PbTxnRequest {
            success: success.collect(),
            ..PbTxnRequest::default()
        }
    }

    fn branch(&mut self, depth: u32) -> Vec<PbTxnRequestOp> {
        let count = self.pick(&[0, 1, 1, 2, 2, 3, 4]);
        (0..count).map(|_| self.txn_op(depth)).collect()
    }

    fn txn_op(&mut self, depth: u32) -> PbTxnRequestOp {
        let request = match self.rng.u32(0..12) {
            0..5 => PbTxnOpRequest::RequestPut(self.put()),
            5..8 => PbTxnOpRequest::RequestRange(self.range()),
            8..10 => PbTxnOpRequest::RequestDeleteRange(self.delete()),
            _ if depth < 3 => PbTxnOpRequest::RequestTxn(self.txn(depth + 1)),
            _ => PbTxnOpRequest::RequestRange(self.range()),
        };
        PbTxnRequestOp {
            request: Some(request),
        }
    }

    fn compare(&mut self) -> PbCompare {
        let (key, range_end) = self.keys();
        let target = self.rng.i32(0..5);
        // A client can name one target and send the value of another.
        let sent = if self.rarely(30) {
            self.rng.i32(0..5)
        } else {
            target
        };
        let target_union = match sent {
            0 => PbTargetUnion::Version(self.rng.i64(0..4)),
            1 => PbTargetUnion::CreateRevision(self.known_revision()),
            2 => PbTargetUnion::ModRevision(self.known_revision()),
            3 => PbTargetUnion::Value(self.value()),
            _ => PbTargetUnion::Lease(self.pick(&[0, 11, 12])),
        };
        PbCompare {
            result: self.rng.i32(0..4),
            target,
            key,
            range_end,
            target_union: (!self.rarely(40)).then_some(target_union),
        }
    }

    /// Zero, which means "does not exist", more often than by chance.
    fn known_revision(&mut self) -> i64 {
        if self.rarely(3) { 0 } else { self.revision() }
    }

    fn lease(&mut self) -> Op {
        let id = self.lease_id();
        match self.rng.u32(0..12) {
            0..4 => {
                let id = self.pick(&LEASES[..4]);
                let ttl = LONG_TTL + self.rng.i64(0..1000);
                Op::Grant(PbLeaseGrantRequest { id, ttl })
            }
            4 => {
                // Refused when it is too long, and then there is nothing to revoke.
                let ttl = self.pick(&[0, -5, 1, 2, 9_000_000_000, 9_000_000_001, i64::MAX]);
                let id = self.pick(&[77, -77, i64::MIN]);
                Op::GrantAndRevoke(PbLeaseGrantRequest { id, ttl })
            }
            5 | 6 => {
                self.revision += 1;
                Op::Revoke(PbLeaseRevokeRequest { id })
            }
            7 | 8 => Op::KeepAlive(if self.rarely(10) { 0 } else { id }),
            9 | 10 => Op::TimeToLive(PbLeaseTimeToLiveRequest {
                id,
                keys: !self.rarely(4),
            }),
            _ => Op::Leases,
        }
    }

    fn watch(&mut self) -> Watch {
        let (key, range_end) = self.keys();
        // Not before the beginning: see `excuse::AVOIDED`.
        let start = if self.rng.bool() {
            0
        } else {
            self.revision().max(0)
        };
        let id = match self.rng.u32(0..4) {
            // Ids that servers choose, too; or, where a compaction may end the watch, that they do not.
            0 if start == 0 => self.rng.i64(0..6),
            0 => self.rng.i64(100..103),
            _ => 0,
        };
        Watch {
            key,
            range_end,
            start,
            no_put: self.rarely(5),
            no_delete: self.rarely(5),
            prev_kv: self.rng.bool(),
            fragment: self.rarely(5),
            id,
        }
    }
}

/// Both real ones panic when a transaction deletes to the end of the keyspace and then puts one of the deleted
/// keys with the value or the lease that it had: such a transaction gets a delete with an end. (That end they
/// do look at, and refuse the transaction.)
fn spare_etcd(txn: &mut PbTxnRequest) {
    let mut keeps = false;
    each_op(txn, &mut |op| {
        keeps |=
            matches!(op, PbTxnOpRequest::RequestPut(put) if put.ignore_value || put.ignore_lease);
    });
    each_op(txn, &mut |op| {
        if let PbTxnOpRequest::RequestDeleteRange(delete) = op
            && keeps
            && delete.range_end == [0]
        {
            delete.range_end = b"\xff\xff\xff".to_vec();
        }
    });
}

fn each_op(txn: &mut PbTxnRequest, see: &mut impl FnMut(&mut PbTxnOpRequest)) {
    for op in txn.success.iter_mut().chain(&mut txn.failure) {
        match &mut op.request {
            Some(PbTxnOpRequest::RequestTxn(nested)) => each_op(nested, see),
            Some(request) => see(request),
            None => {}
        }
    }
}

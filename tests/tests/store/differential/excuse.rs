//! Every difference between servers that is not a failure, with the reason: an answer of a real etcd that its own
//! later releases changed is not one to follow.
//!
//! An excuse takes one server out of the comparison of one answer, so the others must still agree. It must be as
//! narrow as possible, and none is about the embedded server.

use etcd_client::proto::{PbTxnOpRequest, PbTxnRequest, PbTxnRequestOp};

use super::op::Op;
use super::server::Name;

/// A known fault of one release.
pub(super) struct Excuse {
    /// Whose.
    pub(super) servers: &'static [Name],
    /// The server's behaviour, and the right one.
    pub(super) what: &'static str,
    /// Place where etcd documents it.
    pub(super) reference: &'static str,
    /// True if this answer is such a case.
    pub(super) applies: fn(&Op, &str) -> bool,
}

/// All there are.
pub(super) const EXCUSES: [Excuse; 2] = [
    Excuse {
        servers: &[Name::Etcd34, Name::Etcd35],
        what: "a range in an order that does not exist is answered as if in none; it must be refused \
               as an invalid sort option",
        reference: "refused from etcd 3.6 on",
        applies: |op, _| matches!(op, Op::Range(range) if !(0..=2).contains(&range.sort_order)),
    },
    Excuse {
        servers: &[Name::Etcd35],
        what: "more than six keys that are equal in what they are sorted by come in any order; they should \
               come by key",
        reference: "it was built with a Go older than 1.19, whose sort keeps the order of six at most; etcd \
                    promises none, and the others agree up to twelve",
        applies: |op, answer| sorts(op) && most_found(answer) > 6,
    },
];

/// The most keys that any range in an answer found, whether it shows them all or not.
fn most_found(answer: &str) -> u32 {
    let counts = answer.split(" count=").skip(1);
    let counts = counts.filter_map(|rest| rest.split_whitespace().next()?.parse().ok());
    counts.max().unwrap_or(0)
}

/// True if a range is sorted by anything but the key.
fn sorts(op: &Op) -> bool {
    fn in_branch(ops: &[PbTxnRequestOp]) -> bool {
        ops.iter().any(|op| match &op.request {
            Some(PbTxnOpRequest::RequestRange(range)) => range.sort_target != 0,
            Some(PbTxnOpRequest::RequestTxn(txn)) => in_txn(txn),
            _ => false,
        })
    }
    fn in_txn(txn: &PbTxnRequest) -> bool {
        in_branch(&txn.success) || in_branch(&txn.failure)
    }
    match op {
        Op::Range(range) => range.sort_target != 0,
        Op::Txn(txn) => in_txn(txn),
        _ => false,
    }
}

/// Requests that no sequence holds, because a real etcd crashes at them or has no single answer, with the reason.
pub(super) const AVOIDED: [(&str, &str); 5] = [
    (
        "a transaction that deletes to the end of the keyspace and then puts a deleted key with ignore_value or \
         ignore_lease",
        "etcd 3.4 and 3.5 do not see that the two overlap, and panic",
    ),
    (
        "a range sorted by a target that does not exist",
        "etcd 3.4 and 3.5 panic; refused from etcd 3.6 on, and by the embedded store",
    ),
    (
        "a watch from a negative revision",
        "etcd 3.4 and 3.5 create it and then end it as compacted, or serve all there is when nothing was \
         compacted, upon which other watches miss events (etcd pull request 20693); the embedded store refuses it \
         at once, as compacted",
    ),
    (
        "a watch with the id of one that a compaction has ended",
        "etcd 3.4 and 3.5 refuse it as a duplicate for as long as the stream lives; with the embedded store the \
         id is free again",
    ),
    (
        "a watch from exactly the compacted revision",
        "etcd 3.4 and 3.5 may have forgotten a deletion at that revision, depending on how far the compaction \
         has come; later releases keep it (etcd pull requests 18274, 18474 and 18475), and so does the embedded store",
    ),
];

/// The excuse for which this server's answer is not compared, if there is one.
pub(super) fn find(server: Name, op: &Op, answer: &str) -> Option<&'static Excuse> {
    EXCUSES
        .iter()
        .find(|excuse| excuse.servers.contains(&server) && (excuse.applies)(op, answer))
}

/// The list as people read it.
#[test]
fn the_list_in_the_documentation_is_this_one() -> anyhow::Result<()> {
    use std::fmt::Write;

    let mut wanted = String::from(
        "# Where the embedded store is not as etcd 3.4.23 and 3.5.1\n\n\
         Random requests about keys, leases and watches are sent to all three, and every answer must be the same but \
         for the first two lists, which a test keeps complete. A test calls every method of the third.\n\n\
         Answered differently:\n\n",
    );
    for excuse in &EXCUSES {
        let servers: Vec<_> = excuse.servers.iter().map(ToString::to_string).collect();
        let (servers, what, reference) = (servers.join(" and "), excuse.what, excuse.reference);
        let _ = writeln!(wanted, "- {servers}: {what} ({reference}).");
    }
    wanted += "\nNot compared, because there is no one answer of real etcds, or they do not survive it:\n\n";
    for (what, why) in AVOIDED {
        let _ = writeln!(wanted, "- {what}: {why}.");
    }
    let file = leasehold_tests::binaries::workspace().join("host/store/DIFFERENCES.md");
    let written = std::fs::read_to_string(&file).unwrap_or_default();
    // The rest lists differences that no comparison can show; a test of the store calls every method named there.
    anyhow::ensure!(
        written.starts_with(&format!("{wanted}\n## ")),
        "host/store/DIFFERENCES.md must begin with:\n{wanted}"
    );
    Ok(())
}

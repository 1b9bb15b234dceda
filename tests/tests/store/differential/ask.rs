//! Requests as text, for a person who reads a failure. Nothing is compared by it.

use std::fmt::Write;

use etcd_client::proto::{
    PbCompare, PbDeleteRequest, PbPutRequest, PbRangeRequest, PbTxnOpRequest, PbTxnRequest,
    PbTxnRequestOp,
};

use super::op::{Op, Watch};
use super::show::text;

fn keys(key: &[u8], end: &[u8]) -> String {
    match end {
        [] => text(key),
        end => format!("{}..{}", text(key), text(end)),
    }
}

/// ` name=value` for every value that is not the default.
fn fields(given: &[(&str, i64)]) -> String {
    let mut shown = String::new();
    for (name, value) in given.iter().filter(|(_, value)| *value != 0) {
        let _ = write!(shown, " {name}={value}");
    }
    shown
}

impl std::fmt::Display for Op {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Range(request) => f.write_str(&range(request)),
            Self::Put(request) => f.write_str(&put(request)),
            Self::Delete(request) => f.write_str(&delete(request)),
            Self::Txn(request) => f.write_str(&txn(request)),
            Self::Compact(request) => write!(f, "compact {}", request.revision),
            Self::Grant(request) => write!(f, "grant {} ttl={}", request.id, request.ttl),
            Self::GrantAndRevoke(request) => {
                write!(f, "grant {} ttl={}, revoke it", request.id, request.ttl)
            }
            Self::Revoke(request) => write!(f, "revoke {}", request.id),
            Self::KeepAlive(id) => write!(f, "keep-alive {id}"),
            Self::TimeToLive(request) => {
                write!(f, "time-to-live {} keys={}", request.id, request.keys)
            }
            Self::Leases => f.write_str("leases"),
            Self::Expire(id, keys) => {
                let keys: Vec<_> = keys.iter().map(|key| text(key)).collect();
                write!(f, "expire {id} with {}", keys.join(" "))
            }
            Self::Watch(request) => f.write_str(&watch(request)),
            Self::CancelWatch(index) => write!(f, "cancel watch #{index}"),
            Self::Progress => f.write_str("progress"),
        }
    }
}

fn range(request: &PbRangeRequest) -> String {
    format!(
        "range {}{}",
        keys(&request.key, &request.range_end),
        fields(&[
            ("limit", request.limit),
            ("rev", request.revision),
            ("order", request.sort_order.into()),
            ("by", request.sort_target.into()),
            ("serializable", request.serializable.into()),
            ("keys_only", request.keys_only.into()),
            ("count_only", request.count_only.into()),
            ("min_mod", request.min_mod_revision),
            ("max_mod", request.max_mod_revision),
            ("min_create", request.min_create_revision),
            ("max_create", request.max_create_revision),
        ])
    )
}

fn put(request: &PbPutRequest) -> String {
    format!(
        "put {}={}{}",
        text(&request.key),
        text(&request.value),
        fields(&[
            ("lease", request.lease),
            ("prev_kv", request.prev_kv.into()),
            ("ignore_value", request.ignore_value.into()),
            ("ignore_lease", request.ignore_lease.into()),
        ])
    )
}

fn delete(request: &PbDeleteRequest) -> String {
    let prev_kv = fields(&[("prev_kv", request.prev_kv.into())]);
    format!("delete {}{prev_kv}", keys(&request.key, &request.range_end))
}

fn txn(request: &PbTxnRequest) -> String {
    let compares: Vec<_> = request.compare.iter().map(compare).collect();
    let branch = |ops: &[PbTxnRequestOp]| {
        let ops: Vec<_> = ops.iter().map(txn_op).collect();
        ops.join("; ")
    };
    format!(
        "txn if [{}] then [{}] else [{}]",
        compares.join(" and "),
        branch(&request.success),
        branch(&request.failure)
    )
}

fn compare(compare: &PbCompare) -> String {
    let target = ["version", "create", "mod", "value", "lease"];
    let result = ["=", ">", "<", "!="];
    let name = |names: &[&str], number: i32| {
        let known = usize::try_from(number).ok().and_then(|at| names.get(at));
        known.map_or_else(|| number.to_string(), ToString::to_string)
    };
    format!(
        "{}({}) {} {:?}",
        name(&target, compare.target),
        keys(&compare.key, &compare.range_end),
        name(&result, compare.result),
        compare.target_union
    )
}

fn txn_op(op: &PbTxnRequestOp) -> String {
    match &op.request {
        None => "nothing".to_owned(),
        Some(PbTxnOpRequest::RequestRange(request)) => range(request),
        Some(PbTxnOpRequest::RequestPut(request)) => put(request),
        Some(PbTxnOpRequest::RequestDeleteRange(request)) => delete(request),
        Some(PbTxnOpRequest::RequestTxn(request)) => txn(request),
    }
}

fn watch(request: &Watch) -> String {
    format!(
        "watch {}{}",
        keys(&request.key, &request.range_end),
        fields(&[
            ("start", request.start),
            ("no_put", request.no_put.into()),
            ("no_delete", request.no_delete.into()),
            ("prev_kv", request.prev_kv.into()),
            ("fragment", request.fragment.into()),
            ("id", request.id),
        ])
    )
}

//! Answers as text, for the comparison and for people who read a failure.
//!
//! An answer's text leaves out nothing that must be equal and shows nothing that need not be: ids of members and
//! clusters, terms, the rest of a lease, and the order of unordered lists.

use std::fmt::Write;

use etcd_client::proto::{
    PbCompactionResponse, PbDeleteResponse, PbEvent, PbKeyValue, PbLeaseGrantResponse,
    PbLeaseKeepAliveResponse, PbLeaseLeasesResponse, PbLeaseRevokeResponse,
    PbLeaseTimeToLiveResponse, PbPutResponse, PbRangeResponse, PbResponseHeader, PbTxnOpResponse,
    PbTxnResponse,
};
use tonic::Status;

use super::op::Epoch;

/// Bytes as a person reads them; a long value by its length and its first bytes.
pub(super) fn text(bytes: &[u8]) -> String {
    const SHOWN: usize = 60;
    if bytes.len() > SHOWN {
        return format!("{}…({} bytes)", bytes[..20].escape_ascii(), bytes.len());
    }
    format!("'{}'", bytes.escape_ascii())
}

/// An answer that can be shown with revisions relative to the sequence.
pub(super) trait Show {
    fn show(&self, epoch: Epoch) -> String;
}

/// An answer, or the refusal as clients see it.
pub(super) fn answer<A: Show>(answer: &Result<A, Status>, epoch: Epoch) -> String {
    match answer {
        Ok(answer) => answer.show(epoch),
        Err(status) => format!("{:?}: {}", status.code(), status.message()),
    }
}

fn header(header: Option<&PbResponseHeader>, epoch: Epoch) -> String {
    header.map_or_else(
        || "no header".to_owned(),
        |header| format!("at {}", epoch.relative(header.revision)),
    )
}

impl Show for PbKeyValue {
    fn show(&self, epoch: Epoch) -> String {
        format!(
            "{}={} create={} mod={} version={} lease={}",
            text(&self.key),
            text(&self.value),
            epoch.relative(self.create_revision),
            epoch.relative(self.mod_revision),
            self.version,
            self.lease
        )
    }
}

fn prev(prev: Option<&PbKeyValue>, epoch: Epoch) -> String {
    prev.map_or_else(String::new, |kv| format!(" before: {}", kv.show(epoch)))
}

impl Show for PbRangeResponse {
    fn show(&self, epoch: Epoch) -> String {
        let mut shown = header(self.header.as_ref(), epoch);
        let _ = write!(shown, " count={} more={}", self.count, self.more);
        for kv in &self.kvs {
            let _ = write!(shown, "\n  {}", kv.show(epoch));
        }
        shown
    }
}

impl Show for PbPutResponse {
    fn show(&self, epoch: Epoch) -> String {
        header(self.header.as_ref(), epoch) + &prev(self.prev_kv.as_ref(), epoch)
    }
}

impl Show for PbDeleteResponse {
    fn show(&self, epoch: Epoch) -> String {
        let mut shown = header(self.header.as_ref(), epoch);
        let _ = write!(shown, " deleted={}", self.deleted);
        for kv in &self.prev_kvs {
            let _ = write!(shown, "\n  {}", kv.show(epoch));
        }
        shown
    }
}

impl Show for PbTxnResponse {
    fn show(&self, epoch: Epoch) -> String {
        let mut shown = header(self.header.as_ref(), epoch);
        let _ = write!(shown, " succeeded={}", self.succeeded);
        for response in &self.responses {
            let one = match &response.response {
                None => "nothing".to_owned(),
                Some(PbTxnOpResponse::ResponseRange(range)) => range.show(epoch),
                Some(PbTxnOpResponse::ResponsePut(put)) => put.show(epoch),
                Some(PbTxnOpResponse::ResponseDeleteRange(delete)) => delete.show(epoch),
                Some(PbTxnOpResponse::ResponseTxn(txn)) => txn.show(epoch),
            };
            let _ = write!(shown, "\n  - {}", one.replace('\n', "\n  "));
        }
        shown
    }
}

impl Show for PbCompactionResponse {
    fn show(&self, epoch: Epoch) -> String {
        header(self.header.as_ref(), epoch)
    }
}

impl Show for PbLeaseGrantResponse {
    fn show(&self, epoch: Epoch) -> String {
        let header = header(self.header.as_ref(), epoch);
        format!("{header} id={} ttl={} {:?}", self.id, self.ttl, self.error)
    }
}

impl Show for PbLeaseRevokeResponse {
    fn show(&self, epoch: Epoch) -> String {
        header(self.header.as_ref(), epoch)
    }
}

impl Show for PbLeaseKeepAliveResponse {
    fn show(&self, epoch: Epoch) -> String {
        let header = header(self.header.as_ref(), epoch);
        format!("{header} id={} ttl={}", self.id, self.ttl)
    }
}

impl Show for PbLeaseTimeToLiveResponse {
    fn show(&self, epoch: Epoch) -> String {
        let mut keys: Vec<_> = self.keys.iter().map(|key| text(key)).collect();
        keys.sort();
        format!(
            "{} id={} {} granted={} keys: {}",
            header(self.header.as_ref(), epoch),
            self.id,
            if self.ttl > 0 { "alive" } else { "gone" },
            self.granted_ttl,
            keys.join(" ")
        )
    }
}

impl Show for PbLeaseLeasesResponse {
    fn show(&self, epoch: Epoch) -> String {
        let mut ids: Vec<_> = self.leases.iter().map(|lease| lease.id).collect();
        ids.sort_unstable();
        format!("{} {ids:?}", header(self.header.as_ref(), epoch))
    }
}

impl Show for PbEvent {
    fn show(&self, epoch: Epoch) -> String {
        let kind = match self.r#type {
            0 => "put",
            1 => "delete",
            _ => "unknown event",
        };
        let kv = self
            .kv
            .as_ref()
            .map_or_else(|| "nothing".to_owned(), |kv| kv.show(epoch));
        format!("{kind} {kv}{}", prev(self.prev_kv.as_ref(), epoch))
    }
}

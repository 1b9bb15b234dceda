//! Changes that a script makes to replies on their way.

use etcd_client::proto::{
    PbDeleteResponse, PbLeaseGrantResponse, PbLeaseKeepAliveResponse, PbLeaseRevokeResponse,
    PbLeaseTimeToLiveResponse, PbPutResponse, PbRangeResponse, PbTxnResponse, PbWatchResponse,
};

use super::script::{Method, Quirk, Script};

/// Type number of a deletion in a watch's events.
const DELETE: i32 = 1;

/// Reply that a script can change.
pub(super) trait Reply: prost::Message + Default + Clone + 'static {
    /// Changes the reply; `None` when it is not sent at all.
    fn edit(self, script: &Script) -> Option<Self>;

    /// Number of times that the reply is sent.
    fn copies(_: &Script) -> usize {
        1
    }
}

/// Replies of which a script changes the header alone.
macro_rules! header_only {
    ($($reply:ty => $method:ident),+ $(,)?) => { $(
        impl Reply for $reply {
            fn edit(mut self, script: &Script) -> Option<Self> {
                script.edit_header(Method::$method, &mut self.header);
                Some(self)
            }
        }
    )+ };
}

header_only!(
    PbRangeResponse => Range,
    PbPutResponse => Put,
    PbDeleteResponse => DeleteRange,
    PbTxnResponse => Txn,
    PbLeaseRevokeResponse => Revoke,
    PbLeaseTimeToLiveResponse => TimeToLive,
);

impl Reply for PbLeaseGrantResponse {
    fn edit(mut self, script: &Script) -> Option<Self> {
        script.edit_header(Method::Grant, &mut self.header);
        self.ttl = script.granted_ttl.unwrap_or(self.ttl);
        Some(self)
    }
}

impl Reply for PbLeaseKeepAliveResponse {
    fn edit(mut self, script: &Script) -> Option<Self> {
        script.edit_header(Method::Renew, &mut self.header);
        self.ttl = script.renewed_ttl.unwrap_or(self.ttl);
        self.id = script.renewed_lease.unwrap_or(self.id);
        Some(self)
    }

    fn copies(script: &Script) -> usize {
        1 + script.surplus_renewals
    }
}

impl Reply for PbWatchResponse {
    fn edit(mut self, script: &Script) -> Option<Self> {
        script.edit_header(Method::Watch, &mut self.header);
        if script.has(Quirk::RefuseWatches) && self.created {
            self.canceled = true;
            "etcdserver: the script refuses watches".clone_into(&mut self.cancel_reason);
        }
        if script.has(Quirk::SwallowDeletions) && !self.events.is_empty() {
            self.events.retain(|event| event.r#type != DELETE);
            if self.events.is_empty() {
                return None;
            }
        }
        Some(self)
    }
}

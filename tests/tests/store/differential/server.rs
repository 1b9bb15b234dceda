//! One server in a comparison: where the sequence began on it, and how it answers a step.
//!
//! A server may lie: a test of the comparison itself changes its answers before they are compared.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use etcd_client::proto::{
    PbCompactionRequest, PbCompactionResponse, PbDeleteRequest, PbDeleteResponse,
    PbLeaseGrantRequest, PbLeaseGrantResponse, PbLeaseKeepAliveRequest, PbLeaseKeepAliveResponse,
    PbLeaseLeasesRequest, PbLeaseLeasesResponse, PbLeaseRevokeRequest, PbLeaseRevokeResponse,
    PbLeaseTimeToLiveRequest, PbLeaseTimeToLiveResponse, PbPutRequest, PbPutResponse,
    PbRangeRequest, PbRangeResponse, PbTxnRequest, PbTxnResponse,
};

use super::op::{Epoch, Op};
use super::show;
use super::wire::{Watches, Wire};

/// Whose answers these are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Name {
    Etcd34,
    Etcd35,
    Embedded,
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Etcd34 => "etcd 3.4.23",
            Self::Etcd35 => "etcd 3.5.1",
            Self::Embedded => "embedded",
        })
    }
}

/// One server.
pub(super) struct Server {
    pub(super) name: Name,
    pub(super) wire: Wire,
    pub(super) epoch: Epoch,
    pub(super) watches: Option<Watches>,
    /// Change of its answers, for a test of the comparison.
    pub(super) lie: Option<fn(&str) -> String>,
}

/// Longer than any server takes to end a lease of two seconds.
const EXPIRY: Duration = Duration::from_mins(1);

impl Server {
    pub(super) async fn connect(name: Name, endpoint: &str) -> Result<Self> {
        Ok(Self {
            name,
            wire: Wire::connect(endpoint).await?,
            epoch: Epoch { base: 1 },
            watches: None,
            lie: None,
        })
    }

    /// Makes it as if fresh: no keys, no leases, no history, no watches; revisions count from here.
    pub(super) async fn reset(&mut self) -> Result<()> {
        self.watches = None;
        self.try_reset()
            .await
            .with_context(|| format!("making {} as if fresh", self.name))
    }

    async fn try_reset(&mut self) -> Result<()> {
        let leases = PbLeaseLeasesRequest::default();
        let leases: PbLeaseLeasesResponse = self.wire.ask("Lease/LeaseLeases", leases).await?;
        for lease in leases.leases {
            let request = PbLeaseRevokeRequest { id: lease.id };
            let _: PbLeaseRevokeResponse = self.wire.ask("Lease/LeaseRevoke", request).await?;
        }
        let everything = PbDeleteRequest {
            key: vec![0],
            range_end: vec![0],
            prev_kv: false,
        };
        let deleted: PbDeleteResponse = self.wire.ask("KV/DeleteRange", everything).await?;
        let revision = deleted.header.unwrap_or_default().revision;
        if revision > 1 {
            // Every sequence but the first begins on a compacted store; a put makes sure that there is
            // something to compact.
            let one = PbPutRequest {
                key: b"reset".to_vec(),
                ..PbPutRequest::default()
            };
            let _: PbPutResponse = self.wire.ask("KV/Put", one).await?;
            let one = PbDeleteRequest {
                key: b"reset".to_vec(),
                ..PbDeleteRequest::default()
            };
            let deleted: PbDeleteResponse = self.wire.ask("KV/DeleteRange", one).await?;
            let base = deleted.header.unwrap_or_default().revision;
            // Not this one itself: see `excuse::AVOIDED` about the compacted revision.
            let compact = PbCompactionRequest {
                revision: base - 1,
                physical: false,
            };
            let _: PbCompactionResponse = self.wire.ask("KV/Compact", compact).await?;
            self.epoch = Epoch { base };
        } else {
            self.epoch = Epoch { base: 1 };
        }
        Ok(())
    }

    fn falsify(&self, answer: String) -> String {
        match self.lie {
            Some(lie) => lie(&answer),
            None => answer,
        }
    }

    /// Carries out a step that is not about watches, and gives the answer as text.
    pub(super) async fn answer(&self, op: &Op) -> Result<String> {
        let (wire, epoch) = (&self.wire, self.epoch);
        let answer = match op {
            Op::Range(request) => {
                let answer = wire.ask("KV/Range", epoch.range(request)).await;
                show::answer::<PbRangeResponse>(&answer, epoch)
            }
            Op::Put(request) => {
                let answer = wire.ask("KV/Put", request.clone()).await;
                show::answer::<PbPutResponse>(&answer, epoch)
            }
            Op::Delete(request) => {
                let answer = wire.ask("KV/DeleteRange", request.clone()).await;
                show::answer::<PbDeleteResponse>(&answer, epoch)
            }
            Op::Txn(request) => self.txn(request).await,
            Op::Compact(request) => {
                let request = PbCompactionRequest {
                    revision: epoch.absolute(request.revision),
                    physical: request.physical,
                };
                let answer = wire.ask("KV/Compact", request).await;
                show::answer::<PbCompactionResponse>(&answer, epoch)
            }
            Op::Grant(request) => self.grant(*request).await,
            Op::GrantAndRevoke(request) => {
                let granted = self.grant(*request).await;
                format!("{granted}\n{}", self.revoke(request.id).await)
            }
            Op::Revoke(request) => self.revoke(request.id).await,
            Op::KeepAlive(id) => {
                let request = PbLeaseKeepAliveRequest { id: *id };
                let answer = wire.ask_stream("Lease/LeaseKeepAlive", request).await;
                show::answer::<PbLeaseKeepAliveResponse>(&answer, epoch)
            }
            Op::TimeToLive(request) => {
                let answer = wire.ask("Lease/LeaseTimeToLive", *request).await;
                show::answer::<PbLeaseTimeToLiveResponse>(&answer, epoch)
            }
            Op::Leases => {
                let request = PbLeaseLeasesRequest::default();
                let answer = wire.ask("Lease/LeaseLeases", request).await;
                show::answer::<PbLeaseLeasesResponse>(&answer, epoch)
            }
            Op::Expire(id, keys) => self.expire(*id, keys).await?,
            Op::Watch(_) | Op::CancelWatch(_) | Op::Progress => String::new(),
        };
        Ok(self.falsify(answer))
    }

    pub(super) async fn txn(&self, request: &PbTxnRequest) -> String {
        let answer = self.wire.ask("KV/Txn", self.epoch.txn(request)).await;
        show::answer::<PbTxnResponse>(&answer, self.epoch)
    }

    async fn grant(&self, request: PbLeaseGrantRequest) -> String {
        let answer = self.wire.ask("Lease/LeaseGrant", request).await;
        show::answer::<PbLeaseGrantResponse>(&answer, self.epoch)
    }

    async fn revoke(&self, id: i64) -> String {
        let request = PbLeaseRevokeRequest { id };
        let answer = self.wire.ask("Lease/LeaseRevoke", request).await;
        show::answer::<PbLeaseRevokeResponse>(&answer, self.epoch)
    }

    /// Grants a lease of two seconds, the shortest there is, and waits until it has ended by itself.
    async fn expire(&self, id: i64, keys: &[Vec<u8>]) -> Result<String> {
        let granted = std::time::Instant::now();
        let mut said = self.grant(PbLeaseGrantRequest { id, ttl: 2 }).await;
        for key in keys {
            let request = PbPutRequest {
                key: key.clone(),
                lease: id,
                ..PbPutRequest::default()
            };
            let answer = self.wire.ask("KV/Put", request).await;
            said = said + "\n" + &show::answer::<PbPutResponse>(&answer, self.epoch);
        }
        loop {
            let request = PbLeaseTimeToLiveRequest { id, keys: false };
            let left: PbLeaseTimeToLiveResponse =
                self.wire.ask("Lease/LeaseTimeToLive", request).await?;
            if left.ttl == -1 {
                break;
            }
            let name = self.name;
            ensure!(granted.elapsed() < EXPIRY, "{name} did not end lease {id}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let name = self.name;
        ensure!(
            granted.elapsed() >= Duration::from_secs(2),
            "{name} ended lease {id} early"
        );
        let everything = PbRangeRequest {
            key: vec![0],
            range_end: vec![0],
            ..PbRangeRequest::default()
        };
        let answer = self.wire.ask("KV/Range", everything).await;
        Ok(said + "\n" + &show::answer::<PbRangeResponse>(&answer, self.epoch))
    }
}

//! Locks for clients that have no library for them: the `v3lock` service.
//!
//! Written by hand: `etcd-client` generates its messages without a server. It must never grant an entry
//! whose lease has ended.

use etcd_client::proto::{PbDeleteRequest, PbLockResponse, PbUnlockResponse};
use http::{Request, Response};
use tonic::Status;
use tonic::body::Body;

use super::context::ServiceContext;
use super::{manual_service, queue};

/// The service.
#[derive(Clone)]
pub(crate) struct LockServer {
    context: ServiceContext,
}

/// `v3lockpb.LockRequest`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
struct LockRequest {
    #[prost(bytes = "vec", tag = "1")]
    name: Vec<u8>,
    #[prost(int64, tag = "2")]
    lease: i64,
}

/// `v3lockpb.UnlockRequest`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
struct UnlockRequest {
    #[prost(bytes = "vec", tag = "1")]
    key: Vec<u8>,
}

impl LockServer {
    pub(crate) fn new(context: &ServiceContext) -> Self {
        Self {
            context: context.clone(),
        }
    }

    async fn answer(self, request: Request<Body>) -> Response<Body> {
        match request.uri().path() {
            "/v3lockpb.Lock/Lock" => manual_service::unary(request, |asked| self.lock(asked)).await,
            "/v3lockpb.Lock/Unlock" => {
                manual_service::unary(request, |asked| self.unlock(asked)).await
            }
            _ => manual_service::refuse(Status::unimplemented("")),
        }
    }

    async fn lock(&self, asked: LockRequest) -> Result<PbLockResponse, Status> {
        let LockRequest { name, lease } = asked;
        let at_once = |_, entered: queue::EnteredQueue| async move { Ok(entered.entry) };
        let entry = queue::enter_and_wait(&self.context, name, lease, Vec::new(), at_once).await?;
        Ok(PbLockResponse {
            header: Some(self.context.core.header()),
            key: entry.key,
        })
    }

    async fn unlock(&self, asked: UnlockRequest) -> Result<PbUnlockResponse, Status> {
        let delete = PbDeleteRequest {
            key: asked.key,
            ..PbDeleteRequest::default()
        };
        let reply = self.context.core.delete_range(delete).await?;
        Ok(PbUnlockResponse {
            header: reply.header,
        })
    }
}

manual_service::serve_by_hand!(LockServer, "v3lockpb.Lock");

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use etcd_client::{Client, Error, GetOptions, LockOptions};

    use crate::serve::ServerLimits;
    use crate::serve::tests::{PATIENCE, in_process, server, until};

    async fn lease(client: &mut Client) -> i64 {
        client.lease_grant(600, None).await.unwrap().id()
    }

    async fn lock(client: &Client, lease: i64) -> Result<Vec<u8>, Error> {
        let options = LockOptions::new().with_lease(lease);
        let reply = client.lock_client().lock("l", Some(options)).await?;
        Ok(reply.key().to_vec())
    }

    /// Waits until the queue has as many entries as expected.
    async fn entries(client: &mut Client, expected: i64) {
        until(&format!("{expected} entries"), async || {
            let options = GetOptions::new().with_prefix().with_count_only();
            client.get("l/", Some(options)).await.unwrap().count() == expected
        })
        .await;
    }

    #[tokio::test]
    async fn the_lock_goes_from_one_to_the_next_in_order() {
        let server = server(ServerLimits::default()).await;
        let mut client = in_process(&server.connector()).await;
        let first = lease(&mut client).await;
        let held = lock(&client, first).await.unwrap();
        assert_eq!(held, format!("l/{first:x}").into_bytes());
        let mut waiting = Vec::new();
        for place in 0..5 {
            let lease = lease(&mut client).await;
            let waiter = client.clone();
            waiting.push(tokio::spawn(async move { lock(&waiter, lease).await }));
            entries(&mut client, place + 2).await;
        }
        let mut held = held;
        for waiter in waiting {
            assert!(!waiter.is_finished());
            client.unlock(held).await.unwrap();
            held = tokio::time::timeout(PATIENCE, waiter)
                .await
                .expect("it is its turn")
                .unwrap()
                .unwrap();
        }
        server.close().await;
    }

    #[tokio::test]
    async fn a_waiter_whose_lease_ended_gets_an_error_and_no_lock() {
        let server = server(ServerLimits::default()).await;
        let mut client = in_process(&server.connector()).await;
        let (holder, waiter) = (lease(&mut client).await, lease(&mut client).await);
        let held = lock(&client, holder).await.unwrap();
        let waits = client.clone();
        let waiting = tokio::spawn(async move { lock(&waits, waiter).await });
        entries(&mut client, 2).await;
        client.lease_revoke(waiter).await.unwrap();
        // Before the lock is free, and after it.
        let refused = tokio::time::timeout(PATIENCE, waiting).await.unwrap();
        let refused = refused.unwrap().unwrap_err().to_string();
        assert!(refused.contains("session expired"), "{refused}");
        client.unlock(held).await.unwrap();
        entries(&mut client, 0).await;
        server.close().await;
    }

    #[tokio::test]
    async fn a_waiter_that_gives_up_leaves_nothing_in_the_queue() {
        let server = server(ServerLimits::default()).await;
        let mut client = in_process(&server.connector()).await;
        let (holder, waiter) = (lease(&mut client).await, lease(&mut client).await);
        lock(&client, holder).await.unwrap();
        let patience = Duration::from_millis(300);
        let given_up = tokio::time::timeout(patience, lock(&client, waiter)).await;
        assert!(given_up.is_err());
        entries(&mut client, 1).await;
        server.close().await;
    }

    #[tokio::test]
    async fn one_lease_locks_once_and_a_dropped_call_keeps_the_other() {
        let server = server(ServerLimits::default()).await;
        let mut client = in_process(&server.connector()).await;
        let (holder, waiter) = (lease(&mut client).await, lease(&mut client).await);
        let held = lock(&client, holder).await.unwrap();
        assert_eq!(lock(&client, holder).await.unwrap(), held);

        let waits = client.clone();
        let first = tokio::spawn(async move { lock(&waits, waiter).await });
        entries(&mut client, 2).await;
        let version = async |client: &mut Client| {
            let entry = client.get(format!("l/{waiter:x}"), None).await.unwrap();
            entry
                .kvs()
                .first()
                .map_or(0, etcd_client::KeyValue::version)
        };
        let waits = client.clone();
        let second = tokio::spawn(async move { lock(&waits, waiter).await });
        until("the second call has entered too", async || {
            version(&mut client).await == 2
        })
        .await;
        first.abort();
        let _ = first.await;
        client.unlock(held).await.unwrap();
        let granted = tokio::time::timeout(PATIENCE, second).await.unwrap();
        assert_eq!(
            granted.unwrap().unwrap(),
            format!("l/{waiter:x}").into_bytes()
        );
        entries(&mut client, 1).await;
        server.close().await;
    }

    #[tokio::test]
    async fn a_lock_without_lease_gets_one_and_a_dead_lease_is_refused() {
        let server = server(ServerLimits::default()).await;
        let mut client = in_process(&server.connector()).await;
        let held = client.lock("l", None).await.unwrap();
        let entry = client.get(held.key(), None).await.unwrap();
        let lease = entry.kvs().first().unwrap().lease();
        let left = client.lease_time_to_live(lease, None).await.unwrap();
        assert_eq!(left.granted_ttl(), super::queue::SESSION_TTL);
        let refused = lock(&client, 4711).await.unwrap_err().to_string();
        assert!(refused.contains("requested lease not found"), "{refused}");
        server.close().await;
    }

    #[tokio::test]
    async fn a_waiter_keeps_its_place_when_the_store_stops() {
        let server = server(ServerLimits::default()).await;
        let core = std::sync::Arc::clone(&server.core);
        let mut client = in_process(&server.connector()).await;
        let (holder, waiter) = (lease(&mut client).await, lease(&mut client).await);
        lock(&client, holder).await.unwrap();
        let waits = client.clone();
        let waiting = tokio::spawn(async move { lock(&waits, waiter).await });
        entries(&mut client, 2).await;
        server.close().await;
        assert!(waiting.await.unwrap().is_err());
        let (key, range_end) = super::queue::range_of(b"l/");
        let all = etcd_client::proto::PbRangeRequest {
            key,
            range_end,
            ..Default::default()
        };
        assert_eq!(core.range(&all).unwrap().count, 2);
    }
}

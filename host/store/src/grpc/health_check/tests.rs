//! The health service on a disk that fails and comes back.

use leasehold_lock::Connector as _;
use tonic::Code;
use tonic::client::Grpc;

use super::*;
use crate::disk::faulty::FaultyDisk;
use crate::options::{DataLocation, StoreOptions};
use crate::serve::tests::{in_process, server};
use crate::serve::{Server, ServerLimits};

type HealthClient = Grpc<leasehold_lock::StoreService>;

fn asked(service: &str) -> tonic::Request<HealthCheckRequest> {
    let service = service.to_owned();
    tonic::Request::new(HealthCheckRequest { service })
}

async fn check(client: &mut HealthClient, service: &str) -> Result<i32, Status> {
    client.ready().await.unwrap();
    let path = http::uri::PathAndQuery::from_static("/grpc.health.v1.Health/Check");
    let codec = tonic_prost::ProstCodec::<HealthCheckRequest, HealthCheckResponse>::default();
    let answer = client.unary(asked(service), path, codec).await?;
    Ok(answer.into_inner().status)
}

async fn watch(client: &mut HealthClient, service: &str) -> tonic::Streaming<HealthCheckResponse> {
    client.ready().await.unwrap();
    let path = http::uri::PathAndQuery::from_static("/grpc.health.v1.Health/Watch");
    let codec = tonic_prost::ProstCodec::<HealthCheckRequest, HealthCheckResponse>::default();
    let answer = client.server_streaming(asked(service), path, codec).await;
    answer.unwrap().into_inner()
}

#[tokio::test]
async fn the_whole_server_is_known_and_nothing_else() {
    let server = server(ServerLimits::default()).await;
    let mut client = Grpc::new(server.connector().service());
    assert_eq!(
        check(&mut client, "").await.unwrap(),
        ServingStatus::Serving as i32
    );
    let unknown = check(&mut client, "etcdserverpb.KV").await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound);
    let mut watch = watch(&mut client, "x").await;
    let first = watch.message().await.unwrap().unwrap();
    assert_eq!(first.status(), ServingStatus::ServiceUnknown);
    server.close().await;
    assert!(watch.message().await.is_err());
}

#[tokio::test]
async fn a_failing_disk_is_watched_until_it_is_back() {
    let disk = FaultyDisk::new();
    let media = disk.clone();
    let options = StoreOptions::new(DataLocation::Media(Box::new(move || Ok(media.media()))));
    let core = StoreCore::open(options).await.unwrap();
    let server = Server::with_limits(core, ServerLimits::default());
    let mut client = Grpc::new(server.connector().service());
    let mut health = watch(&mut client, "").await;
    let mut next = async || health.message().await.unwrap().unwrap().status();
    assert_eq!(next().await, ServingStatus::Serving);
    disk.fail_syncs(true);
    let mut kv = in_process(&server.connector()).await;
    assert!(kv.put("a", "1", None).await.is_err());
    assert_eq!(next().await, ServingStatus::NotServing);
    disk.fail_syncs(false);
    while kv.put("a", "1", None).await.is_err() {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert_eq!(next().await, ServingStatus::Serving);
    server.close().await;
}

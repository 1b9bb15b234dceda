//! Elections as their clients see them.

use etcd_client::{CampaignResponse, Client, LeaderKey, ProclaimOptions, ResignOptions};

use crate::serve::tests::{PATIENCE, in_process, server, until};
use crate::serve::{Server, ServerLimits};

async fn start() -> (Server, Client) {
    let server = server(ServerLimits::default()).await;
    let client = in_process(&server.connector()).await;
    (server, client)
}

async fn lease(client: &mut Client) -> i64 {
    client.lease_grant(600, None).await.unwrap().id()
}

async fn value(client: &mut Client) -> String {
    let reply = client.leader("e").await.unwrap();
    reply.kv().unwrap().value_str().unwrap().to_owned()
}

fn leader(reply: &CampaignResponse) -> LeaderKey {
    reply.leader().unwrap().clone()
}

async fn resign(client: &mut Client, leader: LeaderKey) {
    let options = ResignOptions::new().with_leader(leader);
    client.resign(Some(options)).await.unwrap();
}

#[tokio::test]
async fn an_election_without_candidates_has_no_leader() {
    let (server, mut client) = start().await;
    let refused = client.leader("e").await.unwrap_err().to_string();
    assert!(refused.contains("election: no leader"), "{refused}");
    server.close().await;
}

#[tokio::test]
async fn campaigning_again_with_the_same_lease_proclaims() {
    let (server, mut client) = start().await;
    let lease = lease(&mut client).await;
    let first = leader(&client.campaign("e", "one", lease).await.unwrap());
    let again = leader(&client.campaign("e", "two", lease).await.unwrap());
    assert_eq!((first.rev(), first.key()), (again.rev(), again.key()));
    assert_eq!(value(&mut client).await, "two");
    server.close().await;
}

#[tokio::test]
async fn an_ended_leadership_cannot_proclaim_or_end_the_next_one() {
    let (server, mut client) = start().await;
    let lease = lease(&mut client).await;
    let first = leader(&client.campaign("e", "one", lease).await.unwrap());
    resign(&mut client, first.clone()).await;
    // The same key, created again.
    let second = leader(&client.campaign("e", "two", lease).await.unwrap());
    assert_eq!(first.key(), second.key());
    assert_ne!(first.rev(), second.rev());

    let as_first = ProclaimOptions::new().with_leader(first.clone());
    let refused = client.proclaim("late", Some(as_first)).await.unwrap_err();
    assert!(
        refused.to_string().contains("election: not leader"),
        "{refused}"
    );
    resign(&mut client, first).await;
    assert_eq!(value(&mut client).await, "two");

    let as_second = ProclaimOptions::new().with_leader(second);
    client.proclaim("three", Some(as_second)).await.unwrap();
    assert_eq!(value(&mut client).await, "three");
    server.close().await;
}

#[tokio::test]
async fn an_observer_receives_each_leader_and_its_proclamations() {
    let (server, mut client) = start().await;
    let mut observed = client.observe("e").await.unwrap();
    let mut next = async || {
        let message = tokio::time::timeout(PATIENCE, observed.message()).await;
        let message = message.expect("there is news").unwrap().unwrap();
        message.kv().unwrap().value_str().unwrap().to_owned()
    };
    let (first, second) = (lease(&mut client).await, lease(&mut client).await);
    let leading = leader(&client.campaign("e", "first", first).await.unwrap());
    assert_eq!(next().await, "first");
    let mut other = client.clone();
    let campaign = tokio::spawn(async move { other.campaign("e", "second", second).await });
    until("the second has entered", async || {
        let key = format!("e/{second:x}");
        client.get(key, None).await.unwrap().count() == 1
    })
    .await;
    let as_first = ProclaimOptions::new().with_leader(leading.clone());
    client
        .proclaim("still first", Some(as_first))
        .await
        .unwrap();
    assert_eq!(next().await, "still first");
    resign(&mut client, leading).await;
    assert_eq!(next().await, "second");
    tokio::time::timeout(PATIENCE, campaign)
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    server.close().await;
}

#[tokio::test]
async fn a_candidate_that_gives_up_leaves_the_queue() {
    let (server, mut client) = start().await;
    let (first, second) = (lease(&mut client).await, lease(&mut client).await);
    client.campaign("e", "first", first).await.unwrap();
    let patience = std::time::Duration::from_millis(300);
    let mut other = client.clone();
    let campaign = other.campaign("e", "second", second);
    assert!(tokio::time::timeout(patience, campaign).await.is_err());
    until("it is deleted", async || {
        let key = format!("e/{second:x}");
        client.get(key, None).await.unwrap().count() == 0
    })
    .await;
    server.close().await;
}

#[tokio::test]
async fn a_request_that_names_no_leader_is_refused() {
    let (server, mut client) = start().await;
    let refused = client.resign(None).await.unwrap_err().to_string();
    assert!(refused.contains("field must be provided"), "{refused}");
    server.close().await;
}

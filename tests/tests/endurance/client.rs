//! Client of these tests, with the codes and texts of refusals, and history as data.
//!
//! No request is sent a second time.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use etcd_client::{
    Client, Error, EventType, KeyValue, ResponseHeader, WatchOptions, WatchResponse, WatchStream,
};

use crate::SLACK;
use crate::server::Server;

/// A client of its own connection.
pub(crate) async fn connect(server: &Server) -> Result<Client> {
    connect_to(&server.endpoint()).await
}

pub(crate) async fn connect_to(endpoint: &str) -> Result<Client> {
    let connecting = Client::connect([endpoint], None);
    Ok(tokio::time::timeout(SLACK, connecting).await??)
}

/// The code and the words of a refusal, as in `NotFound: etcdserver: requested lease not found`.
pub(crate) fn refusal(error: &Error) -> String {
    match error {
        Error::GRpcStatus(status) => format!("{:?}: {}", status.code(), status.message()),
        other => other.to_string(),
    }
}

/// The revision that a reply is of; 0 without a header, which no reply lacks.
pub(crate) fn revision(header: Option<&ResponseHeader>) -> i64 {
    header.map_or(0, ResponseHeader::revision)
}

/// Value of a key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Held {
    pub(crate) value: String,
    pub(crate) lease: i64,
    pub(crate) created: i64,
    pub(crate) modified: i64,
    pub(crate) version: i64,
}

/// Keys and their values.
pub(crate) type State = BTreeMap<String, Held>;

/// Changes of keys by revision; `None` for a deleted key.
pub(crate) type Changes = BTreeMap<i64, Vec<(String, Option<Held>)>>;

/// A key and its value.
pub(crate) fn held(kv: &KeyValue) -> Result<(String, Held)> {
    let held = Held {
        value: kv.value_str()?.to_owned(),
        lease: kv.lease(),
        created: kv.create_revision(),
        modified: kv.mod_revision(),
        version: kv.version(),
    };
    Ok((kv.key_str()?.to_owned(), held))
}

/// Watches every key from a revision on.
pub(crate) async fn watch_all(client: &mut Client, from: i64) -> Result<WatchStream> {
    let options = WatchOptions::new()
        .with_all_keys()
        .with_start_revision(from);
    Ok(client.watch("\0", Some(options)).await?)
}

/// The next response of a watch.
pub(crate) async fn next(stream: &mut WatchStream, patience: Duration) -> Result<WatchResponse> {
    let message = tokio::time::timeout(patience, stream.message());
    let message = message.await.context("a watch says nothing")??;
    let message = message.context("a watch ended")?;
    if message.canceled() {
        bail!("a watch was cancelled: {}", message.cancel_reason());
    }
    Ok(message)
}

/// Adds a response to the known history. A revision comes in one piece, in ascending order.
pub(crate) fn add(known: &mut Changes, last: &mut i64, response: &WatchResponse) -> Result<()> {
    let before = *last;
    for event in response.events() {
        let kv = event.kv().context("an event without a key")?;
        let revision = kv.mod_revision();
        if revision <= before || revision < *last {
            bail!("revision {revision} after {last} in one watch");
        }
        *last = revision;
        let (key, held) = held(kv)?;
        let put = event.event_type() == EventType::Put;
        let changes = known.entry(revision).or_default();
        changes.push((key, put.then_some(held)));
    }
    Ok(())
}

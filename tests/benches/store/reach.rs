//! Connections to the measured server: by an address, or inside this process.

use std::sync::Arc;

use anyhow::Result;
use etcd_client::{Channel, Client};
use leasehold_lock::{ConnectOptions, Connector as _};
use leasehold_store::InProcessConnector;

/// A way to a server. Every client has a connection of its own, where there are connections.
#[derive(Clone)]
pub(super) enum Reach {
    Endpoint(String),
    Inside(InProcessConnector),
}

impl Reach {
    /// Connects, and reads once: connecting alone proves nothing.
    pub(super) async fn client(&self) -> Result<Client> {
        let mut client = match self {
            Self::Endpoint(endpoint) => Client::connect([endpoint], None).await?,
            Self::Inside(way) => Client::from_channel(Channel::Custom(way.service()), None).await?,
        };
        client.get("/bench/greeting", None).await?;
        Ok(client)
    }

    /// The same for clients that take locks.
    pub(super) fn options(&self) -> ConnectOptions {
        match self {
            Self::Endpoint(endpoint) => ConnectOptions::new([endpoint]),
            Self::Inside(way) => ConnectOptions::in_process(Arc::new(way.clone())),
        }
    }
}

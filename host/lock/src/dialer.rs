//! Construction of clients: a channel, a login and a first reply, for one endpoint or for the first of several.
//!
//! A client counts as made only when the store has answered a linearizable read over it.

use std::sync::Arc;
use std::time::Duration;

use etcd_client::Client;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::runtime::Handle;

use crate::connect::ConnectOptions;
use crate::connector::EndpointRoute;
use crate::credentials::StoreCredentials;
use crate::error::{ConnectError, StoreError};
use crate::identity::StoreIdentity;
use crate::observer::ObserverHandle;

/// Head start of each endpoint over the next one when a client connects for the first time.
const STAGGER: Duration = Duration::from_secs(1);

/// Order in which several endpoints are tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RaceOrder {
    /// One after the other: the next one after a failure, or after a while without an answer. A refusal ends the
    /// race.
    InOrder,
    /// All together; only an answer ends the race.
    AllAtOnce,
}

/// Makes the clients of one link.
pub(crate) struct EndpointDialer {
    options: ConnectOptions,
    credentials: Arc<StoreCredentials>,
    identity: Arc<StoreIdentity>,
    routes: Vec<EndpointRoute>,
    /// The runtime that drives the connections.
    runtime: Handle,
}

impl EndpointDialer {
    /// For connections on the calling runtime.
    pub(crate) fn new(
        options: ConnectOptions,
        credentials: Arc<StoreCredentials>,
        identity: Arc<StoreIdentity>,
    ) -> Result<Self, ConnectError> {
        Ok(Self {
            routes: options.routes(&credentials)?,
            options,
            credentials,
            identity,
            runtime: Handle::current(),
        })
    }

    /// For routes of a test.
    #[cfg(test)]
    pub(crate) fn over(options: ConnectOptions, routes: Vec<EndpointRoute>) -> Self {
        Self {
            options,
            credentials: Arc::default(),
            identity: Arc::default(),
            routes,
            runtime: Handle::current(),
        }
    }

    pub(crate) const fn observer(&self) -> &ObserverHandle {
        self.options.observer_handle()
    }

    /// The number of endpoints.
    pub(crate) fn len(&self) -> usize {
        self.routes.len()
    }

    /// True if any endpoint is reached with TLS.
    pub(crate) fn is_encrypted(&self) -> bool {
        let encrypted = |dial: &EndpointRoute| matches!(dial, EndpointRoute::Encrypted(..));
        self.routes.iter().any(encrypted)
    }

    /// An endpoint as messages show it.
    pub(crate) fn name(&self, at: usize) -> String {
        self.routes
            .get(at)
            .map_or_else(String::new, |dial| format!("{dial:?}"))
    }

    /// Tries these endpoints, and returns the first that answers with its client.
    pub(crate) async fn race(
        &self,
        endpoints: &[usize],
        race: RaceOrder,
    ) -> Result<(usize, Client), ConnectError> {
        let mut left = endpoints.iter().copied();
        let mut asked = FuturesUnordered::new();
        let ask = |at| async move { (at, self.client(at).await) };
        let mut failed = ConnectError::NoEndpoints;
        loop {
            match race {
                RaceOrder::AllAtOnce => asked.extend(left.by_ref().map(ask)),
                RaceOrder::InOrder => asked.extend(left.next().map(ask)),
            }
            if asked.is_empty() {
                return Err(failed);
            }
            let answered = tokio::select! {
                answered = asked.next() => answered,
                () = tokio::time::sleep(STAGGER), if left.len() > 0 => None,
            };
            match answered {
                Some((at, Ok(client))) => return Ok((at, client)),
                // An endpoint that refuses speaks for all of them.
                Some((_, Err(error)))
                    if race == RaceOrder::InOrder
                        && !matches!(error, ConnectError::Unreachable { .. }) =>
                {
                    return Err(error);
                }
                Some((_, Err(error))) => failed = error,
                None => {}
            }
        }
    }

    async fn client(&self, at: usize) -> Result<Client, ConnectError> {
        let dial = self.routes.get(at).ok_or(ConnectError::NoEndpoints)?;
        let channel = {
            let _here = self.runtime.enter();
            dial.channel(self.options.connect_timeout_value())
        };
        let options = etcd_client::ConnectOptions::new()
            .with_require_leader(true)
            .with_auto_token_refresh(true);
        let client = Client::from_channel(channel, Some(options))
            .await
            .map_err(|error| ConnectError::Setup(error.to_string()))?;
        let patience = self.options.first_reply_patience();
        match tokio::time::timeout(patience, self.log_in(&client)).await {
            Err(_) => {
                let reason = format!("no login within {patience:?}");
                return Err(self.options.unreachable(reason));
            }
            Ok(Err(error)) => return Err(self.options.failed(&error)),
            Ok(Ok(())) => {}
        }
        self.greet(client).await
    }

    /// Logs in, where there is a user.
    pub(crate) async fn log_in(&self, client: &Client) -> Result<(), StoreError> {
        let found = self.credentials.passwords().await;
        let found = found.map_err(|error| StoreError::Unknown(error.to_string()))?;
        let Some((user, passwords)) = found else {
            return Ok(());
        };
        if let Some(error) = self.credentials.recent_refusal(&passwords) {
            return Err(error);
        }
        let mut refused = None;
        for password in &passwords {
            let login = (user.to_owned(), password.clone());
            let Err(error) = client.clone().update_user(Some(login)).await else {
                self.credentials.password_worked(password.clone());
                return Ok(());
            };
            let error = StoreError::from(error);
            if !error.is_wrong_password() {
                return Err(error);
            }
            refused.get_or_insert(error);
        }
        let Some(error) = refused else {
            return Ok(());
        };
        self.credentials.login_refused(&passwords, &error);
        Err(error)
    }

    /// Sends one small read, so that a wrong address, certificate or password shows now and not at the first lock. A
    /// store that denies the read has answered, which is enough.
    async fn greet(&self, client: Client) -> Result<Client, ConnectError> {
        let mut kv = client.kv_client();
        let read = etcd_client::GetOptions::new().with_count_only();
        let patience = self.options.first_reply_patience();
        let reading = kv.get(self.options.greet_key_value(), Some(read));
        match tokio::time::timeout(patience, reading).await {
            Err(_) => Err(self
                .options
                .unreachable(format!("no reply within {patience:?}"))),
            Ok(Ok(reply)) if !self.identity.is_same_cluster(reply.header()) => Err(self
                .options
                .unreachable("another cluster answered at this address".into())),
            Ok(Ok(_)) => Ok(client),
            Ok(Err(error)) => {
                let text = error.to_string();
                match StoreError::from(error) {
                    StoreError::Refused { .. } if text.contains("permission denied") => Ok(client),
                    other => Err(self.options.failed(&other)),
                }
            }
        }
    }
}

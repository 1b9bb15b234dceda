//! Options of a connection: endpoints, TLS, user and password, and checks that need no connection.
//!
//! This file never decides anything about locks.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::connector::{Connector, EndpointRoute, UNIX_SCHEME};
use crate::credentials::{CredentialSource, LoginSource, StoreCredentials, Tls};
use crate::error::{ConnectError, StoreError};
use crate::observer::{LockObserver, ObserverHandle};

/// Options of a connection to the store.
///
/// ```
/// # use leasehold_lock::ConnectOptions;
/// let options = ConnectOptions::new(["http://127.0.0.1:2379"]);
/// ```
#[derive(Clone)]
pub struct ConnectOptions {
    /// As given; for a store in this process, its name.
    endpoints: Vec<String>,
    in_process: Option<Arc<dyn Connector>>,
    login: Option<LoginSource>,
    tls: Option<Tls>,
    allow_plaintext: bool,
    connect_timeout: Duration,
    request_timeout: Duration,
    greet_key: String,
    observer: ObserverHandle,
}

impl ConnectOptions {
    /// Options for these endpoints: `http://host:port`, `https://host:port` or `host:port`; or one alone,
    /// `unix:///path`, for a socket on this machine.
    pub fn new<E: Into<String>>(endpoints: impl IntoIterator<Item = E>) -> Self {
        Self {
            endpoints: endpoints.into_iter().map(Into::into).collect(),
            in_process: None,
            login: None,
            tls: None,
            allow_plaintext: false,
            connect_timeout: Duration::from_secs(3),
            request_timeout: Duration::from_secs(5),
            greet_key: "/leasehold/".into(),
            observer: ObserverHandle::default(),
        }
    }

    /// Options for a store in this process, which needs neither endpoints nor TLS.
    pub fn in_process(store: Arc<dyn Connector>) -> Self {
        let name = store.describe();
        Self {
            in_process: Some(store),
            ..Self::new([name])
        }
    }

    /// Logs in with a user and a fixed password, and again after the store has forgotten the login.
    #[must_use]
    pub fn user(self, name: impl Into<String>, password: impl AsRef<str>) -> Self {
        self.user_from(name, CredentialSource::value(password.as_ref()))
    }

    /// Logs in with a user and the password that its source holds at each login. A line end after the
    /// password is not part of it.
    #[must_use]
    pub fn user_from(mut self, name: impl Into<String>, password: CredentialSource) -> Self {
        let user = name.into();
        self.login = Some(LoginSource { user, password });
        self
    }

    /// Uses TLS, with the content of its sources at each connection.
    #[must_use]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Allows connections without TLS to other machines. Leases, locks and passwords travel openly.
    #[must_use]
    pub const fn allow_plaintext(mut self, allow: bool) -> Self {
        self.allow_plaintext = allow;
        self
    }

    /// Limit for a TCP and TLS connection. Default 3 s.
    #[must_use]
    pub const fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Limit for one reply, after which its outcome counts as unknown. Default 5 s.
    #[must_use]
    pub const fn request_timeout(mut self, timeout: Duration) -> Self {
        self.request_timeout = timeout;
        self
    }

    /// A key that the user may read, for the first request. Default `/leasehold/`. It need not exist. A store that
    /// denies the read counts as reached, but its cluster stays unknown until later.
    #[must_use]
    pub fn greet_key(mut self, key: impl Into<String>) -> Self {
        self.greet_key = key.into();
        self
    }

    /// Calls `observer` at renewals, retries, reconnects, hand-offs and losses. None by default.
    #[must_use]
    pub fn observer(mut self, observer: Arc<dyn LockObserver>) -> Self {
        self.observer = ObserverHandle::new(observer);
        self
    }

    pub(crate) const fn observer_handle(&self) -> &ObserverHandle {
        &self.observer
    }

    /// The endpoints, for messages; for a store in this process, its name.
    pub fn endpoints(&self) -> &[String] {
        &self.endpoints
    }

    pub(crate) fn greet_key_value(&self) -> &str {
        &self.greet_key
    }

    pub(crate) const fn request_timeout_value(&self) -> Duration {
        self.request_timeout
    }

    /// Checks the options as far as that needs no connection.
    pub fn check(&self) -> Result<(), ConnectError> {
        if self.endpoints.is_empty() {
            return Err(ConnectError::NoEndpoints);
        }
        if let Some(store) = &self.in_process {
            return self.check_no_tls(&store.describe());
        }
        for endpoint in &self.endpoints {
            if is_unix(endpoint) {
                self.check_unix(endpoint)?;
                continue;
            }
            let secure = endpoint.starts_with("https://")
                || (self.tls.is_some() && !endpoint.starts_with("http://"));
            let host = host_of(endpoint)?;
            if !secure && !self.allow_plaintext && !is_this_machine(&host) {
                return Err(ConnectError::PlaintextRefused {
                    endpoint: endpoint.clone(),
                });
            }
        }
        Ok(())
    }

    /// Checks a socket: it is a store on this machine, and must be the only endpoint.
    fn check_unix(&self, endpoint: &str) -> Result<(), ConnectError> {
        let bad = |reason: &str| ConnectError::BadEndpoint {
            endpoint: endpoint.to_owned(),
            reason: reason.to_owned(),
        };
        if !endpoint
            .strip_prefix(UNIX_SCHEME)
            .is_some_and(|path| path.starts_with('/'))
        {
            return Err(bad("a socket is written unix:///path, with three slashes"));
        }
        if self.endpoints.len() > 1 {
            return Err(bad("a socket must be the only endpoint"));
        }
        self.check_no_tls(endpoint)
    }

    fn check_no_tls(&self, store: &str) -> Result<(), ConnectError> {
        match self.tls {
            Some(_) => Err(ConnectError::Setup(format!(
                "TLS is set, and {store} is reached without a network"
            ))),
            None => Ok(()),
        }
    }

    pub(crate) fn credentials(&self) -> StoreCredentials {
        StoreCredentials::new(self.tls.clone(), self.login.clone())
    }

    /// One route for each endpoint.
    pub(crate) fn routes(
        &self,
        credentials: &Arc<StoreCredentials>,
    ) -> Result<Vec<EndpointRoute>, ConnectError> {
        if let Some(store) = &self.in_process {
            return Ok(vec![EndpointRoute::InProcess(Arc::clone(store))]);
        }
        let dial = |endpoint: &String| {
            if let Some(socket) = EndpointRoute::unix(endpoint) {
                return Ok(socket);
            }
            let address = self.address(endpoint);
            let uri: http::Uri = address.parse().map_err(|error: http::uri::InvalidUri| {
                ConnectError::BadEndpoint {
                    endpoint: endpoint.clone(),
                    reason: error.to_string(),
                }
            })?;
            Ok(match uri.scheme_str() {
                Some("https") => EndpointRoute::Encrypted(uri, credentials.clone()),
                _ => EndpointRoute::Plain(uri),
            })
        };
        self.endpoints.iter().map(dial).collect()
    }

    /// The endpoint with its scheme.
    fn address(&self, endpoint: &str) -> String {
        match (endpoint.contains("://"), &self.tls) {
            (true, _) => endpoint.to_owned(),
            (false, Some(_)) => format!("https://{endpoint}"),
            (false, None) => format!("http://{endpoint}"),
        }
    }

    pub(crate) const fn connect_timeout_value(&self) -> Duration {
        self.connect_timeout
    }

    /// Limit for the first reply over a new connection.
    pub(crate) fn first_reply_patience(&self) -> Duration {
        self.connect_timeout + self.request_timeout
    }

    pub(crate) fn failed(&self, error: &StoreError) -> ConnectError {
        match error {
            StoreError::Refused { message, .. } => ConnectError::Refused {
                endpoints: self.endpoints.join(", "),
                reason: message.clone(),
            },
            StoreError::Unknown(reason) | StoreError::TooLarge(reason) => {
                self.unreachable(self.explained(reason))
            }
        }
    }

    /// Adds a hint about client certificates to `reason`. With TLS 1.3 a server rejects our certificate after it has
    /// accepted the connection, and often only a closed connection shows it.
    fn explained(&self, reason: &str) -> String {
        let cut_off = ["alert", "broken pipe", "closed", "reset"]
            .iter()
            .any(|word| reason.contains(word));
        match &self.tls {
            Some(tls) if cut_off && tls.identity.is_none() => {
                format!("{reason} (the store may ask for a client certificate; we have none)")
            }
            Some(_) if cut_off => {
                format!("{reason} (the store may not accept our client certificate)")
            }
            _ => reason.to_owned(),
        }
    }

    pub(crate) fn unreachable(&self, reason: String) -> ConnectError {
        ConnectError::Unreachable {
            endpoints: self.endpoints.join(", "),
            reason,
        }
    }
}

impl fmt::Debug for ConnectOptions {
    /// Leaves out the password and the private key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectOptions")
            .field("endpoints", &self.endpoints)
            .field("user", &self.login.as_ref().map(|login| &login.user))
            .field("tls", &self.tls.is_some())
            .field("allow_plaintext", &self.allow_plaintext)
            .finish_non_exhaustive()
    }
}

fn is_unix(endpoint: &str) -> bool {
    endpoint.starts_with("unix:")
}

fn host_of(endpoint: &str) -> Result<String, ConnectError> {
    let bad = |reason: String| ConnectError::BadEndpoint {
        endpoint: endpoint.to_owned(),
        reason,
    };
    let with_scheme = if endpoint.contains("://") {
        endpoint.to_owned()
    } else {
        format!("http://{endpoint}")
    };
    let uri: http::Uri = with_scheme
        .parse()
        .map_err(|error: http::uri::InvalidUri| bad(error.to_string()))?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err(bad("only http://, https:// and unix:// are known".into()));
    }
    uri.host()
        .map(|host| host.trim_matches(['[', ']']).to_owned())
        .ok_or_else(|| bad("there is no host in it".into()))
}

fn is_this_machine(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests;

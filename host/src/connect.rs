//! From the `[store]` table to a connection. The only place that reads what is inside secret files.

use std::path::Path;
use std::sync::Arc;

use leasehold_lock::{Clock, ConnectError, ConnectOptions, Connector, Locks, Tls};

use crate::config::{Drift, Endpoint, Place, Store};

/// Why the store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreSetupError {
    /// A file named in `[store]` cannot be read.
    #[error("cannot read {file} (named in [store]): {source}")]
    File {
        /// The file.
        file: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The connection cannot be made.
    #[error(transparent)]
    Connect(#[from] ConnectError),
}

impl StoreSetupError {
    /// Whether trying again later may help: nobody answered, rather than somebody who said no.
    pub const fn may_pass(&self) -> bool {
        matches!(self, Self::Connect(ConnectError::Unreachable { .. }))
    }
}

fn read(path: &Path) -> Result<Vec<u8>, StoreSetupError> {
    std::fs::read(path).map_err(|source| StoreSetupError::File {
        file: path.display().to_string(),
        source,
    })
}

/// The options for a store that is not in this process. An embedded one is looked into through the
/// socket of the host that has it.
///
/// # Errors
///
/// [`StoreSetupError::File`] when a password or certificate cannot be read.
pub fn options(store: &Store) -> Result<ConnectOptions, StoreSetupError> {
    let remote = match store.place() {
        Place::Remote(remote) => remote,
        Place::Embedded(embedded) => {
            let socket = embedded
                .socket()
                .map(|path| Endpoint::Unix(path.to_owned()));
            let endpoint = socket.map(|socket| socket.to_string());
            return Ok(timed(ConnectOptions::new(endpoint), store));
        }
    };
    let endpoints = remote.endpoints().iter().map(ToString::to_string);
    let mut options =
        timed(ConnectOptions::new(endpoints), store).allow_plaintext(remote.allow_plaintext());
    if let Some(login) = remote.login() {
        let password = read(login.password_file())?;
        let password = String::from_utf8_lossy(&password);
        // Editors end files with a line end that is no part of the password.
        options = options.user(login.user(), password.trim_end_matches(['\r', '\n']));
    }
    if let Some(tls) = remote.tls() {
        let identity = match tls.identity() {
            Some((cert, key)) => Some((read(cert)?, read(key)?)),
            None => None,
        };
        options = options.tls(Tls {
            ca: Some(read(tls.ca())?),
            identity,
        });
    }
    Ok(options)
}

/// The options for a store in this process.
pub(crate) fn inside(store: &Store, connector: Arc<dyn Connector>) -> ConnectOptions {
    timed(ConnectOptions::in_process(connector), store)
}

fn timed(options: ConnectOptions, store: &Store) -> ConnectOptions {
    options
        .connect_timeout(store.connect_timeout())
        .request_timeout(store.request_timeout())
        .greet_key(store.root())
}

/// Connects once.
///
/// # Errors
///
/// [`StoreSetupError`]; see [`StoreSetupError::may_pass`].
pub async fn connect(
    options: ConnectOptions,
    drift: Drift,
    clock: Arc<dyn Clock>,
) -> Result<Locks, StoreSetupError> {
    let drift = f64::from(drift.ppm()) / 1_000_000.0;
    Ok(Locks::connect_with(options, clock, drift).await?)
}

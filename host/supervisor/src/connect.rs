//! From the `[store]` table to a connection.
//!
//! Secret files are named here and looked into by `leasehold-lock`, at each connection and each login.

use std::path::Path;
use std::sync::Arc;

use leasehold_lock::{
    Clock, ConnectError, ConnectOptions, Connector, Locks, Source, Tls, open_regular,
};

use leasehold_config::{Drift, Endpoint, Place, Store};

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

/// A file that can be read now, and is read anew whenever it is needed.
fn source(path: &Path) -> Result<Source, StoreSetupError> {
    open_regular(path).map_err(|source| StoreSetupError::File {
        file: path.display().to_string(),
        source,
    })?;
    Ok(Source::file(path))
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
        options = options.user_from(login.user(), source(login.password_file())?);
    }
    if let Some(tls) = remote.tls() {
        let identity = match tls.identity() {
            Some((cert, key)) => Some((source(cert)?, source(key)?)),
            None => None,
        };
        options = options.tls(Tls {
            ca: Some(source(tls.ca())?),
            identity,
        });
    }
    Ok(options)
}

/// The options for a store in this process.
pub fn inside(store: &Store, connector: Arc<dyn Connector>) -> ConnectOptions {
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

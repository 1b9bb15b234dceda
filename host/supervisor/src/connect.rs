//! Connecting to the store of a `[store]` table.
//!
//! Secret files are named here; `leasehold-lock` reads them, at each connection and each login.

use std::path::Path;
use std::sync::Arc;

use leasehold_lock::{
    Clock, ConnectError, ConnectOptions, Connector, CredentialSource, Locks, Tls, open_regular,
};

use leasehold_config::{Drift, Endpoint, Store, StorePlace};

/// Reason that the store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreSetupError {
    /// A file named in `[store]` cannot be read.
    #[error("cannot read {file} (named in [store]): {source}")]
    File {
        /// The file.
        file: String,
        /// The system's error.
        #[source]
        source: std::io::Error,
    },
    /// The connection cannot be made.
    #[error(transparent)]
    Connect(#[from] ConnectError),
}

impl StoreSetupError {
    /// Returns true if a later attempt may succeed: the store did not answer, rather than refuse.
    pub const fn may_pass(&self) -> bool {
        matches!(self, Self::Connect(ConnectError::Unreachable { .. }))
    }
}

/// Checks that a file can be read now; it is read anew at each use.
fn source(path: &Path) -> Result<CredentialSource, StoreSetupError> {
    open_regular(path).map_err(|source| StoreSetupError::File {
        file: path.display().to_string(),
        source,
    })?;
    Ok(CredentialSource::file(path))
}

/// Options for a store that is not in this process. An embedded one is read through the socket of
/// the host that has it.
///
/// # Errors
///
/// [`StoreSetupError::File`] when a password or certificate cannot be read.
pub fn options(store: &Store) -> Result<ConnectOptions, StoreSetupError> {
    let remote = match store.place() {
        StorePlace::Remote(remote) => remote,
        StorePlace::Embedded(embedded) => {
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

/// Options for a store in this process.
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

//! From the `[store]` table to a connection. The only place that reads what is inside secret files.

use std::path::Path;
use std::sync::Arc;

use leasehold_lock::{Clock, ConnectError, ConnectOptions, Locks, Tls};

use crate::config::{Drift, Store};

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

/// The options that the table stands for.
///
/// # Errors
///
/// [`StoreSetupError::File`] when a password or certificate cannot be read.
pub fn options(store: &Store) -> Result<ConnectOptions, StoreSetupError> {
    let endpoints = store.endpoints().iter().map(ToString::to_string);
    let mut options = ConnectOptions::new(endpoints)
        .allow_plaintext(store.allow_plaintext())
        .connect_timeout(store.connect_timeout())
        .request_timeout(store.request_timeout())
        .greet_key(store.root());
    if let Some(login) = store.login() {
        let password = read(login.password_file())?;
        let password = String::from_utf8_lossy(&password);
        // Editors end files with a line end that is no part of the password.
        options = options.user(login.user(), password.trim_end_matches(['\r', '\n']));
    }
    if let Some(tls) = store.tls() {
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

/// Connects once.
///
/// # Errors
///
/// [`StoreSetupError`]; see [`StoreSetupError::may_pass`].
pub async fn connect(
    store: &Store,
    drift: Drift,
    clock: Arc<dyn Clock>,
) -> Result<Locks, StoreSetupError> {
    let drift = f64::from(drift.ppm()) / 1_000_000.0;
    Ok(Locks::connect_with(options(store)?, clock, drift).await?)
}

//! [`CredentialSource`]: a fixed credential, or a file that holds it.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::regular_file;

/// Limit for reading one file. A directory on a network that hangs must not stop a reconnect.
const READ_PATIENCE: Duration = Duration::from_secs(1);

/// Source of a credential.
///
/// ```
/// # use leasehold_lock::CredentialSource;
/// let rotated = CredentialSource::file("/etc/leasehold/client.key");
/// let fixed = CredentialSource::value("hunter2");
/// assert_eq!(format!("{fixed:?}"), "CredentialSource::value(..)");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct CredentialSource(SourceKind);

#[derive(Clone, PartialEq, Eq)]
enum SourceKind {
    Value(Arc<[u8]>),
    File(PathBuf),
}

impl CredentialSource {
    /// Content that never changes.
    pub fn value(content: impl AsRef<[u8]>) -> Self {
        Self(SourceKind::Value(content.as_ref().into()))
    }

    /// A file, read anew each time the credential is needed.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self(SourceKind::File(path.into()))
    }

    pub(super) async fn read(&self) -> Result<Vec<u8>, CredentialError> {
        let path = match &self.0 {
            SourceKind::Value(content) => return Ok(content.to_vec()),
            SourceKind::File(path) => path,
        };
        let file = path.clone();
        let reading = tokio::task::spawn_blocking(move || regular_file::read(&file));
        let read = match tokio::time::timeout(READ_PATIENCE, reading).await {
            Ok(read) => read.unwrap_or_else(|error| Err(std::io::Error::other(error))),
            Err(_) => Err(std::io::ErrorKind::TimedOut.into()),
        };
        read.map_err(|source| CredentialError::Unreadable {
            file: path.display().to_string(),
            source,
        })
    }

    /// The file's name, or the role of a fixed value.
    pub(super) fn name(&self, role: &str) -> String {
        match &self.0 {
            SourceKind::Value(_) => format!("the {role}"),
            SourceKind::File(path) => path.display().to_string(),
        }
    }
}

impl fmt::Debug for CredentialSource {
    /// Leaves out a fixed value.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            SourceKind::Value(_) => f.write_str("CredentialSource::value(..)"),
            SourceKind::File(path) => write!(f, "CredentialSource::file({path:?})"),
        }
    }
}

/// Error of a credential that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// A file cannot be read.
    #[error("cannot read {file}: {source}")]
    Unreadable {
        /// The file.
        file: String,
        /// The system's error.
        #[source]
        source: std::io::Error,
    },
    /// The content is not a certificate or key that fits.
    #[error("{name} cannot be used: {reason}")]
    Unusable {
        /// The file, or the role of a fixed value.
        name: String,
        /// The reason, for a person.
        reason: String,
    },
}

impl CredentialSource {
    pub(super) fn unusable(&self, role: &str, reason: String) -> CredentialError {
        CredentialError::Unusable {
            name: self.name(role),
            reason,
        }
    }
}

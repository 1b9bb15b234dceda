//! Credentials that a service manager passes to the host: files in the directory that `CREDENTIALS_DIRECTORY` names.
//!
//! systemd decrypts them, and lets the service's user alone read the directory. The modes of the files show an access
//! list's mask instead, so they are not judged.

use std::path::{Path, PathBuf};

/// Variable that names the directory.
pub(crate) const VARIABLE: &str = "CREDENTIALS_DIRECTORY";

/// Directory of the credentials, if the service manager has set one.
fn directory() -> Option<PathBuf> {
    std::env::var_os(VARIABLE)
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
}

/// Path of a credential.
///
/// # Errors
///
/// No directory was passed, with the remedy.
pub(crate) fn path_of(name: &str) -> Result<PathBuf, String> {
    directory()
        .map(|directory| directory.join(name))
        .ok_or_else(|| {
            format!(
                "cannot be read, because {VARIABLE} is not set: start the host by systemd with \
             `LoadCredential={name}:/path` in its unit"
            )
        })
}

/// Returns true if the file is in the directory of credentials.
pub(crate) fn holds(path: &Path) -> bool {
    directory().is_some_and(|directory| path.parent() == Some(&directory))
}

/// Returns true if this can name a credential: one file in the directory.
pub(crate) fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\0']) && name.len() <= 255
}

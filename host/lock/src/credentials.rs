//! Certificates, keys and passwords, read anew for each connection and each login.
//!
//! Files are rotated while a client runs for months. A new connection uses the content of its files at that moment.
//! Content that cannot be read or used leaves the previous one in use, with a warning.
//!
//! This file never logs a password or a key, and never decides about endpoints.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::time::Instant;
use tokio_rustls::rustls::ClientConfig;

use crate::error::StoreError;

mod source;
mod tls;

pub use source::{CredentialError, CredentialSource};
pub use tls::Tls;
use tls::{LoadedTls, expiry_warning};

/// A user and the source of the password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LoginSource {
    pub(crate) user: String,
    pub(crate) password: CredentialSource,
}

/// The credentials of one client, shared by its connections.
#[derive(Debug, Default)]
pub(crate) struct StoreCredentials {
    tls: Option<Tls>,
    login: Option<LoginSource>,
    known: Mutex<KnownCredentials>,
}

/// Pause before passwords that the store refused are tried again.
const LOGIN_PAUSE: Duration = Duration::from_secs(3);

/// Credentials that worked before, and those that did not.
#[derive(Default)]
struct KnownCredentials {
    tls: Option<LoadedTls>,
    password: Option<String>,
    /// The last warning, so that a reconnect per second does not repeat it.
    warned: Option<String>,
    refused: Option<RefusedLogin>,
}

/// A login that the store refused.
struct RefusedLogin {
    at: Instant,
    passwords: Vec<String>,
    error: StoreError,
}

impl fmt::Debug for KnownCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Known(..)")
    }
}

impl StoreCredentials {
    pub(crate) fn new(tls: Option<Tls>, login: Option<LoginSource>) -> Self {
        Self {
            tls,
            login,
            known: Mutex::default(),
        }
    }

    fn known(&self) -> MutexGuard<'_, KnownCredentials> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Warns, unless the last warning had the same words.
    fn warn(&self, words: String) {
        let mut known = self.known();
        if known.warned.as_ref() != Some(&words) {
            tracing::warn!("{words}");
            known.warned = Some(words);
        }
    }

    /// The TLS configuration for a new connection.
    pub(crate) async fn tls_config(&self) -> Result<Arc<ClientConfig>, CredentialError> {
        match self.load().await {
            Ok(loaded) => Ok(loaded.config),
            Err(error) => {
                let previous = self.known().tls.as_ref().map(|tls| tls.config.clone());
                let Some(previous) = previous else {
                    return Err(error);
                };
                self.warn(format!(
                    "{error}; the store is connected to with the previous certificates: replace the \
                     file, the next connection reads it again"
                ));
                Ok(previous)
            }
        }
    }

    /// Reads the TLS files, and builds a configuration of them if they differ from those in use.
    async fn load(&self) -> Result<LoadedTls, CredentialError> {
        let tls = self.tls.clone().unwrap_or_default();
        let texts = tls.read().await?;
        if let Some(same) = self.known().tls.clone().filter(|tls| tls.texts == texts) {
            return Ok(same);
        }
        let loaded = tls.build(texts)?;
        self.known().tls = Some(loaded.clone());
        if let (Some((certificate, _)), Some(until)) = (&tls.identity, loaded.until) {
            let until = humantime::format_rfc3339_seconds(until);
            let certificate = certificate.name("client certificate");
            tracing::info!(%certificate, %until, "client certificate loaded");
        }
        self.warn_of_expiry();
        Ok(loaded)
    }

    /// The end of the client certificate that was loaded last.
    pub(crate) fn certificate_until(&self) -> Option<SystemTime> {
        self.known().tls.as_ref().and_then(|tls| tls.until)
    }

    /// True with a client certificate, whose end has to be watched.
    pub(crate) fn has_certificate(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.identity.is_some())
    }

    /// Reads the files again and warns when the certificate in them ends soon.
    pub(crate) async fn review(&self) {
        if self.tls_config().await.is_ok() {
            self.known().warned = None;
            self.warn_of_expiry();
        }
    }

    fn warn_of_expiry(&self) {
        let Some(until) = self.certificate_until() else {
            return;
        };
        let identity = self.tls.as_ref().and_then(|tls| tls.identity.as_ref());
        let name = identity.map_or_else(String::new, |(certificate, _)| {
            certificate.name("client certificate")
        });
        if let Some(words) = expiry_warning(&name, until, SystemTime::now()) {
            self.warn(words);
        }
    }

    /// The user and the passwords to try, in order: the source's, then the one that worked last.
    ///
    /// Operators write a new password to the file before or after they change it in the store. Between the two, the
    /// previous one is right.
    pub(crate) async fn passwords(&self) -> Result<Option<(&str, Vec<String>)>, CredentialError> {
        let Some(login) = &self.login else {
            return Ok(None);
        };
        let previous = self.known().password.clone();
        let current = match login.password.read().await {
            Ok(content) => {
                let text = String::from_utf8_lossy(&content);
                // Editors end files with a line end, which is not part of the password.
                Some(text.trim_end_matches(['\r', '\n']).to_owned())
            }
            Err(error) if previous.is_none() => return Err(error),
            Err(error) => {
                self.warn(format!("{error}; the previous password is used"));
                None
            }
        };
        let previous = previous.filter(|previous| current.as_ref() != Some(previous));
        let passwords = current.into_iter().chain(previous).collect();
        Ok(Some((&login.user, passwords)))
    }

    pub(crate) fn password_worked(&self, password: String) {
        let mut known = self.known();
        known.password = Some(password);
        known.refused = None;
    }

    /// The store refused these passwords. They are not tried again for a while: a login costs the store much more
    /// than a request, and every request of every client would make one.
    pub(crate) fn login_refused(&self, passwords: &[String], error: &StoreError) {
        let user = self.login.as_ref().map_or("", |login| &login.user);
        self.warn(format!(
            "the store refuses the password of user {user}: {error}; correct its file or the user in the store"
        ));
        self.known().refused = Some(RefusedLogin {
            at: Instant::now(),
            passwords: passwords.to_vec(),
            error: error.clone(),
        });
    }

    /// The refusal of these passwords, if it is recent.
    pub(crate) fn recent_refusal(&self, passwords: &[String]) -> Option<StoreError> {
        let known = self.known();
        let refused = known.refused.as_ref()?;
        let is_same = refused.passwords == passwords && refused.at.elapsed() < LOGIN_PAUSE;
        is_same.then(|| refused.error.clone())
    }
}

#[cfg(test)]
mod tests;

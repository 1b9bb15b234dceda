//! Certificates, keys and passwords, read anew for each connection and each login.
//!
//! Files are rotated while a client runs for months. A new connection uses what its files hold at that
//! moment; one that cannot be read or used leaves the previous one in force, with a warning.
//!
//! This file must never log a password or a key, nor decide where to connect.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::error::StoreError;
use crate::regular_file;

/// How long reading one file may take. A directory on a network that hangs must not stop a reconnect.
const READ_PATIENCE: Duration = Duration::from_secs(1);
/// A certificate with less time left than this is warned about.
const WARN_BEFORE: Duration = Duration::from_hours(7 * 24);

/// Where a credential comes from.
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

    async fn read(&self) -> Result<Vec<u8>, CredentialError> {
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
    fn name(&self, role: &str) -> String {
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

/// Sources of PEM texts for TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// Certificates that the server's must chain to. The system's are not used.
    pub ca: Option<CredentialSource>,
    /// Our certificate and its key, when the server asks for one.
    pub identity: Option<(CredentialSource, CredentialSource)>,
}

/// A user and the source of the password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LoginSource {
    pub(crate) user: String,
    pub(crate) password: CredentialSource,
}

/// Why a credential cannot be used.
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

/// A TLS configuration and the texts that it was made of.
#[derive(Clone)]
struct LoadedTls {
    texts: PemTexts,
    config: Arc<ClientConfig>,
    until: Option<SystemTime>,
}

#[derive(Clone, PartialEq, Eq)]
struct PemTexts {
    ca: Option<Vec<u8>>,
    identity: Option<(Vec<u8>, Vec<u8>)>,
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

    /// Reads the TLS files, and makes a configuration of them if they differ from what is in use.
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
    /// A new password is written to the file before or after the store learns it. Between the two, the
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

impl Tls {
    async fn read(&self) -> Result<PemTexts, CredentialError> {
        let ca = match &self.ca {
            Some(ca) => Some(ca.read().await?),
            None => None,
        };
        let identity = match &self.identity {
            Some((certificate, key)) => Some((certificate.read().await?, key.read().await?)),
            None => None,
        };
        Ok(PemTexts { ca, identity })
    }

    fn build(&self, texts: PemTexts) -> Result<LoadedTls, CredentialError> {
        let mut roots = RootCertStore::empty();
        if let (Some(source), Some(text)) = (&self.ca, &texts.ca) {
            let unusable = |reason| source.unusable("certificate authority", reason);
            for certificate in certificates(text).map_err(unusable)? {
                roots
                    .add(certificate)
                    .map_err(|error| unusable(error.to_string()))?;
            }
        }
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| CredentialError::Unusable {
                name: "TLS".into(),
                reason: error.to_string(),
            })?
            .with_root_certificates(roots);
        let (mut config, until) = match (&self.identity, &texts.identity) {
            (Some((certificate, key)), Some((certificate_text, key_text))) => {
                let chain = certificates(certificate_text)
                    .map_err(|reason| certificate.unusable("client certificate", reason))?;
                let until = chain.first().and_then(ends_at);
                let private = PrivateKeyDer::from_pem_slice(key_text)
                    .map_err(|_| key.unusable("key", "it has no private key in PEM form".into()))?;
                let config = builder
                    .with_client_auth_cert(chain, private)
                    .map_err(|error| key.unusable("key", error.to_string()))?;
                (config, until)
            }
            _ => (builder.with_no_client_auth(), None),
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(LoadedTls {
            texts,
            config: Arc::new(config),
            until,
        })
    }
}

impl CredentialSource {
    fn unusable(&self, role: &str, reason: String) -> CredentialError {
        CredentialError::Unusable {
            name: self.name(role),
            reason,
        }
    }
}

/// The certificates of a PEM text, at least one.
fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let parsed: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match parsed {
        Ok(certificates) if certificates.is_empty() => {
            Err("it has no certificate in PEM form".into())
        }
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(format!("it is not in PEM form ({error})")),
    }
}

/// The moment from which on a certificate is not valid any more.
fn ends_at(certificate: &CertificateDer<'_>) -> Option<SystemTime> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let seconds = u64::try_from(parsed.validity().not_after.timestamp()).ok()?;
    Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
}

/// The warning that a certificate deserves at `now`, if any.
fn expiry_warning(name: &str, until: SystemTime, now: SystemTime) -> Option<String> {
    let at = humantime::format_rfc3339_seconds(until);
    let replace = "replace certificate and key, the next connection reads them";
    match until.duration_since(now) {
        Err(_) => Some(format!("{name} ended at {at}: {replace}")),
        Ok(left) if left < WARN_BEFORE => {
            let hours = left.as_secs() / 3600;
            Some(format!(
                "{name} ends at {at}, in {} d {} h: {replace}",
                hours / 24,
                hours % 24
            ))
        }
        Ok(_) => None,
    }
}

#[cfg(test)]
mod tests;

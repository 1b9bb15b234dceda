//! [`Tls`]: certificates and keys, and the configuration built of them.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::credentials::source::{CredentialError, CredentialSource};

/// A certificate with less time left than this is warned about.
const WARN_BEFORE: Duration = Duration::from_hours(7 * 24);

/// Sources of PEM texts for TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// Certificates that the server's must chain to. The system's are not used.
    pub ca: Option<CredentialSource>,
    /// Our certificate and its key, for a server that requires one.
    pub identity: Option<(CredentialSource, CredentialSource)>,
}

/// A TLS configuration and the texts that it was made of.
#[derive(Clone)]
pub(super) struct LoadedTls {
    pub(super) texts: PemTexts,
    pub(super) config: Arc<ClientConfig>,
    pub(super) until: Option<SystemTime>,
}

#[derive(Clone, PartialEq, Eq)]
pub(super) struct PemTexts {
    ca: Option<Vec<u8>>,
    identity: Option<(Vec<u8>, Vec<u8>)>,
}

impl Tls {
    pub(super) async fn read(&self) -> Result<PemTexts, CredentialError> {
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

    pub(super) fn build(&self, texts: PemTexts) -> Result<LoadedTls, CredentialError> {
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
pub(super) fn expiry_warning(name: &str, until: SystemTime, now: SystemTime) -> Option<String> {
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

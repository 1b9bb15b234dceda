//! TLS of requests that carry messages or traces: the machine's certificates or those of a file, by rustls and ring.

use std::path::Path;
use std::sync::Arc;

use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// Reads the certificates of this file, or those that the machine trusts. It blocks while they are read.
pub(crate) fn read_roots(ca: Option<&Path>) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    if let Some(ca) = ca {
        let name = ca.display();
        let certificates = CertificateDer::pem_file_iter(ca)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|error| format!("certificate file {name} cannot be read: {error}"))?;
        roots.add_parsable_certificates(certificates);
        return if roots.is_empty() {
            Err(format!("certificate file {name} has no certificate"))
        } else {
            Ok(roots)
        };
    }
    // A certificate that cannot be read is not trusted.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err(
            "this machine trusts no certificate: install its package ca-certificates".to_owned(),
        );
    }
    Ok(roots)
}

/// Makes a connector that trusts the certificates of this file, or those of the machine. It blocks while they are read.
pub(crate) fn connector(ca: Option<&Path>) -> Result<TlsConnector, String> {
    let roots = read_roots(ca)?;
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS cannot be set up: {error}"))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

//! Certificates that encrypted requests trust: the system's and the job's own.
//!
//! TLS 1.2 and 1.3 by rustls and ring, without client certificates. The check of certificates cannot be
//! turned off.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use std::io::Read as _;

use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use leasehold_config::limits::MIB;
use leasehold_config::owned::open as open_regular;

/// Largest size of a file with certificates.
const LARGEST_FILE: u64 = MIB;

/// Makes the settings of a TLS client that trusts the system's certificates and those in `ca`.
///
/// It blocks while the system's certificates are read, once per process.
pub(super) fn client(ca: Option<&Path>) -> Result<Arc<ClientConfig>, String> {
    let mut roots = system().clone();
    if let Some(path) = ca {
        add_file(&mut roots, path)?;
    }
    if roots.is_empty() {
        return Err(
            "its encrypted requests trust no certificate: install the system's (package ca-certificates), \
             or name a file with `http_ca` in the job's `allow`"
                .to_owned(),
        );
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS cannot be set up: {error}"))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

fn system() -> &'static RootCertStore {
    static SYSTEM: OnceLock<RootCertStore> = OnceLock::new();
    SYSTEM.get_or_init(|| {
        let mut roots = RootCertStore::empty();
        // A certificate that cannot be read is not trusted.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        roots
    })
}

fn add_file(roots: &mut RootCertStore, path: &Path) -> Result<(), String> {
    let name = path.display();
    let file = open_regular(path).map_err(|refusal| {
        let (what, help) = refusal.explain();
        format!("certificate file {name} {what}: {help}")
    })?;
    let mut pem = Vec::new();
    file.take(LARGEST_FILE)
        .read_to_end(&mut pem)
        .map_err(|error| format!("certificate file {name} cannot be read: {error}"))?;
    let wrong = |what: &str| {
        format!("certificate file {name} {what}: write certificates in PEM form into it")
    };
    let mut count = 0;
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|_| wrong("is not a PEM file"))?;
        roots
            .add(certificate)
            .map_err(|_| wrong("holds something that is not a certificate"))?;
        count += 1;
    }
    if count == 0 {
        return Err(wrong("holds no certificate"));
    }
    Ok(())
}

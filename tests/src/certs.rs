//! Certificates for mutual TLS: an authority, a server, clients it signed and one it did not.
//!
//! Made anew for every test and valid for loopback only. Keys are readable by their owner alone.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use tempfile::TempDir;

/// A day: longer than any test, short enough that a leaked key is worthless.
const VALID: Duration = Duration::from_hours(24);

/// Tolerated difference between two clocks that should be one.
const BACKDATED: Duration = Duration::from_mins(1);

/// Files of one side of a TLS connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The authority that the other side must be signed by.
    pub ca: PathBuf,
    /// Our certificate.
    pub cert: PathBuf,
    /// Our private key.
    pub key: PathBuf,
}

/// An authority and its certificates; the files exist as long as the last clone.
#[derive(Debug, Clone)]
pub struct Certs {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    dir: TempDir,
    right: Authority,
    wrong: Authority,
}

#[derive(Debug)]
struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Certs {
    /// Creates the authorities and certificates.
    ///
    /// # Errors
    /// A key could not be made or a file not written.
    pub fn make() -> Result<Self> {
        let dir = tempfile::Builder::new()
            .prefix("leasehold-certs-")
            .tempdir()
            .context("making a directory for certificates")?;
        let shared = Shared {
            dir,
            right: Authority::make("right")?,
            wrong: Authority::make("wrong")?,
        };
        let dir = shared.dir.path();
        shared.right.write_and_sign(dir)?;
        // Trusts the right server, yet is signed by an authority that the server does not know.
        shared.wrong.sign(dir, "stranger", VALID)?;
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// Replaces the authority and the certificates of server and client, in the same files, as a rotation does.
    /// The new authority trusts no earlier certificate.
    ///
    /// # Errors
    /// A key could not be made or a file not written.
    pub fn rotate(&self) -> Result<()> {
        Authority::make("next")?.write_and_sign(self.shared.dir.path())
    }

    /// For the server.
    pub fn server(&self) -> TlsFiles {
        self.files("server")
    }

    /// For a client that the server trusts.
    pub fn client(&self) -> TlsFiles {
        self.files("client")
    }

    /// For a client that trusts the server and is signed by an unknown authority.
    pub fn stranger(&self) -> TlsFiles {
        self.files("stranger")
    }

    /// For a client whose certificate is good for a while only. `name` keeps several apart.
    ///
    /// # Errors
    /// A key could not be made or a file not written.
    pub fn client_valid_for(&self, name: &str, valid: Duration) -> Result<TlsFiles> {
        self.shared
            .right
            .sign(self.shared.dir.path(), name, valid)?;
        Ok(self.files(name))
    }

    fn files(&self, name: &str) -> TlsFiles {
        let dir = self.shared.dir.path();
        TlsFiles {
            ca: dir.join("ca.crt"),
            cert: dir.join(format!("{name}.crt")),
            key: dir.join(format!("{name}.key")),
        }
    }
}

impl Authority {
    fn make(name: &str) -> Result<Self> {
        let mut params = params(&format!("leasehold test authority {name}"), VALID);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().context("making an authority's key")?;
        let pem = params
            .self_signed(&key)
            .context("making an authority")?
            .pem();
        Ok(Self {
            pem,
            issuer: Issuer::new(params, key),
        })
    }

    fn write_and_sign(&self, dir: &Path) -> Result<()> {
        write(&dir.join("ca.crt"), &self.pem)?;
        self.sign(dir, "server", VALID)?;
        self.sign(dir, "client", VALID)
    }

    fn sign(&self, dir: &Path, name: &str, valid: Duration) -> Result<()> {
        let mut params = params(&format!("leasehold test {name}"), valid);
        params.subject_alt_names = vec![SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST))];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        // etcd calls itself with its server certificate, so that one must do for a client too.
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        let key = KeyPair::generate().with_context(|| format!("making a key for {name}"))?;
        let cert = params
            .signed_by(&key, &self.issuer)
            .with_context(|| format!("signing {name}"))?;
        write(&dir.join(format!("{name}.crt")), &cert.pem())?;
        write(&dir.join(format!("{name}.key")), &key.serialize_pem())
    }
}

fn params(common_name: &str, valid: Duration) -> CertificateParams {
    let mut params = CertificateParams::default();
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    let now = SystemTime::now();
    params.not_before = (now - BACKDATED).into();
    params.not_after = (now + valid).into();
    params
}

/// Writes a file that only its owner can read.
pub(crate) fn write(path: &Path, text: &str) -> Result<()> {
    let mut options = std::fs::OpenOptions::new();
    let file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .with_context(|| format!("writing {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn keys_are_private_and_the_stranger_trusts_the_same_authority() {
        let certs = Certs::make().unwrap();
        for files in [certs.server(), certs.client(), certs.stranger()] {
            assert_eq!(files.ca, certs.server().ca);
            let mode = std::fs::metadata(&files.key).unwrap().permissions().mode();
            assert_eq!(mode & 0o077, 0, "{}", files.key.display());
        }
        assert_ne!(
            std::fs::read(certs.client().cert).unwrap(),
            std::fs::read(certs.stranger().cert).unwrap()
        );
    }

    #[test]
    fn files_live_as_long_as_the_last_clone() {
        let certs = Certs::make().unwrap();
        let clone = certs.clone();
        let path = certs.server().key;
        drop(certs);
        assert!(path.exists());
        drop(clone);
        assert!(!path.exists());
    }
}

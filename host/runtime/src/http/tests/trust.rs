//! Encrypted requests: the certificates that they trust.

use std::fs;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use super::*;

/// Starts a server for `localhost` with a self-signed certificate; returns its address and the certificate as PEM.
async fn encrypted() -> (SocketAddr, String) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else {
                continue;
            };
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n")
                && stream.read_buf(&mut head).await.is_ok_and(|n| n > 0)
            {}
            let _ = stream.write_all(ok("safe").as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    });
    (address, made.cert.pem())
}

fn to(address: SocketAddr) -> (Allow, String) {
    let origin = format!("https://localhost:{}", address.port());
    (networks(allow(&[&origin]), &["127.0.0.1"]), origin)
}

#[tokio::test]
async fn a_certificate_of_the_jobs_own_authority_is_trusted() {
    let (address, pem) = encrypted().await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ca.pem");
    fs::write(&file, pem).unwrap();
    let (allow, origin) = to(address);
    let allow = Allow {
        http_ca: Some(file),
        ..allow
    };
    let mut rig = Rig::new(&allow, &Names::saying(&[&["127.0.0.1"]]));
    let (_, body) = read(rig.get(&origin).await.unwrap()).await.unwrap();
    assert_eq!(&body[..], b"safe");
}

#[tokio::test]
async fn foreign_certificate_is_refused_with_a_remedy() {
    let (address, _) = encrypted().await;
    let (_, other) = encrypted().await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ca.pem");
    fs::write(&file, other).unwrap();
    let (allow, origin) = to(address);
    let allow = Allow {
        http_ca: Some(file),
        ..allow
    };
    let names = Names::saying(&[&["127.0.0.1"]]);
    for (mut rig, place) in [
        (Rig::new(&allow, &names), "[jobs.demo.allow]"),
        (Rig::dropped(&allow, &names), "[plugins.allow]"),
    ] {
        let refused = rig.get(&origin).await.map(|_| ());
        assert!(
            matches!(refused, Err(Error::TlsCertificateError)),
            "{refused:?}"
        );
        let told = rig.told().join("\n");
        assert!(told.contains(&format!("`http_ca` in {place}")), "{told}");
    }
}

#[tokio::test]
async fn plain_server_gets_nothing_of_an_encrypted_request() {
    let (_, pem) = encrypted().await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ca.pem");
    fs::write(&file, pem).unwrap();
    let server = Server::answering(ok("plain")).await;
    let (allow, origin) = to(server.address);
    let allow = Allow {
        http_ca: Some(file),
        ..allow
    };
    let limits = Limits {
        http_timeout: Duration::from_millis(200),
        ..Limits::default()
    };
    let names = Names::saying(&[&["127.0.0.1"]]);
    let mut rig = Rig::with(&allow, &names, limits, Duration::from_mins(1));
    assert!(rig.get(&origin).await.is_err());
    assert!(server.heads().is_empty());
}

#[tokio::test]
async fn file_without_certificates_is_refused_at_load() {
    let dir = tempfile::tempdir().unwrap();
    let resolver: Arc<dyn Resolve> = Names::saying(&[]);
    let refusal = |path: std::path::PathBuf| {
        let allow = Allow {
            http_ca: Some(path),
            ..allow(&["https://x.example"])
        };
        HttpDestinations::of(&allow, &resolver)
            .map(|_| ())
            .unwrap_err()
    };
    let empty = dir.path().join("empty.pem");
    fs::write(&empty, "").unwrap();
    assert!(refusal(empty).contains("holds no certificate"));
    assert!(refusal(dir.path().join("absent")).contains("does not exist"));
    assert!(refusal(dir.path().to_owned()).contains("is a directory"));
}

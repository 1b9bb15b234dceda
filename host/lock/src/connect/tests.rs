//! Refusals before a byte is sent, and texts of failures.

use super::*;
use crate::connector::StoreService;
use crate::link::StoreLink;

fn check(endpoint: &str) -> Result<(), ConnectError> {
    ConnectOptions::new([endpoint]).check()
}

#[test]
fn plaintext_is_for_this_machine_only_unless_allowed() {
    for local in ["http://127.0.0.1:1", "localhost:2379", "http://[::1]:2379"] {
        assert!(check(local).is_ok(), "{local}");
    }
    for remote in [
        "http://10.0.0.7:2379",
        "etcd.example:2379",
        "http://[::2]:1",
    ] {
        assert!(
            matches!(check(remote), Err(ConnectError::PlaintextRefused { .. })),
            "{remote}"
        );
        let allowed = ConnectOptions::new([remote]).allow_plaintext(true);
        assert!(allowed.check().is_ok(), "{remote}");
    }
    assert!(check("https://etcd.example:2379").is_ok());
}

#[test]
fn endpoint_that_is_not_an_address_is_named() {
    for bad in ["ftp://x:1", "http://", "not an address"] {
        assert!(
            matches!(check(bad), Err(ConnectError::BadEndpoint { .. })),
            "{bad}"
        );
    }
}

#[test]
fn socket_is_local_and_must_be_the_only_endpoint() {
    assert!(check("unix:///run/leasehold/store.sock").is_ok());
    let refused = |options: ConnectOptions| options.check().unwrap_err().to_string();
    let mixed = ConnectOptions::new(["unix:///a.sock", "http://127.0.0.1:2379"]);
    assert_eq!(
        refused(mixed),
        "endpoint \"unix:///a.sock\" is not an address: a socket must be the only endpoint"
    );
    assert_eq!(
        refused(ConnectOptions::new(["unix://a.sock"])),
        "endpoint \"unix://a.sock\" is not an address: a socket is written unix:///path, with three slashes"
    );
    let secured = ConnectOptions::new(["unix:///a.sock"]).tls(Tls::default());
    assert_eq!(
        refused(secured),
        "cannot set up the connection to the store: TLS is set, and unix:///a.sock is reached without a network"
    );
}

#[tokio::test]
async fn socket_without_a_listener_is_named() {
    let options = ConnectOptions::new(["unix:///nowhere/leasehold.sock"]);
    let refused = StoreLink::open(&options, &Arc::default(), &Arc::default())
        .await
        .err();
    let Some(ConnectError::Unreachable { endpoints, reason }) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(endpoints, "unix:///nowhere/leasehold.sock");
    assert!(!reason.is_empty());
}

/// A store in this process that is closed.
struct Closed;

impl Connector for Closed {
    fn service(&self) -> StoreService {
        StoreService::new(tower::service_fn(async |_| Err("closed".into())))
    }

    fn describe(&self) -> String {
        "the embedded store".into()
    }
}

#[tokio::test]
async fn a_store_in_this_process_is_called_by_its_name() {
    let options = ConnectOptions::in_process(Arc::new(Closed));
    assert!(options.check().is_ok());
    assert_eq!(options.endpoints(), ["the embedded store"]);
    let error = StoreLink::open(&options, &Arc::default(), &Arc::default())
        .await
        .err();
    assert!(
        matches!(&error, Some(ConnectError::Unreachable { endpoints, reason })
            if endpoints == "the embedded store" && reason.contains("closed")),
        "{error:?}"
    );
    let secured = options.tls(Tls::default());
    assert!(matches!(secured.check(), Err(ConnectError::Setup(_))));
}

#[test]
fn debug_shows_no_secret() {
    let options = ConnectOptions::new(["localhost:1"])
        .user("runner", "hunter2")
        .tls(Tls {
            ca: None,
            identity: Some((
                CredentialSource::value("cert"),
                CredentialSource::value("privatekey"),
            )),
        });
    let text = format!("{options:?}");
    assert!(!text.contains("hunter2") && !text.contains("privatekey"));
}

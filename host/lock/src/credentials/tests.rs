//! Rotation on disk: the next use has the new content, and the previous one where that cannot be used.

use std::path::{Path, PathBuf};

use super::*;

struct Files {
    dir: tempfile::TempDir,
}

impl Files {
    fn new() -> Self {
        let files = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        files.sign();
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Replaces certificate and key.
    fn sign(&self) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(self.path("cert"), made.cert.pem()).unwrap();
        std::fs::write(self.path("key"), made.signing_key.serialize_pem()).unwrap();
    }

    fn credentials(&self) -> StoreCredentials {
        let file = |name: &str| CredentialSource::file(self.path(name));
        let tls = Tls {
            ca: Some(file("cert")),
            identity: Some((file("cert"), file("key"))),
        };
        let login = LoginSource {
            user: "runner".into(),
            password: file("password"),
        };
        StoreCredentials::new(Some(tls), Some(login))
    }
}

async fn passwords(credentials: &StoreCredentials) -> Vec<String> {
    credentials.passwords().await.unwrap().unwrap().1
}

#[tokio::test]
async fn tls_files_are_read_at_each_connection() {
    let files = Files::new();
    let credentials = files.credentials();
    let first = credentials.tls_config().await.unwrap();
    let same = credentials.tls_config().await.unwrap();
    assert!(Arc::ptr_eq(&first, &same), "nothing has changed");
    assert!(credentials.certificate_until().unwrap() > SystemTime::now());
    files.sign();
    let next = credentials.tls_config().await.unwrap();
    assert!(!Arc::ptr_eq(&first, &next), "the files have changed");
}

#[tokio::test]
async fn tls_files_that_cannot_be_used_leave_the_previous_ones() {
    let files = Files::new();
    let credentials = files.credentials();
    let first = credentials.tls_config().await.unwrap();
    let old_key = std::fs::read(files.path("key")).unwrap();
    for broken in ["half of a k", ""] {
        std::fs::write(files.path("key"), broken).unwrap();
        let kept = credentials.tls_config().await.unwrap();
        assert!(Arc::ptr_eq(&first, &kept));
    }
    std::fs::remove_file(files.path("key")).unwrap();
    assert!(Arc::ptr_eq(
        &first,
        &credentials.tls_config().await.unwrap()
    ));
    // A certificate that was replaced before its key.
    files.sign();
    std::fs::write(files.path("key"), old_key).unwrap();
    assert!(Arc::ptr_eq(
        &first,
        &credentials.tls_config().await.unwrap()
    ));
    files.sign();
    let next = credentials.tls_config().await.unwrap();
    assert!(!Arc::ptr_eq(&first, &next));
}

#[tokio::test]
async fn first_use_names_the_file_that_cannot_be_used() {
    let files = Files::new();
    let key = files.path("key");
    let name = |key: &Path| key.display().to_string();
    std::fs::write(&key, "not a key").unwrap();
    let error = files.credentials().tls_config().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "{} cannot be used: it has no private key in PEM form",
            name(&key)
        )
    );
    std::fs::remove_file(&key).unwrap();
    let error = files.credentials().tls_config().await.unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with(&format!("cannot read {}", name(&key))),
        "{error}"
    );
}

/// Fails when only the password of the start is known, or only that of the file: between the change in the
/// file and that in the store, in either order, the other one is right.
#[tokio::test]
async fn password_of_the_file_comes_first_and_the_last_good_one_next() {
    let files = Files::new();
    let credentials = files.credentials();
    assert!(credentials.passwords().await.is_err());
    std::fs::write(files.path("password"), "one\n").unwrap();
    assert_eq!(passwords(&credentials).await, ["one"]);
    credentials.password_worked("one".into());
    assert_eq!(passwords(&credentials).await, ["one"]);
    std::fs::write(files.path("password"), "two\r\n").unwrap();
    assert_eq!(passwords(&credentials).await, ["two", "one"]);
    credentials.password_worked("two".into());
    assert_eq!(passwords(&credentials).await, ["two"]);
    std::fs::remove_file(files.path("password")).unwrap();
    assert_eq!(passwords(&credentials).await, ["two"]);
}

/// Fails when every request of every client logs in with a password that was refused a moment ago.
#[tokio::test]
async fn refused_password_is_not_tried_again_at_once_and_another_is() {
    let files = Files::new();
    std::fs::write(files.path("password"), "one").unwrap();
    let credentials = files.credentials();
    let one = passwords(&credentials).await;
    assert!(credentials.recent_refusal(&one).is_none());
    let refusal = StoreError::Unknown("invalid user ID or password".into());
    credentials.login_refused(&one, &refusal);
    assert!(credentials.recent_refusal(&one).is_some());
    std::fs::write(files.path("password"), "two").unwrap();
    let two = passwords(&credentials).await;
    assert!(credentials.recent_refusal(&two).is_none());
    credentials.password_worked("two".into());
    assert!(credentials.recent_refusal(&one).is_none());
}

#[test]
fn certificate_is_warned_about_in_its_last_week() {
    let until = SystemTime::UNIX_EPOCH + Duration::from_hours(1000 * 24);
    let hours = |hours| until - Duration::from_hours(hours);
    assert_eq!(expiry_warning("c.pem", until, hours(7 * 24)), None);
    assert_eq!(
        expiry_warning("c.pem", until, hours(6 * 24 + 5)).unwrap(),
        "c.pem ends at 1972-09-27T00:00:00Z, in 6 d 5 h: replace certificate and key, the next connection \
         reads them"
    );
    let after = until + Duration::from_secs(1);
    assert!(
        expiry_warning("c.pem", until, after)
            .unwrap()
            .starts_with("c.pem ended at 1972-09-27")
    );
}

#[test]
fn debug_shows_no_fixed_value() {
    let tls = Tls {
        ca: None,
        identity: Some((
            CredentialSource::value("cert"),
            CredentialSource::file("/run/key"),
        )),
    };
    assert_eq!(
        format!("{tls:?}"),
        r#"Tls { ca: None, identity: Some((CredentialSource::value(..), CredentialSource::file("/run/key"))) }"#
    );
}

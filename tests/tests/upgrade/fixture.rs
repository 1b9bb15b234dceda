//! Fixtures: files and records of one version.

use std::fs::{self, DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use leasehold_tests::base64;
use serde_json::Value;

/// Files and records of one version.
pub(crate) struct VersionFixture {
    pub(crate) version: String,
    pub(crate) dir: PathBuf,
    /// The revision at which the keys were read.
    pub(crate) revision: i64,
    pub(crate) keys: Vec<StoredKey>,
}

/// A key of its store.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct StoredKey {
    pub(crate) key: String,
    pub(crate) value: Vec<u8>,
    pub(crate) create_revision: i64,
    pub(crate) mod_revision: i64,
}

/// Returns the fixtures of all versions, this one among them.
pub(crate) fn all() -> Result<Vec<VersionFixture>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let mut found = Vec::new();
    for entry in fs::read_dir(&root)? {
        let dir = entry?.path();
        if dir.join("keys.json").exists() {
            found.push(read(dir)?);
        }
    }
    let ours = env!("CARGO_PKG_VERSION");
    ensure!(
        found.iter().any(|fixture| fixture.version == ours),
        "version {ours} has no fixtures: run scripts/fixtures and commit tests/fixtures/{ours}"
    );
    Ok(found)
}

fn read(dir: PathBuf) -> Result<VersionFixture> {
    let json: Value = serde_json::from_slice(&fs::read(dir.join("keys.json"))?)?;
    let version = dir.file_name().context("a directory has a name")?;
    let keys = json["kvs"].as_array().context("there are keys")?;
    Ok(VersionFixture {
        version: version.to_string_lossy().into_owned(),
        revision: number(&json["header"]["revision"])?,
        keys: keys.iter().map(stored_key).collect::<Result<_>>()?,
        dir,
    })
}

fn stored_key(kv: &Value) -> Result<StoredKey> {
    let bytes =
        |name: &str| base64::decode(kv[name].as_str().unwrap_or_default()).context("not base64");
    Ok(StoredKey {
        key: String::from_utf8(bytes("key")?)?,
        value: bytes("value")?,
        create_revision: number(&kv["create_revision"])?,
        mod_revision: number(&kv["mod_revision"])?,
    })
}

fn number(value: &Value) -> Result<i64> {
    value.as_i64().context("a number is missing")
}

/// Copies a directory of the fixture to a place where a program may write to it. Only its owner can read the copy, as
/// the program demands.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let place = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &place)?;
        } else {
            fs::copy(entry.path(), &place)?;
            fs::set_permissions(&place, Permissions::from_mode(0o600))?;
        }
    }
    Ok(())
}

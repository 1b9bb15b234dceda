//! An installed host: where its configuration is found, the schema of it, and the unit under which systemd runs it.

mod credentials;
mod found;
mod schema;
mod service;
mod unit;

use std::path::{Path, PathBuf};
use std::time::Duration;

/// For things that will happen.
const SLACK: Duration = Duration::from_secs(30);

/// A file of the repository.
fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

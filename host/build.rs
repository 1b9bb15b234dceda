//! Facts about the build for `leasehold --version --verbose`.
//!
//! Runs again only when a commit is made or checked out, so that an unchanged tree stays built. Two builds of one commit
//! get the same facts. A build outside of a repository may be given its commit in `LEASEHOLD_COMMIT`.

use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-env-changed=LEASEHOLD_COMMIT");
    println!("cargo::rerun-if-changed=build.rs");
    let target = std::env::var("TARGET").unwrap_or_default();
    println!("cargo::rustc-env=LEASEHOLD_BUILD_TARGET={target}");
    let given = std::env::var("LEASEHOLD_COMMIT").ok();
    let Some(commit) = given.filter(|commit| !commit.is_empty()).or_else(commit) else {
        return;
    };
    println!("cargo::rustc-env=LEASEHOLD_BUILD_COMMIT={commit}");
}

/// Returns the commit of the repository whose root is the workspace, if git and the repository are there.
fn commit() -> Option<String> {
    let manifest = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR")?);
    let workspace = manifest.parent()?.canonicalize().ok()?;
    // A copy inside another project's repository has no commit of its own.
    let top = PathBuf::from(git(&workspace, &["rev-parse", "--show-toplevel"])?);
    if top.canonicalize().ok()? != workspace {
        return None;
    }
    // The log of HEAD grows with each commit and checkout. A missing file would make cargo run this each time.
    for name in ["HEAD", "logs/HEAD"] {
        let file = git(&workspace, &["rev-parse", "--git-path", name])?;
        let file = workspace.join(file);
        if file.exists() {
            println!("cargo::rerun-if-changed={}", file.display());
        }
    }
    git(&workspace, &["rev-parse", "HEAD"])
}

fn git(folder: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new("git")
        .arg("-C")
        .arg(folder)
        .args(arguments)
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    (output.status.success()).then(|| text.trim().to_owned())
}

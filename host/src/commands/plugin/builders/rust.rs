//! Rust, for `wasm32-wasip1`: with rustup's standard library, or Debian's recipe without it.
//!
//! The host's own settings for cargo and rustc are kept out of a build for another target.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::commands::plugin::project::Project;
use crate::commands::plugin::tools;

const TARGET: &str = "wasm32-wasip1";
/// Debian's compiler, its library in source and the C library, which live beside rustup's.
const DEBIAN_CARGO: &str = "/usr/bin/cargo";
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_LIBC: &str = "/usr/lib/wasm32-wasi";

const MISSING: &str = "Rust for wasm32-wasip1 is missing\n  \
    with rustup:  rustup target add wasm32-wasip1\n  \
    on Debian:    apt-get install rustc-web cargo-web rust-web-src wasi-libc, and lld-NN and \
    libclang-rt-NN-dev-wasm32 with the NN of `/usr/bin/rustc -vV`'s LLVM";

pub(super) fn build(project: &Project) -> Result<Vec<u8>, String> {
    let mut command = if has_target() {
        Command::new("cargo")
    } else {
        debian().ok_or(MISSING)?
    };
    for setting in [
        "CARGO_BUILD_TARGET",
        "CARGO_ENCODED_RUSTFLAGS",
        "RUSTC_WRAPPER",
        "RUSTC_WORKSPACE_WRAPPER",
    ] {
        command.env_remove(setting);
    }
    command
        .args(["build", "--release", "--target", TARGET])
        .arg("--message-format=json-render-diagnostics")
        .current_dir(&project.dir)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit());
    let output = command
        .output()
        .map_err(|error| format!("cargo could not be started: {error}"))?;
    if !output.status.success() {
        return Err(format!(
            "cargo build --release --target {TARGET}\nended with {}; its output is above",
            output.status
        ));
    }
    let made = String::from_utf8_lossy(&output.stdout);
    let plugin = made
        .lines()
        .filter_map(|line| artifact(line, &project.dir))
        .next_back()
        .ok_or("cargo made no .wasm file: give the library `crate-type = [\"cdylib\"]`, or the package a main.rs")?;
    std::fs::read(&plugin).map_err(|error| format!("{} cannot be read: {error}", plugin.display()))
}

/// Reads the path of the project's own module from one line of cargo's messages.
fn artifact(line: &str, dir: &Path) -> Option<PathBuf> {
    let message: serde_json::Value = serde_json::from_str(line).ok()?;
    let manifest = Path::new(message.get("manifest_path")?.as_str()?);
    let own = dir.join("Cargo.toml");
    let same = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    if same(manifest) != same(&own) {
        return None;
    }
    let files = message.get("filenames")?.as_array()?.iter();
    let mut files = files.filter_map(|file| file.as_str().map(PathBuf::from));
    files.find(|file| file.extension().is_some_and(|ext| ext == "wasm"))
}

/// Returns true if the first rustc on the path has the target's standard library.
fn has_target() -> bool {
    let sysroot = tools::output(Command::new("rustc").args(["--print", "sysroot"]));
    sysroot.is_some_and(|root| {
        Path::new(root.trim())
            .join("lib/rustlib")
            .join(TARGET)
            .join("lib")
            .is_dir()
    })
}

/// Debian's compiler, set up to build the standard library too; `scripts/setup` explains each flag.
fn debian() -> Option<Command> {
    let version = tools::output(Command::new(DEBIAN_RUSTC).arg("-vV"))?;
    let llvm = version
        .lines()
        .find_map(|line| line.strip_prefix("LLVM version: "))?;
    let llvm = llvm.split('.').next()?;
    let linker = PathBuf::from(format!("/usr/bin/wasm-ld-{llvm}"));
    let builtins = builtins(llvm)?;
    let all = [Path::new(DEBIAN_CARGO), Path::new(DEBIAN_LIBC), &linker];
    if !all.iter().all(|path| path.exists()) {
        return None;
    }
    let flags = format!(
        "-C linker={} -C linker-flavor=wasm-ld -C link-self-contained=yes -L{DEBIAN_LIBC} -L{}",
        linker.display(),
        builtins.display()
    );
    let mut command = Command::new(DEBIAN_CARGO);
    command
        .env("RUSTC", DEBIAN_RUSTC)
        .env("RUSTC_BOOTSTRAP", "1")
        .env("RUSTFLAGS", flags)
        .arg("-Zbuild-std=std,panic_abort");
    Some(command)
}

/// The folder with the runtime library that the compiler expects for every target.
fn builtins(llvm: &str) -> Option<PathBuf> {
    let versions = std::fs::read_dir(format!("/usr/lib/llvm-{llvm}/lib/clang")).ok()?;
    let folders = versions
        .flatten()
        .map(|version| version.path().join("lib/wasi"));
    folders
        .into_iter()
        .find(|folder| folder.join("libclang_rt.builtins-wasm32.a").is_file())
}

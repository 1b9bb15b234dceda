//! Places of the etcd binaries, the built programs, the built plugins and tmux. Nothing is installed or built here:
//! the error for a missing file names the command that provides it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

/// A store that Leasehold runs on: an etcd release line, or its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Version {
    /// The line of Debian 12.
    V3_4,
    /// The line after it.
    V3_5,
    /// `leasehold store serve`: one node, without users and without TLS.
    Embedded,
}

impl Version {
    /// The lines of etcd, for tests that must hold on each.
    pub const ETCD: [Self; 2] = [Self::V3_4, Self::V3_5];

    /// The server's binary.
    ///
    /// # Errors
    /// `scripts/setup` has not run, or the host has not been built.
    pub fn etcd(self) -> Result<PathBuf> {
        match self {
            Self::V3_4 => from_setup("ETCD_34"),
            Self::V3_5 => from_setup("ETCD_35"),
            Self::Embedded => leasehold(),
        }
    }

    /// The client's binary: for the embedded store that of the newer line.
    ///
    /// # Errors
    /// `scripts/setup` has not run.
    pub fn etcdctl(self) -> Result<PathBuf> {
        from_setup(match self {
            Self::V3_4 => "ETCDCTL_34",
            Self::V3_5 | Self::Embedded => "ETCDCTL_35",
        })
    }
}

/// The workspace's root.
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The host's binary: `LEASEHOLD_BIN`, or that of a debug build.
///
/// # Errors
/// It has not been built.
pub fn leasehold() -> Result<PathBuf> {
    let path = match std::env::var_os("LEASEHOLD_BIN") {
        Some(path) => PathBuf::from(path),
        None => workspace().join("target/debug/leasehold"),
    };
    ensure!(
        path.is_file(),
        "no host at {}: run cargo build -p leasehold, or set LEASEHOLD_BIN",
        path.display()
    );
    Ok(path)
}

/// The dashboard's binary, which is built next to the host's.
///
/// # Errors
/// It has not been built.
pub fn leasehold_tui() -> Result<PathBuf> {
    beside_the_host("leasehold-tui")
}

/// A built example of any package of the workspace, by its name.
///
/// # Errors
/// It has not been built.
pub fn example(name: &str) -> Result<PathBuf> {
    beside_the_host(&format!("examples/{name}"))
}

fn beside_the_host(name: &str) -> Result<PathBuf> {
    let path = leasehold()?.with_file_name(name);
    ensure!(
        path.is_file(),
        "nothing at {}: run cargo build --workspace --all-targets",
        path.display()
    );
    // A program that changes its directory must find it too.
    std::path::absolute(&path).with_context(|| format!("finding {}", path.display()))
}

/// The terminal multiplexer that real terminals are made with.
///
/// # Errors
/// It is not installed.
pub fn tmux() -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|dir| dir.join("tmux"));
    found
        .into_iter()
        .find(|file| file.is_file())
        .context("no tmux on the path: run scripts/setup --tests, or apt-get install tmux")
}

/// A program of Prometheus: `prometheus` or `promtool`, from the path, else as `scripts/setup` unpacked it.
///
/// # Errors
/// It is not installed.
pub fn prometheus(program: &str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let unpacked = workspace().join("target/setup/prometheus/usr/bin");
    let found = std::env::split_paths(&path).chain([unpacked]);
    let mut found = found.map(|dir| dir.join(program));
    let found = found.find(|file| file.is_file()).with_context(|| {
        format!("no {program}: run scripts/setup --tests, or apt-get install prometheus")
    })?;
    // Its caller may start it in another directory.
    std::path::absolute(&found).with_context(|| format!("finding {}", found.display()))
}

/// The library that moves wall clocks.
///
/// # Errors
/// It is not installed.
pub fn faketime() -> Result<PathBuf> {
    // Debian has one folder for each architecture, others have none.
    let folders = std::fs::read_dir("/usr/lib").context("listing /usr/lib")?;
    let folders = folders.filter_map(|entry| Some(entry.ok()?.path()));
    folders
        .chain([PathBuf::from("/usr/lib")])
        .map(|folder| folder.join("faketime/libfaketime.so.1"))
        .find(|file| file.is_file())
        .context("no libfaketime: run scripts/setup --tests, or apt-get install faketime")
}

/// A built plugin, by its name without `.wasm`.
///
/// # Errors
/// It has not been built.
pub fn plugin(name: &str) -> Result<PathBuf> {
    let path = workspace()
        .join("target/plugins")
        .join(format!("{name}.wasm"));
    ensure!(
        path.is_file(),
        "no plugin at {}: run scripts/build-plugins",
        path.display()
    );
    Ok(path)
}

fn from_setup(key: &str) -> Result<PathBuf> {
    let file = workspace().join("target/setup/etcd.env");
    let text = std::fs::read_to_string(&file)
        .with_context(|| format!("no {}: run scripts/setup", file.display()))?;
    let path = lookup(&text, key)
        .with_context(|| format!("{} has no {key}: run scripts/setup", file.display()))?;
    if !path.is_file() {
        bail!(
            "{key} in {} names {}, which is gone: run scripts/setup",
            file.display(),
            path.display()
        );
    }
    Ok(path)
}

fn lookup(text: &str, key: &str) -> Option<PathBuf> {
    text.lines().find_map(|line| {
        let (name, value) = line.split_once('=')?;
        (name.trim() == key).then(|| PathBuf::from(value.trim().trim_matches('"')))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_setup_file_is_found_by_its_exact_name() {
        let text =
            "# made by scripts/setup\nETCDCTL_34=/b\nETCD_34=/a\nETCD_35=\"/with space/c\"\n";
        assert_eq!(lookup(text, "ETCD_34"), Some("/a".into()));
        assert_eq!(lookup(text, "ETCD_35"), Some("/with space/c".into()));
        assert_eq!(lookup(text, "ETCD"), None);
    }

    #[test]
    fn a_missing_plugin_names_the_script_that_builds_it() {
        let error = plugin("no-such-plugin").unwrap_err().to_string();
        assert!(error.ends_with("run scripts/build-plugins"), "{error}");
    }
}

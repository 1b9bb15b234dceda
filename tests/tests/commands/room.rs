//! A folder to run commands in: a configuration, plugins, a folder for plugins that are dropped in.
//!
//! Plugins are the built ones, with a manifest added by some tests.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use leasehold_tests::binaries;
use tempfile::TempDir;

use crate::NO_STORE;
use leasehold_tests::command::{CommandOutput, finish};

/// A folder of its own, deleted with the test.
pub(crate) struct Room(TempDir);

impl Room {
    /// A folder whose `leasehold.toml` is this, after `[host]` and `[store]`.
    pub(crate) fn new(config: &str) -> Result<Self> {
        let room = Self(tempfile::tempdir().context("making a folder")?);
        room.configure(config)?;
        let plugins = room.path().join("plugins");
        fs::create_dir(&plugins).context("making a folder for plugins")?;
        fs::set_permissions(&plugins, fs::Permissions::from_mode(0o755))?;
        Ok(room)
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes the configuration anew.
    pub(crate) fn configure(&self, config: &str) -> Result<()> {
        let text = format!(
            "[host]\nid = \"host-a\"\ndata_dir = \"data\"\n[store]\nendpoints = [\"{NO_STORE}\"]\n{config}"
        );
        self.write("leasehold.toml", text.as_bytes())
    }

    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let path = self.path().join(name);
        fs::write(&path, bytes).with_context(|| format!("writing {name}"))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        Ok(())
    }

    /// Puts a built plugin there under this name, with this manifest if it is not empty.
    pub(crate) fn plugin(&self, name: &str, built: &Path, manifest: &str) -> Result<PathBuf> {
        let mut bytes = fs::read(built)?;
        if !manifest.is_empty() {
            bytes.extend(section(manifest.as_bytes()));
        }
        self.write(name, &bytes)?;
        Ok(self.path().join(name))
    }

    /// Runs `leasehold` here.
    pub(crate) fn run(&self, args: &[&str]) -> Result<CommandOutput> {
        finish(
            &format!("leasehold {}", args.join(" ")),
            self.command(args)?,
        )
    }

    /// The command `leasehold` here, to be started.
    pub(crate) fn command(&self, args: &[&str]) -> Result<Command> {
        let mut command = Command::new(binaries::leasehold()?);
        command.args(args).current_dir(self.path());
        // The caches and folders of the user who runs the tests must not be touched.
        command
            .env("HOME", self.path())
            .env_remove("XDG_STATE_HOME");
        Ok(command)
    }
}

/// A custom section with the manifest, to append to a compiled module.
fn section(text: &[u8]) -> Vec<u8> {
    let name = b"leasehold:manifest";
    let body = [leb(name.len()), name.to_vec(), text.to_vec()].concat();
    [vec![0], leb(body.len()), body].concat()
}

/// A length as WebAssembly writes it.
fn leb(mut length: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = u8::try_from(length % 128).unwrap_or(0);
        length /= 128;
        if length == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

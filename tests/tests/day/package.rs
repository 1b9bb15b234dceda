//! The Debian package of the program that was built, packed by `scripts/dist` and unpacked into a fresh root.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use leasehold_tests::binaries;
use leasehold_tests::command::{CommandOutput, finish};
use tempfile::TempDir;

/// A package file, and the folder it is in.
#[derive(Debug)]
pub(crate) struct Package {
    dir: TempDir,
    file: PathBuf,
}

/// Runs a program of the machine that must succeed.
fn run(program: &str, configure: impl FnOnce(&mut Command)) -> Result<CommandOutput> {
    let mut command = Command::new(program);
    configure(&mut command);
    let output = finish(program, command)?;
    ensure!(output.code == Some(0), "{program}: {output:?}");
    Ok(output)
}

impl Package {
    /// Packs the built program, without the information for debuggers.
    pub(crate) fn pack() -> Result<Self> {
        let dir = tempfile::tempdir().context("making a folder for a package")?;
        let program = dir.path().join("leasehold");
        let built = binaries::leasehold()?;
        run("strip", |command| {
            command.arg("-o").arg(&program).arg(built);
        })?;
        let out = dir.path().join("out");
        let dist = binaries::workspace().join("scripts/dist");
        let dist = dist.to_str().context("a path")?;
        run(dist, |command| {
            command.args(["--only", "deb", "--program"]).arg(&program);
            command.arg("--out").arg(&out);
            command.arg("--build").arg(dir.path().join("build"));
        })?;
        let entries = fs::read_dir(&out)?.collect::<Result<Vec<_>, _>>()?;
        let mut files = entries.into_iter().map(|entry| entry.path());
        let file = files.find(|path| path.extension().is_some_and(|end| end == "deb"));
        let file = file.with_context(|| format!("no package in {}", out.display()))?;
        Ok(Self { dir, file })
    }

    /// A field of the package's description.
    pub(crate) fn field(&self, name: &str) -> Result<String> {
        let output = run("dpkg-deb", |command| {
            command.arg("--field").arg(&self.file).arg(name);
        })?;
        Ok(output.stdout)
    }

    /// Unpacks it into a fresh root, which other users can read, as `/` of a machine.
    pub(crate) fn unpack(&self, name: &str) -> Result<PathBuf> {
        fs::set_permissions(self.dir.path(), Permissions::from_mode(0o755))?;
        let root = self.dir.path().join(name);
        fs::create_dir(&root)?;
        fs::set_permissions(&root, Permissions::from_mode(0o755))?;
        run("dpkg-deb", |command| {
            command.arg("--extract").arg(&self.file).arg(&root);
        })?;
        Ok(root)
    }
}

/// Writes a file as its editor does: beside it, then moved over it.
pub(crate) fn replace(path: &Path, content: &[u8], mode: u32) -> Result<()> {
    let new = path.with_extension("new");
    fs::write(&new, content).with_context(|| format!("writing {}", new.display()))?;
    fs::set_permissions(&new, Permissions::from_mode(mode))?;
    fs::rename(&new, path).with_context(|| format!("replacing {}", path.display()))
}

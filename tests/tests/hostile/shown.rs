//! Output of hosts and commands, byte by byte.

use std::fmt::Display;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use leasehold_tests::binaries;
use leasehold_tests::process::Process;
use leasehold_tests::wait::eventually;
use rustix::process::Signal;
use tempfile::TempDir;

use crate::SLACK;

/// For a command that ends by itself.
const LONGEST: Duration = Duration::from_mins(1);

/// Text that retitles a terminal, clears it, reverses the following text, and forges a line of a log.
pub(crate) const HOSTILE: &str = "x\n2026-01-01T00:00:00.000Z host-a forged RELEASED\u{1b}]0;owned\u{7}\u{9b}2J\u{202e}\u{2028}y";

/// Bytes that a command showed.
pub(crate) struct Bytes {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
}

/// A new directory with this configuration.
pub(crate) fn directory(config: &impl Display) -> Result<TempDir> {
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("leasehold.toml");
    fs::write(&file, config.to_string())?;
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600))?;
    Ok(dir)
}

/// Runs a command that ends by itself.
pub(crate) fn command(config: &impl Display, args: &[&str]) -> Result<Bytes> {
    let dir = directory(config)?;
    let (stdout, stderr) = (dir.path().join("stdout"), dir.path().join("stderr"));
    let mut command = Command::new(binaries::leasehold()?);
    command
        .args(args)
        .current_dir(dir.path())
        .stdout(fs::File::create(&stdout)?)
        .stderr(fs::File::create(&stderr)?);
    let mut process = Process::spawn(args.join(" "), &mut command)?;
    let code = process.wait_exit(LONGEST)?.code();
    Ok(Bytes {
        code,
        stdout: fs::read(stdout)?,
        stderr: fs::read(stderr)?,
    })
}

/// A host that writes its log as text into a file.
pub(crate) struct TextHost {
    process: Process,
    pub(crate) dir: TempDir,
}

impl TextHost {
    pub(crate) fn start(config: &impl Display) -> Result<Self> {
        let dir = directory(config)?;
        fs::create_dir(dir.path().join("plugins"))?;
        let file = |name: &str| fs::File::create(dir.path().join(name));
        let mut command = Command::new(binaries::leasehold()?);
        command
            .args(["run", "--log-format", "text", "--log-level", "debug"])
            .current_dir(dir.path())
            .stdin(Stdio::null())
            .stdout(file("stdout")?)
            .stderr(file("stderr")?);
        let process = Process::spawn("host", &mut command)?;
        Ok(Self { process, dir })
    }

    fn log(&self) -> PathBuf {
        self.dir.path().join("stdout")
    }

    /// Waits until its log holds `text`, and returns the log.
    pub(crate) fn wait_for(&self, text: &str) -> Result<Vec<u8>> {
        let mut log = Vec::new();
        eventually(SLACK, text, || {
            log = fs::read(self.log())?;
            let shown = String::from_utf8_lossy(&log);
            ensure!(shown.contains(text), "not in its log:\n{shown}");
            Ok(())
        })?;
        Ok(log)
    }

    /// Asks it to end; returns its log and its standard error.
    pub(crate) fn end(mut self) -> Result<(Vec<u8>, Vec<u8>)> {
        self.process.signal(Signal::TERM)?;
        let code = self.process.wait_exit(SLACK)?.code();
        ensure!(code == Some(0), "it ended with {code:?}");
        let stderr = fs::read(self.dir.path().join("stderr"))?;
        Ok((fs::read(self.log())?, stderr))
    }
}

/// Asserts that nothing like [`HOSTILE`] reaches a terminal or begins a line.
pub(crate) fn is_harmless(bytes: &[u8]) -> Result<()> {
    // Lines of CSV end with both characters.
    let text = std::str::from_utf8(bytes).context("it is no text")?;
    let text = text.replace("\r\n", "\n");
    let bad = |c: char| {
        c != '\n' && c != '\t' && c.is_control()
            || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    ensure!(!text.contains(bad), "control characters in {text:?}");
    let forged = text
        .lines()
        .any(|line| line.starts_with("2026-01-01T00:00:00.000Z"));
    ensure!(!forged, "a forged line in {text:?}");
    Ok(())
}

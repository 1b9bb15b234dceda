//! Commands that end by themselves: their output and their exit code.
//!
//! Waiting is bounded by 40 s.

use std::fmt::Display;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::binaries;
use crate::process::Process;
use crate::tail::Tail;
use anyhow::{Context, Result, ensure};

/// Longer than connecting, reading and printing take on a busy machine.
const LONGEST: Duration = Duration::from_secs(40);

/// Exit code and output of a command.
#[derive(Debug)]
pub struct CommandOutput {
    /// The exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// Standard output, without its last line break.
    pub stdout: String,
    /// Standard error, without its last line break.
    pub stderr: String,
}

impl CommandOutput {
    /// Standard error without the lines about plugins that take long to compile on a busy machine.
    pub fn errors(&self) -> String {
        let lines = self.stderr.lines();
        let errors = lines.filter(|line| !line.starts_with("loading: "));
        errors.collect::<Vec<_>>().join("\n")
    }
}

/// Runs `leasehold` with these arguments in a directory whose `leasehold.toml` is `config`.
///
/// # Errors
/// It could not be started or did not end.
pub fn leasehold(config: &impl Display, args: &[&str]) -> Result<CommandOutput> {
    let dir = tempfile::tempdir().context("making a directory for a command")?;
    let file = dir.path().join("leasehold.toml");
    fs::write(&file, config.to_string()).context("writing a config")?;
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).context("closing a config")?;
    let mut command = Command::new(binaries::leasehold()?);
    command.args(args).current_dir(dir.path());
    finish(&format!("leasehold {}", args.join(" ")), command)
}

/// Runs any command that ends by itself.
///
/// # Errors
/// It could not be started or did not end.
pub fn finish(name: &str, mut command: Command) -> Result<CommandOutput> {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = Process::spawn(name, &mut command)?;
    let stdout = process.take_stdout().context("no standard output")?;
    let stderr = process.take_stderr().context("no standard error")?;
    let stdout = Tail::read(stdout, str::to_owned)?;
    let stderr = Tail::read(stderr, str::to_owned)?;
    let status = process.wait_exit(LONGEST)?;
    ensure!(
        stdout.wait_closed(LONGEST) && stderr.wait_closed(LONGEST),
        "{process} ended, yet something holds its output open"
    );
    Ok(CommandOutput {
        code: status.code(),
        stdout: stdout.all().join("\n"),
        stderr: stderr.all().join("\n"),
    })
}

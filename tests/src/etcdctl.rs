//! `etcdctl` with the flags for one server: the operator of a scenario, and a foreign lock client.
//!
//! Never blocks for ever: a command that takes too long is killed and reported.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::binaries::Version;
use crate::certs::TlsFiles;
use crate::process::Process;
use crate::suite;
use crate::tail::{NoLine, Tail};

/// Longer than etcdctl's own 5 s for a request and 2 s for a connection, on a busy machine.
const LONGEST: Duration = Duration::from_secs(30);

/// Call of `etcdctl`: its version, endpoints and user.
#[derive(Debug, Clone)]
pub struct Etcdctl {
    binary: PathBuf,
    endpoints: String,
    login: Option<String>,
    tls: Option<TlsFiles>,
    timeout: Option<Duration>,
}

impl Etcdctl {
    /// Plain and anonymous, to the given endpoints.
    ///
    /// # Errors
    /// `scripts/setup` has not run.
    pub fn new(version: Version, endpoints: &[String]) -> Result<Self> {
        Ok(Self {
            binary: version.etcdctl()?,
            endpoints: endpoints.join(","),
            login: None,
            tls: None,
            timeout: None,
        })
    }

    /// With the binary of another version.
    ///
    /// # Errors
    /// `scripts/setup` has not run.
    pub fn version(mut self, version: Version) -> Result<Self> {
        self.binary = version.etcdctl()?;
        Ok(self)
    }

    /// Through another address, such as a fault proxy's.
    #[must_use]
    pub fn via(mut self, endpoint: impl Into<String>) -> Self {
        self.endpoints = endpoint.into();
        self
    }

    /// As a user.
    #[must_use]
    pub fn login(mut self, user: &str, password: &str) -> Self {
        self.login = Some(format!("{user}:{password}"));
        self
    }

    /// Without a user.
    #[must_use]
    pub fn anonymous(mut self) -> Self {
        self.login = None;
        self
    }

    /// With a client certificate.
    #[must_use]
    pub fn tls(mut self, files: TlsFiles) -> Self {
        self.tls = Some(files);
        self
    }

    /// Gives up on a connection or a request after this long, instead of 2 s and 5 s.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Runs one command and returns its standard output without the last line break.
    ///
    /// # Errors
    /// It failed, and the error holds its output; or it did not end.
    pub fn run(&self, args: &[&str]) -> Result<String> {
        self.spawn(args)?.finish()
    }

    /// As [`Etcdctl::run`], for a command that reads `input`, which must be short.
    ///
    /// # Errors
    /// It failed, and the error holds its output; or it did not end.
    pub fn run_with_input(&self, args: &[&str], input: &str) -> Result<String> {
        let (reader, mut writer) = std::io::pipe().context("making a pipe")?;
        // A pipe holds this much without a reader.
        ensure!(
            input.len() < 4096,
            "{} bytes are too many to write without a reader",
            input.len()
        );
        writeln!(writer, "{input}").context("writing etcdctl's input")?;
        drop(writer);
        self.start(args, reader.into())?.finish()
    }

    /// Starts a command that keeps running, such as `lock NAME` or `watch KEY`.
    ///
    /// # Errors
    /// It could not be started.
    pub fn spawn(&self, args: &[&str]) -> Result<RunningEtcdctl> {
        self.start(args, Stdio::null())
    }

    fn start(&self, args: &[&str], stdin: Stdio) -> Result<RunningEtcdctl> {
        if args.contains(&"del") || args.contains(&"revoke") {
            suite::operator_acts();
        }
        let mut command = self.command();
        command
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut process = Process::start(
            format!("etcdctl {}", args.join(" ")),
            &mut command,
            stdin,
            None,
        )?;
        let stdout = process
            .take_stdout()
            .context("etcdctl has no standard output")?;
        let stderr = process
            .take_stderr()
            .context("etcdctl has no standard error")?;
        let stdout = Tail::read(stdout, str::to_owned)?;
        let stderr = Tail::read(stderr, str::to_owned)?;
        Ok(RunningEtcdctl {
            process,
            stdout,
            stderr,
        })
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.binary);
        // The caller's ETCDCTL_* variables must not change a test.
        command
            .env_clear()
            .env("ETCDCTL_API", "3")
            .env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.arg("--endpoints").arg(&self.endpoints);
        if let Some(login) = &self.login {
            command.arg("--user").arg(login);
        }
        if let Some(tls) = &self.tls {
            command
                .arg("--cacert")
                .arg(&tls.ca)
                .arg("--cert")
                .arg(&tls.cert)
                .arg("--key")
                .arg(&tls.key);
        }
        if let Some(timeout) = self.timeout {
            let timeout = format!("{}ms", timeout.as_millis());
            command.args(["--command-timeout", &timeout, "--dial-timeout", &timeout]);
        }
        command
    }
}

/// A running `etcdctl`; killed, with the processes it started, when dropped.
#[derive(Debug)]
pub struct RunningEtcdctl {
    // Before the tails, which end only with it.
    process: Process,
    stdout: Tail<String>,
    stderr: Tail<String>,
}

impl RunningEtcdctl {
    /// The process, to signal it: `interrupt` releases an `etcdctl lock`, `kill` abandons it.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// The first line of standard output that `wanted` accepts, waiting for it.
    ///
    /// # Errors
    /// No such line came; the error holds all output.
    pub fn wait_line(&self, timeout: Duration, wanted: impl Fn(&str) -> bool) -> Result<String> {
        self.stdout
            .wait_from(0, timeout, |line| wanted(line))
            .or_else(|why| {
                let why = match why {
                    NoLine::Timeout => format!("said nothing of the kind in {timeout:?}"),
                    NoLine::Closed => "ended without saying so".to_owned(),
                };
                bail!(
                    "{} {why}; it said {:?} and {:?}",
                    self.process,
                    self.stdout.all(),
                    self.stderr()
                )
            })
    }

    /// All lines of standard output so far.
    pub fn lines(&self) -> Vec<String> {
        self.stdout.all()
    }

    /// All of standard error so far.
    pub fn stderr(&self) -> String {
        self.stderr.all().join("\n")
    }

    /// Waits for the command to end by itself, with all of its output read.
    ///
    /// # Errors
    /// It still runs after `timeout`.
    pub fn wait_exit(&mut self, timeout: Duration) -> Result<ExitStatus> {
        let status = self.process.wait_exit(timeout)?;
        let read = self.stdout.wait_closed(timeout) && self.stderr.wait_closed(timeout);
        ensure!(
            read,
            "{} ended, yet something holds its output open",
            self.process
        );
        Ok(status)
    }

    fn finish(mut self) -> Result<String> {
        let status = self.wait_exit(LONGEST)?;
        ensure!(
            status.success(),
            "{} failed with {status}: {}",
            self.process,
            self.stderr()
        );
        Ok(self.stdout.all().join("\n"))
    }
}

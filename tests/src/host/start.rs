//! Starts of a host: with a config, a folder of configs, an environment or a wall clock of its own.

use std::ffi::OsString;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::AtomicBool;

use anyhow::{Context, Result};
use tempfile::TempDir;

use super::{FILE, HostProcess};
use crate::binaries;
use crate::certs;
use crate::events::Event;
use crate::process::Process;
use crate::tail::Tail;

/// Arguments of a host's start.
const RUN: [&str; 5] = ["run", "--log-format", "json", "-c", FILE];

/// The wall clock of one host, in a file that libfaketime reads at each request for the time.
#[derive(Debug)]
pub struct WallClock(TempDir);

impl WallClock {
    fn new() -> Result<Self> {
        let dir = tempfile::Builder::new()
            .prefix("leasehold-clock-")
            .tempdir();
        dir.map(Self).context("making a directory for a clock")
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("clock")
    }

    /// Sets it so many seconds ahead of the machine's, or behind it.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn set(&self, ahead: i64) -> Result<()> {
        let new = self.0.path().join("new");
        certs::write(&new, &format!("{ahead:+}"))?;
        std::fs::rename(&new, self.file()).context("setting a clock")
    }
}

impl HostProcess {
    /// Starts the built host with this config.
    ///
    /// # Errors
    /// It has not been built or could not be started.
    pub fn start(config: &impl Display) -> Result<Self> {
        Self::start_program(&binaries::leasehold()?, config)
    }

    /// Starts the built host with a wall clock that is `ahead` seconds ahead of the machine's, or behind it.
    /// Its monotonic clocks are the machine's.
    ///
    /// # Errors
    /// It has not been built or could not be started, or libfaketime is not installed.
    pub fn start_at(ahead: i64, config: &impl Display) -> Result<Self> {
        let clock = [
            ("LD_PRELOAD", binaries::faketime()?.into_os_string()),
            ("FAKETIME", format!("{ahead:+}").into()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".into()),
        ];
        Self::start_in(&binaries::leasehold()?, &RUN, config, &clock, |_| Ok(()))
    }

    /// As [`HostProcess::start_at`], with a wall clock that can jump while the host runs.
    ///
    /// # Errors
    /// It has not been built or could not be started, or libfaketime is not installed.
    pub fn start_on_clock(ahead: i64, config: &impl Display) -> Result<(Self, WallClock)> {
        let clock = WallClock::new()?;
        clock.set(ahead)?;
        let env = [
            ("LD_PRELOAD", binaries::faketime()?.into_os_string()),
            ("FAKETIME_TIMESTAMP_FILE", clock.file().into_os_string()),
            ("FAKETIME_NO_CACHE", "1".into()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".into()),
        ];
        let host = Self::start_in(&binaries::leasehold()?, &RUN, config, &env, |_| Ok(()))?;
        Ok((host, clock))
    }

    /// Starts another program that takes a host's arguments.
    ///
    /// # Errors
    /// It could not be started.
    pub fn start_program(program: &Path, config: &impl Display) -> Result<Self> {
        Self::start_with(program, &RUN, config)
    }

    /// Starts another command of the built host that keeps running and writes events, such as `dev` or `store serve`,
    /// in a directory whose `leasehold.toml` is `config`.
    ///
    /// # Errors
    /// It has not been built or could not be started.
    pub fn start_command(args: &[&str], config: &impl Display) -> Result<Self> {
        let args = [args, &["--log-format", "json"]].concat();
        Self::start_with(&binaries::leasehold()?, &args, config)
    }

    /// Starts the built host with this config in a directory that `prepare` has put more files into.
    ///
    /// # Errors
    /// It has not been built or could not be started, or `prepare` failed.
    pub fn start_in_prepared(
        config: &impl Display,
        prepare: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<Self> {
        Self::start_in(&binaries::leasehold()?, &RUN, config, &[], prepare)
    }

    /// Starts the built host with this config and these variables in its environment.
    ///
    /// # Errors
    /// It has not been built or could not be started.
    pub fn start_with_env(config: &impl Display, env: &[(&str, OsString)]) -> Result<Self> {
        Self::start_in(&binaries::leasehold()?, &RUN, config, env, |_| Ok(()))
    }

    /// As [`HostProcess::start_in_prepared`], with its standard error written to `stderr`, and none of it kept.
    ///
    /// # Errors
    /// As [`HostProcess::start_in_prepared`].
    pub fn start_with_stderr(
        config: &impl Display,
        stderr: Stdio,
        prepare: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<Self> {
        let program = binaries::leasehold()?;
        Self::launch(&program, &RUN, config, &[], Some(stderr), prepare)
    }

    /// Starts the built host with a folder of configurations, `conf.d`, whose `host.toml` is `config` and into which
    /// `prepare` puts the others.
    ///
    /// # Errors
    /// It has not been built or could not be started, or `prepare` failed.
    pub fn start_folder(
        config: &impl Display,
        prepare: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<Self> {
        let run = ["run", "--log-format", "json", "-c", "conf.d"];
        Self::start_in(&binaries::leasehold()?, &run, config, &[], |dir| {
            let folder = dir.join("conf.d");
            std::fs::create_dir(&folder).context("making a folder for configurations")?;
            certs::write(&folder.join("host.toml"), &config.to_string())?;
            prepare(&folder)
        })
    }

    fn start_with(program: &Path, args: &[&str], config: &impl Display) -> Result<Self> {
        Self::start_in(program, args, config, &[], |_| Ok(()))
    }

    fn start_in(
        program: &Path,
        args: &[&str],
        config: &impl Display,
        env: &[(&str, OsString)],
        prepare: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<Self> {
        Self::launch(program, args, config, env, None, prepare)
    }

    fn launch(
        program: &Path,
        args: &[&str],
        config: &impl Display,
        env: &[(&str, OsString)],
        stderr: Option<Stdio>,
        prepare: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<Self> {
        let dir = tempfile::Builder::new()
            .prefix("leasehold-host-")
            .tempdir()
            .context("making a directory for a host")?;
        let file = dir.path().join(FILE);
        certs::write(&file, &config.to_string())?;
        prepare(dir.path())?;
        let mut command = Command::new(program);
        command.args(args).current_dir(dir.path());
        // Checks read the events of jobs that wait too, and standard error has warnings alone.
        command
            .env("LEASEHOLD_LOG_LEVEL", "debug")
            .env("LEASEHOLD_LOG", "warn");
        command.envs(env.iter().map(|(name, value)| (name, value)));
        let mut host = Self::spawn(command, config.to_string(), dir, stderr)?;
        // A command that runs several hosts may cut one of them off.
        host.killed = !args.starts_with(&["run"]);
        Ok(host)
    }

    /// Starts a command that runs one host, such as the one of a unit. It must write events as JSON, from `debug` on.
    /// `config` is what it reads.
    ///
    /// # Errors
    /// It could not be started.
    pub fn start_prepared(command: Command, config: &impl Display) -> Result<Self> {
        let dir = tempfile::tempdir().context("making a directory for a host")?;
        Self::spawn(command, config.to_string(), dir, None)
    }

    fn spawn(
        mut command: Command,
        config: String,
        dir: TempDir,
        stderr: Option<Stdio>,
    ) -> Result<Self> {
        let is_kept = stderr.is_none();
        command.stdout(Stdio::piped());
        command.stderr(stderr.unwrap_or_else(Stdio::piped));
        let mut process = Process::start(
            "host".to_owned(),
            &mut command,
            Stdio::null(),
            Some(dir.path()),
        )?;
        let stdout = process
            .take_stdout()
            .context("a host has no standard output")?;
        let events = Tail::read(stdout, Event::parse)?;
        let stderr = if is_kept {
            let stderr = process
                .take_stderr()
                .context("a host has no standard error")?;
            Tail::read(stderr, str::to_owned)?
        } else {
            Tail::read(std::io::empty(), str::to_owned)?
        };
        Ok(Self {
            process,
            events,
            stderr,
            dir,
            config,
            killed: false,
            frozen: AtomicBool::new(false),
            judged: true,
        })
    }
}

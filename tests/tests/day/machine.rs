//! One machine of the day: a root with the installed package, the service, and an operator at its shell.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use leasehold_tests::command::{CommandOutput, finish};
use leasehold_tests::events::Event;
use leasehold_tests::host::HostProcess;
use leasehold_tests::ports::Port;
use leasehold_tests::service_manager::ServiceManager;

use crate::package::{Package, replace};
use crate::unit::Unit;

/// For things that will happen.
const SLACK: Duration = Duration::from_mins(1);

/// The service's user and group where the test runs as root; else the test's own are the service's too.
const SERVICE_USER: u32 = 61_234;

/// One machine.
#[derive(Debug)]
pub(crate) struct Machine {
    /// The host's id.
    pub(crate) name: &'static str,
    root: PathBuf,
    unit: Unit,
    metrics: Port,
    // Before its manager: a host may send to it until it has ended.
    host: Option<HostProcess>,
    manager: ServiceManager,
    /// Events of the service's earlier processes.
    earlier: Vec<Event>,
}

impl Machine {
    /// Installs the package. Nothing is started by that.
    pub(crate) fn install(package: &Package, name: &'static str) -> Result<Self> {
        let root = package.unpack(name)?;
        let unit = Unit::read(&root)?;
        let machine = Self {
            name,
            unit,
            metrics: Port::claim()?,
            host: None,
            manager: ServiceManager::new()?,
            earlier: Vec::new(),
            root,
        };
        machine.make_state()?;
        Ok(machine)
    }

    /// The service's directory, as systemd makes it from `StateDirectory=`.
    fn make_state(&self) -> Result<()> {
        let state = self.root.join("var/lib");
        fs::create_dir_all(&state)?;
        let state = state.join(self.unit.value("StateDirectory")?);
        let mode = u32::from_str_radix(self.unit.value("StateDirectoryMode")?, 8)?;
        fs::DirBuilder::new().mode(mode).create(&state)?;
        self.give_to_service(&state)
    }

    /// Makes the service's user the owner.
    pub(crate) fn give_to_service(&self, path: &Path) -> Result<()> {
        if is_root() {
            chown(path, Some(SERVICE_USER), Some(SERVICE_USER))
                .with_context(|| format!("giving {} to {}", path.display(), self.name))?;
        }
        Ok(())
    }

    /// A path of the machine, such as `etc/leasehold/leasehold.toml`.
    pub(crate) fn path(&self, inside: &str) -> PathBuf {
        self.root.join(inside)
    }

    /// Address of the metrics.
    pub(crate) fn metrics(&self) -> &Port {
        &self.metrics
    }

    /// The host, which must have been started.
    pub(crate) fn host(&self) -> Result<&HostProcess> {
        let host = self.host.as_ref();
        host.with_context(|| format!("the service of {} was not started", self.name))
    }

    /// A command of the machine as the service's user, with the rights that the unit leaves it.
    fn as_service(&self, words: &[String]) -> Result<Command> {
        let mut command = Command::new("setpriv");
        command.arg("--no-new-privs");
        if is_root() {
            let user = SERVICE_USER.to_string();
            command.args(["--reuid", &user, "--regid", &user, "--clear-groups"]);
            command.args(["--inh-caps=-all", "--bounding-set=-all"]);
        }
        let umask = self.unit.value("UMask")?;
        command.args(["sh", "-c", "umask \"$0\"; exec \"$@\"", umask]);
        command.args(words);
        self.surround(&mut command);
        Ok(command)
    }

    /// The few variables of a service or of a login.
    fn surround(&self, command: &mut Command) {
        command
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command.env("HOME", self.root.join("var/lib/leasehold"));
        command.env("LANG", "C.UTF-8").env("USER", "ada");
    }

    /// `systemctl start leasehold`: returns when the host is ready.
    pub(crate) fn start(&mut self) -> Result<()> {
        if let Some(ended) = self.host.take() {
            self.earlier.extend(ended.events());
        }
        let words = self.unit.command(&self.root)?;
        let mut command = self.as_service(&words)?;
        command.current_dir("/");
        let watchdog = self.unit.watchdog()?;
        command.envs(self.manager.environment(watchdog));
        // `systemctl edit leasehold`: events that the test reads.
        let events: [(&str, OsString); 3] = [
            ("LEASEHOLD_LOG_FORMAT", "json".into()),
            ("LEASEHOLD_LOG_LEVEL", "debug".into()),
            ("LEASEHOLD_LOG", "warn".into()),
        ];
        command.envs(events);
        let config = fs::read_to_string(self.path("etc/leasehold/leasehold.toml"))?;
        self.host = Some(HostProcess::start_prepared(command, &config)?);
        let ready = self.manager.wait_for("READY=1");
        ready.with_context(|| {
            let host = self.host.as_ref();
            host.map_or_else(String::new, |host| {
                format!("{}: {}\n{:?}", self.name, host.stderr(), host.events())
            })
        })?;
        Ok(())
    }

    /// `systemctl stop leasehold`: SIGTERM, and the end in order.
    pub(crate) fn stop(&mut self) -> Result<()> {
        self.host()?.term()?;
        self.manager.wait_for("STOPPING=1")?;
        self.wait_end()
    }

    /// Waits until the host has ended by itself, with exit code 0.
    pub(crate) fn wait_end(&mut self) -> Result<()> {
        let host = self.host.as_mut().context("no service")?;
        let code = host.wait_exit(SLACK)?.code();
        ensure!(
            code == Some(0),
            "{}: {code:?}: {}",
            self.name,
            host.stderr()
        );
        ensure!(
            !self.unit.restarts_after(code)?,
            "systemd would start it again"
        );
        Ok(())
    }

    /// `kill -9`, after which systemd starts the service again.
    pub(crate) fn kill(&mut self) -> Result<()> {
        let host = self.host.as_mut().context("no service")?;
        host.kill()?;
        ensure!(self.unit.restarts_after(None)?, "systemd leaves it");
        Ok(())
    }

    /// All events of the service so far.
    pub(crate) fn events(&self) -> Vec<Event> {
        let now = self.host.iter().flat_map(HostProcess::events);
        self.earlier.iter().cloned().chain(now).collect()
    }

    /// `leasehold`, as an operator types it in `/etc/leasehold`.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(self.path("usr/bin/leasehold"));
        command.args(args);
        self.surround(&mut command);
        command.current_dir(self.path("etc/leasehold"));
        command
    }

    /// Runs `leasehold` as an operator, to its end.
    pub(crate) fn leasehold(&self, args: &[&str]) -> Result<CommandOutput> {
        finish(&format!("leasehold {}", args.join(" ")), self.command(args))
    }

    /// Runs `leasehold` as the service's user.
    pub(crate) fn leasehold_as_service(&self, args: &[&str]) -> Result<CommandOutput> {
        let program = self.path("usr/bin/leasehold").display().to_string();
        let words = args.iter().map(|word| (*word).to_owned());
        let words: Vec<_> = std::iter::once(program).chain(words).collect();
        let mut command = self.as_service(&words)?;
        command.current_dir(self.path("etc/leasehold"));
        finish(&format!("leasehold {}", args.join(" ")), command)
    }

    /// Writes a file of the service's user that is closed to others.
    pub(crate) fn write_secret(&self, inside: &str, content: &str) -> Result<()> {
        let (path, new) = (self.path(inside), self.path(&format!("{inside}.new")));
        replace(&new, content.as_bytes(), 0o600)?;
        self.give_to_service(&new)?;
        Ok(fs::rename(new, path)?)
    }

    /// Writes a file of root.
    pub(crate) fn write(&self, inside: &str, content: &[u8], mode: u32) -> Result<()> {
        let path = self.path(inside);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        replace(&path, content, mode)
    }

    /// Replaces the program, as dpkg does at an upgrade.
    pub(crate) fn upgrade(&self) -> Result<()> {
        let program = self.path("usr/bin/leasehold");
        let mode = fs::metadata(&program)?.permissions().mode();
        let content = fs::read(&program)?;
        replace(&program, &content, mode)
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

//! `leasehold lock`: a command under a lock. Nothing of it lives when another holds the lock, whatever is stopped or
//! killed; and while all is well, nothing shows that it runs under one.

mod contended;
mod ended;
mod held;
mod modes;
mod passed_on;
mod terminal;

use std::fs;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Result, anyhow, ensure};
use leasehold_tests::binaries;
use leasehold_tests::command::{CommandOutput, finish};
use leasehold_tests::etcd::Etcd;
use leasehold_tests::process::Process;
use leasehold_tests::tail::Tail;
use leasehold_tests::wait::{eventually, unique};

/// For things that will happen.
const SLACK: Duration = Duration::from_secs(20);

/// Long enough for a wrong hand-off to happen: many times the time of one.
const A_WHILE: Duration = Duration::from_millis(400);

/// Variable that all processes of one command have, and no other.
const MARK: &str = "LOCKING_TEST_MARK";

/// Three kinds of processes that ignore every signal that can be ignored: the command, one in its group, and a daemon
/// in a session of its own whose parent has ended.
const STUBBORN: &str = r"
trap '' TERM INT HUP
sh -c 'while :; do sleep 0.02; done' &
(setsid sh -c 'while :; do sleep 0.02; done' &)
while :; do echo beat; sleep 0.02; done
";

/// A running `leasehold lock`; killed when dropped, which also ends its command.
struct LockProcess {
    // Before the tails, which end only with it.
    process: Process,
    stdout: Tail<String>,
    stderr: Tail<String>,
    mark: String,
}

impl LockProcess {
    /// Starts `leasehold lock` on this store with these arguments, and a script as its command.
    fn start(etcd: &Etcd, args: &[&str], script: &str) -> Result<Self> {
        let mark = unique("command");
        let mut command = lock_command(etcd, args)?;
        command.args(["--", "env", &format!("{MARK}={mark}"), "sh", "-c", script]);
        Self::spawn(command, mark)
    }

    fn spawn(mut command: Command, mark: String) -> Result<Self> {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = Process::spawn("leasehold lock", &mut command)?;
        let stdout = process.take_stdout().ok_or_else(|| anyhow!("no stdout"))?;
        let stderr = process.take_stderr().ok_or_else(|| anyhow!("no stderr"))?;
        Ok(Self {
            process,
            stdout: Tail::read(stdout, str::to_owned)?,
            stderr: Tail::read(stderr, str::to_owned)?,
            mark,
        })
    }

    /// Starts it with the stubborn command, and waits until all its processes run.
    fn stubborn(etcd: &Etcd, args: &[&str]) -> Result<Self> {
        let lock = Self::start(etcd, args, STUBBORN)?;
        lock.line("beat")?;
        eventually(SLACK, "three stubborn processes", || {
            let shells = lock.shells();
            ensure!(shells.len() == 3, "{shells:?}");
            Ok(())
        })?;
        Ok(lock)
    }

    /// Waits for a line of standard output.
    fn line(&self, wanted: &str) -> Result<()> {
        let found = self.stdout.wait_from(0, SLACK, |line| line == wanted);
        found.map(drop).map_err(|_| {
            anyhow!(
                "no {wanted:?} in {:?}, {:?}",
                self.stdout.all(),
                self.errors()
            )
        })
    }

    /// Waits for a line of standard error that holds a text.
    fn error(&self, wanted: &str) -> Result<()> {
        let found = self
            .stderr
            .wait_from(0, SLACK, |line| line.contains(wanted));
        found
            .map(drop)
            .map_err(|_| anyhow!("no {wanted:?} in {:?}", self.errors()))
    }

    fn errors(&self) -> String {
        self.stderr.all().join("\n")
    }

    /// The processes of the command that live, by their numbers.
    fn living(&self) -> Vec<u32> {
        living(&self.mark)
    }

    /// The shells among them.
    fn shells(&self) -> Vec<u32> {
        let is_shell = |pid: &u32| {
            let name = fs::read_to_string(format!("/proc/{pid}/comm"));
            name.is_ok_and(|name| matches!(name.trim(), "sh" | "dash" | "bash"))
        };
        self.living().into_iter().filter(is_shell).collect()
    }

    /// The keeper of the command.
    fn keeper(&self) -> Result<u32> {
        let children = leasehold_tests::process::children(self.process.pid());
        ensure!(children.len() == 1, "{children:?}");
        Ok(children[0])
    }

    /// The command itself: the keeper's first child.
    fn command(&self) -> Result<u32> {
        let children = leasehold_tests::process::children(self.keeper()?);
        children
            .first()
            .copied()
            .ok_or_else(|| anyhow!("the keeper has no child"))
    }

    /// Waits until no process of the command lives.
    fn dies(&self) -> Result<()> {
        eventually(SLACK, "the end of the command's processes", || {
            let living = self.living();
            ensure!(living.is_empty(), "{living:?} live");
            Ok(())
        })
    }

    fn wait_exit(&mut self) -> Result<ExitStatus> {
        let status = self.process.wait_exit(SLACK)?;
        let are_closed = self.stdout.wait_closed(SLACK) && self.stderr.wait_closed(SLACK);
        ensure!(are_closed, "its output is held open");
        Ok(status)
    }

    /// Waits for its end with this exit code.
    fn ends_with(&mut self, code: i32) -> Result<()> {
        let status = self.wait_exit()?;
        ensure!(
            status.code() == Some(code),
            "{status} instead of {code}: {}",
            self.errors()
        );
        Ok(())
    }
}

/// The processes with this mark that live.
fn living(mark: &str) -> Vec<u32> {
    let wanted = format!("{MARK}={mark}");
    let folders = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = folders.filter_map(|folder| folder.file_name().to_str()?.parse().ok());
    let is_marked = |pid: &u32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment
            .split(|byte| *byte == 0)
            .any(|variable| variable == wanted.as_bytes())
    };
    pids.filter(|pid| is_marked(pid) && leasehold_tests::process::is_alive(*pid))
        .collect()
}

/// `leasehold lock` on this store, without any configuration.
fn lock_command(etcd: &Etcd, args: &[&str]) -> Result<Command> {
    let mut command = Command::new(binaries::leasehold()?);
    command
        .args(["lock", "--endpoint", &etcd.endpoint()])
        .args(args)
        .env_remove("LEASEHOLD_CONFIG")
        .current_dir("/");
    Ok(command)
}

/// Runs `leasehold lock` to its end.
fn lock(etcd: &Etcd, args: &[&str]) -> Result<CommandOutput> {
    finish("leasehold lock", lock_command(etcd, args)?)
}

/// Sends a signal to any process.
fn signal(pid: u32, signal: rustix::process::Signal) -> Result<()> {
    let pid = i32::try_from(pid)?;
    let pid = rustix::process::Pid::from_raw(pid).ok_or_else(|| anyhow!("no pid"))?;
    rustix::process::kill_process(pid, signal)?;
    Ok(())
}

/// Reads a file that a command writes.
fn read(file: &Path) -> Result<String> {
    Ok(fs::read_to_string(file)?.trim_end().to_owned())
}

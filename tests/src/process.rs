//! A child process that tests can stop, continue and kill, and that never outlives its owner.
//!
//! Signals go to the pid of a child that has not been reaped, so they cannot reach another process.
//! Dropping the owner kills the whole process group, stopped or not, and waits for the child.

use std::fmt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, kill_process, kill_process_group, waitid,
};

use crate::reaper::Reaper;
use crate::wait::eventually;

/// The variable that makes a host of the test build abort; a host with it keeps its quarantine.
const ABORT_ON: &str = "LEASEHOLD_TEST_ABORT_ON";

/// The processes that the process `pid` has started and not yet waited for.
pub fn children(pid: u32) -> Vec<u32> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task"));
    let tasks = tasks.into_iter().flatten().flatten();
    let lists = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    lists
        .flat_map(|list| {
            list.split_whitespace()
                .filter_map(|pid| pid.parse().ok())
                .collect::<Vec<_>>()
        })
        .collect()
}

/// True if the process `pid` exists and has not ended.
pub fn is_alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !stat.is_empty() && !stat.contains(") Z ")
}

/// Returns the resident memory of the process `pid`, in KiB.
///
/// # Errors
/// The process does not exist, or has ended.
pub fn resident(pid: u32) -> Result<u64> {
    memory(pid, "VmRSS:")
}

/// Returns the most memory that the process `pid` ever had, in KiB.
///
/// # Errors
/// The process does not exist, or has ended.
pub fn peak(pid: u32) -> Result<u64> {
    memory(pid, "VmHWM:")
}

fn memory(pid: u32, name: &'static str) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kib = line.and_then(|line| line.split_whitespace().next());
    kib.context(name)?.parse().context(name)
}

/// Returns the processor time that the process `pid` has used, in seconds. The kernel counts in hundredths.
///
/// # Errors
/// The process does not exist.
pub fn cpu_seconds(pid: u32) -> Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, after) = stat.rsplit_once(')').context("an unknown /proc/PID/stat")?;
    let fields: Vec<&str> = after.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok());
    let both = ticks(11).zip(ticks(12));
    let (user, system) = both.context("an unknown /proc/PID/stat")?;
    Ok((user + system) / 100.0)
}

/// A running or ended child process.
#[derive(Debug)]
pub struct Process {
    name: String,
    pid: Pid,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Not yet reaped: the pid is ours. The reaper is held, never used.
    Running { child: Child, _reaper: Reaper },
    /// Reaped: the pid may belong to another process by now.
    Ended(ExitStatus),
}

impl Process {
    /// Starts `command` in a process group of its own, with nothing to read from.
    ///
    /// # Errors
    /// The program could not be started.
    pub fn spawn(name: impl Into<String>, command: &mut Command) -> Result<Self> {
        Self::start(name.into(), command, Stdio::null(), None)
    }

    /// As [`Process::spawn`], with something to read; if this process crashes, the directory `scratch` is
    /// removed with the child.
    pub(crate) fn start(
        name: String,
        command: &mut Command,
        stdin: Stdio,
        scratch: Option<&Path>,
    ) -> Result<Self> {
        let mut reaper = Reaper::new()?;
        // Hosts are killed here at any moment, which looks like a crash while a guest is in its first run. They also
        // share a data directory, for its compile cache.
        if !command.get_envs().any(|(name, _)| name == ABORT_ON) {
            command.env("LEASEHOLD_TEST_NO_QUARANTINE", "1");
        }
        let child = command
            .stdin(stdin)
            .process_group(0)
            .spawn()
            .with_context(|| format!("starting {name}: {}", command.get_program().display()))?;
        let pid = Pid::from_child(&child);
        let tied = reaper.tie(pid, scratch);
        // Owned from here on, so that a failure below kills the child.
        let process = Self {
            name,
            pid,
            state: State::Running {
                child,
                _reaper: reaper,
            },
        };
        tied?;
        Ok(process)
    }

    /// The child's pid.
    pub fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// The child's standard output, when it was piped; once.
    pub fn take_stdout(&mut self) -> Option<ChildStdout> {
        match &mut self.state {
            State::Running { child, .. } => child.stdout.take(),
            State::Ended(_) => None,
        }
    }

    /// The child's standard error, when it was piped; once.
    pub fn take_stderr(&mut self) -> Option<ChildStderr> {
        match &mut self.state {
            State::Running { child, .. } => child.stderr.take(),
            State::Ended(_) => None,
        }
    }

    /// Sends a signal to the child alone.
    ///
    /// # Errors
    /// The child has ended.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        if let State::Ended(status) = self.state {
            bail!("cannot signal {self}: it ended with {status}");
        }
        kill_process(self.pid, signal).with_context(|| format!("signalling {self}"))
    }

    /// Stops the child (SIGSTOP) and returns when every thread of it has stopped.
    ///
    /// # Errors
    /// The child has ended, before or instead.
    pub fn stop(&self) -> Result<()> {
        self.signal(Signal::STOP)?;
        // Waiting for exits too, so that a child that ended first does not block this for ever.
        let wanted = WaitIdOptions::STOPPED | WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        let status = waitid(WaitId::Pid(self.pid), wanted)
            .with_context(|| format!("waiting for {self} to stop"))?;
        match status {
            Some(status) if status.stopped() => Ok(()),
            other => bail!("{self} ended instead of stopping: {other:?}"),
        }
    }

    /// Lets a stopped child go on.
    ///
    /// # Errors
    /// The child has ended.
    pub fn cont(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    /// True if the child is stopped at this moment.
    pub fn is_stopped(&self) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid()));
        stat.is_ok_and(|stat| stat.contains(") T "))
    }

    /// Kills the child and its process group, and waits until it has ended. On an ended child this does nothing.
    ///
    /// # Errors
    /// The child could not be waited for.
    pub fn kill(&mut self) -> Result<ExitStatus> {
        if let State::Running { child, .. } = &mut self.state {
            // The group first, while the unreaped child still keeps its number from being used again.
            let _ = kill_process_group(self.pid, Signal::KILL);
            let status = child
                .wait()
                .with_context(|| format!("waiting for {} to die", self.name))?;
            self.state = State::Ended(status);
        }
        self.ended().with_context(|| format!("{self} still runs"))
    }

    /// The exit status of the child, if it has ended. The rest of its process group is killed then.
    ///
    /// # Errors
    /// The child's status could not be read.
    pub fn try_exit(&mut self) -> Result<Option<ExitStatus>> {
        if let State::Running { child, .. } = &mut self.state
            && let Some(status) = child
                .try_wait()
                .with_context(|| format!("asking for {}", self.name))?
        {
            let _ = kill_process_group(self.pid, Signal::KILL);
            self.state = State::Ended(status);
        }
        Ok(self.ended())
    }

    /// Waits for the child to end by itself.
    ///
    /// # Errors
    /// It still runs after `timeout`.
    pub fn wait_exit(&mut self, timeout: Duration) -> Result<ExitStatus> {
        let what = format!("{self} to end");
        eventually(timeout, &what, || self.try_exit()?.context("it still runs"))
    }

    fn ended(&self) -> Option<ExitStatus> {
        match self.state {
            State::Running { .. } => None,
            State::Ended(status) => Some(status),
        }
    }
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (pid {})", self.name, self.pid())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;

    const SLACK: Duration = Duration::from_secs(20);

    fn shell(script: &str) -> Process {
        Process::spawn("sh", Command::new("sh").args(["-c", script])).unwrap()
    }

    #[test]
    fn a_stopped_process_stands_still_until_it_is_continued() {
        let process = shell("while :; do :; done");
        process.stop().unwrap();
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.pid())).unwrap();
        assert!(stat.contains(") T "), "{stat}");
        process.cont().unwrap();
        eventually(SLACK, "the process to go on", || {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.pid()))?;
            anyhow::ensure!(!stat.contains(") T "), "{stat}");
            Ok(())
        })
        .unwrap();
    }

    #[test]
    fn dropping_the_owner_kills_a_stopped_process() {
        let process = shell("sleep 600");
        let pid = process.pid();
        process.stop().unwrap();
        assert!(is_alive(pid));
        drop(process);
        assert!(!is_alive(pid));
    }

    #[test]
    fn grandchildren_die_with_a_killed_process() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("pid");
        let mut process = shell(&format!("sleep 600 & echo $! > {}; wait", file.display()));
        let grandchild: u32 = eventually(SLACK, "the grandchild's pid", || {
            Ok(std::fs::read_to_string(&file)?.trim().parse()?)
        })
        .unwrap();
        assert!(is_alive(grandchild));
        assert_eq!(process.kill().unwrap().signal(), Some(9));
        eventually(SLACK, "the grandchild to die", || {
            anyhow::ensure!(!is_alive(grandchild), "it lives");
            Ok(())
        })
        .unwrap();
    }

    #[test]
    fn an_exit_is_seen_and_signals_are_refused_after_it() {
        let mut process = shell("exit 7");
        assert_eq!(process.wait_exit(SLACK).unwrap().code(), Some(7));
        let refusal = process.cont().unwrap_err().to_string();
        assert!(refusal.contains("it ended with"), "{refusal}");
    }

    #[test]
    fn waiting_for_a_process_that_goes_on_fails_with_its_name() {
        let mut process = shell("sleep 600");
        let error = process
            .wait_exit(Duration::from_millis(20))
            .unwrap_err()
            .to_string();
        assert!(error.contains("sh (pid"), "{error}");
    }

    #[test]
    fn resident_memory_is_that_of_a_living_process() {
        let mut process = shell("sleep 600");
        let pid = process.pid();
        let now = resident(pid).unwrap();
        assert!(now > 0 && now <= peak(pid).unwrap());
        process.kill().unwrap();
        assert!(resident(pid).is_err());
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = Process::spawn("ghost", &mut Command::new("/no/such/program")).unwrap_err();
        assert_eq!(
            format!("{error:#}").split(':').next(),
            Some("starting ghost")
        );
        assert!(format!("{error:#}").contains("/no/such/program"));
    }
}

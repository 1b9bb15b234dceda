//! Clean-up of child processes after a crashed test.
//!
//! A small shell waits on a pipe that only this process holds open. When this process ends in any way, the kernel
//! closes the pipe; the shell then kills the child's process group and removes its scratch directory. Dropping the
//! reaper kills the shell before its pipe closes, so it never acts while the child is in use.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};
use rustix::process::Pid;

/// Script of the shell. The first line it reads is the process group to kill, the second the directory to remove,
/// or empty. The third `read` ends only with the pipe.
const SCRIPT: &str = r#"read -r group && read -r scratch || exit 0
read -r _
kill -s KILL -- "-$group"
[ -z "$scratch" ] || rm -rf -- "$scratch""#;

/// Kills one process group when this process has ended; does nothing once dropped.
#[derive(Debug)]
pub(crate) struct Reaper {
    shell: Child,
}

impl Reaper {
    /// Starts the shell, which waits for the process group.
    pub(crate) fn new() -> Result<Self> {
        let shell = Command::new("sh")
            .args(["-c", SCRIPT])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // A group of its own: a Ctrl-C for the tests must not end the shell that cleans up after them.
            .process_group(0)
            .spawn()
            .context("starting sh to guard a child process")?;
        Ok(Self { shell })
    }

    /// Sets the process group that must not outlive this process, and its scratch directory.
    pub(crate) fn tie(&mut self, group: Pid, scratch: Option<&Path>) -> Result<()> {
        let pipe = self
            .shell
            .stdin
            .as_mut()
            .context("the guard's pipe is closed")?;
        let scratch = scratch.unwrap_or(Path::new(""));
        let order = format!("{}\n{}\n", group.as_raw_nonzero(), scratch.display());
        pipe.write_all(order.as_bytes())
            .context("telling the guard whom to guard")
    }
}

impl Drop for Reaper {
    fn drop(&mut self) {
        // Killed before its pipe closes, so it cannot fire.
        let _ = self.shell.kill();
        let _ = self.shell.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::{Signal, kill_process};
    use std::os::unix::process::ExitStatusExt;

    fn sleeper() -> (Child, Pid) {
        let child = Command::new("sleep")
            .arg("600")
            .process_group(0)
            .spawn()
            .unwrap();
        let pid = Pid::from_child(&child);
        (child, pid)
    }

    #[test]
    fn a_stopped_child_and_its_scratch_end_with_the_pipe() {
        let scratch = tempfile::tempdir().unwrap().keep();
        std::fs::write(scratch.join("file"), "data").unwrap();
        let (mut child, pid) = sleeper();
        let mut reaper = Reaper::new().unwrap();
        reaper.tie(pid, Some(&scratch)).unwrap();
        kill_process(pid, Signal::STOP).unwrap();

        // The kernel closes the pipe when this process crashes.
        drop(reaper.shell.stdin.take());

        assert_eq!(child.wait().unwrap().signal(), Some(Signal::KILL.as_raw()));
        reaper.shell.wait().unwrap();
        assert!(!scratch.exists());
    }

    #[test]
    fn a_dropped_reaper_leaves_the_child_alone() {
        let (mut child, pid) = sleeper();
        let mut reaper = Reaper::new().unwrap();
        reaper.tie(pid, None).unwrap();
        drop(reaper);

        assert!(child.try_wait().unwrap().is_none(), "the child was killed");
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

//! A real `leasehold run` as a child: its config, its events, and the signals that faults are made of.
//!
//! All of its output is kept; the error of a failed wait shows it.

mod start;

use std::fmt::Display;
use std::path::Path;
use std::process::ExitStatus;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use rustix::process::Signal;
use tempfile::TempDir;

pub use start::WallClock;

use crate::certs;
use crate::events::{Event, last_lines, merge};
use crate::process::Process;
use crate::suite::{self, Ended};
use crate::tail::{NoLine, Tail};

/// A host's config, in the directory it runs in.
const FILE: &str = "leasehold.toml";

/// Number of events that an error shows.
const SHOWN: usize = 40;

/// Bound of reading the rest of an ended host's output.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// One running host; killed, stopped or not, when dropped. Its log is judged then, see [`suite`].
#[derive(Debug)]
pub struct HostProcess {
    // Before the tails, which end only with it.
    process: Process,
    events: Tail<Event>,
    stderr: Tail<String>,
    dir: TempDir,
    config: String,
    killed: bool,
    frozen: AtomicBool,
    judged: bool,
}

impl HostProcess {
    /// The same host, whose log its owner judges.
    #[must_use]
    pub fn unjudged(mut self) -> Self {
        self.judged = false;
        self
    }

    /// True if any event so far is one that `wanted` accepts.
    pub fn has(&self, wanted: impl FnMut(&Event) -> bool) -> bool {
        self.events.wait_from(0, Duration::ZERO, wanted).is_ok()
    }

    /// The directory it runs in, with its config.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Its pid.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// All events so far, in the order they were written.
    pub fn events(&self) -> Vec<Event> {
        self.events.all()
    }

    /// All of standard error so far.
    pub fn stderr(&self) -> String {
        self.stderr.all().join("\n")
    }

    /// Position in the stream of events, to wait for later ones.
    pub fn mark(&self) -> usize {
        self.events.len()
    }

    /// The first event ever that `wanted` accepts, waiting for it.
    ///
    /// # Errors
    /// None came in time, or the host ended; the error shows its last events and standard error.
    pub fn wait_for(&self, timeout: Duration, wanted: impl FnMut(&Event) -> bool) -> Result<Event> {
        self.wait_after(0, timeout, wanted)
    }

    /// The first event after `mark` that `wanted` accepts, waiting for it.
    ///
    /// # Errors
    /// None came in time, or the host ended; the error shows its last events and standard error.
    pub fn wait_after(
        &self,
        mark: usize,
        timeout: Duration,
        wanted: impl FnMut(&Event) -> bool,
    ) -> Result<Event> {
        self.events.wait_from(mark, timeout, wanted).map_err(|why| {
            let why = match why {
                NoLine::Timeout => format!("no such event in {timeout:?}"),
                NoLine::Closed => "its output ended without such an event".to_owned(),
            };
            anyhow!("{}: {why}{}", self.process, self.last_output())
        })
    }

    /// Freezes it (SIGSTOP). Returns when every thread of it has stopped.
    ///
    /// # Errors
    /// It has ended.
    pub fn stop(&self) -> Result<()> {
        self.frozen.store(true, Ordering::Relaxed);
        self.process.stop().with_context(|| self.last_output())
    }

    /// Lets it go on (SIGCONT).
    ///
    /// # Errors
    /// It has ended.
    pub fn cont(&self) -> Result<()> {
        self.process.cont().with_context(|| self.last_output())
    }

    /// Asks it to end (SIGTERM).
    ///
    /// # Errors
    /// It has ended.
    pub fn term(&self) -> Result<()> {
        self.process
            .signal(Signal::TERM)
            .with_context(|| self.last_output())
    }

    /// Sends it any signal.
    ///
    /// # Errors
    /// It has ended.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        self.process
            .signal(signal)
            .with_context(|| self.last_output())
    }

    /// Asks it to end as a terminal does (SIGINT).
    ///
    /// # Errors
    /// It has ended.
    pub fn interrupt(&self) -> Result<()> {
        self.process
            .signal(Signal::INT)
            .with_context(|| self.last_output())
    }

    /// Asks it to read its config again (SIGHUP).
    ///
    /// # Errors
    /// It has ended.
    pub fn hangup(&self) -> Result<()> {
        self.process
            .signal(Signal::HUP)
            .with_context(|| self.last_output())
    }

    /// Puts another config in place of the one it was started with, as an editor does: written beside it,
    /// then moved over it.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn reconfigure(&self, config: &impl Display) -> Result<()> {
        let new = self.dir.path().join("leasehold.toml.new");
        certs::write(&new, &config.to_string())?;
        std::fs::rename(&new, self.dir.path().join(FILE)).context("moving a config into place")
    }

    /// Kills it (SIGKILL) and reads the rest of its output.
    ///
    /// # Errors
    /// It could not be waited for.
    pub fn kill(&mut self) -> Result<()> {
        self.killed = true;
        self.process.kill()?;
        self.drain()
    }

    /// Waits until it has ended by itself and all of its output is read.
    ///
    /// # Errors
    /// It still runs after `timeout`; the error shows its last events and standard error.
    pub fn wait_exit(&mut self, timeout: Duration) -> Result<ExitStatus> {
        let exit = self.process.wait_exit(timeout);
        let status = exit.with_context(|| self.last_output())?;
        self.drain()?;
        Ok(status)
    }

    fn drain(&self) -> Result<()> {
        let read = self.events.wait_closed(DRAIN_TIMEOUT) && self.stderr.wait_closed(DRAIN_TIMEOUT);
        ensure!(
            read,
            "{} ended, yet something holds its output open",
            self.process
        );
        Ok(())
    }

    fn last_output(&self) -> String {
        format!(
            "; its last events:\n{}\nits standard error:\n{}",
            last_lines(&self.events(), SHOWN),
            self.stderr()
        )
    }
}

impl Drop for HostProcess {
    /// # Panics
    /// The history check found a violation, and no panic is under way.
    fn drop(&mut self) {
        let ended_by_itself =
            matches!(self.process.try_exit(), Ok(Some(status)) if status.code().is_some());
        if self.process.kill().is_err() || self.drain().is_err() {
            return;
        }
        if !self.judged {
            return;
        }
        let ended = Ended {
            killed: self.killed || !ended_by_itself,
            frozen: self.frozen.load(Ordering::Relaxed),
        };
        let verdict = suite::host_ended(&self.config, &self.events(), ended);
        suite::demand(verdict.map_err(anyhow::Error::msg));
    }
}

/// All events of several hosts in the order of the clock they share.
pub fn merged(hosts: &[&HostProcess]) -> Vec<Event> {
    merge(hosts.iter().map(|host| host.events()))
}

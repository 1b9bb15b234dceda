//! The side of `leasehold`: starts the keeper, sends it orders and receives its reports.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{getpgrp, getpid, set_child_subreaper};
use rustix::termios::tcgetpgrp;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::arguments::{CommandPlace, KeeperArgs};
use super::channel::send_descriptor;
use super::descendants::{collect, kill};
use super::messages::{KeeperOrder, KeeperReport, to_line};

/// Time for an order to be taken. A keeper that is stopped takes none once its socket is full.
const PATIENCE: Duration = Duration::from_millis(200);
/// Time after which processes that cannot be killed are left alone.
const SWEEP_FOR: Duration = Duration::from_secs(2);
/// Pause between two rounds of killing.
const SWEEP_EVERY: Duration = Duration::from_millis(2);

/// Command to keep.
pub(crate) struct CommandRequest {
    /// Program and arguments.
    pub(crate) command: Vec<OsString>,
    /// Variables beside those of this process.
    pub(crate) variables: Vec<(&'static str, String)>,
    /// Time between SIGTERM and SIGKILL where no deadline is nearer.
    pub(crate) grace: Duration,
}

/// A command and its keeper. Dropping it ends both.
pub(crate) struct HeldCommand {
    keeper: Child,
    orders: OwnedWriteHalf,
    reports: Lines<BufReader<OwnedReadHalf>>,
    terminal: Option<File>,
}

impl HeldCommand {
    /// Starts the keeper. The command starts with [`KeeperOrder::Start`].
    pub(crate) fn new(request: CommandRequest) -> io::Result<Self> {
        let terminal = File::open("/dev/tty").ok();
        let args = KeeperArgs {
            grace: request.grace,
            place: match terminal {
                Some(_) => CommandPlace::Terminal { group: getpgrp() },
                None => CommandPlace::OwnSession,
            },
            command: request.command,
        };
        // Descendants of a keeper that is killed become ours, and are found.
        set_child_subreaper(Some(getpid()))?;
        let (ours, theirs) = StdUnixStream::pair()?;
        let keeper = Command::new("/proc/self/exe")
            .arg0("leasehold")
            .args(args.to_args())
            .envs(request.variables)
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .spawn()?;
        send_descriptor(&ours, io::stdin().as_fd())?;
        ours.set_nonblocking(true)?;
        let (reports, orders) = UnixStream::from_std(ours)?.into_split();
        Ok(Self {
            keeper,
            orders,
            reports: BufReader::new(reports).lines(),
            terminal,
        })
    }

    /// Sends an order. One that is not taken has no effect: the keeper has ended, or acts by its limits.
    pub(crate) async fn order(&mut self, order: &KeeperOrder) {
        let line = to_line(order);
        let _ = timeout(PATIENCE, self.orders.write_all(&line)).await;
    }

    /// Returns the next report; `None` when the keeper has ended. Safe to cancel.
    pub(crate) async fn report(&mut self) -> Option<KeeperReport> {
        let line = self.reports.next_line().await.ok()??;
        serde_json::from_str(&line).ok()
    }

    /// True if the terminal sends the signals of its keys to the command by itself.
    pub(crate) fn has_terminal_keys(&self) -> bool {
        let terminal = self.terminal.as_ref();
        terminal.is_some_and(|terminal| tcgetpgrp(terminal) == Ok(getpgrp()))
    }

    /// Kills the keeper and every process below this one. Returns true if none is left.
    pub(crate) async fn sweep(&mut self) -> bool {
        // A keeper that has ended needs no signal.
        let _ = self.keeper.kill();
        let swept = spawn_blocking(|| {
            let began = Instant::now();
            loop {
                kill(getpid());
                if collect() {
                    return true;
                }
                if began.elapsed() >= SWEEP_FOR {
                    return false;
                }
                std::thread::sleep(SWEEP_EVERY);
            }
        });
        swept.await.unwrap_or(false)
    }
}

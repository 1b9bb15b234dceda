//! `leasehold lock`: holds a lock while a command runs, or until a signal.
//!
//! - `terms`: the lock and the times, from the arguments; `waiting`: lines about the holder while it waits
//! - `taking`: the way to the lock; `holding`: the command under it, or the hold without one

mod holding;
mod taking;
mod terms;
mod waiting;

use std::ffi::OsString;
use std::time::Duration;

use clap::Args;
use leasehold_lock::{LockMode, Locks};
use tokio::time::timeout;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::held_command::signals::HolderSignals;
use crate::interrupt::interrupted;
use crate::store_target::TargetArgs;
use holding::HoldEnd;
use taking::{LockTaker, describe_program};
use terms::{HoldTimes, LockName};

/// Time for leaving the store of a lock that was lost. It often does not answer then.
const LEAVE_LOST: Duration = Duration::from_millis(500);

/// Hold a lock while a command runs.
///
/// The lock is that of jobs with `lock = "NAME"`. The command starts when the lock is held. It is ended, with all
/// processes that it started, before the lock can be another's: SIGTERM in doubt, SIGKILL before the lease ends.
/// Also a `leasehold` that is stopped or killed does not leave it running. Its streams are passed through, its exit
/// code is passed on (128 + N after signal N), and the lock is given back when nothing of it runs.
///
/// The command finds `LEASEHOLD_TOKEN`, the fencing token, `LEASEHOLD_LOCK`, and as from `etcdctl lock` `ETCD_LOCK_KEY`
/// and `ETCD_LOCK_REV`. SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1 and SIGUSR2 are passed on to it. Without a command,
/// the key and the token are printed, and the lock is held until a signal.
///
/// Exit codes of its own: 2 usage; 3 [store] has errors; 5 store; 6 not acquired within --wait; 8 lost: the
/// command was ended; 126 not executable; 127 not found; 130 a signal while waiting. Each comes with a message.
#[derive(Args)]
pub(crate) struct LockArgs {
    /// The lock: as in `lock = "NAME"` of a job, which is then excluded too.
    name: String,
    /// Hold the lock beside other shared holders, as readers do. Writers wait for all of them, in order.
    #[arg(long, conflicts_with = "permits")]
    shared: bool,
    /// Hold W of the CAP permits that the lock has, as in 1/3: as many holders at once as fit. All users of the lock
    /// must name the same CAP.
    #[arg(long, value_name = "W/CAP", value_parser = terms::parse_permits)]
    permits: Option<LockMode>,
    /// Give up if the lock is not acquired within this time, with exit code 6; 0s does not wait at all.
    /// [default: wait without end]
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    wait: Option<Duration>,
    /// Time to live of the lease: that long others wait after this machine died.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = humantime::parse_duration)]
    ttl: Duration,
    /// Time between SIGTERM and SIGKILL. The deadline is that much before the end of the lease.
    /// [default: 2s, or a fifth of --ttl if that is less]
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    grace: Option<Duration>,
    /// NAME is a key as `etcdctl lock` is given: no prefix is put before it.
    #[arg(long)]
    raw_key: bool,
    #[command(flatten)]
    store: TargetArgs,
    /// The command and its arguments.
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// Holds the lock until the command has ended, a signal comes, or it is lost.
pub(crate) async fn run(args: LockArgs) -> Result<Exit, Failure> {
    let mut signals = HolderSignals::new().map_err(|error| Failure::internal(&error))?;
    if let Some(fault) = LockName::fault(&args.name, args.raw_key) {
        return Err(Failure::new(Exit::Usage, fault));
    }
    let mode = match args.permits {
        Some(permits) => permits,
        None if args.shared => LockMode::Shared,
        None => LockMode::Exclusive,
    };
    let times = HoldTimes::new(args.ttl, args.grace, args.wait)
        .map_err(|fault| Failure::new(Exit::Usage, fault))?;
    let (locks, root) = tokio::select! {
        signal = signals.next_end() => return Err(interrupted(signal)),
        opened = args.store.open() => opened?,
    };
    let hold = LockHold {
        locks: &locks,
        lock: LockName::new(&args.name, args.raw_key, &root),
        mode,
        times,
        command: args.command,
    };
    let ended = Box::pin(hold.run(&mut signals)).await;
    let is_lost = matches!(ended, Ok(Exit::Lost));
    if is_lost {
        // What is left in the store ends with the lease.
        let _ = timeout(LEAVE_LOST, locks.close()).await;
    } else {
        locks.close().await;
    }
    ended
}

/// One hold of a lock.
struct LockHold<'a> {
    locks: &'a Locks,
    lock: LockName,
    mode: LockMode,
    times: HoldTimes,
    command: Vec<OsString>,
}

impl LockHold<'_> {
    async fn run(self, signals: &mut HolderSignals) -> Result<Exit, Failure> {
        let taker = LockTaker {
            locks: self.locks,
            lock: &self.lock,
            mode: self.mode,
            times: &self.times,
            program: describe_program(&self.command),
        };
        let grant = tokio::select! {
            signal = signals.next_end() => return Err(interrupted(signal)),
            grant = taker.take() => grant?,
        };
        let ended = if self.command.is_empty() {
            holding::hold(&grant, &self.lock, signals).await?
        } else {
            let times = &self.times;
            holding::keep(&grant, (&self.lock, times), self.command, signals).await?
        };
        match ended {
            HoldEnd::Done(exit) => {
                if let Err(error) = grant.release().await {
                    holding::warn_unreleased(&self.lock, &error);
                }
                Ok(exit)
            }
            HoldEnd::Lost => Ok(Exit::Lost),
        }
    }
}

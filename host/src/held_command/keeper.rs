//! The keeper: starts the command, and ends it at its limits, on an order, or with `leasehold`.
//!
//! It has one thread, which the kernel takes for the parent of the command, and waits for the socket, the command's
//! end and a timer of the boot-time clock.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use leasehold_lock::{BootTime, Clock as _, SystemClock};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, getpid, kill_process_group, pidfd_open,
    set_child_subreaper, setpgid, setsid, waitid,
};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, timerfd_create, timerfd_settime,
};
use tokio::runtime::Builder;

use super::arguments::{CommandPlace, KeeperArgs, StageArgs};
use super::channel::KeeperChannel;
use super::descendants::{self, collect, collect_except, living};
use super::messages::{CommandEnd, EndHaste, HoldLimits, KeeperOrder, KeeperReport};
use super::phase::{CommandClock, DueAction};
use super::signals::HolderSignals;

/// Exit code if the keeper cannot do its work.
const NOT_SET_UP: u8 = 70;
/// Pause between two rounds of killing.
const KILL_EVERY: Duration = Duration::from_millis(2);
/// Rounds of killing after which processes that live on are reported, and rounds are rare.
const KILL_ROUNDS: u32 = 50;
/// Pause between two rounds after that, and between looks at a command that no handle shows the end of.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Pause between looks at processes that were asked to end.
const ENDING_EVERY: Duration = Duration::from_millis(10);

/// Keeps one command until nothing of it is left.
pub(super) fn run(args: &[OsString]) -> ExitCode {
    let Some(args) = KeeperArgs::parse(args) else {
        return ExitCode::from(NOT_SET_UP);
    };
    let Ok((mut channel, input)) = KeeperChannel::open() else {
        return ExitCode::from(NOT_SET_UP);
    };
    // It has no thread of its own.
    let Ok(runtime) = Builder::new_current_thread().enable_io().build() else {
        return ExitCode::from(NOT_SET_UP);
    };
    let _inside = runtime.enter();
    // They reach the command by `leasehold`, or by themselves; handlers, which this sets, end where it starts.
    let Ok(_swallowed) = HolderSignals::new() else {
        return ExitCode::from(NOT_SET_UP);
    };
    match Keeper::start(&args, &mut channel, input) {
        Ok(Some(keeper)) => keeper.keep(channel),
        Ok(None) => {}
        Err(error) => channel.report(&KeeperReport::NotStarted(error.to_string())),
    }
    ExitCode::SUCCESS
}

/// A started command and all that is known of it.
struct Keeper {
    place: CommandPlace,
    own: Pid,
    command: Pid,
    /// Shows the end of the command; `None` on kernels without.
    handle: Option<OwnedFd>,
    timer: OwnedFd,
    clock: CommandClock,
    has_ended: bool,
    kill_rounds: u32,
}

impl Keeper {
    /// Sets this process up, waits for the order to start, and starts the command. `None` if the order never came.
    fn start(
        args: &KeeperArgs,
        channel: &mut KeeperChannel,
        input: OwnedFd,
    ) -> io::Result<Option<Self>> {
        match args.place {
            CommandPlace::OwnSession => drop(setsid()?),
            CommandPlace::Terminal { .. } => setpgid(None, None)?,
        }
        let own = getpid();
        set_child_subreaper(Some(own))?;
        let timer = timerfd_create(TimerfdClockId::Boottime, TimerfdFlags::CLOEXEC)?;
        let Some(limits) = wait_for_start(channel)? else {
            return Ok(None);
        };
        if SystemClock.now() >= limits.term() {
            return Err(io::Error::other("the lock ended before it began"));
        }
        let command = start_command(args, own, input)?;
        Ok(Some(Self {
            place: args.place,
            own,
            command,
            handle: pidfd_open(command, PidfdFlags::empty()).ok(),
            timer,
            clock: CommandClock::new(args.grace, limits),
            has_ended: false,
            kill_rounds: 0,
        }))
    }

    fn keep(mut self, mut channel: KeeperChannel) {
        loop {
            let due = self.clock.due(SystemClock.now());
            self.act(due, &mut channel);
            self.see_end(&mut channel);
            if self.has_ended && living(self.own).is_empty() && collect() {
                channel.report(&KeeperReport::Cleared);
                return;
            }
            if self.wait(&channel).is_err() {
                // Without a wait, the limits cannot be watched.
                let action = self.clock.end(EndHaste::Now, SystemClock.now());
                self.act(action, &mut channel);
                std::thread::sleep(KILL_EVERY);
            }
            let was_open = channel.socket().is_some();
            for order in channel.receive() {
                self.obey(&order, &mut channel);
            }
            if was_open && channel.socket().is_none() {
                let action = self.clock.end(EndHaste::Grace, SystemClock.now());
                self.act(action, &mut channel);
            }
        }
    }

    fn obey(&mut self, order: &KeeperOrder, channel: &mut KeeperChannel) {
        match order {
            KeeperOrder::Start(limits) | KeeperOrder::Extend(limits) => {
                self.clock.extend(*limits, SystemClock.now());
                collect_except(self.own, self.command);
            }
            KeeperOrder::Signal(number) => {
                if let Some(signal) = Signal::from_named_raw(*number) {
                    self.pass_on(signal);
                }
            }
            KeeperOrder::End(haste) => {
                let action = self.clock.end(*haste, SystemClock.now());
                self.act(action, channel);
            }
        }
    }

    /// Passes a signal on to the command's process group.
    fn pass_on(&self, signal: Signal) {
        match self.place {
            // The command is not collected while this process waits, so the group is its own.
            CommandPlace::OwnSession => {
                let _ = kill_process_group(self.command, signal);
            }
            CommandPlace::Terminal { group } => {
                let processes = living(self.own);
                for process in processes.iter().filter(|process| process.is_in(group)) {
                    let _ = process.signal(signal);
                }
            }
        }
    }

    fn act(&mut self, action: Option<DueAction>, channel: &mut KeeperChannel) {
        match action {
            None => {}
            Some(DueAction::Terminate) => {
                for process in living(self.own) {
                    // One that is stopped takes the signal when it goes on. A failure shows when it is killed.
                    let _ = process.signal(Signal::TERM);
                    let _ = process.signal(Signal::CONT);
                }
            }
            Some(DueAction::Kill) => {
                descendants::kill(self.own);
                self.kill_rounds += 1;
                if self.kill_rounds == KILL_ROUNDS {
                    let left = living(self.own);
                    let pids = left.iter().map(|process| process.pid().as_raw_nonzero());
                    channel.report(&KeeperReport::Remaining(pids.map(i32::from).collect()));
                }
            }
        }
    }

    /// Notes the end of the command, and asks the processes that it leaves behind to end.
    fn see_end(&mut self, channel: &mut KeeperChannel) {
        if self.has_ended {
            return;
        }
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let end = match waitid(WaitId::Pid(self.command), options) {
            Ok(Some(status)) => match (status.exit_status(), status.terminating_signal()) {
                (Some(code), _) => CommandEnd::Code(code),
                (None, Some(signal)) => CommandEnd::Signal(signal),
                (None, None) => return,
            },
            _ => return,
        };
        self.has_ended = true;
        let now = SystemClock.now();
        channel.report(&KeeperReport::Ended {
            end,
            was_asked: !self.clock.is_running(),
            at_ns: now.as_nanos(),
        });
        let action = self.clock.end(EndHaste::Grace, now);
        self.act(action, channel);
    }

    /// Waits for an order, the end of the command, or the next action.
    fn wait(&self, channel: &KeeperChannel) -> io::Result<()> {
        let next = self.clock.next();
        set_timer(&self.timer, next)?;
        let timeout = match next {
            None if self.kill_rounds < KILL_ROUNDS => Some(KILL_EVERY),
            None => Some(LOOK_EVERY),
            Some(_) if !self.clock.is_running() => Some(ENDING_EVERY),
            Some(_) => self.handle.is_none().then_some(LOOK_EVERY),
        };
        let timeout = timeout.map(Timespec::try_from).transpose();
        let timeout = timeout.map_err(io::Error::other)?;
        let handle = self.handle.as_ref().filter(|_| !self.has_ended);
        let socket = channel.socket().map(|socket| socket.as_fd());
        let descriptors = [
            socket,
            Some(self.timer.as_fd()),
            handle.map(|handle| handle.as_fd()),
        ];
        let mut polled: Vec<_> = descriptors
            .iter()
            .flatten()
            .map(|descriptor| PollFd::from_borrowed_fd(*descriptor, PollFlags::IN))
            .collect();
        match poll(&mut polled, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// Waits for the order to start. `None` if `leasehold` ends first.
fn wait_for_start(channel: &mut KeeperChannel) -> io::Result<Option<HoldLimits>> {
    while let Some(socket) = channel.socket() {
        let mut polled = [PollFd::new(socket, PollFlags::IN)];
        match poll(&mut polled, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for order in channel.receive() {
            match order {
                KeeperOrder::Start(limits) => return Ok(Some(limits)),
                KeeperOrder::End(_) => return Ok(None),
                // A signal that ends leasehold before the start ends the channel too.
                KeeperOrder::Extend(_) | KeeperOrder::Signal(_) => {}
            }
        }
    }
    Ok(None)
}

fn start_command(args: &KeeperArgs, own: Pid, input: OwnedFd) -> io::Result<Pid> {
    let stage = StageArgs {
        keeper: own,
        command: args.command.clone(),
    };
    let group = match args.place {
        CommandPlace::OwnSession => 0,
        CommandPlace::Terminal { group } => group.as_raw_nonzero().get(),
    };
    let child = Command::new("/proc/self/exe")
        .arg0("leasehold")
        .args(stage.to_args())
        .stdin(Stdio::from(input))
        .process_group(group)
        .spawn()?;
    Ok(Pid::from_child(&child))
}

/// Sets the timer to a moment of the boot-time clock, or to none.
fn set_timer(timer: &OwnedFd, at: Option<BootTime>) -> io::Result<()> {
    let since_boot = at.map(|at| at.since(BootTime::BOOT)).unwrap_or_default();
    let zero = Timespec::default();
    let time = Itimerspec {
        it_interval: zero,
        it_value: Timespec::try_from(since_boot).map_err(io::Error::other)?,
    };
    timerfd_settime(timer, TimerfdTimerFlags::ABSTIME, &time)?;
    Ok(())
}

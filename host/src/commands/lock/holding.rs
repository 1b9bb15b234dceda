//! The time under the lock: the command, its keeper and the tenure, or a hold until a signal.

use std::ffi::OsString;
use std::time::Duration;

use leasehold_lock::{BootTime, EndReason, Grant, StoreError, Tenure};
use leasehold_records::printable;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout_at};

use super::terms::{HoldTimes, LockName};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::held_command::control::{CommandRequest, HeldCommand};
use crate::held_command::messages::{CommandEnd, EndHaste, HoldLimits, KeeperOrder, KeeperReport};
use crate::held_command::signals::{HolderSignal, HolderSignals};
use crate::sink;

/// Looks at the deadline per TTL: it moves three times in it.
const LOOKS_PER_TTL: u32 = 20;
/// Time that a keeper has to act on a limit, before this process kills the command itself.
const KEEPER_ROOM: Duration = Duration::from_millis(30);

/// End of a hold.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum HoldEnd {
    /// The lock is still held, and can be given back.
    Done(Exit),
    /// The lock was lost, and nothing acts under it any more.
    Lost,
}

/// Holds the lock until a signal, or until it is lost.
pub(super) async fn hold(
    grant: &Grant,
    lock: &LockName,
    signals: &mut HolderSignals,
) -> Result<HoldEnd, Failure> {
    let text = format!("{}\n{}\n", grant.key(), grant.token());
    sink::print(&text).map_err(|error| Failure::internal(&error))?;
    tokio::select! {
        _ = signals.next_end() => Ok(HoldEnd::Done(Exit::Ok)),
        reason = grant.tenure().ended() => {
            print_loss(lock, &format!("was lost: {reason}"));
            Ok(HoldEnd::Lost)
        }
    }
}

/// Runs the command under the lock until nothing of it is left.
pub(super) async fn keep(
    grant: &Grant,
    (lock, times): (&LockName, &HoldTimes),
    command: Vec<OsString>,
    signals: &mut HolderSignals,
) -> Result<HoldEnd, Failure> {
    let request = CommandRequest {
        command,
        variables: variables(grant, lock),
        grace: times.grace,
    };
    let command = HeldCommand::new(request).map_err(|error| cannot_start(&error.to_string()))?;
    let hold = CommandHold {
        tenure: grant.tenure(),
        lock,
        times,
        command,
        sent: BootTime::BOOT,
        loss: None,
        is_loss_reported: false,
        ended: None,
    };
    hold.run(signals).await
}

/// Reports that the store did not confirm the release.
pub(super) fn warn_unreleased(lock: &LockName, error: &StoreError) {
    sink::print_warning(&format!(
        "warning: lock {} may be held until its lease ends: {}\n",
        printable::line(&lock.shown),
        printable::whole(&error.to_string()),
    ));
}

/// Variables for the command.
fn variables(grant: &Grant, lock: &LockName) -> Vec<(&'static str, String)> {
    let token = grant.token().to_string();
    vec![
        ("LEASEHOLD_LOCK", lock.shown.clone()),
        ("LEASEHOLD_TOKEN", token.clone()),
        ("ETCD_LOCK_KEY", grant.key().to_owned()),
        ("ETCD_LOCK_REV", token),
    ]
}

/// A lock that was lost while its command ran.
#[derive(Clone, Copy, Debug)]
struct LossUnderWay {
    /// The moment at which this process kills what the keeper has left.
    backstop: Instant,
}

/// End of a command, as its keeper saw it.
#[derive(Clone, Copy, Debug)]
struct SeenEnd {
    end: CommandEnd,
    was_asked: bool,
    at: BootTime,
}

/// A command under a lock.
struct CommandHold<'a> {
    tenure: &'a Tenure,
    lock: &'a LockName,
    times: &'a HoldTimes,
    command: HeldCommand,
    /// The last deadline that the keeper was sent.
    sent: BootTime,
    loss: Option<LossUnderWay>,
    is_loss_reported: bool,
    ended: Option<SeenEnd>,
}

impl CommandHold<'_> {
    async fn run(mut self, signals: &mut HolderSignals) -> Result<HoldEnd, Failure> {
        let mut looks = interval(self.times.ttl / LOOKS_PER_TTL);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.extend(KeeperOrder::Start).await;
        loop {
            let backstop = self.loss.map(|loss| loss.backstop);
            tokio::select! {
                report = self.command.report() => match report {
                    Some(KeeperReport::Cleared) => break,
                    Some(report) => self.take(report)?,
                    None => {
                        // While processes live that cannot be killed, the lock is kept.
                        while !self.command.sweep().await && self.tenure.admits() {}
                        return self.end_without_keeper();
                    }
                },
                reason = self.tenure.ended(), if self.loss.is_none() => self.lose(&reason).await,
                signal = signals.next() => self.pass_on(signal).await,
                _ = looks.tick() => self.extend(KeeperOrder::Extend).await,
                () = until(backstop), if backstop.is_some() => {
                    // The keeper is stopped, or has no processor.
                    self.command.sweep().await;
                    return Ok(HoldEnd::Lost);
                }
            }
        }
        Ok(self.end())
    }

    /// Sends the deadline, if it has moved.
    async fn extend(&mut self, order: fn(HoldLimits) -> KeeperOrder) {
        let term = self.tenure.deadline();
        // An ended tenure has no deadline; its end is an order of its own.
        if term > self.sent {
            self.sent = term;
            let limits = HoldLimits::new(term, term.after(self.times.grace));
            self.command.order(&order(limits)).await;
        }
    }

    fn take(&mut self, report: KeeperReport) -> Result<(), Failure> {
        match report {
            KeeperReport::NotStarted(reason) => Err(cannot_start(&reason)),
            KeeperReport::Ended {
                end,
                was_asked,
                at_ns,
            } => {
                self.ended = Some(SeenEnd {
                    end,
                    was_asked,
                    at: BootTime::from_nanos(at_ns),
                });
                Ok(())
            }
            KeeperReport::Remaining(pids) => {
                print_loss(self.lock, &describe_remaining(&pids, self.loss.is_some()));
                Ok(())
            }
            KeeperReport::Cleared => Ok(()),
        }
    }

    async fn lose(&mut self, reason: &EndReason) {
        let haste = haste(reason);
        let clock = self.tenure.clock();
        let left = match haste {
            EndHaste::Now => Duration::ZERO,
            EndHaste::Grace => {
                let kill = self.tenure.last_deadline().after(self.times.grace);
                kill.since(clock.now()).min(self.times.grace)
            }
        };
        let backstop = Instant::now() + left + KEEPER_ROOM;
        self.loss = Some(LossUnderWay { backstop });
        // A keeper that takes no order until then is replaced.
        let _ = timeout_at(backstop, self.command.order(&KeeperOrder::End(haste))).await;
        if self.ended.is_none() {
            self.report_loss(reason);
        }
    }

    /// Reports the loss, once.
    fn report_loss(&mut self, reason: &EndReason) {
        if !self.is_loss_reported {
            self.is_loss_reported = true;
            print_loss(self.lock, &describe_loss(reason, haste(reason)));
        }
    }

    async fn pass_on(&mut self, signal: HolderSignal) {
        if !(signal.is_of_key && self.command.has_terminal_keys()) {
            self.command
                .order(&KeeperOrder::Signal(signal.number))
                .await;
        }
    }

    /// The end of a hold whose command has ended, with all that it had started.
    fn end(&mut self) -> HoldEnd {
        let Some(ended) = self.ended else {
            return HoldEnd::Lost;
        };
        // The keeper knows of a deadline that passed while this process was stopped.
        let tenure = self.tenure;
        let is_lost = ended.was_asked
            || !tenure.admits() && tenure.ended_at().is_some_and(|lost| lost <= ended.at);
        if !is_lost {
            return HoldEnd::Done(Exit::OfCommand(ended.end.exit_code()));
        }
        let reason = self.tenure.end_reason();
        self.report_loss(&reason.unwrap_or(EndReason::DeadlinePassed));
        HoldEnd::Lost
    }

    /// The end of a hold whose keeper ended without the last report. The command was killed.
    fn end_without_keeper(&self) -> Result<HoldEnd, Failure> {
        if self.loss.is_some() || !self.tenure.admits() {
            return Ok(HoldEnd::Lost);
        }
        let text = "the process that keeps the command was killed; the command was killed too";
        Err(Failure::new(Exit::Internal, text.to_owned()))
    }
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// Time that a loss leaves the command.
const fn haste(reason: &EndReason) -> EndHaste {
    match reason {
        // The lease lives on for as long as the stop margin.
        EndReason::DeadlinePassed | EndReason::Unverified | EndReason::Released => EndHaste::Grace,
        EndReason::LeaseEnded
        | EndReason::Removed { .. }
        | EndReason::Replaced { .. }
        | EndReason::TokenStale
        | EndReason::StoreChanged { .. } => EndHaste::Now,
    }
}

fn describe_loss(reason: &EndReason, haste: EndHaste) -> String {
    match haste {
        EndHaste::Grace => format!("is in doubt: {reason}; its command is ended"),
        EndHaste::Now => format!("was lost: {reason}; its command is killed"),
    }
}

fn describe_remaining(pids: &[i32], is_lost: bool) -> String {
    let pids: Vec<String> = pids.iter().map(ToString::to_string).collect();
    let pids = pids.join(", ");
    let lock = if is_lost {
        "was lost, and"
    } else {
        "is held on:"
    };
    format!("{lock} processes of its command cannot be ended: {pids}")
}

fn print_loss(lock: &LockName, text: &str) {
    let lock = printable::line(&lock.shown);
    sink::print_error(&format!("error: lock {lock} {}\n", printable::whole(text)));
}

fn cannot_start(reason: &str) -> Failure {
    let text = format!("the command was not started: {reason}");
    Failure::of_line(Exit::Internal, &text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use leasehold_lock::Revision;

    #[test]
    fn known_loss_kills_and_doubt_leaves_the_grace() {
        let revision = Revision::new(9);
        assert_eq!(haste(&EndReason::DeadlinePassed), EndHaste::Grace);
        assert_eq!(haste(&EndReason::Unverified), EndHaste::Grace);
        for reason in [
            EndReason::LeaseEnded,
            EndReason::Removed { revision },
            EndReason::Replaced { revision },
            EndReason::TokenStale,
        ] {
            assert_eq!(haste(&reason), EndHaste::Now, "{reason}");
        }
    }

    #[test]
    fn loss_is_reported_with_its_reason_and_effect() {
        let shown = |reason: EndReason| describe_loss(&reason, haste(&reason));
        insta::assert_snapshot!(shown(EndReason::DeadlinePassed), @"is in doubt: the lease was not renewed before its deadline; its command is ended");
        insta::assert_snapshot!(shown(EndReason::LeaseEnded), @"was lost: the lease expired or was revoked on the server; its command is killed");
        insta::assert_snapshot!(describe_remaining(&[7, 12], false), @"is held on: processes of its command cannot be ended: 7, 12");
        insta::assert_snapshot!(describe_remaining(&[7], true), @"was lost, and processes of its command cannot be ended: 7");
    }
}

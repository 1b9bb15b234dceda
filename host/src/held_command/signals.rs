//! Signals to `leasehold lock`: passed on to its command, and the end of a hold without one. The keeper takes them over
//! too: what reaches the whole control group is for the command.

use std::fs;
use std::future::poll_fn;
use std::io;
use std::task::Poll;

use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

/// A signal that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HolderSignal {
    pub(crate) name: &'static str,
    pub(crate) number: i32,
    /// Sent by a key of the terminal as well, which then reaches the command without help.
    pub(crate) is_of_key: bool,
    /// True if it ends a wait, and a hold without a command.
    pub(crate) ends: bool,
}

impl HolderSignal {
    const fn new(name: &'static str, number: i32) -> Self {
        Self {
            name,
            number,
            is_of_key: false,
            ends: true,
        }
    }

    const fn of_key(name: &'static str, number: i32) -> Self {
        Self {
            is_of_key: true,
            ..Self::new(name, number)
        }
    }

    const fn of_user(name: &'static str, number: i32) -> Self {
        Self {
            ends: false,
            ..Self::new(name, number)
        }
    }
}

/// Signals that are passed on.
fn all() -> [HolderSignal; 6] {
    [
        HolderSignal::new("SIGHUP", SignalKind::hangup().as_raw_value()),
        HolderSignal::of_key("SIGINT", SignalKind::interrupt().as_raw_value()),
        HolderSignal::of_key("SIGQUIT", SignalKind::quit().as_raw_value()),
        HolderSignal::new("SIGTERM", SignalKind::terminate().as_raw_value()),
        HolderSignal::of_user("SIGUSR1", SignalKind::user_defined1().as_raw_value()),
        HolderSignal::of_user("SIGUSR2", SignalKind::user_defined2().as_raw_value()),
    ]
}

/// Receives the signals. While this exists they do not end the process by themselves.
pub(crate) struct HolderSignals(Vec<(HolderSignal, Stream)>);

impl HolderSignals {
    /// Takes over the signals, except those that are ignored, as under `nohup`: they stay so, also for the command.
    pub(crate) fn new() -> io::Result<Self> {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let ignored = ignored(&status);
        let heard = all()
            .into_iter()
            .filter(|kind| ignored >> (kind.number - 1) & 1 == 0);
        let streams = heard.map(|kind| {
            let stream = signal(SignalKind::from_raw(kind.number))?;
            Ok((kind, stream))
        });
        streams.collect::<io::Result<_>>().map(Self)
    }

    /// Returns the next signal. Safe to cancel.
    pub(crate) async fn next(&mut self) -> HolderSignal {
        poll_fn(|context| {
            for (kind, stream) in &mut self.0 {
                if stream.poll_recv(context).is_ready() {
                    return Poll::Ready(*kind);
                }
            }
            Poll::Pending
        })
        .await
    }

    /// Returns the name of the next signal that ends a wait. Safe to cancel.
    pub(crate) async fn next_end(&mut self) -> &'static str {
        loop {
            let signal = self.next().await;
            if signal.ends {
                return signal.name;
            }
        }
    }
}

/// Returns the mask of ignored signals from the text of `/proc/self/status`.
fn ignored(status: &str) -> u64 {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_signals_are_read_from_the_process_status() {
        let status = "SigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\nSigCgt:\t00000001\n";
        assert_eq!(ignored(status), 0x1001);
        assert_eq!(ignored(""), 0);
    }

    #[test]
    fn signals_have_the_numbers_that_the_keeper_knows() {
        use rustix::process::Signal;
        let numbers = all().map(|kind| kind.number);
        let known = [
            Signal::HUP,
            Signal::INT,
            Signal::QUIT,
            Signal::TERM,
            Signal::USR1,
            Signal::USR2,
        ];
        assert_eq!(numbers, known.map(Signal::as_raw));
    }
}

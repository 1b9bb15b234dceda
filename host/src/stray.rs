//! Stray signals: those that end a process unless it handles them, and that have no meaning for a
//! host.
//!
//! A host that dies of one leaves its locks to their leases. While [`StraySignals`] lives, they are
//! ignored, and each kind is reported once. SIGPIPE is ignored by Rust's runtime already.

use std::future::poll_fn;
use std::io;
use std::task::Poll;

use rustix::process::Signal as Number;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::task::AbortOnDropHandle;

/// The signals, by their names.
const STRAYS: [(&str, Number); 9] = [
    ("SIGUSR1", Number::USR1),
    ("SIGUSR2", Number::USR2),
    ("SIGALRM", Number::ALARM),
    ("SIGVTALRM", Number::VTALARM),
    ("SIGPROF", Number::PROF),
    ("SIGIO", Number::IO),
    ("SIGPWR", Number::POWER),
    ("SIGSTKFLT", Number::STKFLT),
    ("SIGXCPU", Number::XCPU),
];

/// The stray signals of this process, ignored from here on.
pub(crate) struct StraySignals(Vec<(&'static str, Signal)>);

impl StraySignals {
    pub(crate) fn ignore() -> io::Result<Self> {
        let listen = |(name, number): (&'static str, Number)| {
            Ok((name, signal(SignalKind::from_raw(number.as_raw()))?))
        };
        STRAYS
            .into_iter()
            .map(listen)
            .collect::<io::Result<_>>()
            .map(Self)
    }

    /// Calls `report` with the name of each signal that arrives, once for each name.
    pub(crate) fn drive(
        mut self,
        report: impl Fn(&'static str) + Send + Sync + 'static,
    ) -> AbortOnDropHandle<()> {
        AbortOnDropHandle::new(tokio::spawn(async move {
            while !self.0.is_empty() {
                report(self.next().await);
            }
        }))
    }

    /// Waits for the next signal and returns its name. Its kind is not received again; it stays
    /// ignored.
    async fn next(&mut self) -> &'static str {
        poll_fn(|context| {
            let mut come = self
                .0
                .iter_mut()
                .map(|(_, signal)| signal.poll_recv(context));
            match come.position(|come| come.is_ready()) {
                Some(at) => Poll::Ready(self.0.swap_remove(at).0),
                None => Poll::Pending,
            }
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::mpsc;

    #[tokio::test]
    async fn each_stray_signal_is_ignored_and_reported_once() {
        let (out, mut reported) = mpsc::unbounded_channel();
        let strays = StraySignals::ignore().unwrap();
        let _driving = strays.drive(move |name| out.send(name).unwrap());
        let own = rustix::process::getpid();
        for (name, number) in STRAYS {
            for _ in 0..2 {
                rustix::process::kill_process(own, number).unwrap();
            }
            assert_eq!(reported.recv().await, Some(name));
        }
        rustix::process::kill_process(own, Number::USR1).unwrap();
        tokio::task::yield_now().await;
        assert!(reported.try_recv().is_err());
    }
}

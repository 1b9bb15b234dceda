//! A holder with a twentieth of a processor, beside programs that take all the rest.
//!
//! A host without time behaves the same on every store, so all of this runs on one.
//! The quota is made of SIGSTOP and SIGCONT, like the kernel's own, which a test may not be allowed to use.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use leasehold_tests::checks::Circumstances;
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::host::HostProcess;
use leasehold_tests::proxy::{FaultProxy, Mode};

use crate::scene::{
    BUSY, Duel, LEDGER, PULSE, STUBBORN, at, end_host, ended_without_the_store, next, runs,
    stubborn, token, two_jobs,
};

/// Running and standing still: a quota of 5 %.
const RUNS: Duration = Duration::from_millis(5);
const STANDS: Duration = Duration::from_millis(95);

/// Programs that spin.
const HOGS: usize = 4;

/// Slack of a starved host, which has a twentieth of the time, for work that takes a busy one [`BUSY`].
const LATEST: Duration = BUSY.saturating_mul(5);

/// Starves a host while `scenario` runs; then the host continues at full speed.
fn starve<T>(host: &HostProcess, scenario: impl FnOnce() -> Result<T>) -> Result<T> {
    let over = AtomicBool::new(false);
    let result = std::thread::scope(|scope| {
        for _ in 0..HOGS {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        let quota = scope.spawn(|| -> Result<()> {
            while !over.load(Ordering::Relaxed) {
                host.stop()?;
                std::thread::sleep(STANDS);
                host.cont()?;
                std::thread::sleep(RUNS);
            }
            Ok(())
        });
        let result = scenario();
        over.store(true, Ordering::Relaxed);
        let kept = quota
            .join()
            .map_err(|_| anyhow::anyhow!("the quota's thread panicked"));
        kept.and_then(|kept| kept).and(result)
    });
    host.cont()?;
    result
}

/// The end of a run: no call after its deadline, and stopped at most [`LATEST`] after that.
fn stopped_in_time(host: &HostProcess, job: &str) -> Result<u64> {
    let ended = next(host, 0, job, "run-ended")?;
    ended_without_the_store(&ended)?;
    let stopped = ended.stopped_ns().context("a run without a stop")?;
    let deadline = ended.deadline_ns().context("a run without a deadline")?;
    let late = Duration::from_nanos(stopped.saturating_sub(deadline));
    println!("{job} was stopped {late:?} after its deadline");
    ensure!(
        late <= LATEST,
        "stopped {late:?} after the deadline: {ended}"
    );
    Ok(stopped)
}

#[test]
fn a_starved_holder_makes_no_late_call_and_stops_first() -> Result<()> {
    let etcd = Etcd::start(Version::V3_5)?;
    let proxy = FaultProxy::start(&etcd.endpoint())?;
    let (a, b) = (
        two_jobs("a", &proxy.endpoint())?,
        two_jobs("b", &etcd.endpoint())?,
    );
    let mut duel = Duel::with(etcd, &a, &b, &[PULSE, LEDGER])?;
    let starts = starve(&duel.a, || {
        // Only its own clock shows the holder that its deadline has passed.
        proxy.set(Mode::DropBoth);
        let starts = duel.b_takes_over()?;
        for job in [PULSE, LEDGER] {
            stopped_in_time(&duel.a, job)?;
        }
        Ok(starts)
    })?;
    for (job, start) in [PULSE, LEDGER].into_iter().zip(&starts) {
        ensure!(token(start)? > token(&duel.first_run(job)?)?, "{start}");
    }
    let mark = duel.a.mark();
    proxy.set(Mode::Pass);
    end_host(&mut duel.b)?;
    for job in [PULSE, LEDGER] {
        runs(&duel.a, mark, job)?;
    }
    duel.end(&Circumstances::default().frozen("a")).map(drop)
}

#[test]
fn a_starved_host_stops_a_guest_that_spins() -> Result<()> {
    let etcd = Etcd::start(Version::V3_5)?;
    let proxy = FaultProxy::start(&etcd.endpoint())?;
    let (a, b) = (
        stubborn("a", &proxy.endpoint(), "spin")?,
        stubborn("b", &etcd.endpoint(), "ignore-stop")?,
    );
    let duel = Duel::with(etcd, &a, &b, &[STUBBORN])?;
    starve(&duel.a, || {
        proxy.set(Mode::DropBoth);
        let started = at(&duel.b_takes_over()?.remove(0))?;
        let stopped = stopped_in_time(&duel.a, STUBBORN)?;
        println!("b started at {started}, a was seen stopped at {stopped}");
        Ok(())
    })?;
    proxy.set(Mode::Pass);
    duel.end(&Circumstances::default().frozen("a")).map(drop)
}

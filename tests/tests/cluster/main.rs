//! Promises on clusters, restored stores and bad networks: servers that answer wrongly, late or not at all.
//!
//! Real etcd has the faults that can be provoked; a fake one has the rare ones. Waits are bounded, and
//! bounds have slack: no test here asserts how fast something is.

mod bad_input;
mod deposed;
mod forgotten;
mod hosts;
mod isolated;
mod late;
mod restored;
mod revoked;
mod swallowed;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use leasehold_lock::{Acquire, EndReason, Tenure};
use leasehold_tests::acquisitions::{client, end_of, queue_of, start};
use leasehold_tests::fake_etcd::{FakeEtcd, Method};
use leasehold_tests::wait::eventually_async;

/// Bound of things that will happen.
const SLACK: Duration = Duration::from_secs(30);

/// Delay that a machine with several scenarios on few cores may add to a bound.
const BUSY: Duration = Duration::from_secs(5);

/// Stop margin of every lock here.
const MARGIN: Duration = Duration::from_millis(250);

/// Time without readings after which the opening of a watch is over: less than lies between two renewals.
const QUIET: Duration = Duration::from_millis(300);

/// Pause between two looks at a tenure.
const LOOK_EVERY: Duration = Duration::from_millis(5);

fn request(name: &str, ttl: Duration) -> Acquire {
    Acquire::new(name).ttl(ttl).stop_margin(MARGIN)
}

/// The longest that a tenure may go on after the request behind it was sent, by the default drift of 1 %.
fn longest(ttl: Duration) -> Duration {
    ttl.mul_f64(0.99).saturating_sub(MARGIN)
}

/// Bound of a verification once per TTL, with its jitter and the reading itself.
fn one_verification(ttl: Duration) -> Duration {
    ttl * 2 + BUSY
}

/// Waits until the tenure has ended, and returns the reason.
async fn end(tenure: &Tenure, within: Duration) -> Result<EndReason> {
    let ended = tokio::time::timeout(within, tenure.ended()).await;
    ended.with_context(|| format!("a tenure still admits after {within:?}: {tenure:?}"))
}

/// Requires that the tenure admits all the time.
async fn is_kept(tenure: &Tenure, time: Duration) -> Result<()> {
    let kept = tokio::time::timeout(time, tenure.ended()).await;
    match kept {
        Ok(reason) => anyhow::bail!("lost within {time:?}: {reason}"),
        Err(_) => Ok(()),
    }
}

/// Waits until the watch of a lock is open on the fake, and the reading after it has been answered: from here
/// on a client notices a change by an event or by its own verification.
async fn watched(fake: &FakeEtcd) -> Result<()> {
    eventually_async(SLACK, "a watch and the reading after it", || async {
        ensure!(fake.requests(Method::Watch) > 0, "no watch was created");
        let before = fake.requests(Method::Range);
        tokio::time::sleep(QUIET).await;
        ensure!(fake.requests(Method::Range) == before, "it still reads");
        Ok(())
    })
    .await
}

/// Waits until the store has renewed the session of this tenure at least once more.
async fn renewed(tenure: &Tenure) -> Result<()> {
    let before = tenure.deadline();
    eventually_async(SLACK, "a renewal", || async {
        ensure!(tenure.admits(), "the tenure ended: {tenure:?}");
        ensure!(tenure.deadline() > before, "the deadline has not moved");
        Ok(())
    })
    .await
}

/// Requires that the tenure ends, and until then has no deadline that a renewal sent after now would earn.
async fn ends_unrenewed(tenure: &Tenure, ttl: Duration) -> Result<EndReason> {
    let latest = tenure.clock().now().after(longest(ttl));
    let watched = async {
        while tenure.admits() {
            let deadline = tenure.deadline();
            ensure!(
                deadline <= latest,
                "a renewal moved the deadline {:?} too far",
                deadline.since(latest)
            );
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    };
    let ended = tokio::time::timeout(ttl + BUSY, watched).await;
    ended.context("the tenure still admits after its TTL")??;
    tenure.end_reason().context("a tenure ended without reason")
}

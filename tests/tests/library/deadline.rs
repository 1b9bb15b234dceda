//! Promise P1: the deadline counts from the moment a renewal was *sent*.
//!
//! The network delays every byte by a known time, so a reply cannot arrive earlier than that after its request
//! was sent. A busy machine only makes replies later, and what is left of the deadline shorter: the bounds here
//! are exact, without slack.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use leasehold_lock::{Acquire, ConnectOptions, Grant, Locks};
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::on_every_store;
use leasehold_tests::proxy::{FaultProxy, Mode};

use crate::SLACK;

const TTL: Duration = Duration::from_secs(6);
const STOP_MARGIN: Duration = Duration::from_millis(250);

/// One way. There and back fits a third of the TTL, after which a renewal is given up.
const DELAY: Duration = Duration::from_millis(700);

/// Between two looks at the deadline: many looks a renewal.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// Renewals to look at.
const RENEWALS: usize = 3;

/// Under this, an acquisition cannot have seen a renewal: the first is sent a second after the lease was
/// granted, over a stream that takes a round trip to open, and takes another itself.
const BEFORE_RENEWALS: Duration = Duration::from_secs(5);

on_every_store!(
    async the_deadline_counts_from_sending_not_from_the_reply,
    the_first_deadline_counts_from_asking_for_the_lease,
);

/// The longest that a tenure may go on after the request behind it was sent, by the default drift of 1 %.
fn longest() -> Duration {
    TTL.mul_f64(0.99).saturating_sub(STOP_MARGIN)
}

async fn acquire(locks: &Locks, name: &str) -> Result<Grant> {
    let request = Acquire::new(name).ttl(TTL).stop_margin(STOP_MARGIN);
    Ok(locks.acquire(request).await?)
}

async fn the_deadline_counts_from_sending_not_from_the_reply(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let proxy = FaultProxy::start(&etcd.endpoint())?;
    let locks = Locks::connect(ConnectOptions::new([proxy.endpoint()])).await?;
    let grant = acquire(&locks, "/library/deadline").await?;
    let (tenure, clock) = (grant.tenure(), locks.clock().clone());

    proxy.set(Mode::Delay(DELAY));
    // A renewal sent before this moment cannot move the deadline beyond `undelayed`.
    let undelayed = clock.now().after(longest());
    let most = longest().saturating_sub(DELAY * 2);
    let mut seen = tenure.deadline();
    let mut renewals = 0;
    let looked = async {
        while renewals < RENEWALS {
            // The deadline first: what is left may be judged too short by this order, never too long.
            let deadline = tenure.deadline();
            let left = deadline.since(clock.now());
            ensure!(tenure.admits(), "lost: {:?}", tenure.end_reason());
            if deadline > undelayed {
                ensure!(
                    left <= most,
                    "{left:?} are left, at most {most:?} may be: a reply takes {:?} from the sending",
                    DELAY * 2
                );
                renewals += usize::from(deadline > seen);
                seen = deadline;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        anyhow::Ok(())
    };
    let ended = tokio::time::timeout(SLACK, looked).await;
    ended.context("too few renewals came through")??;
    proxy.set(Mode::Pass);
    Ok(())
}

async fn the_first_deadline_counts_from_asking_for_the_lease(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let proxy = FaultProxy::start(&etcd.endpoint())?;
    for attempt in 0..3 {
        // A client of its own has no lease yet.
        proxy.set(Mode::Pass);
        let locks = Locks::connect(ConnectOptions::new([proxy.endpoint()])).await?;
        let clock = locks.clock().clone();
        proxy.set(Mode::Delay(DELAY));
        let began = clock.now();
        let grant = acquire(&locks, &format!("/library/first/{attempt}")).await?;
        let deadline = grant.tenure().deadline();
        let now = clock.now();
        if now.since(began) < BEFORE_RENEWALS {
            // One round trip for the lease, one for the entry.
            let most = longest().saturating_sub(DELAY * 4);
            let left = deadline.since(now);
            ensure!(left <= most, "{left:?} are left, at most {most:?} may be");
            proxy.set(Mode::Pass);
            return Ok(());
        }
    }
    anyhow::bail!("this machine stalled for seconds in each of three acquisitions")
}

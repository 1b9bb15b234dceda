//! Modes of locks on every store: shared entries, permits, and several locks at once, alone and among strangers.
//!
//! Waits are bounded and events are waited for; no test here asserts how fast something is.

mod foreign;
mod oracle;
mod pairs;
mod permits;
mod random;
mod sets;
mod shared;

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use leasehold_lock::{AcquireError, AuditNote, LeaseId, Locks, QueueRole};
use leasehold_tests::acquisitions::{Waiting, client, granted, queue_of, start};

/// For things that will happen.
const SLACK: Duration = Duration::from_secs(30);

/// Long enough for a wrong grant to happen: many times the time of one.
const A_WHILE: Duration = Duration::from_millis(400);

/// The error that a waiting acquisition ends with.
async fn refused(waiting: Waiting) -> Result<AcquireError> {
    let ended = tokio::time::timeout(SLACK, waiting).await;
    match ended.context("it still waits")?? {
        Ok(grant) => bail!("it was granted: {grant:?}"),
        Err(error) => Ok(error),
    }
}

/// Checks that none of these is granted in a time in which a wrong grant would come.
async fn all_wait(waiting: &[&Waiting]) -> Result<()> {
    tokio::time::sleep(A_WHILE).await;
    let ended = waiting.iter().position(|waiting| waiting.is_finished());
    ensure!(ended.is_none(), "waiter {ended:?} ended");
    Ok(())
}

/// The number of holders and of waiters, as a view shows them.
async fn holders_and_waiters(locks: &Locks, name: &str) -> Result<(usize, usize)> {
    let mut view = locks.view(format!("{name}/"));
    view.next().await.context("the view ended")?;
    let roles: Vec<QueueRole> = view.roles(name).map(|(role, _)| role).collect();
    let holders = roles.iter().filter(|role| role.is_holder()).count();
    ensure!(view.holders(name).len() == holders);
    Ok((holders, roles.len() - holders))
}

fn note() -> AuditNote {
    AuditNote {
        key: "/modes-audit/note".into(),
        value: b"a test".to_vec(),
        keep: Duration::from_mins(1),
    }
}

/// Revokes a lease, as the end of its holder's machine would in the end.
async fn revoke(operator: &Locks, lease: LeaseId) -> Result<()> {
    ensure!(operator.revoke_lease(lease, &note()).await?, "no lease");
    Ok(())
}

//! Keys deeper than a lock's direct children, and names that only begin like the lock's: no entries of it.

use anyhow::{Result, bail, ensure};
use leasehold_lock::{Acquire, AcquireError, ConnectOptions, LockWait, Locks};
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::host::HostProcess;
use leasehold_tests::on_every_store;

use crate::{NAME, acquired, beater, end};

on_every_store!(deeper_keys_and_longer_names_are_not_entries);

on_every_store!(
    async a_try_sees_entries_and_nothing_else,
);

fn deeper_keys_and_longer_names_are_not_entries(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    for key in ["/sub/x", "/sub/deeper/y", "-2/z"] {
        etcd.etcdctl(&["put", &format!("{NAME}{key}"), "older than us"])?;
    }
    let host = HostProcess::start(&beater("host-a", &etcd)?)?;
    let first = acquired(&host)?;
    let mut waited = host.events();
    waited.retain(|event| event.is("waiting"));
    ensure!(waited.is_empty(), "it waited for {waited:?}");
    ensure!(first.token().is_some());
    end(host)
}

async fn a_try_sees_entries_and_nothing_else(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let locks = Locks::connect(ConnectOptions::new(etcd.endpoints())).await?;
    let other = Locks::connect(ConnectOptions::new(etcd.endpoints())).await?;
    etcd.etcdctl(&["put", &format!("{NAME}/sub/x"), "older than us"])?;
    let try_it = Acquire::new(NAME).wait(LockWait::Never);
    let grant = locks.acquire(try_it.clone()).await?;
    match other.acquire(try_it.clone()).await {
        Err(AcquireError::Contended { holder, .. }) => ensure!(holder == grant.key(), "{holder}"),
        other => bail!("not contended: {other:?}"),
    }
    grant.release().await?;
    // A direct child that is not a lease's name is an entry all the same.
    etcd.etcdctl(&["put", &format!("{NAME}/by hand"), "a hold"])?;
    match other.acquire(try_it).await {
        Err(AcquireError::Contended { holder, .. }) => {
            ensure!(holder.ends_with("/by hand"), "{holder}");
        }
        other => bail!("not contended: {other:?}"),
    }
    Ok(())
}

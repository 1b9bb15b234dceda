//! A view of queues: equal to the store's content, in order, for entries of any client, before and after a cut.

use anyhow::{Context, Result, ensure};
use leasehold_lock::{Acquire, ConnectOptions, Locks, QueueEntry, QueueView, Token, ViewFreshness};
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::on_every_store;
use leasehold_tests::proxy::{FaultProxy, Mode};
use tokio::time::timeout;

use crate::{SLACK, client, granted, queue_of, start};

const PREFIX: &str = "/library/view/";
const NAME: &str = "/library/view/jobs/billing";

on_every_store!(
    async a_view_shows_every_entry_in_order_and_follows_changes,
    a_view_is_stale_while_cut_off_and_right_again_afterwards,
);

/// Takes changes in until the view is live and `right` holds.
async fn until(view: &mut QueueView, what: &str, right: impl Fn(&QueueView) -> bool) -> Result<()> {
    let changes = async {
        while *view.freshness() != ViewFreshness::Live || !right(view) {
            view.next().await.context("the view ended")?;
        }
        anyhow::Ok(())
    };
    let ended = timeout(SLACK, changes).await;
    ended.map_err(|_| anyhow::anyhow!("{what} is not shown: {:?}", view.queues()))?
}

fn entries<'a>(view: &'a QueueView, name: &str) -> &'a [QueueEntry] {
    view.queues().get(name).map_or(&[], Vec::as_slice)
}

fn keys(view: &QueueView, name: &str) -> Vec<String> {
    entries(view, name)
        .iter()
        .map(|entry| entry.key.clone())
        .collect()
}

async fn a_view_shows_every_entry_in_order_and_follows_changes(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let (locks, viewer) = (
        client(etcd.endpoints()).await?,
        client(etcd.endpoints()).await?,
    );
    let mut view = viewer.view(PREFIX);
    ensure!(*view.freshness() == ViewFreshness::Loading);
    until(&mut view, "nothing", |view| view.queues().is_empty()).await?;

    let request = Acquire::new(NAME).value("who I am");
    let holder = locks.acquire(request).await?;
    let foreign = etcd.spawn_etcdctl(&["lock", NAME])?;
    queue_of(&locks, NAME, 2).await?;
    etcd.etcdctl(&["put", &format!("{NAME}/maintenance"), "by hand"])?;
    // Another lock under the same prefix, and a key deeper than the lock.
    let nested = format!("{NAME}/deeper");
    let deeper = locks.acquire(Acquire::new(nested.as_str())).await?;
    let queue = queue_of(&locks, NAME, 4).await?;
    let queue: Vec<_> = queue.into_iter().filter(|k| k != deeper.key()).collect();
    until(&mut view, "the queue", |view| keys(view, NAME) == queue).await?;
    until(&mut view, "the deeper lock", |view| {
        keys(view, &nested) == [deeper.key()]
    })
    .await?;

    let shown = entries(&view, NAME);
    ensure!(shown[0].key == holder.key() && shown[0].value == b"who I am");
    ensure!(shown[0].lease == holder.lease() && !shown[0].is_administrative());
    ensure!(Token::from(shown[0].create_revision) == holder.token());
    ensure!(
        !shown[1].lease.is_none() && shown[1].value.is_empty(),
        "foreign"
    );
    ensure!(shown[2].is_administrative() && shown[2].value == b"by hand");
    ensure!(shown.is_sorted_by_key(|entry| entry.create_revision));

    holder.release().await?;
    foreign.wait_line(SLACK, |line| line.starts_with(NAME))?;
    until(&mut view, "the holder gone", |view| {
        keys(view, NAME) == queue[1..]
    })
    .await?;
    drop(foreign);
    deeper.release().await?;
    until(&mut view, "the deeper lock gone", |view| {
        view.queues().len() == 1
    })
    .await
}

async fn a_view_is_stale_while_cut_off_and_right_again_afterwards(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let proxy = FaultProxy::start(&etcd.endpoint())?;
    let locks = client(etcd.endpoints()).await?;
    let viewer = Locks::connect(ConnectOptions::new([proxy.endpoint()])).await?;
    let holder = locks.acquire(Acquire::new(NAME)).await?;
    let first = start(&locks, Acquire::new(NAME));
    let before = queue_of(&locks, NAME, 2).await?;
    let mut view = viewer.view(PREFIX);
    until(&mut view, "the queue", |view| keys(view, NAME) == before).await?;

    proxy.set(Mode::Refuse);
    proxy.reset();
    let stale = async {
        while !matches!(view.freshness(), ViewFreshness::Stale { .. }) {
            view.next().await.context("the view ended")?;
        }
        anyhow::Ok(())
    };
    timeout(SLACK, stale).await.context("it never is stale")??;
    // An entry is deleted and another put while the view is cut off.
    holder.release().await?;
    let holder = granted(first).await?;
    let second = start(&locks, Acquire::new(NAME));
    let after = queue_of(&locks, NAME, 2).await?;
    ensure!(
        keys(&view, NAME) == before,
        "a stale view shows what it knew"
    );
    proxy.set(Mode::Pass);
    until(&mut view, "what it missed", |view| {
        keys(view, NAME) == after
    })
    .await?;

    // And it follows changes again.
    holder.release().await?;
    until(&mut view, "a change after the cut", |view| {
        keys(view, NAME) == after[1..]
    })
    .await?;
    granted(second).await.map(drop)
}

//! Costs: nothing without a reader, and bounded bytes into the store with many.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use leasehold_lock::{ConnectOptions, FeedItem, Locks};
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::guests::{self, config_for};
use leasehold_tests::host::HostProcess;
use leasehold_tests::process::resident;
use leasehold_tests::{on_every_store, wat_plugins};
use tokio::time::timeout;

use crate::{Follower, SLACK, beater, guest_line, length_of};

on_every_store!(
    talking_guest_without_a_reader_writes_nothing,
    million_lines_hold_no_guest_up_and_are_all_accounted_for,
);

mod counted {
    leasehold_tests::on_every_store!(async twenty_followed_jobs_stay_within_200_kb_a_second);

    use super::twenty_followed_jobs_stay_within_200_kb_a_second;
}

fn talking_guest_without_a_reader_writes_nothing(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let host = HostProcess::start(&beater("web1", &etcd, "20")?)?;
    guest_line(&host, "pulse")?;
    // The record of the run's start is written behind.
    leasehold_tests::wait::eventually(SLACK, "the run's record", || {
        ensure!(etcd.queue("/leasehold/runs/pulse/")?.len() == 1);
        ensure!(
            etcd.etcdctl(&["get", "/leasehold/jobs/pulse/web1"])?
                .contains("running")
        );
        Ok(())
    })?;
    let before = etcd.revision()?;
    let mark = host.mark();
    host.wait_after(mark + 100, SLACK, |event| event.is("guest"))?;
    ensure!(etcd.revision()? == before);
    Ok(())
}

fn million_lines_hold_no_guest_up_and_are_all_accounted_for(version: Version) -> Result<()> {
    const LINES: u64 = 1_000_000;
    let dir = tempfile::tempdir()?;
    let plugin = dir.path().join("bulk.wasm");
    std::fs::write(
        &plugin,
        wat_plugins::writer(&b"0123456\n".repeat(500), 1, 2_000)?,
    )?;
    let etcd = Etcd::start(version)?;
    let config =
        config_for("web1", &etcd).job("bulk", |job| job.plugin(&plugin).lock("bulk").every("3s"));
    let host = HostProcess::start(&config)?;
    let follower = Follower::start(host.dir(), &["bulk", "-f", "--format", "json"])?;
    let ended = follower.wait_json(0, |item| item["event"] == "run-ended")?;
    ensure!(ended["outcome"] == "done", "{ended}");
    let items = follower.all_json()?;
    let live = items.iter().position(|item| item["event"] == "run-ended");
    let length = length_of(&items[..live.unwrap_or(items.len())]);
    ensure!(length == LINES * 8, "{length}");
    Ok(())
}

async fn twenty_followed_jobs_stay_within_200_kb_a_second(version: Version) -> Result<()> {
    const JOBS: usize = 20;
    const WATCHED: Duration = Duration::from_secs(8);
    let etcd = Etcd::start(version)?;
    let heartbeat = guests::heartbeat()?;
    let mut config = config_for("web1", &etcd).grace("200ms");
    for number in 0..JOBS {
        config = config.job(&format!("talker-{number}"), |job| {
            job.plugin(&heartbeat)
                .lock(&format!("talker-{number}"))
                .args(&["0", "1"])
        });
    }
    let host = HostProcess::start(&config)?;
    for number in 0..JOBS {
        guest_line(&host, &format!("talker-{number}"))?;
    }
    let memory = resident(host.pid())?;
    let locks = Locks::connect(ConnectOptions::new(etcd.endpoints())).await?;
    let mut feed = locks.feed(["/leasehold/"]);
    let mut followers = Vec::new();
    for number in 0..JOBS {
        followers.push(Follower::start(
            host.dir(),
            &[&format!("talker-{number}"), "-f"],
        )?);
    }
    let (began, mut bytes) = (Instant::now(), 0);
    while let Some(left) = WATCHED.checked_sub(began.elapsed()) {
        let Ok(item) = timeout(left, feed.next()).await else {
            break;
        };
        match item.context("the feed ended")? {
            FeedItem::Changes { changes, .. } => {
                let size = |change: &leasehold_lock::KeyChange| {
                    let value = change.now.as_ref().map_or(0, |now| now.value.len());
                    change.key.len() + value
                };
                bytes += changes.iter().map(size).sum::<usize>();
            }
            // Every byte counts: a feed that fell behind would miss some.
            FeedItem::Down { reason } => anyhow::bail!("{reason}"),
            FeedItem::Reading { .. } | FeedItem::Denied { .. } => {}
        }
    }
    let each_second = bytes as u64 / WATCHED.as_secs();
    ensure!(each_second <= 200_000, "{each_second} bytes a second");
    ensure!(
        each_second >= 20_000,
        "{each_second} bytes a second: they are not followed"
    );
    for follower in &followers {
        let mark = follower.stdout.len();
        follower.wait(mark, |line| line.starts_with("beat "))?;
    }
    let grown = resident(host.pid())?.saturating_sub(memory);
    ensure!(grown <= 64 << 10, "the host has grown by {grown} KiB");
    locks.close().await;
    Ok(())
}

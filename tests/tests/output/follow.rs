//! Following: over a takeover, with several readers, and after a reader's death.

use anyhow::{Result, ensure};
use leasehold_tests::command::leasehold;
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::host::HostProcess;
use leasehold_tests::on_every_store;
use leasehold_tests::wait::eventually;

use crate::{Follower, SLACK, beater, beater_for, guest_line};

on_every_store!(
    following_goes_on_over_a_takeover_after_kill_9,
    two_readers_share_chunks_and_the_last_ends_them,
    killed_reader_is_forgotten_with_its_lease,
    following_survives_a_store_that_pauses,
);

const OUTPUT: &str = "/leasehold/output/";
const FOLLOW: &str = "/leasehold/follow/";

/// Number of the beat in a line such as `beat 7 token=3 …`.
fn beat(line: &str) -> Option<u64> {
    line.strip_prefix("beat ")?.split(' ').next()?.parse().ok()
}

fn following_goes_on_over_a_takeover_after_kill_9(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let mut first = HostProcess::start(&beater("web1", &etcd, "100")?)?;
    guest_line(&first, "pulse")?;
    let second = HostProcess::start(&beater("web2", &etcd, "100")?)?;
    let mut follower = Follower::start(second.dir(), &["pulse", "--follow"])?;
    // The lines before the request are there too.
    follower.wait(0, |line| beat(line) == Some(1))?;
    let mark = follower.stdout.len();
    first.kill()?;
    let began = follower.wait(mark, |line| {
        line.starts_with("-- run ") && line.contains("on web2 began")
    })?;
    ensure!(began.ends_with("(attempt 1)"), "{began}");
    let ended = follower.wait(mark, |line| line.contains("on web1 ended: abandoned"))?;
    ensure!(ended.contains("web1 vanished"), "{ended}");
    let later = follower.stdout.len();
    follower.wait(later, |line| beat(line).is_some())?;
    // No line of the second run is missing or twice.
    let lines = follower.stdout.all();
    let at = lines.iter().position(|line| *line == began);
    let beats: Vec<u64> = lines[at.unwrap_or(0)..]
        .iter()
        .filter_map(|line| beat(line))
        .collect();
    ensure!(
        beats.iter().copied().eq(1..=beats.len() as u64),
        "{beats:?}"
    );
    ensure!(follower.interrupt()? == Some(0));
    eventually(SLACK, "no request and no chunk", || {
        ensure!(etcd.queue(FOLLOW)?.is_empty() && etcd.queue(OUTPUT)?.is_empty());
        Ok(())
    })
}

fn two_readers_share_chunks_and_the_last_ends_them(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let host = HostProcess::start(&beater("web1", &etcd, "100")?)?;
    guest_line(&host, "pulse")?;
    let mut first = Follower::start(host.dir(), &["pulse", "-f"])?;
    first.wait(0, |line| beat(line) >= Some(5))?;
    let mut second = Follower::start(host.dir(), &["pulse", "-f"])?;
    second.wait(0, |line| beat(line) == Some(1))?;
    second.wait(0, |line| beat(line) >= Some(10))?;
    ensure!(etcd.queue(FOLLOW)?.len() == 2);
    ensure!(first.interrupt()? == Some(0));
    let mark = second.stdout.len();
    second.wait(mark + 5, |line| beat(line).is_some())?;
    ensure!(!etcd.queue(OUTPUT)?.is_empty());
    ensure!(second.interrupt()? == Some(0));
    eventually(SLACK, "no chunk", || {
        ensure!(etcd.queue(OUTPUT)?.is_empty());
        Ok(())
    })?;
    // Without a follower, what the host has in memory is shown once.
    let shown = Follower::start(host.dir(), &["pulse", "-t"])?;
    let line = shown.wait(0, |line| line.contains("beat 1 "))?;
    ensure!(line.contains(" stdout beat 1 "), "{line}");
    ensure!(shown.stdout.wait_closed(SLACK) && shown.stderr.all().is_empty());
    let shown = leasehold(&beater("web1", &etcd, "100")?, &["logs", "puls"])?;
    ensure!(
        shown.code == Some(2) && shown.stderr.contains("did you mean `pulse`?"),
        "{shown:?}"
    );
    Ok(())
}

fn killed_reader_is_forgotten_with_its_lease(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let host = HostProcess::start(&beater("web1", &etcd, "100")?)?;
    guest_line(&host, "pulse")?;
    let mut follower = Follower::start(host.dir(), &["pulse", "-f"])?;
    follower.wait(0, |line| beat(line).is_some())?;
    follower.process.kill()?;
    let requests = etcd.queue(FOLLOW)?;
    ensure!(requests.len() == 1, "{requests:?}");
    eventually(SLACK, "no request and no chunk", || {
        ensure!(etcd.queue(FOLLOW)?.is_empty() && etcd.queue(OUTPUT)?.is_empty());
        Ok(())
    })
}

/// Fails when a chunk that the store did not take is lost, or when lines come twice.
fn following_survives_a_store_that_pauses(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let host = HostProcess::start(&beater_for("web1", &etcd, "100", "20s")?)?;
    guest_line(&host, "pulse")?;
    let mut follower = Follower::start(host.dir(), &["pulse", "-f"])?;
    follower.wait(0, |line| beat(line).is_some())?;
    etcd.pause()?;
    let mark = host.mark();
    // A second of beats, less than the lease has left.
    for beats in 1..10 {
        host.wait_after(mark + beats, SLACK, |event| event.is("guest"))?;
    }
    etcd.resume()?;
    let mark = follower.stdout.len();
    follower.wait(mark + 20, |line| beat(line).is_some())?;
    let beats: Vec<u64> = follower
        .stdout
        .all()
        .iter()
        .filter_map(|line| beat(line))
        .collect();
    ensure!(
        beats.iter().copied().eq(1..=beats.len() as u64),
        "{beats:?}"
    );
    ensure!(follower.interrupt()? == Some(0));
    Ok(())
}

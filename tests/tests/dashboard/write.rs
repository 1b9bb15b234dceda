//! An operator with `--allow-write`: no client is removed before the lock's exact name is typed. Then the right one
//! is removed at once, and every dashboard shows the operator who did it.

use anyhow::{Context, Result, ensure};
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::on_every_store;
use leasehold_tests::terminal::{Terminal, USER};

use crate::{ENTRIES, LOCK, NAME, SLACK, dashboard, etcdctl_lock, is_given_back, queue_of, queued};

on_every_store!(
    typing_the_locks_name_stops_the_run_and_is_recorded,
    only_the_chosen_waiter_is_removed,
);

/// Answers the question that a key has asked.
fn answer(terminal: &Terminal, key: &str, title: &str, typed: &str) -> Result<()> {
    terminal.keys(&[key])?;
    terminal.shows(&[title, &format!("type {LOCK} to confirm")])?;
    terminal.line(typed)
}

fn typing_the_locks_name_stops_the_run_and_is_recorded(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let host = queued("host-a", &etcd, 1)?;
    let acquired = host.wait_for(SLACK, |event| event.is("acquired"))?;
    let terminal = dashboard(&etcd.endpoint(), "--allow-write")?;
    terminal.shows(&["report@host-a"])?;
    let queue = queue_of(&etcd, 1)?;

    let title = "stop-run report@host-a?";
    for wrong in ["shared/repor", "SHARED/REPORT", " shared/report", ""] {
        answer(&terminal, "K", title, wrong)?;
        terminal.shows(&[&format!("nothing was done: {wrong:?} is not")])?;
    }
    terminal.keys(&["K"])?;
    terminal.shows(&[title])?;
    terminal.text(LOCK)?;
    terminal.keys(&["Escape"])?;
    terminal.shows(&["quit"])?;
    ensure!(queue_of(&etcd, 1)? == queue, "something was done");
    ensure!(!host.events().iter().any(|event| event.is("lock-lost")));

    let mark = host.mark();
    answer(&terminal, "K", title, LOCK)?;
    terminal.shows(&["stop-run of report@host-a is done"])?;
    let lost = host.wait_after(mark, SLACK, |event| event.is("lock-lost"))?;
    ensure!(lost.token() == acquired.token(), "{lost}");
    let ended = host.wait_after(mark, SLACK, |event| event.is("run-ended"))?;
    ensure!(ended.outcome() == Some("lost"), "{ended}");
    // It may queue again, and does.
    host.wait_after(mark, SLACK, |event| event.is("acquired"))?;

    terminal.keys(&["5"])?;
    terminal.wait("the deed", |screen| {
        let forced = screen.row(" FORCED ")?;
        ensure!(
            forced.contains("report@host-a forced out, held"),
            "{forced}"
        );
        let deed = screen.row(" DEED ")?;
        let by = format!("{USER}@{}", machine());
        for part in [&by, "stop-run of report@host-a"] {
            ensure!(deed.contains(part), "no {part} in {deed}");
        }
        Ok(())
    })?;
    terminal.keys(&["q"])?;
    is_given_back(&terminal)
}

fn machine() -> String {
    let system = rustix::system::uname();
    system.nodename().to_string_lossy().into_owned()
}

fn only_the_chosen_waiter_is_removed(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let host = queued("host-a", &etcd, 1)?;
    let stranger = etcdctl_lock(&etcd, version, NAME)?;
    let queue = queue_of(&etcd, 2)?;
    let terminal = dashboard(&etcd.endpoint(), "--allow-write")?;
    terminal.shows(&["report@host-a"])?;
    terminal.keys(&["Enter"])?;
    terminal.shows(&["by create revision", "#1"])?;
    // A holder is not a waiter, and a waiter runs nothing.
    terminal.keys(&["x"])?;
    terminal.shows(&["report@host-a holds the lock: stop its run instead"])?;
    terminal.keys(&["j", "K"])?;
    terminal.shows(&["waits and runs nothing: remove its entry instead"])?;
    let title = "remove-entry client ";
    answer(&terminal, "x", title, "shared")?;
    terminal.shows(&["nothing was done"])?;
    ensure!(queue_of(&etcd, 2)? == queue, "something was done");
    answer(&terminal, "x", title, LOCK)?;
    ensure!(
        queue_of(&etcd, 1)? == queue[..1],
        "another waiter was removed"
    );
    terminal.keys(&["5"])?;
    terminal.wait("the removal", |screen| {
        let left = screen.row(" LEAVE ")?;
        ensure!(left.contains("from place 1, removed by"), "{left}");
        Ok(())
    })?;
    drop(stranger);
    // A lease is ended with everything it carries: here, the holder's place.
    let lost = etcd
        .queue(ENTRIES)?
        .pop()
        .context("the lock has no holder")?;
    terminal.keys(&["1"])?;
    terminal.shows(&["Locks (1)"])?;
    answer(&terminal, "X", "revoke-lease report@host-a?", LOCK)?;
    host.wait_for(SLACK, |event| event.is("lock-lost"))?;
    let queue = etcd.queue(ENTRIES)?;
    ensure!(!queue.contains(&lost), "{queue:?}");
    Ok(())
}

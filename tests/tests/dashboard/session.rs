//! A person at a terminal: finds a lock, looks into its queue, holds the picture still, and leaves.

use anyhow::{Result, ensure};
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::on_etcd;
use leasehold_tests::terminal::{Screen, Terminal};

use crate::{
    LOCK, NAME, dashboard, etcdctl_lock, held_key, is_given_back, let_go, queue_of, queued,
};

on_etcd!(
    a_session_shows_holder_and_waiters_and_restores_the_shell,
    a_terminal_of_any_size_is_drawn_on,
);

/// Another lock, without contention.
const OTHER: &str = "/leasehold/locks/team/backup";

/// The line of a lock in the list has all of this.
fn row_has(screen: &Screen, lock: &str, parts: &[&str]) -> Result<()> {
    let row = screen.row(lock)?;
    for part in parts {
        let found = row.split_whitespace().any(|word| word == *part);
        ensure!(found, "no {part} in {row:?}");
    }
    Ok(())
}

fn waits(terminal: &Terminal, state: &str, waiters: &str) -> Result<()> {
    terminal.wait(&format!("{waiters} who wait"), |screen| {
        row_has(screen, LOCK, &[state, "report@host-a", waiters])
    })
}

fn a_session_shows_holder_and_waiters_and_restores_the_shell(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let backup = etcdctl_lock(&etcd, Version::V3_4, OTHER)?;
    held_key(&backup, OTHER)?;
    let host_a = queued("host-a", &etcd, 1)?;
    let host_b = queued("host-b", &etcd, 2)?;
    let stranger = etcdctl_lock(&etcd, Version::V3_5, NAME)?;
    let queue = queue_of(&etcd, 3)?;
    let terminal = dashboard(&etcd.endpoint(), "")?;
    waits(&terminal, "CONTEND", "2")?;
    terminal.wait("the other lock", |screen| {
        row_has(screen, "team/backup", &["HELD", "0"])
    })?;

    filters(&terminal)?;
    drills(&terminal)?;
    freezes(&terminal, stranger)?;
    reads_the_help(&terminal)?;
    may_change_nothing(&terminal)?;
    ensure!(queue_of(&etcd, 2)? == queue[..2], "the queue was changed");
    terminal.keys(&["q"])?;
    is_given_back(&terminal)?;
    drop((host_a, host_b));
    Ok(())
}

fn filters(terminal: &Terminal) -> Result<()> {
    let narrow = |terminal: &Terminal| {
        terminal.keys(&["/"])?;
        terminal.shows(&["filter:"])?;
        terminal.text("rep")?;
        terminal.wait("one lock of two", |screen| {
            ensure!(screen.contains("Locks (1 of 2)") && !screen.contains("team/backup"));
            Ok(())
        })
    };
    // Esc leaves it as it was, typed or set.
    narrow(terminal)?;
    terminal.keys(&["Escape"])?;
    terminal.shows(&["Locks (2)", "team/backup"])?;
    narrow(terminal)?;
    terminal.keys(&["Enter"])?;
    terminal.shows(&["filter: rep ", "Locks (1 of 2)"])?;
    terminal.keys(&["Escape"])?;
    terminal.shows(&["Locks (2)", "team/backup"]).map(drop)
}

fn drills(terminal: &Terminal) -> Result<()> {
    // The lock with the longest wait is the first.
    terminal.keys(&["Enter"])?;
    terminal.shows(&["Queue: shared/report, by create revision"])?;
    terminal.wait("the queue in order", |screen| {
        for (place, who) in [
            ("HOLD", "report@host-a"),
            ("#1", "report@host-b"),
            ("#2", "client "),
        ] {
            let mut rows = screen.lines().skip_while(|line| !line.contains("PLACE"));
            let row = rows.find(|line| line.contains(&format!("{place} ")));
            ensure!(row.is_some_and(|row| row.contains(who)), "{place}: {row:?}");
        }
        Ok(())
    })?;
    terminal.shows(&["2 waiters, 1 lock; cycle: none"])?;
    terminal.keys(&["Escape"])?;
    terminal.shows(&["Locks (2)"]).map(drop)
}

fn freezes(terminal: &Terminal, stranger: leasehold_tests::etcdctl::RunningEtcdctl) -> Result<()> {
    terminal.keys(&["Space"])?;
    terminal.shows(&["FROZEN", "nothing new"])?;
    let_go(stranger)?;
    let screen = terminal.shows(&["PAST", "1 change behind"])?;
    row_has(&screen, LOCK, &["2"])?;
    terminal.keys(&["L"])?;
    terminal.shows(&["| LIVE |"])?;
    waits(terminal, "CONTEND", "1")
}

fn reads_the_help(terminal: &Terminal) -> Result<()> {
    terminal.keys(&["?"])?;
    terminal.shows(&["Help: what the keys do", "look inside the selected row"])?;
    terminal.keys(&["Escape"])?;
    terminal.wait("no help", |screen| {
        ensure!(!screen.contains("Help: what"));
        Ok(())
    })
}

fn may_change_nothing(terminal: &Terminal) -> Result<()> {
    for key in ["x", "K", "X"] {
        terminal.keys(&[key])?;
        terminal.shows(&["start it with --allow-write"])?;
        // Another text in its place, so that the next one is the next key's.
        terminal.keys(&["m"])?;
        terminal.shows(&["the mouse is "])?;
    }
    let mouse = terminal.ask("#{mouse_any_flag}")?;
    ensure!(mouse == "0", "three times is off: {mouse}");
    Ok(())
}

fn a_terminal_of_any_size_is_drawn_on(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let backup = etcdctl_lock(&etcd, version, OTHER)?;
    held_key(&backup, OTHER)?;
    let terminal = dashboard(&etcd.endpoint(), "")?;
    for (columns, lines) in [(60, 15), (250, 70), (80, 24)] {
        terminal.resize(columns, lines)?;
        let screen = terminal.wait(&format!("{columns}x{lines}"), |screen| {
            let count = screen.lines().count();
            ensure!(count == usize::from(lines), "{count} lines");
            let last = screen.lines().last().unwrap_or_default();
            ensure!(last.contains("quit"), "{last}");
            Ok(screen.clone())
        })?;
        row_has(&screen, "team/backup", &["HELD"])?;
    }
    terminal.resize(40, 8)?;
    terminal.shows(&["terminal too small"])?;
    terminal.keys(&["q"])?;
    is_given_back(&terminal)
}

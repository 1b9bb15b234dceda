//! A dashboard that is cut off from its store shows that, keeps the last facts, and reconnects by itself.

use anyhow::{Result, ensure};
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::on_every_store;
use leasehold_tests::proxy::{FaultProxy, Mode};

use crate::{ENTRIES, LOCK, dashboard, is_given_back};

on_every_store!(a_cut_dashboard_shows_its_age_and_its_last_facts);

fn a_cut_dashboard_shows_its_age_and_its_last_facts(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let proxy = FaultProxy::start(&etcd.endpoint())?;
    let (early, late) = (format!("{ENTRIES}early"), format!("{ENTRIES}late"));
    etcd.etcdctl(&["put", &early, "by hand"])?;
    let terminal = dashboard(&proxy.endpoint(), "")?;
    terminal.shows(&["hold: early"])?;

    proxy.set(Mode::Refuse);
    proxy.reset();
    let screen = terminal.wait("a word about it", |screen| {
        let head = screen.row("DISCONNECTED")?.to_owned();
        ensure!(!head.contains("LIVE"), "{head}");
        Ok(head)
    })?;
    let reason = screen
        .split_once("DISCONNECTED")
        .map_or("", |(_, rest)| rest);
    let reason = reason.split(" | ").next().unwrap_or_default();
    println!("{version:?}: disconnected{reason}");
    let reason = reason.split_once(": ").map_or("", |(_, reason)| reason);
    ensure!(!reason.trim().is_empty(), "no reason in {screen}");

    // Meanwhile it passes to another holder, which the dashboard cannot know.
    etcd.etcdctl(&["put", &late, "by hand"])?;
    etcd.etcdctl(&["del", &early])?;
    terminal.keys(&["5"])?;
    terminal.shows(&[" DOWN ", "connection to the store lost"])?;
    terminal.keys(&["1"])?;
    let screen = terminal.shows(&["DISCONNECTED", LOCK])?;
    ensure!(screen.row(LOCK)?.contains("hold: early"), "{screen}");

    proxy.set(Mode::Pass);
    let screen = terminal.shows(&["| LIVE |", "hold: late"])?;
    ensure!(!screen.row(LOCK)?.contains("early"), "{screen}");
    terminal.keys(&["q"])?;
    is_given_back(&terminal)
}

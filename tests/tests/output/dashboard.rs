//! The dashboard's pane of output follows as `leasehold logs` does.

use anyhow::{Result, ensure};
use leasehold_tests::binaries;
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::host::HostProcess;
use leasehold_tests::on_etcd;
use leasehold_tests::terminal::Terminal;
use leasehold_tests::wait::eventually;

use crate::{SLACK, beater, guest_line};

on_etcd!(pane_follows_while_it_is_open_and_asks_for_nothing_after);

const FOLLOW: &str = "/leasehold/follow/";

fn pane_follows_while_it_is_open_and_asks_for_nothing_after(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let host = HostProcess::start(&beater("web1", &etcd, "200")?)?;
    guest_line(&host, "pulse")?;
    let terminal = Terminal::start(100, 24)?;
    let program = binaries::leasehold()?;
    let program = program.display();
    terminal.line(&format!(
        "{program} top --endpoint {} --view jobs",
        etcd.endpoint()
    ))?;
    terminal.shows(&["pulse", "web1"])?;
    ensure!(etcd.queue(FOLLOW)?.is_empty());
    terminal.keys(&["l"])?;
    terminal.shows(&["Output of pulse, following", "run ", "beat 5 "])?;
    ensure!(etcd.queue(FOLLOW)?.len() == 1);
    terminal.keys(&["Escape"])?;
    eventually(SLACK, "no request and no chunk", || {
        let output = etcd.queue("/leasehold/output/")?;
        ensure!(etcd.queue(FOLLOW)?.is_empty() && output.is_empty());
        Ok(())
    })?;
    terminal.keys(&["q"])?;
    terminal.wait_shell()
}

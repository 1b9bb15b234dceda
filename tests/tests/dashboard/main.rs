//! The dashboard in a real terminal and in scripts, on real stores with hosts and other clients in their queues:
//! it shows the facts, disturbs no other client, and always restores the terminal.

mod cut;
mod dev;
mod hostile;
mod mix;
mod orders;
mod output;
mod recording;
mod session;
mod shell;
mod still;
mod write;

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use leasehold_tests::binaries;
use leasehold_tests::etcd::Etcd;
use leasehold_tests::etcdctl_lock::{etcdctl_lock, held_key, let_go};
use leasehold_tests::guests::{self, Config, config_for};
use leasehold_tests::host::HostProcess;
use leasehold_tests::terminal::Terminal;
use leasehold_tests::wait::eventually;
use serde_json::Value;

use leasehold_tests::command::{self, CommandOutput};

/// For things that will happen.
const SLACK: Duration = Duration::from_secs(20);

/// The contended lock: its shown name, its full name, and the prefix of its entries.
const LOCK: &str = "shared/report";
const NAME: &str = "/leasehold/locks/shared/report";
const ENTRIES: &str = "/leasehold/locks/shared/report/";

/// The screen of the drawings.
const SIZE: (u16, u16) = (120, 35);

/// A host that beats under the lock until it is stopped.
fn beater(host: &str, etcd: &Etcd) -> Result<Config> {
    let heartbeat = guests::heartbeat()?;
    Ok(config_for(host, etcd).grace("200ms").job("report", |job| {
        job.plugin(&heartbeat).lock(LOCK).args(&["0", "50"])
    }))
}

/// A running one that has an entry in the queue, which is then so long.
fn queued(host: &str, etcd: &Etcd, length: usize) -> Result<HostProcess> {
    let host = HostProcess::start(&beater(host, etcd)?)?;
    queue_of(etcd, length)?;
    Ok(host)
}

/// Waits until this many keys are under the lock, and gives them, oldest first.
fn queue_of(etcd: &Etcd, count: usize) -> Result<Vec<String>> {
    eventually(SLACK, &format!("{count} entries"), || {
        let queue = etcd.queue(ENTRIES)?;
        ensure!(queue.len() == count, "there are {queue:?}");
        Ok(queue)
    })
}

/// A terminal with the dashboard of this store in it, which has read everything.
fn dashboard(endpoint: &str, more: &str) -> Result<Terminal> {
    let terminal = Terminal::start(SIZE.0, SIZE.1)?;
    terminal.line(&format!("leasehold-tui --endpoint {endpoint} {more}"))?;
    terminal.shows(&["| LIVE |"])?;
    Ok(terminal)
}

/// Runs `leasehold-tui` without a terminal.
fn leasehold_tui(args: &[&str]) -> Result<CommandOutput> {
    let mut command = Command::new(binaries::leasehold_tui()?);
    command.args(args);
    command::finish(&format!("leasehold-tui {}", args.join(" ")), command)
}

/// Everything as `--once` has it in JSON.
fn once(endpoint: &str) -> Result<Value> {
    let said = leasehold_tui(&["--endpoint", endpoint, "--once", "--format", "json"])?;
    ensure!(said.code == Some(0) && said.stderr.is_empty(), "{said:?}");
    serde_json::from_str(&said.stdout).with_context(|| format!("no JSON: {said:?}"))
}

/// The shell has the terminal again, and it is as it was: lines are edited and echoed, the cursor is there, and
/// neither the other screen nor mouse nor pastes are still the program's.
fn is_given_back(terminal: &Terminal) -> Result<()> {
    terminal.wait_shell()?;
    let flags = terminal.ask("#{alternate_on} #{cursor_flag} #{mouse_any_flag}")?;
    ensure!(flags == "0 1 0", "{flags}");
    let modes = terminal.run("stty -a")?;
    let modes: Vec<&str> = modes.split([' ', ';', '\n']).collect();
    for mode in ["icanon", "echo", "isig", "icrnl", "opost"] {
        ensure!(modes.contains(&mode), "no {mode} in {modes:?}");
    }
    // Marks of a paste would be shown by a program that knows nothing of them.
    terminal.line("cat -v > pasted.txt")?;
    terminal.paste("pasted")?;
    // The end of a line and that of the input, which only that program can take for an end.
    terminal.keys(&["Enter", "C-d"])?;
    terminal.wait_shell()?;
    let pasted = std::fs::read_to_string(terminal.dir().join("pasted.txt"))?;
    ensure!(pasted == "pasted\n", "{pasted:?}");
    Ok(())
}

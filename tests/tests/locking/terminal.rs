//! At a terminal, keys reach the command as without `leasehold`.

use anyhow::{Result, ensure};
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::terminal::{Screen, Terminal};

/// A command that counts Ctrl-C, reads a line from the terminal itself, and passes on its end.
const SCRIPT: &str = r#"trap 'echo intr' INT
echo ready
until read -r line < /dev/tty; do :; done
echo "line $line"
exit 4
"#;

fn start(etcd: &Etcd) -> Result<Terminal> {
    let terminal = Terminal::start(100, 30)?;
    std::fs::write(terminal.dir().join("script"), SCRIPT)?;
    terminal.line(&format!(
        "leasehold lock nightly --ttl 4s --endpoint {} -- sh script",
        etcd.endpoint()
    ))?;
    terminal.shows(&["ready"])?;
    Ok(terminal)
}

/// Waits for the last words, and then for the exit code.
fn ends(terminal: &Terminal, words: &str, code: i32) -> Result<Screen> {
    terminal.shows(&[words])?;
    terminal.line("echo code-$?")?;
    terminal.shows(&[&format!("code-{code}")])
}

#[test]
fn ctrl_c_goes_to_the_command_once_and_lines_are_read() -> Result<()> {
    let etcd = Etcd::start(Version::V3_5)?;
    let terminal = start(&etcd)?;
    terminal.keys(&["C-c"])?;
    terminal.shows(&["intr"])?;
    terminal.line("hello")?;
    let screen = ends(&terminal, "line hello", 4)?;
    ensure!(
        screen.text().matches("intr").count() == 1,
        "{}",
        screen.text()
    );
    Ok(())
}

#[test]
fn ctrl_z_stops_the_whole_job_and_fg_continues_it() -> Result<()> {
    let etcd = Etcd::start(Version::V3_5)?;
    let terminal = start(&etcd)?;
    terminal.keys(&["C-z"])?;
    terminal.shows(&["Stopped"])?;
    terminal.line("fg")?;
    terminal.line("hello")?;
    ends(&terminal, "line hello", 4).map(drop)
}

/// A job that stays stopped does not keep the lock for ever, nor act without it.
#[test]
fn job_that_stays_stopped_is_ended_at_the_deadline() -> Result<()> {
    let etcd = Etcd::start(Version::V3_5)?;
    let terminal = start(&etcd)?;
    terminal.keys(&["C-z"])?;
    terminal.shows(&["Stopped"])?;
    let contender = etcd.spawn_etcdctl(&["lock", "/leasehold/locks/nightly"])?;
    contender.wait_line(crate::SLACK, |line| line.starts_with("/leasehold"))?;
    terminal.line("fg")?;
    ends(&terminal, "error: lock nightly ", 8).map(drop)
}

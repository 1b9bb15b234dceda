//! After any end or pause of the dashboard the terminal can be used.

use anyhow::{Result, ensure};
use leasehold_tests::binaries;
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::terminal::Terminal;
use rustix::process::Signal;

use crate::{SIZE, dashboard, is_given_back};

/// Checks the modes that the dashboard sets in a terminal.
fn is_taken(terminal: &Terminal) -> Result<()> {
    terminal.wait("a terminal that is taken", |_| {
        let flags = terminal.ask("#{alternate_on} #{cursor_flag} #{mouse_any_flag}")?;
        ensure!(flags == "1 0 1", "{flags}");
        Ok(())
    })
}

#[test]
fn a_signal_ends_it_and_the_shell_is_as_it_was() -> Result<()> {
    let etcd = Etcd::start(Version::V3_5)?;
    let terminal = dashboard(&etcd.endpoint(), "")?;
    for (at, signal) in [Signal::TERM, Signal::INT, Signal::HUP]
        .into_iter()
        .enumerate()
    {
        if at > 0 {
            terminal.line(&format!("leasehold-tui --endpoint {}", etcd.endpoint()))?;
            terminal.shows(&["| LIVE |"])?;
        }
        is_taken(&terminal)?;
        terminal.signal(signal)?;
        is_given_back(&terminal)?;
    }
    Ok(())
}

#[test]
fn ctrl_z_stops_the_dashboard_and_fg_restores_it() -> Result<()> {
    let etcd = Etcd::start(Version::V3_5)?;
    let terminal = dashboard(&etcd.endpoint(), "")?;
    is_taken(&terminal)?;
    for _ in 0..2 {
        terminal.keys(&["C-z"])?;
        is_given_back(&terminal)?;
        terminal.line("fg")?;
        is_taken(&terminal)?;
        terminal.shows(&["| LIVE |", "Locks (0)"])?;
    }
    // Its keys work again, and so does its end.
    terminal.keys(&["5"])?;
    terminal.shows(&["Events, newest first"])?;
    terminal.keys(&["q"])?;
    is_given_back(&terminal)
}

/// The process that started it stops too; else no shell would notice the stop.
#[test]
fn the_process_that_started_it_stops_with_it() -> Result<()> {
    let etcd = Etcd::start(Version::V3_5)?;
    let terminal = Terminal::start(SIZE.0, SIZE.1)?;
    let endpoint = etcd.endpoint();
    terminal.line(&format!(
        "sh -c 'leasehold-tui --endpoint {endpoint}; echo over'"
    ))?;
    is_taken(&terminal)?;
    terminal.keys(&["C-z"])?;
    terminal.shows(&["Stopped"])?;
    is_given_back(&terminal)?;
    terminal.line("fg")?;
    is_taken(&terminal)?;
    terminal.keys(&["q"])?;
    terminal.shows(&["\nover\n"])?;
    is_given_back(&terminal)
}

#[test]
fn a_panic_gives_the_terminal_back_and_can_be_read() -> Result<()> {
    let terminal = Terminal::start(SIZE.0, SIZE.1)?;
    let panic = binaries::example("panic")?;
    terminal.line(&format!("{}; echo code=$?", panic.display()))?;
    terminal.shows(&["panicked at", "the screen fell down", "code=101"])?;
    is_given_back(&terminal)?;
    let screen = terminal.screen()?;
    ensure!(!screen.contains("all is well"), "{screen}");
    Ok(())
}

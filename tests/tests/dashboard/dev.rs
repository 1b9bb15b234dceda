//! `leasehold dev` opens the dashboard where there is a terminal, and leaving it ends everything.

use std::time::Instant;

use anyhow::{Result, ensure};
use leasehold_tests::binaries;
use leasehold_tests::guests::{self, Config};
use leasehold_tests::terminal::Terminal;

use crate::{LOCK, SIZE, SLACK, is_given_back};
use leasehold_tests::command::leasehold;

/// Like `configs/demo.toml`: a job that keeps its lock, and one that releases it after each run.
fn demo() -> Result<Config> {
    let (heartbeat, hello) = (guests::heartbeat()?, guests::c_hello()?);
    Ok(Config::default()
        .store("embedded", true)
        .store("memory", true)
        .host("data_dir", "data")
        .grace("1s")
        .job("pulse", |job| {
            job.plugin(&heartbeat)
                .lock(LOCK)
                .ttl("3s")
                .args(&["0", "50"])
        })
        .job("hello", |job| {
            job.plugin(&hello).every("300ms").args(&["1", "0"])
        }))
}

#[test]
fn hosts_run_under_the_dashboard_and_end_with_it() -> Result<()> {
    let terminal = Terminal::start(SIZE.0, SIZE.1)?;
    let file = terminal.dir().join("leasehold.toml");
    std::fs::write(&file, demo()?.to_string())?;
    terminal.line("leasehold dev; echo code=$?")?;
    terminal.wait("a holder of three", |screen| {
        let row = screen.row(LOCK)?;
        ensure!(
            row.contains("pulse@dev-") && row.contains("CONTEND"),
            "{row}"
        );
        Ok(())
    })?;
    terminal.keys(&["4"])?;
    terminal.wait("every job on every host", |screen| {
        for host in ["dev-1", "dev-2", "dev-3"] {
            for job in ["pulse", "hello"] {
                let found = screen
                    .lines()
                    .any(|line| line.contains(job) && line.contains(host));
                ensure!(found, "no {job} on {host}");
            }
        }
        ensure!(screen.contains(" running "), "nothing runs");
        Ok(())
    })?;
    let began = Instant::now();
    terminal.keys(&["q"])?;
    let screen = terminal.shows(&["code=0"])?;
    let took = began.elapsed();
    println!("gone after {took:?}");
    ensure!(took < SLACK / 2, "it took {took:?}");
    for part in [
        "the store listens on http://127.0.0.1:",
        "JOB ",
        "pulse ",
        "hello ",
    ] {
        ensure!(screen.contains(part), "no {part} in {screen}");
    }
    is_given_back(&terminal)
}

#[test]
fn a_signal_ends_hosts_and_dashboard_and_prints_the_rest() -> Result<()> {
    let terminal = Terminal::start(SIZE.0, SIZE.1)?;
    let file = terminal.dir().join("leasehold.toml");
    std::fs::write(&file, demo()?.to_string())?;
    terminal.line("leasehold dev --log story.txt; echo code=$?")?;
    terminal.shows(&["| LIVE |", "pulse@dev-"])?;
    terminal.signal(rustix::process::Signal::TERM)?;
    terminal.shows(&["code=0", "JOB "])?;
    is_given_back(&terminal)?;
    let story = std::fs::read_to_string(terminal.dir().join("story.txt"))?;
    ensure!(
        story.contains("ACQUIRED") && story.contains("dev-3"),
        "{story}"
    );
    Ok(())
}

#[test]
fn the_story_is_printed_without_a_terminal_or_on_request() -> Result<()> {
    let output = leasehold(&demo()?, &["dev", "--for", "2s"])?;
    ensure!(
        output.code == Some(0) && output.stderr.is_empty(),
        "{output:?}"
    );
    ensure!(
        output.stdout.contains("ACQUIRED") && output.stdout.contains("JOB "),
        "{output:?}"
    );
    ensure!(!output.stdout.contains('\u{1b}'), "{output:?}");

    let binary = binaries::leasehold()?;
    ensure!(binary.is_file());
    let terminal = Terminal::start(SIZE.0, SIZE.1)?;
    std::fs::write(terminal.dir().join("leasehold.toml"), demo()?.to_string())?;
    terminal.line("leasehold dev --for 2s --log-format text; echo code=$?")?;
    terminal.shows(&["code=0", "JOB "])?;
    let alternate = terminal.ask("#{alternate_on}")?;
    ensure!(alternate == "0", "{alternate}");
    Ok(())
}

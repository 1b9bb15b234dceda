//! Recordings are replayed step by step as they were; a file that cannot be replayed is refused with the reason.

use anyhow::{Context, Result, ensure};
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::on_every_store;
use leasehold_tests::terminal::Terminal;

use crate::{ENTRIES, LOCK, dashboard, is_given_back};

on_every_store!(a_recording_is_shown_again_as_it_was);

/// The holds that are put one after the other.
const HOLDS: [&str; 3] = ["one", "two", "three"];

/// The lock's line shows this hold.
fn holds(terminal: &Terminal, name: &str) -> Result<()> {
    terminal.wait(&format!("{name} as the holder"), |screen| {
        let row = screen.row(LOCK)?;
        ensure!(row.contains(&format!("hold: {name} ")), "{row}");
        Ok(())
    })
}

fn a_recording_is_shown_again_as_it_was(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let key = |name: &str| format!("{ENTRIES}{name}");
    etcd.etcdctl(&["put", &key(HOLDS[0]), "by hand"])?;
    let terminal = dashboard(&etcd.endpoint(), "--record seen.jsonl")?;
    holds(&terminal, HOLDS[0])?;
    for pair in HOLDS.windows(2) {
        etcd.etcdctl(&["put", &key(pair[1]), "by hand"])?;
        etcd.etcdctl(&["del", &key(pair[0])])?;
        holds(&terminal, pair[1])?;
    }
    terminal.keys(&["q"])?;
    is_given_back(&terminal)?;
    let again = format!(
        "leasehold-tui --endpoint {} --record seen.jsonl",
        etcd.endpoint()
    );
    refused(
        &terminal,
        &again,
        70,
        &["cannot use the recording seen.jsonl", "exists"],
    )?;
    // The store is not needed any more.
    drop(etcd);

    terminal.line("leasehold top --replay seen.jsonl")?;
    terminal.shows(&["REPLAY seen.jsonl"])?;
    // Two changes each: the next entry is put, then the earlier one is deleted.
    steps(&terminal, "]", &["one", "one", "two", "two", "three"])?;
    terminal.keys(&["]"])?;
    terminal.shows(&["there is nothing further in that direction"])?;
    steps(&terminal, "[", &["three", "two", "two", "one", "one"])?;
    terminal.keys(&["L"])?;
    terminal.shows(&["(its end)"])?;
    holds(&terminal, "three")?;
    terminal.keys(&["q"])?;
    is_given_back(&terminal)?;
    an_unreadable_recording_is_refused(&terminal)
}

/// Each press of the key shows the next of these.
fn steps(terminal: &Terminal, key: &str, names: &[&str]) -> Result<()> {
    for (at, name) in names.iter().enumerate() {
        if at > 0 {
            terminal.keys(&[key])?;
        }
        holds(terminal, name).with_context(|| format!("step {at} of {key}"))?;
    }
    Ok(())
}

/// Checks the output of a command in the terminal, and its exit code.
fn refused(terminal: &Terminal, command: &str, code: u8, parts: &[&str]) -> Result<()> {
    let said = terminal.run(&format!("{command} 2>&1 >/dev/tty; echo code=$?"))?;
    for part in parts {
        ensure!(said.contains(part), "{command}: no {part:?} in {said:?}");
    }
    ensure!(
        said.ends_with(&format!("code={code}")),
        "{command}: {said:?}"
    );
    let alternate = terminal.ask("#{alternate_on}")?;
    ensure!(alternate == "0", "{command} left the terminal taken");
    Ok(())
}

fn an_unreadable_recording_is_refused(terminal: &Terminal) -> Result<()> {
    let file = |name: &str| terminal.dir().join(name);
    let seen = std::fs::read_to_string(file("seen.jsonl"))?;
    let lines: Vec<&str> = seen.lines().collect();
    ensure!(lines.len() > 5, "{seen}");

    // A recording that was cut off while it was written: its whole lines are shown.
    std::fs::write(
        file("torn.jsonl"),
        seen.clone() + lines[3].get(..40).unwrap_or_default(),
    )?;
    terminal.line("leasehold top --replay torn.jsonl")?;
    terminal.shows(&["REPLAY torn.jsonl"])?;
    terminal.keys(&["L"])?;
    holds(terminal, "three")?;
    terminal.keys(&["q"])?;
    is_given_back(terminal)?;

    let broken = [&lines[..3], &["{\"at\":1,\"changes\":"], &lines[3..]].concat();
    std::fs::write(file("broken.jsonl"), broken.join("\n") + "\n")?;
    let future = seen.replacen("\"version\":1", "\"version\":2", 1);
    std::fs::write(file("future.jsonl"), future)?;
    std::fs::write(file("empty.jsonl"), "")?;
    std::fs::write(file("other.jsonl"), "{\"event\":\"acquired\"}\n")?;
    for (name, parts) in [
        (
            "broken.jsonl",
            ["line 4 of broken.jsonl cannot be read", ""],
        ),
        (
            "future.jsonl",
            ["is not a recording that can be shown", "its version is 2"],
        ),
        (
            "empty.jsonl",
            ["is not a recording that can be shown", "first line"],
        ),
        (
            "other.jsonl",
            ["is not a recording that can be shown", "first line"],
        ),
        (
            "gone.jsonl",
            ["cannot use the recording gone.jsonl", "No such file"],
        ),
    ] {
        let command = format!("leasehold-tui --replay {name}");
        refused(terminal, &command, 70, &parts)?;
    }
    Ok(())
}

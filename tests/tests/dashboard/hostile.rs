//! A client with write access to the store may write anything: names that move cursors, endless values, output that
//! draws. None of it has an effect on a terminal, and the rows of other jobs stay unchanged.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::guests::config_for;
use leasehold_tests::host::HostProcess;
use leasehold_tests::on_every_store;
use leasehold_tests::terminal::Terminal;
use serde_json::json;

use crate::{ENTRIES, LOCK, SIZE, SLACK, is_given_back};

on_every_store!(
    names_and_values_do_nothing_to_a_terminal,
    output_of_a_guest_has_no_effect_on_a_terminal,
);

/// Sets the window's title, clears the screen, moves the cursor, turns the text around, hides, forges a line.
const EVIL: &str =
    "e\u{1b}]0;owned\u{7}\u{1b}[2J\u{1b}[31m\u{9b}1;1H\u{202e}x\u{200b}y\u{2066}\r\nz";
/// The beginning of it as it may be shown.
const SHOWN: &str = "e\u{fffd}]0;owned\u{fffd}\u{fffd}[2J\u{fffd}[31m\u{fffd}1;1H\u{fffd}x";

/// A terminal with the dashboard in it, every byte of which goes into the file `raw`.
fn recorded(etcd: &Etcd) -> Result<Terminal> {
    let terminal = Terminal::start(SIZE.0, SIZE.1)?;
    terminal.copy_to("raw")?;
    terminal.line(&format!(
        "leasehold-tui --endpoint {} --allow-write",
        etcd.endpoint()
    ))?;
    terminal.shows(&["| LIVE |"])?;
    Ok(terminal)
}

/// Puts keys whose names, values and records are hostile.
fn put_evil(etcd: &Etcd) -> Result<()> {
    let long = "A\u{1b}[7m".repeat(2_500);
    let holder = json!({ "host": EVIL, "job": EVIL, "pid": 1, "since_unix_ms": 1 }).to_string();
    let job = json!({
        "job": EVIL, "host": EVIL, "lock": EVIL, "state": "running", "since_unix_ms": 1, "detail": EVIL,
        "progress": { "done": 1, "message": EVIL },
    });
    let host =
        json!({ "host": EVIL, "pid": 1, "version": EVIL, "started_unix_ms": 1, "jobs": [EVIL] });
    let run = json!({
        "job": "evil", "host": EVIL, "lock": EVIL, "lock_key": EVIL, "token": 3, "sequence": 0, "run_id": EVIL,
        "attempt": 1, "plugin_sha256": EVIL, "started_unix_ms": 1, "ended_unix_ms": 2, "outcome": "fatal",
        "detail": EVIL, "output": format!("{EVIL}\n{EVIL}"),
    });
    let deed = json!({
        "deed": "stop-run", "by": EVIL, "lock": EVIL, "key": EVIL, "token": 1, "lease": EVIL, "whom": EVIL,
        "at_unix_ms": 1,
    });
    for (key, value) in [
        (format!("/leasehold/locks/{EVIL}/{EVIL}"), EVIL.to_owned()),
        ("/leasehold/locks/long/hold".to_owned(), long),
        ("/leasehold/locks/record/hold".to_owned(), holder),
        (format!("/leasehold/jobs/{EVIL}/{EVIL}"), job.to_string()),
        (format!("/leasehold/hosts/{EVIL}"), host.to_string()),
        (
            "/leasehold/runs/evil/00000000000000000003".to_owned(),
            run.to_string(),
        ),
        ("/leasehold/deeds/1-1".to_owned(), deed.to_string()),
    ] {
        etcd.etcdctl(&["put", "--", &key, &value])?;
    }
    Ok(())
}

fn names_and_values_do_nothing_to_a_terminal(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    etcd.etcdctl(&["put", &format!("{ENTRIES}hold"), "by hand"])?;
    let terminal = recorded(&etcd)?;
    let title = terminal.ask("#{pane_title}")?;
    let row = |terminal: &Terminal| -> Result<Vec<String>> {
        let screen = terminal.shows(&["hold: hold"])?;
        // Without the mark of the selected row, and without counters.
        let words = screen.row(LOCK)?.split(['│', '>', ' ']);
        let words = words.filter(|word| !word.is_empty()).take(5);
        Ok(words.map(str::to_owned).collect())
    };
    let before = row(&terminal)?;
    put_evil(&etcd)?;
    terminal.shows(&["e\u{fffd}]0;owned\u{fffd}", "long", "record"])?;
    let after = row(&terminal)?;
    ensure!(before == after, "{before:?}, then {after:?}");

    // Every view and everything that can cover one, about each of them.
    for view in ["1", "2", "3", "4", "5", "6"] {
        for key in [view, "d", "d", "j", "d", "d", "l", "l", "y", "f"] {
            press(&terminal, key)?;
        }
        // A question, or why there is none; then the key that answers it by itself, or it would be another.
        terminal.shows(&["following the selected row"])?;
        terminal.keys(&["K"])?;
        terminal.wait("a question, or why not", |screen| {
            let last = screen.lines().last().unwrap_or_default();
            ensure!(screen.contains("to confirm") || last.starts_with(" ! "));
            Ok(())
        })?;
        terminal.keys(&["Escape"])?;
        terminal.wait("no question", |screen| {
            ensure!(!screen.contains("to confirm"));
            Ok(())
        })?;
    }
    terminal.keys(&["5"])?;
    terminal.shows(&["Events, newest first", " DEED ", SHOWN])?;
    let now = terminal.ask("#{pane_title} #{alternate_on}")?;
    ensure!(now == format!("{title} 1"), "{title:?}, then {now:?}");
    terminal.keys(&["q"])?;
    is_given_back(&terminal)?;
    only_ours(&terminal.dir().join("raw"))
}

/// Presses a key and checks that only text has changed.
fn press(terminal: &Terminal, key: &str) -> Result<()> {
    let before = terminal.screen()?;
    terminal.keys(&[key])?;
    let after = terminal.wait("something else", |screen| {
        ensure!(*screen != before, "it is the same");
        Ok(screen.clone())
    })?;
    ensure!(
        after.lines().count() == usize::from(SIZE.1),
        "{key}: {after}"
    );
    let hostile = after.text().chars().find(|c| is_hostile(*c));
    ensure!(hostile.is_none(), "{key}: {hostile:?} in {after}");
    Ok(())
}

/// A command whose output is as hostile as a name.
fn evil_command(dir: &Path) -> Result<std::path::PathBuf> {
    let escaped: Vec<String> = EVIL.bytes().map(|byte| format!("\\{byte:02x}")).collect();
    let escaped = escaped.concat();
    let module = format!(
        r#"(module
            (import "wasi_snapshot_preview1" "fd_write"
                (func $write (param i32 i32 i32 i32) (result i32)))
            (memory (export "memory") 1)
            (data (i32.const 100) "{escaped}\0a")
            (func (export "_start")
                (i32.store (i32.const 0) (i32.const 100))
                (i32.store (i32.const 4) (i32.const {}))
                (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 20)))))"#,
        EVIL.len() + 1
    );
    let file = dir.join("evil.wasm");
    std::fs::write(&file, wat::parse_str(module)?)?;
    Ok(file)
}

fn output_of_a_guest_has_no_effect_on_a_terminal(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let dir = tempfile::tempdir()?;
    let evil = evil_command(dir.path())?;
    let config =
        config_for("host-a", &etcd).job("report", |job| job.plugin(&evil).lock(LOCK).every("10m"));
    let host = HostProcess::start(&config)?;
    host.wait_for(SLACK, |event| event.is("run-ended"))?;
    let terminal = recorded(&etcd)?;
    terminal.keys(&["4"])?;
    terminal.shows(&["Jobs (", "Output", "e\u{fffd}]0;owned\u{fffd}"])?;
    terminal.keys(&["l"])?;
    terminal.shows(&["Output of report@host-a", SHOWN])?;
    // A key at a time: Esc with another behind it is that key with Alt.
    terminal.keys(&["l"])?;
    terminal.shows(&["Jobs ("])?;
    terminal.keys(&["q"])?;
    is_given_back(&terminal)?;
    only_ours(&terminal.dir().join("raw"))
}

/// True for characters that move the cursor, or reorder or hide text.
fn is_hostile(c: char) -> bool {
    (c.is_control() && c != '\n')
        || matches!(c, '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Checks that the dashboard sent only text and its own sequences: colours, positions, modes, and requested copies.
fn only_ours(raw: &Path) -> Result<()> {
    let sent = std::fs::read(raw).context("reading what was sent")?;
    let sent = String::from_utf8(sent).context("what was sent is no UTF-8")?;
    // From the switch to the alternate screen to its end: the rest is the shell's output.
    let (_, sent) = sent.split_once("\u{1b}[?1049h").context("it never began")?;
    let (sent, _) = sent
        .rsplit_once("\u{1b}[?1049l")
        .context("it never ended")?;
    let mut finals = BTreeSet::new();
    let mut parts = sent.split('\u{1b}');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        if let Some(copy) = part.strip_prefix("]52;c;") {
            // Base64 and its end.
            let rest =
                copy.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || "+/=".contains(c));
            text.push_str(rest.strip_prefix('\u{7}').unwrap_or(rest));
            continue;
        }
        if let Some(rest) = part.strip_prefix('\\') {
            // The end of a copy, in the other form.
            text.push_str(rest);
            continue;
        }
        let body = part
            .strip_prefix('[')
            .with_context(|| format!("a sequence like {part:?}"))?;
        let end = body.find(|c: char| !(c.is_ascii_digit() || "?;".contains(c)));
        let end = end.with_context(|| format!("no end in {part:?}"))?;
        finals.insert(&body[end..=end]);
        text.push_str(&body[end + 1..]);
    }
    println!("sequences: {finals:?}");
    let known = BTreeSet::from(["H", "m", "J", "K", "h", "l"]);
    ensure!(finals.is_subset(&known), "{finals:?}");
    let hostile = text.chars().find(|c| is_hostile(*c));
    ensure!(hostile.is_none(), "{hostile:?} was sent");
    Ok(())
}

//! Dashboards beside a ledger: of a user who may read little, and on a terminal that cannot be drawn on.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, anyhow, ensure};
use leasehold_tests::binaries;
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::process::Process;
use leasehold_tests::tail::Tail;
use leasehold_tests::terminal::Terminal;
use rustix::process::Signal;
use serde_json::Value;

use crate::SLACK;
use crate::neighbour::Neighbour;

const SIZE: (u16, u16) = (120, 35);
const USER: &str = "narrow";
const PASSWORD: &str = "narrow-password";

/// A server whose user [`USER`] may read `app/locks/` and nothing else.
fn narrow() -> Result<Etcd> {
    let etcd = Etcd::builder(Version::V3_5).users().start()?;
    etcd.etcdctl(&["role", "add", USER])?;
    etcd.etcdctl(&[
        "role",
        "grant-permission",
        USER,
        "--prefix=true",
        "read",
        "app/locks/",
    ])?;
    etcd.etcdctl(&["user", "add", &format!("{USER}:{PASSWORD}")])?;
    etcd.etcdctl(&["user", "grant-role", USER, USER])?;
    etcd.etcdctl(&["put", "app/locks/backup/here", "by hand"])?;
    Ok(etcd)
}

/// Arguments that log [`USER`] in, whose password is in a file of `dir`.
fn login(etcd: &Etcd, dir: &Path) -> Result<Vec<String>> {
    let file: PathBuf = dir.join("password");
    fs::write(&file, PASSWORD)?;
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600))?;
    let args = [
        "--endpoint",
        &etcd.endpoint(),
        "--prefix",
        "app/locks/",
        "--user",
        USER,
        "--password-file",
        &file.display().to_string(),
    ];
    Ok(args.map(str::to_owned).to_vec())
}

#[test]
fn dashboard_of_a_narrow_user_names_what_is_left_out() -> Result<()> {
    let beside = Neighbour::start_on(narrow()?, |config| config)?;
    let terminal = Terminal::start(SIZE.0, SIZE.1)?;
    let login = login(&beside.etcd, terminal.dir())?.join(" ");
    terminal.line(&format!("leasehold top {login}"))?;
    let screen = terminal.shows(&[
        "not permitted to read /leasehold/",
        "LIVE",
        "app/locks/backup",
    ])?;
    ensure!(!screen.contains("ledger"), "{screen}");
    // It goes on: what changes within the prefix is shown.
    beside
        .etcd
        .etcdctl(&["put", "app/locks/second/here", "by hand"])?;
    terminal.shows(&["app/locks/second", "not permitted to read /leasehold/"])?;
    terminal.keys(&["q"])?;
    terminal.wait_shell()?;
    beside.untouched().map(drop)
}

#[test]
fn stream_of_a_narrow_user_goes_on_with_what_may_be_read() -> Result<()> {
    let beside = Neighbour::start_on(narrow()?, |config| config)?;
    let dir = tempfile::tempdir()?;
    let stderr = dir.path().join("stderr");
    let mut command = Command::new(binaries::leasehold()?);
    command
        .args(["top", "--stream"])
        .args(login(&beside.etcd, dir.path())?)
        .stdout(Stdio::piped())
        .stderr(fs::File::create(&stderr)?);
    let mut stream = Process::spawn("leasehold top --stream", &mut command)?;
    let stdout = stream.take_stdout().context("no standard output")?;
    let lines = Tail::read(stdout, str::to_owned)?;
    let next = |event: &str| -> Result<Value> {
        let read = |line: &String| serde_json::from_str::<Value>(line).unwrap_or_default();
        let found = lines.wait_from(0, SLACK, |line| read(line)["event"] == event);
        let found = found.map_err(|why| anyhow!("no {event} ({why:?}) in {:?}", lines.all()))?;
        Ok(read(&found))
    };
    next("live")?;
    let ctl = beside.etcd.ctl()?.spawn(&["lock", "app/locks/held"])?;
    let came = next("acquire")?;
    ensure!(came["lock"] == "app/locks/held", "{came}");
    drop(ctl);
    let warned = fs::read_to_string(&stderr)?;
    ensure!(
        warned == "warning: not permitted to read /leasehold/: it is left out\n",
        "{warned:?}"
    );
    let lines = lines.all();
    let shown = lines.iter().find(|line| line.contains("ledger"));
    ensure!(shown.is_none(), "{shown:?}");
    stream.signal(Signal::TERM)?;
    stream.wait_exit(SLACK)?;
    beside.untouched().map(drop)
}

#[test]
fn terminal_called_dumb_is_refused_before_it_is_drawn_on() -> Result<()> {
    let beside = Neighbour::start(|config| config)?;
    let terminal = Terminal::start(SIZE.0, SIZE.1)?;
    let raw = terminal.copy_to("raw")?;
    let endpoint = beside.etcd.endpoint();
    for program in ["leasehold top", "leasehold-tui"] {
        terminal.line(&format!(
            "TERM=dumb {program} --endpoint {endpoint} 2>words; echo code=$?"
        ))?;
        terminal.shows(&["code=2"])?;
        terminal.wait_shell()?;
        let words = fs::read_to_string(terminal.dir().join("words"))?;
        ensure!(
            words.contains("TERM is `dumb`") && words.contains("--once"),
            "{program}: {words}"
        );
        // The same without a screen is served.
        let once = terminal.run(&format!("TERM=dumb {program} --endpoint {endpoint} --once"))?;
        ensure!(once.contains("ledger"), "{program}: {once}");
        terminal.line("clear")?;
        terminal.wait_shell()?;
    }
    // No byte of the program moved the cursor or took the other screen.
    let raw = String::from_utf8_lossy(&fs::read(raw)?).into_owned();
    ensure!(!raw.contains("\u{1b}[?1049h"), "{raw:?}");
    beside.untouched().map(drop)
}

//! Without a terminal: `--once` and `--stream`, their fields, their exit codes and their pipes, for scripts.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use leasehold_tests::binaries;
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::guests::Config;
use leasehold_tests::host::HostProcess;
use leasehold_tests::on_every_store;
use leasehold_tests::process::Process;
use rustix::process::Signal;
use serde_json::Value;

use crate::{
    ENTRIES, LOCK, NAME, SLACK, beater, etcdctl_lock, held_key, leasehold_tui, let_go, once,
    queue_of, queued,
};
use leasehold_tests::command::leasehold;

on_every_store!(
    once_lists_every_lock_as_a_table_as_json_and_as_csv,
    a_stream_prints_each_event,
);

fn once_lists_every_lock_as_a_table_as_json_and_as_csv(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let host = queued("host-a", &etcd, 1)?;
    let token = host.wait_for(SLACK, |event| event.is("acquired"))?.token();
    let stranger = etcdctl_lock(&etcd, version, NAME)?;
    let queue = queue_of(&etcd, 2)?;
    etcd.etcdctl(&["put", "/app/locks/backup/maintenance", "by hand"])?;

    let all = once(&etcd.endpoint())?;
    ensure!(
        all["root"] == "/leasehold/" && all["at_unix_ms"].is_u64(),
        "{all}"
    );
    ensure!(all["revision"].as_u64() <= Some(etcd.revision()?), "{all}");
    ensure!(all["locks"].as_array().map(Vec::len) == Some(1), "{all}");
    let lock = &all["locks"][0];
    ensure!(lock["lock"] == LOCK && lock["name"] == NAME, "{lock}");
    ensure!(lock["state"] == "contend" && lock["waiters"] == 1, "{lock}");
    ensure!(lock["ttl_granted_ms"] == 10_000, "{lock}");
    let left = lock["ttl_ms"].as_u64().context("no ttl")?;
    ensure!((1_000..=11_000).contains(&left), "{lock}");
    let [holder, waiter] = [&lock["queue"][0], &lock["queue"][1]];
    ensure!(
        holder["place"] == 0 && holder["who"] == "report@host-a",
        "{holder}"
    );
    ensure!(
        holder["job"] == "report" && holder["host"] == "host-a",
        "{holder}"
    );
    ensure!(
        holder["token"].as_u64() == token && token.is_some(),
        "{holder}"
    );
    ensure!(holder["key"] == queue[0].as_str(), "{holder}");
    ensure!(
        waiter["key"] == queue[1].as_str() && waiter["place"] == 1,
        "{waiter}"
    );
    let lease = queue[1].rsplit('/').next();
    ensure!(waiter["lease"].as_str() == lease, "{waiter}");
    ensure!(
        waiter["job"].is_null() && waiter["host"].is_null(),
        "{waiter}"
    );

    let endpoint = etcd.endpoint();
    let print = |more: &[&str]| {
        let said = leasehold_tui(&[&["--endpoint", &endpoint, "--once"], more].concat())?;
        ensure!(said.code == Some(0) && said.stderr.is_empty(), "{said:?}");
        Ok(said.stdout)
    };
    let table = print(&[])?;
    let row = table.lines().nth(1).context("no row")?;
    let cells: Vec<&str> = row.split_whitespace().collect();
    ensure!(cells[..3] == [LOCK, "CONTEND", "report@host-a"], "{table}");
    ensure!(
        table.starts_with("LOCK ") && table.lines().count() == 2,
        "{table}"
    );
    let csv = print(&["--format", "csv", "--prefix", "/app/locks/"])?;
    let lines: Vec<&str> = csv.lines().collect();
    let head = "lock,state,holder,held_ms,ttl_ms,waiters,oldest_wait_ms,token,lease";
    ensure!(lines[0].trim_end() == head && lines.len() == 3, "{csv}");
    // By their full names, so the other client's is the first.
    ensure!(
        lines[1].starts_with("/app/locks/backup,admin-hold,hold: maintenance,"),
        "{csv}"
    );
    ensure!(
        lines[2].starts_with("shared/report,contend,report@host-a,"),
        "{csv}"
    );
    let none = print(&["--filter", "no such lock"])?;
    ensure!(none == "no lock is held", "{none}");
    drop(stranger);
    Ok(())
}

fn a_stream_prints_each_event(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let (mut stream, mut lines) = stream(&etcd)?;
    let mut next = |event: &str| -> Result<Value> {
        loop {
            let line = lines.next().context("the stream ended")??;
            let line: Value = serde_json::from_str(&line)?;
            ensure!(
                line["at_unix_ms"].is_u64() && line["text"].is_string(),
                "{line}"
            );
            if line["event"] == event {
                return Ok(line);
            }
        }
    };
    next("live")?;
    let first = etcdctl_lock(&etcd, Version::V3_4, NAME)?;
    held_key(&first, NAME)?;
    let came = next("acquire")?;
    ensure!(
        came["lock"] == LOCK && came["token"] == came["revision"],
        "{came}"
    );
    let second = etcdctl_lock(&etcd, Version::V3_5, NAME)?;
    let waits = next("wait")?;
    ensure!(waits["place"] == 1, "{waits}");
    let_go(first)?;
    let passed = next("handoff")?;
    ensure!(
        passed["from"] == came["who"] && passed["who"] == waits["who"],
        "{passed}"
    );
    ensure!(
        passed["parting"] == "released" && passed["token"] == waits["token"],
        "{passed}"
    );
    ensure!(
        passed["held_ms"].is_u64() && passed["waited_ms"].is_u64(),
        "{passed}"
    );
    etcd.etcdctl(&["put", &format!("{ENTRIES}by hand"), "hold"])?;
    etcd.etcdctl(&["del", &format!("{ENTRIES}by hand")])?;
    let left = next("leave")?;
    ensure!(
        left["who"] == "hold: by hand" && left["place"] == 1,
        "{left}"
    );
    let_go(second)?;
    next("release")?;
    stream.signal(Signal::TERM)?;
    stream.wait_exit(SLACK).map(drop)
}

/// A `--stream` of this store, and its output.
fn stream(etcd: &Etcd) -> Result<(Process, impl Iterator<Item = std::io::Result<String>>)> {
    let mut command = Command::new(binaries::leasehold_tui()?);
    command.args(["--endpoint", &etcd.endpoint(), "--stream"]);
    command.stdout(Stdio::piped());
    let mut process = Process::spawn("leasehold-tui --stream", &mut command)?;
    let stdout = process.take_stdout().context("no standard output")?;
    Ok((process, BufReader::new(stdout).lines()))
}

#[test]
fn exit_codes_name_the_failure_and_messages_the_remedy() -> Result<()> {
    let said = leasehold_tui(&[])?;
    ensure!(said.code == Some(2) && said.stdout.is_empty(), "{said:?}");
    for part in ["there is no terminal", "--once", "--stream"] {
        ensure!(said.stderr.contains(part), "{part} in {said:?}");
    }
    let said = leasehold(&"", &["top", "--endpoint", "http://127.0.0.1:1"])?;
    ensure!(
        said.code == Some(2) && said.stderr.contains("--once"),
        "{said:?}"
    );
    for command in [&["--once"][..], &["--stream"]] {
        let unused = &["--endpoint", "http://127.0.0.1:1"];
        let said = leasehold_tui(&[unused, command].concat())?;
        ensure!(said.code == Some(5) && said.stdout.is_empty(), "{said:?}");
        ensure!(said.stderr.contains("127.0.0.1:1"), "{said:?}");
    }
    for wrong in [
        &["--once", "--stream"][..],
        &["--format", "json"],
        &["--once", "--filter", "("],
        &["--once", "--root", "no-slash"],
        &["--once", "--prefix", ""],
    ] {
        let said = leasehold_tui(wrong)?;
        ensure!(
            said.code == Some(2) && !said.stderr.is_empty(),
            "{wrong:?}: {said:?}"
        );
    }
    Ok(())
}

#[test]
fn a_reader_that_goes_ends_it_without_a_complaint() -> Result<()> {
    let etcd = Etcd::start(Version::V3_5)?;
    etcd.etcdctl(&["put", &format!("{ENTRIES}hold"), "by hand"])?;
    for command in ["--once", "--stream"] {
        let (reader, writer) = std::io::pipe()?;
        drop(reader);
        let mut tui = Command::new(binaries::leasehold_tui()?);
        tui.args(["--endpoint", &etcd.endpoint(), command]);
        tui.stdout(writer).stderr(Stdio::piped());
        let mut process = Process::spawn(command, &mut tui)?;
        let mut stderr = process.take_stderr().context("no standard error")?;
        let code = process.wait_exit(SLACK)?.code();
        let said = std::io::read_to_string(&mut stderr)?;
        ensure!(
            code == Some(0) && said.is_empty(),
            "{command}: {code:?} {said}"
        );
    }
    Ok(())
}

#[test]
fn an_embedded_store_is_read_through_its_private_socket() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let data = dir.path().to_string_lossy().into_owned();
    let config = embedded(&data)?;
    let arguments = ["top", "-c", "leasehold.toml", "--once", "--format", "json"];
    let said = leasehold(&config, &arguments)?;
    ensure!(said.code == Some(5) && said.stdout.is_empty(), "{said:?}");
    for part in [
        "no host is running with this store",
        "leasehold run -c leasehold.toml",
    ] {
        ensure!(said.stderr.contains(part), "{part} in {said:?}");
    }
    let host = HostProcess::start(&config)?;
    let token = host.wait_for(SLACK, |event| event.is("acquired"))?.token();
    let said = leasehold(&config, &arguments)?;
    ensure!(said.code == Some(0) && said.stderr.is_empty(), "{said:?}");
    let all: Value = serde_json::from_str(&said.stdout)?;
    let holder = &all["locks"][0]["queue"][0];
    ensure!(holder["who"] == "report@host-a", "{all}");
    ensure!(holder["token"].as_u64() == token, "{all}");
    Ok(())
}

fn embedded(data: &str) -> Result<Config> {
    let heartbeat = leasehold_tests::guests::heartbeat()?;
    Ok(Config::default()
        .host("id", "host-a")
        .host("data_dir", data)
        .store("embedded", true)
        .grace("200ms")
        .job("report", |job| {
            job.plugin(&heartbeat).lock(LOCK).args(&["0", "50"])
        }))
}

#[test]
fn a_host_s_file_names_the_store_for_top_too() -> Result<()> {
    let etcd = Etcd::start(Version::V3_5)?;
    etcd.etcdctl(&["put", &format!("{ENTRIES}hold"), "by hand"])?;
    // Without -c, the usual file is taken; with an address, no file is.
    let config = beater("host-a", &etcd)?;
    let said = leasehold(&config, &["top", "--once"])?;
    ensure!(
        said.code == Some(0) && said.stdout.contains("hold: hold"),
        "{said:?}"
    );
    let said = leasehold(
        &"not = [toml",
        &["top", "--once", "--endpoint", &etcd.endpoint()],
    )?;
    ensure!(
        said.code == Some(0) && said.stdout.contains("hold: hold"),
        "{said:?}"
    );
    Ok(())
}

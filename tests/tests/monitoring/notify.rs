//! Messages of real hosts, to programs and servers that work, fail and hang.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::guests;
use leasehold_tests::host::HostProcess;
use leasehold_tests::process::is_alive;
use leasehold_tests::wait::eventually;
use serde_json::Value;
use tempfile::TempDir;

use crate::receiver::Receiver;

const PATIENCE: Duration = Duration::from_mins(1);

/// A command that exits with this code at each second minute half: two seconds with 3, two with 0, and so on.
const MOODY: &str = r#"(module
    (import "wasi_snapshot_preview1" "clock_time_get" (func $time (param i32 i64 i32) (result i32)))
    (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
    (memory (export "memory") 1)
    (func (export "_start")
        (drop (call $time (i32.const 0) (i64.const 1) (i32.const 8)))
        (if (i64.ne (i64.const 0)
                (i64.and (i64.const 2) (i64.div_u (i64.load (i32.const 8)) (i64.const 1000000000))))
            (then (call $exit (i32.const 3))))))"#;

/// A command that always exits with 3.
const FAILING: &str = r#"(module
    (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
    (memory (export "memory") 1)
    (func (export "_start") (call $exit (i32.const 3))))"#;

/// Files of one scenario.
struct Files(TempDir);

impl Files {
    fn new() -> Result<Self> {
        Ok(Self(TempDir::new()?))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn plugin(&self, name: &str, wat: &str) -> Result<PathBuf> {
        let path = self.path(name);
        fs::write(&path, wat::parse_str(wat)?)?;
        Ok(path)
    }

    /// Writes a program of `/bin/sh`; `DIR` stands for the folder.
    fn program(&self, name: &str, body: &str) -> Result<PathBuf> {
        let path = self.path(name);
        let body = body.replace("DIR", &self.0.path().display().to_string());
        fs::write(&path, format!("#!/bin/sh\n{body}\n"))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
        Ok(path)
    }

    fn lines(&self, name: &str) -> Vec<String> {
        let text = fs::read_to_string(self.path(name)).unwrap_or_default();
        text.lines().map(ToOwned::to_owned).collect()
    }
}

fn shown(path: &Path) -> String {
    format!("{:?}", path.display().to_string())
}

#[test]
fn messages_reach_a_program_and_a_server() -> Result<()> {
    let (etcd, files) = (Etcd::start(Version::V3_5)?, Files::new()?);
    // The first request is repeated.
    let server = Receiver::start(&[500, 204])?;
    let moody = files.plugin("moody.wasm", MOODY)?;
    let program = files.program(
        "alert",
        "cat >> DIR/messages\necho \"$1 $LEASEHOLD_NOTIFY_KIND $LEASEHOLD_NOTIFY_JOB $LEASEHOLD_NOTIFY_SUMMARY\" >> DIR/seen\nenv >> DIR/env",
    )?;
    let headers = files.path("headers");
    fs::write(&headers, "Authorization: Bearer hunter2\n")?;
    fs::set_permissions(&headers, fs::Permissions::from_mode(0o600))?;
    let config = guests::config_for("web1", &etcd)
        .job("moody", |job| job.plugin(&moody).every("500ms"))
        .job("slow", |job| {
            job.plugin(&guests::heartbeat().expect("it is built"))
                .args(&["15", "100"])
                .every("500ms")
        })
        .raw(&format!(
            "[notify]\ncommand = [{}, \"--json\"]\nhttp = \"http://{}/hook/hunter3\"\nheaders_file = {}\njob_per_hour = 100\n",
            shown(&program),
            server.address(),
            shown(&headers)
        ));
    let env = [("SECRET_OF_THE_HOST", OsString::from("hunter4"))];
    let mut host = HostProcess::start_with_env(&config, &env)?;
    let kinds = ["failure", "recovery", "missed-tick"];
    eventually(PATIENCE, "a message of each kind", || {
        let received = server.received();
        for kind in kinds {
            ensure!(
                received.iter().any(|one| one.message["kind"] == kind),
                "no {kind}: {received:?}"
            );
        }
        Ok(())
    })?;
    let received = server.received();
    let [first, second] = [&received[0], &received[1]];
    ensure!(
        first.message["id"] == second.message["id"],
        "it was not repeated: {received:?}"
    );
    ensure!(
        first.head.starts_with("POST /hook/hunter3 HTTP/1.1"),
        "{first:?}"
    );
    ensure!(
        first.head.contains("authorization: Bearer hunter2"),
        "{first:?}"
    );
    let of = |kind: &str| {
        received
            .iter()
            .find(|one| one.message["kind"] == kind)
            .map(|one| &one.message)
    };
    let failure = of("failure").context("a failure")?;
    ensure!(
        failure["job"] == "moody" && failure["host"] == "web1" && failure["outcome"] == "exit",
        "{failure}"
    );
    ensure!(
        failure["summary"] == "moody failed on web1 (exit): exit code 3",
        "{failure}"
    );
    ensure!(
        failure["token"].is_u64() && failure["attempt"] == 1 && failure["tick"].is_string(),
        "{failure}"
    );
    let missed = of("missed-tick").context("a missed tick")?;
    ensure!(
        missed["job"] == "slow" && missed["missed"]["count"].as_u64() >= Some(1),
        "{missed}"
    );
    host.term()?;
    host.wait_exit(PATIENCE)?;

    program_received(&files, failure)?;
    let log = format!(
        "{:?}{}{}",
        host.events(),
        host.stderr(),
        files.lines("messages").join("\n")
    );
    for secret in ["hunter2", "hunter3", "hunter4"] {
        ensure!(
            !log.contains(secret),
            "{secret} is in the log or in a message"
        );
    }
    Ok(())
}

/// The program received this failure as JSON and in its environment, which has none of the host's secrets.
fn program_received(files: &Files, failure: &Value) -> Result<()> {
    let messages = files.lines("messages");
    let parsed: Vec<Value> = messages
        .iter()
        .map(|line| serde_json::from_str(line))
        .collect::<Result<_, _>>()?;
    ensure!(
        parsed.iter().any(|message| message["id"] == failure["id"]),
        "{messages:?}"
    );
    let seen = files.lines("seen");
    ensure!(
        seen.iter()
            .any(|line| line.starts_with("--json failure moody moody failed on web1")),
        "{seen:?}"
    );
    let env = files.lines("env").join("\n");
    ensure!(env.contains("PATH=") && !env.contains("hunter4"), "{env}");
    Ok(())
}

/// Runs end one after the other while the first message is still under way.
#[test]
fn recipients_that_hang_hold_no_job_up() -> Result<()> {
    let (etcd, files) = (Etcd::start(Version::V3_5)?, Files::new()?);
    let server = Receiver::start(&[])?;
    let failing = files.plugin("failing.wasm", FAILING)?;
    let program = files.program(
        "alert",
        "sleep 1000 &\necho $! >> DIR/children\necho stuck >&2\nsleep 1000",
    )?;
    let config = guests::config_for("web1", &etcd)
        .job("failing", |job| job.plugin(&failing).every("200ms"))
        .raw(&format!(
            "[notify]\ncommand = [{}]\nhttp = \"http://{}/\"\ntimeout = \"10s\"\n",
            shown(&program),
            server.address()
        ));
    let mut host = HostProcess::start(&config)?;
    eventually(PATIENCE, "the first message", || {
        ensure!(server.received().len() == 1);
        ensure!(files.lines("children").len() == 1);
        Ok(())
    })?;
    for _ in 0..5 {
        host.wait_after(host.mark(), PATIENCE, |event| event.is("run-ended"))?;
    }
    ensure!(
        server.received().len() == 1,
        "the first message is not under way any more"
    );
    ensure!(!host.has(|event| event.is("notify-failed")));
    let failed = host.wait_for(PATIENCE, |event| event.is("notify-failed"))?;
    ensure!(
        failed.str("error") == Some("it took longer than 10s"),
        "{failed:?}"
    );
    // The program's own child is in its group.
    let child = files.lines("children")[0].parse()?;
    eventually(PATIENCE, "the end of the program's child", || {
        ensure!(!is_alive(child), "{child} is alive");
        Ok(())
    })?;
    host.term()?;
    host.wait_exit(PATIENCE)?;
    Ok(())
}

#[test]
fn run_of_a_killed_host_is_reported_by_the_next_holder() -> Result<()> {
    let etcd = Etcd::start(Version::V3_5)?;
    let heartbeat = guests::heartbeat()?;
    let server = Receiver::start(&[204])?;
    let config = |host: &str| {
        guests::config_for(host, &etcd)
            .job("pulse", |job| {
                job.plugin(&heartbeat).args(&["0", "50"]).ttl("3s")
            })
            .raw(&format!(
                "[notify]\nhttp = \"http://{}/\"\n",
                server.address()
            ))
    };
    let mut first = HostProcess::start(&config("web1"))?;
    first.wait_for(PATIENCE, |event| event.is("guest"))?;
    let mut second = HostProcess::start(&config("web2"))?;
    second.wait_for(PATIENCE, |event| event.is("waiting"))?;
    eventually(PATIENCE, "the record of the run", || {
        let found = etcd.etcdctl(&["get", "--prefix", "--keys-only", "/leasehold/runs/pulse"])?;
        ensure!(found.contains("/leasehold/runs/pulse"), "{found}");
        Ok(())
    })?;
    first.kill()?;
    let abandoned = second.wait_for(PATIENCE, |event| event.is("run-abandoned"))?;
    ensure!(abandoned.str("ran_on") == Some("web1"), "{abandoned:?}");
    let message = eventually(PATIENCE, "the message", || {
        server.received().pop().context("none yet")
    })?;
    let message = message.message;
    ensure!(
        message["kind"] == "failure" && message["outcome"] == "abandoned",
        "{message}"
    );
    ensure!(
        message["host"] == "web2" && message["ran_on"] == "web1",
        "{message}"
    );
    ensure!(message["token"].as_u64() == abandoned.token(), "{message}");
    second.term()?;
    second.wait_exit(PATIENCE)?;
    Ok(())
}

//! A host process: a script stands in for the host, so that the harness alone is tested.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, ensure};
use leasehold_tests::certs::Certs;
use leasehold_tests::checks::{self, Circumstances};
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::guests::{config, config_for};
use leasehold_tests::host::{HostProcess, merged};
use leasehold_tests::wait::eventually;

use crate::{SLACK, is_there};

/// A host whose config is the script that it runs.
fn play(script: &str) -> Result<HostProcess> {
    let program = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/harness/fake-host");
    HostProcess::start_program(&program, &script)
}

/// The lines of one run of host `host`: started, one effect, ended.
fn run(host: &str, token: u64, from: u64) -> String {
    let common = format!(r#""host":"{host}","lock":"l","token":{token},"run":"{host}{token}""#);
    let (effect, end) = (from + 1, from + 2);
    format!(
        r#"cat <<END
{{"event":"run-started","boot_ns":{from},{common}}}
{{"event":"guest","boot_ns":{effect},"text":"hello",{common}}}
{{"event":"run-ended","boot_ns":{end},"outcome":"done","stopped_ns":{end},"deadline_ns":999,"last_admitted_ns":{effect},{common}}}
END
"#
    )
}

#[test]
fn events_are_read_as_they_come_and_waited_for() -> Result<()> {
    let mut host = play(
        "echo '{\"event\":\"acquired\",\"token\":7}'; sleep 0.1; echo '{\"event\":\"released\"}'; exit 3",
    )?;
    let acquired = host.wait_for(SLACK, |event| event.is("acquired"))?;
    assert_eq!(acquired.token(), Some(7));
    host.wait_after(1, SLACK, |event| event.is("released"))?;
    assert_eq!(host.wait_exit(SLACK)?.code(), Some(3));
    assert_eq!(host.events().len(), 2);
    Ok(())
}

#[test]
fn a_wait_in_vain_shows_the_last_events_and_standard_error() -> Result<()> {
    let script = "for i in $(seq 50); do echo \"{\\\"event\\\":\\\"e$i\\\"}\"; done; echo trouble >&2; sleep 600";
    let host = play(script)?;
    host.wait_for(SLACK, |event| event.is("e50"))?;
    eventually(SLACK, "standard error", || {
        ensure!(host.stderr() == "trouble", "{:?}", host.stderr());
        Ok(())
    })?;
    let error = host.wait_for(Duration::from_millis(1), |event| event.is("never"));
    let error = error
        .err()
        .map(|error| error.to_string())
        .unwrap_or_default();
    assert!(
        error.contains("(10 earlier ones)\n{\"event\":\"e11\"}"),
        "{error}"
    );
    assert!(error.ends_with("trouble"), "{error}");
    Ok(())
}

#[test]
fn a_host_that_ends_is_not_waited_for_until_the_timeout() -> Result<()> {
    let host = play("echo '{\"event\":\"host-started\"}'")?;
    let error = host.wait_for(Duration::from_hours(1), |event| event.is("acquired"));
    let error = error
        .err()
        .map(|error| error.to_string())
        .unwrap_or_default();
    assert!(
        error.contains("its output ended") && error.contains("host-started"),
        "{error}"
    );
    Ok(())
}

#[test]
fn a_frozen_host_is_silent_until_it_is_thawed() -> Result<()> {
    let host = play("while :; do echo '{\"event\":\"tick\"}'; sleep 0.01; done")?;
    host.wait_for(SLACK, |event| event.is("tick"))?;
    host.stop()?;
    // Output that was in the pipe at the freeze may still arrive here.
    let still = eventually(SLACK, "the pipe to run dry", || {
        let mark = host.mark();
        std::thread::sleep(Duration::from_millis(50));
        ensure!(host.mark() == mark, "more came");
        Ok(mark)
    })?;
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(host.mark(), still);
    host.cont()?;
    host.wait_after(still, SLACK, |event| event.is("tick"))
        .map(drop)
}

#[test]
fn a_host_ends_by_term_and_a_dropped_frozen_one_by_kill() -> Result<()> {
    let mut host = play(
        "trap 'echo \"{\\\"event\\\":\\\"host-stopped\\\"}\"; exit 0' TERM; echo '{\"event\":\"host-started\"}'; while :; do sleep 0.01; done",
    )?;
    host.wait_for(SLACK, |event| event.is("host-started"))?;
    host.term()?;
    assert_eq!(host.wait_exit(SLACK)?.code(), Some(0));
    assert!(host.events().iter().any(|event| event.is("host-stopped")));

    let frozen = play("sleep 600")?;
    let (pid, dir) = (frozen.pid(), frozen.dir().to_owned());
    frozen.stop()?;
    assert!(is_there(pid) && dir.exists());
    drop(frozen);
    assert!(!is_there(pid) && !dir.exists());
    Ok(())
}

#[test]
fn two_hosts_events_are_merged_and_checked() -> Result<()> {
    let mut a = play(&run("a", 5, 100))?;
    let mut b = play(&run("b", 9, 200))?;
    for host in [&mut a, &mut b] {
        host.wait_exit(SLACK)?;
    }
    let events = merged(&[&b, &a]);
    let hosts: Vec<_> = events.iter().filter_map(|event| event.host()).collect();
    assert_eq!(hosts, ["a", "a", "a", "b", "b", "b"]);
    checks::all(&events, &Circumstances::default()).map_err(anyhow::Error::msg)?;

    let mut late = play(&run("c", 7, 300))?;
    late.wait_exit(SLACK)?;
    let verdict = checks::all(&merged(&[&a, &b, &late]), &Circumstances::default());
    assert!(verdict.is_err_and(|why| why.starts_with("C2")));
    Ok(())
}

#[test]
fn a_config_for_a_server_has_the_servers_login_and_tls() -> Result<()> {
    let certs = Certs::make()?;
    let etcd = Etcd::builder(Version::V3_5).users().tls(&certs).start()?;
    let text = config_for("a", &etcd).to_string();
    let client = certs.client();
    let password = etcd.password_file().unwrap_or_default();
    for part in [
        etcd.endpoint().as_str(),
        "user = \"runner\"",
        &client.key.to_string_lossy(),
        &password.to_string_lossy(),
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    assert!(
        !config("a", "http://127.0.0.1:1")
            .to_string()
            .contains("user")
    );
    Ok(())
}

/// The lines of a host that was connected to this store and was granted a lock under this token.
fn granted(host: &str, cluster: u64, token: u64) -> String {
    let lines = [
        format!(
            r#"{{"event":"store-connected","host":"{host}","cluster_id":"{cluster:x}","boot_ns":1}}"#
        ),
        format!(
            r#"{{"event":"acquired","host":"{host}","job":"j","lock":"l","token":{token},"boot_ns":2}}"#
        ),
    ];
    format!("cat <<END\n{}\nEND\n", lines.join("\n"))
}

/// The message of a host's or a store's end that fails.
fn verdict_of(ends: impl FnOnce()) -> String {
    let Err(payload) = catch_unwind(AssertUnwindSafe(ends)) else {
        return String::new();
    };
    payload
        .downcast::<String>()
        .map_or_else(|_| "another panic".to_owned(), |text| *text)
}

/// Nothing is asked of the scenario: the hosts end, and their history is judged.
#[test]
fn hosts_that_overlap_fail_the_scenario_that_drops_them() -> Result<()> {
    let mut a = play(&(granted("a", 1, 5) + &run("a", 5, 100)))?;
    let mut b = play(&(granted("b", 1, 9) + &run("b", 9, 101)))?;
    for host in [&mut a, &mut b] {
        host.wait_exit(SLACK)?;
    }
    ensure!(verdict_of(|| drop(a)).is_empty());
    let verdict = verdict_of(|| drop(b));
    for part in ["history check: C1", "token 9", "b#"] {
        ensure!(verdict.contains(part), "{part:?} is not in {verdict:?}");
    }
    Ok(())
}

#[test]
fn a_token_unknown_to_the_store_fails_its_scenario() -> Result<()> {
    let etcd = Etcd::start(Version::V3_5)?;
    etcd.etcdctl(&["put", "/leasehold/locks/l/other", ""])?;
    let mut host = play(&granted("a", etcd.cluster_id()?, 7))?;
    host.wait_exit(SLACK)?;
    drop(host);
    etcd.etcdctl(&["put", "/elsewhere", ""])?;
    let verdict = verdict_of(|| drop(etcd));
    for part in ["history check: H1", "a#", "token 7"] {
        ensure!(verdict.contains(part), "{part:?} is not in {verdict:?}");
    }
    Ok(())
}

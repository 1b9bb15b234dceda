//! The endpoint of a host: its answers, and errors of `listen`.

use std::io::Write as _;
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use leasehold_tests::binaries;
use leasehold_tests::command::leasehold;
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::guests;
use leasehold_tests::host::HostProcess;
use leasehold_tests::http::get;
use leasehold_tests::ports::Port;
use leasehold_tests::wait::eventually;
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn host_reports_its_state_and_that_its_store_is_lost() -> Result<()> {
    let (etcd, port) = (Etcd::start(Version::V3_5)?, Port::claim()?);
    let heartbeat = guests::heartbeat()?;
    let config = guests::config_for("web1", &etcd)
        .host("listen", port.address().to_string())
        .store("request_timeout", "1s")
        .job("pulse", |job| {
            job.plugin(&heartbeat).args(&["0", "50"]).ttl("20s")
        });
    let mut host = HostProcess::start(&config)?;
    let listening = host.wait_for(PATIENCE, |event| event.is("http-listening"))?;
    ensure!(listening.str("address") == Some(port.address().to_string().as_str()));
    host.wait_for(PATIENCE, |event| event.is("guest"))?;
    let ready = get(port.address(), "/readyz")?;
    ensure!(ready.status == 200 && ready.body == "ok\n", "{ready:?}");
    ensure!(get(port.address(), "/livez")?.status == 200);
    let held = r#"leasehold_lock_held{host="web1",job_name="pulse",lock="pulse"} 1.0"#;
    let metrics = get(port.address(), "/metrics")?.body;
    ensure!(metrics.contains(held), "{metrics}");
    check_format(&metrics)?;
    // The record of a run is written after the run's first line.
    eventually(PATIENCE, "the job as running", || {
        let status: Value = serde_json::from_str(&get(port.address(), "/status")?.body)?;
        let job = &status["hosts"][0]["jobs"][0];
        ensure!(
            job["job"] == "pulse" && job["state"] == "running",
            "{status}"
        );
        Ok(())
    })?;
    etcd.pause()?;
    let lost = eventually(PATIENCE, "a host that is not ready", || {
        let ready = get(port.address(), "/readyz")?;
        ensure!(ready.status == 503, "{ready:?}");
        ensure!(
            ready.body.contains("web1 store: no answer for "),
            "{ready:?}"
        );
        Ok(ready)
    })?;
    ensure!(lost.body.ends_with("not ready\n"), "{lost:?}");
    ensure!(get(port.address(), "/livez")?.status == 200);
    etcd.resume()?;
    eventually(PATIENCE, "a host that is ready again", || {
        match get(port.address(), "/readyz")?.status {
            200 => Ok(()),
            status => bail!("{status}"),
        }
    })?;
    host.term()?;
    host.wait_exit(PATIENCE)?;
    ensure!(
        get(port.address(), "/livez").is_err(),
        "the port is free again"
    );
    Ok(())
}

/// Checks names, types and format of a scrape with Prometheus' own tool.
fn check_format(metrics: &str) -> Result<()> {
    let mut command = Command::new(binaries::prometheus("promtool")?);
    let command = command.args(["check", "metrics"]).stdin(Stdio::piped());
    let mut promtool = command.stderr(Stdio::piped()).spawn()?;
    let mut input = promtool.stdin.take().context("its input")?;
    input.write_all(metrics.as_bytes())?;
    drop(input);
    let output = promtool.wait_with_output()?;
    let complaints = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success() && complaints.is_empty(),
        "{complaints}"
    );
    Ok(())
}

#[test]
fn listen_that_cannot_be_used_is_refused_with_its_line() -> Result<()> {
    let taken = TcpListener::bind("127.0.0.1:0")?;
    let address = taken.local_addr()?.to_string();
    let heartbeat = guests::heartbeat()?;
    let refusal = |listen: &str, command: &[&str]| -> Result<String> {
        let config = guests::config("web1", "http://127.0.0.1:1")
            .host("listen", listen)
            .job("pulse", |job| job.plugin(&heartbeat));
        let output = leasehold(&config, command)?;
        ensure!(output.code == Some(3), "{output:?}");
        Ok(output.stderr.replace(&address, "ADDRESS"))
    };
    for command in [
        &["run"][..],
        &["dev", "leasehold.toml", "--log-format", "json"],
    ] {
        let text = refusal(&address, command)?;
        let wanted = "error: cannot listen on ADDRESS: Address already in use (os error 98)\n \
                      --> leasehold.toml:3\n  \
                      = help: stop the process that uses the address (another host on this machine?), or change `listen` in [host]";
        ensure!(text.ends_with(wanted), "{command:?}: {text}");
    }
    let text = refusal("9184", &["run"])?;
    ensure!(
        text.contains("`listen` in [host] is not an address with a port")
            && text.contains("--> leasehold.toml:3"),
        "{text}"
    );
    Ok(())
}

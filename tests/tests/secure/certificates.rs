//! Mutual TLS: the right certificate runs jobs; with any other, or none, the error names the setting to check.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use leasehold_tests::certs::{Certs, TlsFiles};
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::guests::{self, Config, config, config_for};
use leasehold_tests::host::HostProcess;
use leasehold_tests::on_etcd;
use leasehold_tests::proxy::FaultProxy;
use leasehold_tests::wait::boot_ns;

use crate::{SLACK, end};
use leasehold_tests::command::leasehold;

/// Validity of a certificate that is to expire: a start of two hosts, and no more.
const CERTIFICATE: Duration = Duration::from_secs(8);

on_etcd!(
    the_right_certificate_runs_jobs_also_with_users,
    any_other_certificate_is_turned_away_readably,
    an_expired_certificate_costs_the_lock_only_at_a_reconnect,
);

fn hello(config: Config) -> Result<Config> {
    let hello = guests::c_hello()?;
    Ok(config.job("hello", |job| job.plugin(&hello).once()))
}

fn the_right_certificate_runs_jobs_also_with_users(version: Version) -> Result<()> {
    let certs = Certs::make()?;
    for users in [false, true] {
        let mut builder = Etcd::builder(version).tls(&certs);
        if users {
            builder = builder.users();
        }
        let etcd = builder.start()?;
        let config = hello(config_for("host-a", &etcd))?;
        let mut host = HostProcess::start(&config)?;
        let code = host.wait_exit(SLACK)?.code();
        ensure!(code == Some(0), "{code:?}: {}", host.stderr());
        let connected = host.wait_for(SLACK, |event| event.is("store-connected"))?;
        let endpoint = connected.str("endpoint").context("no endpoint")?;
        ensure!(endpoint.starts_with("https://"), "{connected}");
        host.wait_for(SLACK, |event| event.is("job-finished"))?;
        let output = leasehold(&config, &["runs"])?;
        ensure!(output.code == Some(0) && output.stdout.contains("done"));
    }
    Ok(())
}

fn any_other_certificate_is_turned_away_readably(version: Version) -> Result<()> {
    let certs = Certs::make()?;
    let etcd = Etcd::builder(version).tls(&certs).start()?;
    let with = |files: &TlsFiles| hello(config("host-a", &etcd.endpoint()).tls(files));
    // Trusts an authority that did not sign the server.
    let mut distrustful = certs.client();
    distrustful.ca = certs.stranger().cert;
    let ca = certs.client().ca.display().to_string();
    let none = hello(config("host-a", &etcd.endpoint()))?;
    let none = none.raw(&format!("[store.tls]\nca = {ca:?}\n"));
    let turned_away = "the store may not accept our client certificate";
    let asked_for_one = "the store may ask for a client certificate; we have none";
    let distrusts = "invalid peer certificate: UnknownIssuer";
    for (who, config, why) in [
        ("a stranger", with(&certs.stranger())?, turned_away),
        ("nobody", none, asked_for_one),
        ("a distrustful client", with(&distrustful)?, distrusts),
    ] {
        let output = leasehold(&config, &["status"])?;
        println!("{who}: {}", output.stderr);
        ensure!(output.code == Some(5), "{who}: {output:?}");
        ensure!(output.stderr.contains(&etcd.endpoint()), "{output:?}");
        ensure!(
            output.stderr.contains(why),
            "{who} is not told why: {}",
            output.stderr
        );
        // A host keeps trying, for a certificate can be renewed, and logs the reason.
        let mut host = HostProcess::start(&config)?;
        let trouble = host.wait_for(SLACK, |event| event.is("store-trouble"))?;
        let error = trouble.str("error").unwrap_or_default();
        ensure!(error.contains(why), "{trouble}");
        let events = host.events();
        ensure!(!events.iter().any(|event| event.is("store-connected")));
        host.term()?;
        ensure!(host.wait_exit(SLACK)?.code() == Some(0));
    }
    Ok(())
}

/// TLS looks at a certificate when a connection begins. So a lock outlives it, until the network is broken once.
fn an_expired_certificate_costs_the_lock_only_at_a_reconnect(version: Version) -> Result<()> {
    let certs = Certs::make()?;
    let etcd = Etcd::builder(version).tls(&certs).start()?;
    let proxy = FaultProxy::start(&etcd.endpoint())?;
    let short = certs.client_valid_for("short", CERTIFICATE)?;
    let expires = Instant::now() + CERTIFICATE;
    let heartbeat = guests::heartbeat()?;
    let beats = |host: &str, endpoint: &str, files: &TlsFiles| {
        let config = config(host, endpoint).tls(files).grace("300ms");
        config.job("beat", |job| {
            let job = job.plugin(&heartbeat).args(&["0", "50"]);
            job.ttl("3s").restart("50ms", "500ms")
        })
    };
    let host_a = HostProcess::start(&beats("host-a", &proxy.endpoint(), &short))?;
    let first = host_a.wait_for(SLACK, |event| event.is("run-started"))?;
    let host_b = HostProcess::start(&beats("host-b", &etcd.endpoint(), &certs.client()))?;
    host_b.wait_for(SLACK, |event| event.is("waiting"))?;

    // Beyond the certificate's end, and beyond the end of every lease granted before that.
    std::thread::sleep(expires.saturating_duration_since(Instant::now()));
    let later_ns = boot_ns() + 4_000_000_000;
    host_a.wait_for(SLACK, |event| {
        event.is("guest") && event.boot_ns() > Some(later_ns)
    })?;
    let events = host_a.events();
    let bad = ["lock-lost", "run-ended", "backoff", "released"];
    let noticed = events.iter().find(|event| bad.contains(&event.name()));
    ensure!(noticed.is_none(), "the holder noticed: {noticed:?}");

    // A new connection is refused: the guest stops by its deadline, and the reason is logged.
    proxy.reset();
    let ended = host_a.wait_for(SLACK, |event| event.is("run-ended"))?;
    let next = host_b.wait_for(SLACK, |event| event.is("run-started"))?;
    ensure!(
        ended.outcome() == Some("lost") && ended.stopped_ns() < next.boot_ns(),
        "{ended}, {next}"
    );
    ensure!(next.token() > first.token(), "{next}");
    let told = host_a.wait_for(SLACK, |event| {
        let words = event.value().to_string().to_lowercase();
        event.boot_ns() > ended.boot_ns() && words.contains("certificate")
    })?;
    println!("{version:?}: {told}");
    end(host_a)?;
    end(host_b)
}

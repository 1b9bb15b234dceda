//! Mutual TLS: the right certificate runs jobs; any other, or none, reads a message that says what to look at.

use anyhow::{Context, Result, ensure};
use leasehold_tests::certs::{Certs, TlsFiles};
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::guests::{self, Config, config, config_for};
use leasehold_tests::host::HostProcess;
use leasehold_tests::on_etcd;

use crate::SLACK;
use crate::cli::leasehold;

on_etcd!(
    the_right_certificate_runs_jobs_also_with_users,
    any_other_certificate_is_turned_away_readably,
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
        let said = leasehold(&config, &["runs"])?;
        ensure!(said.code == Some(0) && said.stdout.contains("done"));
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
        let said = leasehold(&config, &["status"])?;
        println!("{who}: {}", said.stderr);
        ensure!(said.code == Some(5), "{who}: {said:?}");
        ensure!(said.stderr.contains(&etcd.endpoint()), "{said:?}");
        ensure!(
            said.stderr.contains(why),
            "{who} is not told why: {}",
            said.stderr
        );
        // A host keeps trying, for a certificate can be renewed, and says why it must.
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

//! `leasehold store serve`: the store by itself.

use anyhow::{Context, Result, ensure};
use leasehold_tests::etcd::Version;
use leasehold_tests::etcdctl::Etcdctl;
use leasehold_tests::host::HostProcess;

use crate::{beater, beats, end, first};
use leasehold_tests::command::leasehold;

/// The endpoints that it logs.
fn endpoints(store: &HostProcess) -> Result<Vec<String>> {
    let opened = first(store, "store-opened")?;
    let output = opened.value()["endpoints"].as_array().cloned();
    Ok(output
        .with_context(|| format!("no endpoints in {opened}"))?
        .iter()
        .filter_map(|endpoint| endpoint.as_str().map(str::to_owned))
        .collect())
}

#[test]
fn hosts_by_address_and_socket_share_locks_with_etcdctl() -> Result<()> {
    let (data, files) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let dir = data.path().to_string_lossy().into_owned();
    let serve = ["store", "serve", "--listen", "127.0.0.1:0", "--dir", &dir];
    let store = HostProcess::start_command(&serve, &"")?;
    let [address, socket] = endpoints(&store)?
        .try_into()
        .map_err(|other| anyhow::anyhow!("{other:?}"))?;
    ensure!(address.starts_with("http://127.0.0.1:"), "{address}");
    ensure!(socket == format!("unix://{dir}/store.sock"), "{socket}");

    let host_a = HostProcess::start(&beater("host-a", files.path())?.endpoints(&[socket]))?;
    let token = beats(&host_a)?;
    let on_address = beater("host-b", files.path())?.endpoints(std::slice::from_ref(&address));
    let host_b = HostProcess::start(&on_address)?;
    first(&host_b, "waiting")?;
    for version in Version::ETCD {
        let ctl = Etcdctl::new(version, std::slice::from_ref(&address))?;
        let keys = ctl.run(&["get", "--prefix", "--keys-only", "/leasehold/locks/"])?;
        let entries = keys.lines().filter(|line| !line.is_empty()).count();
        ensure!(entries == 2, "{keys}");
    }
    end(host_a)?;
    ensure!(beats(&host_b)? > token);
    end(host_b)?;

    let events = end(store)?;
    ensure!(events.last().is_some_and(|event| event.is("store-closed")));
    // The data survives the restart.
    let store = HostProcess::start_command(&serve, &"")?;
    let runs = leasehold(
        &beater("host-b", files.path())?.endpoints(&endpoints(&store)?[..1]),
        &["runs"],
    )?;
    ensure!(
        runs.stdout.contains("host-a") && runs.stdout.contains("host-b"),
        "{runs:?}"
    );
    end(store).map(drop)
}

#[test]
fn an_embedding_host_waits_for_the_servers_directory() -> Result<()> {
    let files = tempfile::tempdir()?;
    let dir = files.path().join("store").to_string_lossy().into_owned();
    let serve = ["store", "serve", "--listen", "127.0.0.1:0", "--dir", &dir];
    let store = HostProcess::start_command(&serve, &"")?;
    endpoints(&store)?;
    let config = crate::embedded("host-a", files.path())?;
    ensure!(leasehold(&config, &["run"])?.code == Some(5));
    // Reading needs no host: the socket is at the place that the configuration names.
    let output = leasehold(&config, &["status"])?;
    ensure!(output.code == Some(0), "{output:?}");
    end(store)?;
    let host = HostProcess::start(&config)?;
    beats(&host)?;
    end(host).map(drop)
}

#[test]
fn a_store_without_a_directory_has_its_address_alone() -> Result<()> {
    let serve = ["store", "serve", "--memory", "--listen", "127.0.0.1:0"];
    let store = HostProcess::start_command(&serve, &"")?;
    let [address] = endpoints(&store)?
        .try_into()
        .map_err(|other| anyhow::anyhow!("{other:?}"))?;
    let ctl = Etcdctl::new(Version::V3_5, std::slice::from_ref(&address))?;
    ctl.run(&["put", "k", "v"])?;
    let again = leasehold(&"", &["store", "serve", "--memory", "--listen", &address])?;
    ensure!(again.code == Some(5), "{again:?}");
    ensure!(
        again.stderr.contains(address.trim_start_matches("http://")),
        "{again:?}"
    );
    end(store).map(drop)
}

#[test]
fn a_reached_quota_is_reported_as_by_etcd() -> Result<()> {
    let serve = [
        "store",
        "serve",
        "--memory",
        "--quota",
        "1MiB",
        "--listen",
        "127.0.0.1:0",
    ];
    let store = HostProcess::start_command(&serve, &"")?;
    let ctl = Etcdctl::new(Version::V3_5, &endpoints(&store)?)?;
    let value = "x".repeat(100_000);
    // History refuses no write.
    for _ in 0..20 {
        ctl.run(&["put", "k", &value])?;
    }
    ensure!(ctl.run(&["alarm", "list"])?.is_empty());
    let refused = (0..40).find_map(|number| ctl.run(&["put", &number.to_string(), &value]).err());
    let refused = refused.context("everything fits")?;
    ensure!(
        format!("{refused:#}").contains("database space exceeded"),
        "{refused:#}"
    );
    let alarms = ctl.run(&["alarm", "list"])?;
    ensure!(alarms.contains("alarm:NOSPACE"), "{alarms}");
    let disarmed = ctl.run(&["alarm", "disarm"])?;
    ensure!(disarmed.contains("alarm:NOSPACE"), "{disarmed}");
    ensure!(ctl.run(&["alarm", "list"])?.is_empty());
    end(store).map(drop)
}

#[test]
fn the_member_list_has_addresses_that_its_reader_can_use() -> Result<()> {
    let data = tempfile::tempdir()?;
    let dir = data.path().to_string_lossy().into_owned();
    let serve = ["store", "serve", "--listen", "127.0.0.1:0", "--dir", &dir];
    let store = HostProcess::start_command(&serve, &"")?;
    let [address, socket] = endpoints(&store)?
        .try_into()
        .map_err(|other| anyhow::anyhow!("{other:?}"))?;
    for (from, sees) in [(&address, false), (&socket, true)] {
        let ctl = Etcdctl::new(Version::V3_5, std::slice::from_ref(from))?;
        let members = ctl.run(&["member", "list"])?;
        ensure!(members.contains(&address), "{members}");
        ensure!(members.contains("unix://") == sees, "{from}: {members}");
    }
    let ctl = Etcdctl::new(Version::V3_5, &[address])?;
    ctl.run(&["endpoint", "health", "--cluster"])?;
    end(store).map(drop)
}

#[test]
fn invalid_options_are_refused_with_2() -> Result<()> {
    for (args, part) in [
        (["--listen", "0.0.0.0:2379"], "other machines can reach it"),
        (["--listen", "2379"], "127.0.0.1:2379"),
        (["--quota", "1"], "1MiB or more"),
        (["--history", "99"], "99 is not in 100.."),
        (["--history-size", "1KiB"], "1MiB or more"),
    ] {
        let output = leasehold(&"", &[["store", "serve"], args].concat())?;
        ensure!(output.code == Some(2), "{output:?}");
        ensure!(output.stderr.contains(part), "{part} in {output:?}");
    }
    Ok(())
}

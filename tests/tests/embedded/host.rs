//! `embedded = true`: one host that brings its store.

use std::os::unix::fs::{FileTypeExt, PermissionsExt};

use anyhow::{Context, Result, ensure};
use leasehold_tests::guests::Config;
use leasehold_tests::host::HostProcess;
use leasehold_tests::wait::eventually;

use crate::{SLACK, beater, beats, embedded, end, first};
use leasehold_tests::command::leasehold;

#[test]
fn commands_read_a_running_host_through_its_private_socket() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let config = embedded("host-a", dir.path())?;
    for command in ["status", "runs"] {
        let output = leasehold(&config, &[command])?;
        ensure!(output.code == Some(5), "{output:?}");
        for part in [
            "no host is running with this store",
            "leasehold run -c leasehold.toml",
            "leasehold store serve --dir",
        ] {
            ensure!(output.stderr.contains(part), "{part} in {}", output.stderr);
        }
    }
    let host = HostProcess::start(&config)?;
    beats(&host)?;
    let socket = dir.path().join("store/store.sock");
    let metadata = socket.symlink_metadata()?;
    ensure!(metadata.file_type().is_socket());
    let mode = metadata.permissions().mode() & 0o777;
    ensure!(mode == 0o600, "{mode:o}");
    let output = leasehold(&config, &["status"])?;
    ensure!(
        output.code == Some(0) && output.stderr.is_empty(),
        "{output:?}"
    );
    ensure!(output.stdout.contains("host-a") && output.stdout.contains("holds"));
    let output = leasehold(&config, &["runs"])?;
    ensure!(output.stdout.contains("running"), "{output:?}");

    let events = end(host)?;
    let place = |name| events.iter().rposition(|event| event.is(name));
    let order = ["run-ended", "released", "host-stopped", "store-closed"].map(place);
    ensure!(
        order.iter().all(Option::is_some) && order.is_sorted(),
        "{order:?} in {events:?}"
    );
    ensure!(!socket.exists(), "the socket was left behind");
    ensure!(leasehold(&config, &["status"])?.code == Some(5));
    Ok(())
}

#[test]
fn a_second_host_is_refused_and_joins_by_the_first_remedy() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let host_a = HostProcess::start(&embedded("host-a", dir.path())?)?;
    let token = beats(&host_a)?;
    let refused = leasehold(&embedded("host-b", dir.path())?, &["run"])?;
    ensure!(refused.code == Some(5), "{refused:?}");
    let socket = dir.path().join("store/store.sock");
    let endpoint = format!("unix://{}", socket.display());
    for part in [
        "is in use",
        &format!("endpoints = [\"{endpoint}\"]"),
        "leasehold store serve --dir",
    ] {
        ensure!(refused.stderr.contains(part), "{part} in {refused:?}");
    }
    ensure!(!refused.stderr.contains("panicked"), "{refused:?}");

    let joined = beater("host-b", dir.path())?.endpoints(&[endpoint]);
    let host_b = HostProcess::start(&joined)?;
    let waiting = first(&host_b, "waiting")?;
    ensure!(waiting.u64("place") == Some(1), "{waiting}");
    let output = leasehold(&joined, &["status"])?;
    ensure!(
        output.stdout.contains("host-a") && output.stdout.contains("host-b"),
        "{output:?}"
    );
    // The first ends with the store; the other is left without one, and logs that.
    end(host_a)?;
    let acquired = host_b
        .events()
        .into_iter()
        .find(|event| event.is("acquired"));
    ensure!(
        acquired.is_none_or(|event| event.token() > Some(token)),
        "an older token"
    );
    end(host_b).map(drop)
}

#[test]
fn a_path_in_the_file_is_relative_and_the_endpoint_is_not() -> Result<()> {
    let config = embedded("host-a", std::path::Path::new("data"))?.store("dir", "books");
    let host = HostProcess::start(&config)?;
    beats(&host)?;
    let opened = first(&host, "store-opened")?;
    let socket = host.dir().canonicalize()?.join("books/store.sock");
    let output = opened.value()["endpoints"][0].as_str().unwrap_or_default();
    ensure!(output == format!("unix://{}", socket.display()), "{opened}");
    end(host).map(drop)
}

#[test]
fn a_killed_store_keeps_acknowledged_writes_and_raises_tokens() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let config = embedded("host-a", dir.path())?;
    let mut tokens = Vec::new();
    for _ in 0..3 {
        let mut host = HostProcess::start(&config)?;
        let token = beats(&host)?;
        ensure!(
            tokens.iter().all(|earlier| *earlier < token),
            "{token} after {tokens:?}"
        );
        tokens.push(token);
        // Records that were read had been acknowledged.
        has_records(&config, &tokens)?;
        host.kill()?;
    }
    let host = HostProcess::start(&config)?;
    beats(&host)?;
    has_records(&config, &tokens)?;
    end(host).map(drop)
}

/// Waits until the records of the runs with these tokens can be read.
fn has_records(config: &Config, tokens: &[u64]) -> Result<()> {
    eventually(SLACK, &format!("records of {tokens:?}"), || {
        let output = leasehold(config, &["runs", "--format", "json"])?;
        let runs: Vec<serde_json::Value> = serde_json::from_str(&output.stdout)?;
        let known = |token: &u64| runs.iter().any(|run| run["token"] == *token);
        ensure!(tokens.iter().all(known), "{}", output.stdout);
        Ok(())
    })
}

#[test]
fn a_store_in_memory_begins_empty_and_keeps_nothing() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let config = embedded("host-a", dir.path())?.store("memory", true);
    for _ in 0..2 {
        let host = HostProcess::start(&config)?;
        let token = beats(&host)?;
        ensure!(token < 20, "{token} in a new store");
        ensure!(leasehold(&config, &["status"])?.stdout.contains("host-a"));
        end(host)?;
    }
    ensure!(!dir.path().join("store").exists());
    Ok(())
}

#[test]
fn a_chosen_address_is_used_and_a_taken_one_refused() -> Result<()> {
    let dirs = [tempfile::tempdir()?, tempfile::tempdir()?];
    let config = embedded("host-a", dirs[0].path())?.store("listen", "127.0.0.1:0");
    let host = HostProcess::start(&config)?;
    beats(&host)?;
    let opened = first(&host, "store-opened")?;
    let address = opened.value()["endpoints"][0]
        .as_str()
        .and_then(|endpoint| endpoint.strip_prefix("http://"))
        .with_context(|| format!("no address in {opened}"))?
        .to_owned();
    let other = beater("host-b", dirs[1].path())?.endpoints(std::slice::from_ref(&address));
    let other = HostProcess::start(&other)?;
    first(&other, "waiting")?;
    end(other)?;

    let taken = embedded("host-c", dirs[1].path())?.store("listen", address.clone());
    let refused = leasehold(&taken, &["run"])?;
    ensure!(refused.code == Some(5), "{refused:?}");
    ensure!(refused.stderr.contains(&address), "{refused:?}");
    end(host).map(drop)
}

#[test]
fn a_second_signal_shortens_the_end_and_the_store_closes() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let mut host = HostProcess::start(&embedded("host-a", dir.path())?.grace("20s"))?;
    beats(&host)?;
    host.term()?;
    first(&host, "host-stopping")?;
    host.term()?;
    let code = host.wait_exit(SLACK)?.code();
    ensure!(code == Some(130), "it ended with {code:?}");
    first(&host, "store-closed").map(drop)
}

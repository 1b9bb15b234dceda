//! `leasehold dev`: several hosts of one process, as if each had a machine.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use leasehold_tests::checks::{self, Circumstances};
use leasehold_tests::etcd::Version;
use leasehold_tests::etcdctl::Etcdctl;
use leasehold_tests::events::Event;
use leasehold_tests::guests::{self, Config};
use leasehold_tests::host::HostProcess;

use crate::{SLACK, beater, end, first};
use leasehold_tests::command::leasehold;

fn pulse_of<'a>(events: &'a [Event], name: &'a str) -> impl Iterator<Item = &'a Event> {
    events
        .iter()
        .filter(move |event| event.is(name) && event.job() == Some("pulse"))
}

#[test]
fn a_cut_off_host_is_followed_only_after_its_lease() -> Result<()> {
    let files = tempfile::tempdir()?;
    let config = beater("ignored", files.path())?;
    let dev = HostProcess::start_command(&["dev", "--chaos", "2s"], &config)?;
    let opened = first(&dev, "store-opened")?;
    let address = opened.value()["endpoints"][0]
        .as_str()
        .with_context(|| format!("no address in {opened}"))?;
    let holder = dev.wait_for(SLACK, |event| event.is("acquired"))?;
    let ctl = Etcdctl::new(Version::V3_5, &[address.to_owned()])?;
    let queue = ctl.run(&[
        "get",
        "--prefix",
        "--keys-only",
        "/leasehold/locks/team/pulse/",
    ])?;
    ensure!(
        queue.lines().filter(|line| !line.is_empty()).count() == 3,
        "{queue}"
    );

    let cut = dev.wait_for(SLACK, |event| event.is("note"))?;
    let output = cut.str("text").unwrap_or_default();
    ensure!(
        output.starts_with(holder.host().context("no host")?) && output.contains("team/pulse"),
        "{cut}"
    );
    let next = dev.wait_for(SLACK, |event| {
        event.is("acquired") && event.token() > holder.token()
    })?;
    ensure!(next.host() != holder.host(), "{next}");
    // It released nothing and logged nothing more, until it is started again: its successor waited for the lease.
    let waited_ns = next
        .boot_ns()
        .zip(cut.boot_ns())
        .map(|(then, cut)| then - cut);
    ensure!(waited_ns > Some(1_000_000_000), "{waited_ns:?}");
    let events = dev.events();
    let last_words = events
        .iter()
        .skip_while(|event| **event != cut)
        .find(|event| event.host() == holder.host());
    ensure!(
        last_words
            .is_none_or(|event| ["host-started", "plugin-compiling", "plugin-ready"]
                .contains(&event.name())),
        "{last_words:?}"
    );
    // Another of its name comes and waits its turn.
    dev.wait_for(SLACK, |event| {
        event.is("host-started") && event.host() == holder.host() && event.boot_ns() > cut.boot_ns()
    })?;
    let events = end(dev)?;
    let hosts: BTreeSet<&str> = pulse_of(&events, "waiting")
        .filter_map(Event::host)
        .collect();
    ensure!(hosts.len() >= 2, "{hosts:?}");
    // Each may have been cut off in the middle of a run.
    let circumstances = Circumstances::default()
        .killed("dev-1")
        .killed("dev-2")
        .killed("dev-3");
    checks::all(&events, &circumstances).map_err(anyhow::Error::msg)
}

#[test]
fn a_host_that_is_alone_is_followed_by_another_of_its_name() -> Result<()> {
    let files = tempfile::tempdir()?;
    let config = beater("ignored", files.path())?;
    let dev = HostProcess::start_command(&["dev", "--hosts", "1", "--chaos", "500ms"], &config)?;
    let holder = dev.wait_for(SLACK, |event| event.is("acquired"))?;
    let next = dev.wait_for(SLACK, |event| {
        event.is("acquired") && event.token() > holder.token()
    })?;
    ensure!(next.host() == Some("dev-1"), "{next}");
    // The unfinished work of a dead machine is not logged as an error.
    ensure!(dev.stderr().is_empty(), "{}", dev.stderr());
    end(dev).map(drop)
}

#[test]
fn a_timed_or_signalled_end_prints_a_table_of_runs() -> Result<()> {
    let files = tempfile::tempdir()?;
    let hello = guests::c_hello()?;
    let config = beater("ignored", files.path())?.job("hello", |job| {
        job.plugin(&hello).every("300ms").args(&["1", "0"])
    });
    let output = leasehold(
        &config,
        &["dev", "leasehold.toml", "--for", "2s", "--hosts", "2"],
    )?;
    ensure!(
        output.code == Some(0) && output.errors().is_empty(),
        "{output:?}"
    );
    for part in [
        "dev-1",
        "dev-2",
        "ACQUIRED",
        "WAITING",
        "the time is over",
        "JOB ",
    ] {
        ensure!(output.stdout.contains(part), "{part} in {}", output.stdout);
    }
    ensure!(!output.stdout.contains("dev-3") && !output.stdout.contains('\u{1b}'));
    let table = output.stdout.lines().rev().take(3).collect::<Vec<_>>();
    ensure!(
        table[0].starts_with("pulse") && table[1].starts_with("hello"),
        "{table:?}"
    );

    for signal in [HostProcess::term, HostProcess::interrupt] {
        let mut dev = HostProcess::start_command(&["dev"], &config)?;
        first(&dev, "guest")?;
        signal(&dev)?;
        ensure!(dev.wait_exit(SLACK)?.code() == Some(0));
        let stopped = dev
            .events()
            .iter()
            .filter(|event| event.is("host-stopped"))
            .count();
        ensure!(stopped == 3, "{stopped} hosts stopped");
        ensure!(
            dev.events()
                .last()
                .is_some_and(|event| event.is("store-closed"))
        );
    }
    Ok(())
}

#[test]
fn finished_hosts_end_with_the_worst_of_their_codes() -> Result<()> {
    let hello = guests::c_hello()?;
    let once = |code: &str| {
        Config::default().job("hello", |job| job.plugin(&hello).args(&["1", code]).once())
    };
    ensure!(leasehold(&once("0"), &["dev"])?.code == Some(0));
    ensure!(leasehold(&once("3"), &["dev"])?.code == Some(1));
    Ok(())
}

#[test]
fn endpoints_of_the_file_are_named_and_left_alone() -> Result<()> {
    let hello = guests::c_hello()?;
    let config = Config::default()
        .endpoints(&["https://etcd.example.com:2379".to_owned()])
        .store("user", "runner")
        .store("password_file", "not-here")
        .raw("[store.tls]\nca = \"not-here.pem\"\n")
        .job("hello", |job| job.plugin(&hello).once());
    let output = leasehold(&config, &["dev"])?;
    ensure!(output.code == Some(0), "{output:?}");
    ensure!(
        output
            .stdout
            .contains("not used: https://etcd.example.com:2379"),
        "{output:?}"
    );
    Ok(())
}

#[test]
fn a_file_that_embeds_its_store_is_taken_at_its_word() -> Result<()> {
    let files = tempfile::tempdir()?;
    let hello = guests::c_hello()?;
    let config =
        crate::embedded("ignored", files.path())?.job("hello", |job| job.plugin(&hello).once());
    let output = leasehold(&config, &["dev", "--for", "1s"])?;
    ensure!(output.code == Some(0), "{output:?}");
    ensure!(files.path().join("store/store.redb").exists());
    let dev = HostProcess::start_command(&["dev"], &config)?;
    first(&dev, "guest")?;
    // Commands with the same file read its store, like a host's.
    let status = leasehold(&config, &["status"])?;
    ensure!(
        status.stdout.contains("dev-1") && status.stdout.contains("dev-3"),
        "{status:?}"
    );
    end(dev).map(drop)
}

#[test]
fn without_a_valid_file_dev_prints_the_remedy() -> Result<()> {
    let output = leasehold(&"", &["dev", "no-such.toml"])?;
    ensure!(output.code == Some(3), "{output:?}");
    let output = leasehold(&"tmeout = 1", &["dev"])?;
    ensure!(
        output.code == Some(3) && output.stderr.contains("tmeout"),
        "{output:?}"
    );
    let output = leasehold(&"", &["dev", "--hosts", "0"])?;
    ensure!(output.code == Some(2), "{output:?}");
    Ok(())
}

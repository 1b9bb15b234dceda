//! Host ids: one process has one, a restart has it at once, and a second host is refused.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::guests::{self, Config};
use leasehold_tests::host::HostProcess;
use leasehold_tests::on_every_store;
use leasehold_tests::wait::eventually;
use serde_json::Value;

use crate::scene::{PULSE, SLACK, TTL, next, one_job_for, runs};

on_every_store!(
    a_second_host_with_the_id_of_a_living_one_is_refused,
    a_host_that_was_killed_has_its_id_again_at_once,
    a_process_beside_a_running_host_has_a_name_of_its_own,
    an_id_without_its_data_dir_is_free_after_the_lease,
    a_host_whose_id_was_taken_while_it_was_frozen_tells_so,
);

/// A TTL that no test waits for.
const LONG: Duration = Duration::from_mins(1);

/// A host of the id `a` that keeps its files in `data`.
fn host(etcd: &Etcd, data: &Path, ttl: Duration) -> Result<Config> {
    let data = data.to_string_lossy().into_owned();
    Ok(one_job_for("a", &etcd.endpoint(), ttl)?.host("data_dir", data))
}

/// The process in the record of the host `id`.
fn pid_of(etcd: &Etcd, id: &str) -> Result<u64> {
    let key = format!("/leasehold/hosts/{id}");
    let text = etcd.etcdctl(&["get", "--print-value-only", &key])?;
    let record: Value = serde_json::from_str(&text).with_context(|| format!("reading {text:?}"))?;
    record["pid"].as_u64().context("a record without a pid")
}

fn wait_pid(etcd: &Etcd, id: &str, pid: u32) -> Result<()> {
    eventually(SLACK, &format!("a record of {id} with pid {pid}"), || {
        let found = pid_of(etcd, id)?;
        ensure!(found == u64::from(pid), "it has pid {found}");
        Ok(())
    })
}

fn a_second_host_with_the_id_of_a_living_one_is_refused(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let (one, two) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let first = HostProcess::start(&host(&etcd, one.path(), TTL)?)?;
    let run = runs(&first, 0, PULSE)?;
    wait_pid(&etcd, "a", first.pid())?;
    let mut second = HostProcess::start(&host(&etcd, two.path(), TTL)?)?;
    let status = second.wait_exit(SLACK)?;
    ensure!(status.code() == Some(7), "it ended with {status}");
    let said = second.stderr();
    for part in [
        "host id a is held by",
        &format!("pid {}", first.pid()),
        "set another `id` in [host]",
        "/leasehold/ids/a",
    ] {
        ensure!(said.contains(part), "no {part:?} in {said}");
    }
    let waits = second
        .events()
        .into_iter()
        .find(|event| event.is("waiting"));
    ensure!(
        waits.is_none(),
        "a job of the second was started: {waits:?}"
    );
    ensure!(
        pid_of(&etcd, "a")? == u64::from(first.pid()),
        "the record of the first was replaced"
    );
    let lost = first
        .events()
        .into_iter()
        .find(|event| event.is("lock-lost"));
    ensure!(lost.is_none(), "{lost:?} of {run}");
    Ok(())
}

fn a_host_that_was_killed_has_its_id_again_at_once(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let data = tempfile::tempdir()?;
    let config = host(&etcd, data.path(), LONG)?;
    let mut first = HostProcess::start(&config)?;
    runs(&first, 0, PULSE)?;
    wait_pid(&etcd, "a", first.pid())?;
    first.kill()?;
    // Its lease has most of a minute left.
    let again = HostProcess::start(&config)?;
    next(&again, 0, PULSE, "waiting")?;
    wait_pid(&etcd, "a", again.pid())?;
    let odd = again
        .events()
        .into_iter()
        .find(|event| event.host() != Some("a") || event.is("id-busy") || event.is("id-taken"));
    ensure!(odd.is_none(), "{odd:?}");
    Ok(())
}

fn a_process_beside_a_running_host_has_a_name_of_its_own(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let data = tempfile::tempdir()?;
    let first = HostProcess::start(&host(&etcd, data.path(), TTL)?)?;
    runs(&first, 0, PULSE)?;
    wait_pid(&etcd, "a", first.pid())?;
    let heartbeat = guests::heartbeat()?;
    let once = guests::config("a", &etcd.endpoint())
        .host("data_dir", data.path().to_string_lossy().into_owned())
        .job("once", |job| {
            job.plugin(&heartbeat).args(&["2", "10"]).once()
        });
    let mut beside = HostProcess::start(&once)?;
    let status = beside.wait_exit(SLACK)?;
    ensure!(
        status.success(),
        "it ended with {status}: {}",
        beside.stderr()
    );
    let taken = beside.wait_for(SLACK, |event| event.is("id-taken"))?;
    ensure!(taken.str("name") == Some("a.2"), "{taken}");
    let started = next(&beside, 0, "once", "run-started")?;
    ensure!(started.host() == Some("a.2"), "{started}");
    ensure!(
        pid_of(&etcd, "a")? == u64::from(first.pid()),
        "the record of the first was replaced"
    );
    Ok(())
}

fn an_id_without_its_data_dir_is_free_after_the_lease(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let (one, two) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let mut first = HostProcess::start(&host(&etcd, one.path(), TTL)?)?;
    runs(&first, 0, PULSE)?;
    first.kill()?;
    let next_host = HostProcess::start(&host(&etcd, two.path(), TTL)?)?;
    let busy = next_host.wait_for(SLACK, |event| event.is("id-busy"))?;
    let holder = busy.str("holder").unwrap_or_default();
    ensure!(holder.contains(&format!("pid {}", first.pid())), "{busy}");
    let run = runs(&next_host, 0, PULSE)?;
    ensure!(run.host() == Some("a"), "{run}");
    Ok(())
}

fn a_host_whose_id_was_taken_while_it_was_frozen_tells_so(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let (one, two) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let first = HostProcess::start(&host(&etcd, one.path(), TTL)?)?;
    runs(&first, 0, PULSE)?;
    first.stop()?;
    let mut second = HostProcess::start(&host(&etcd, two.path(), TTL)?)?;
    runs(&second, 0, PULSE)?;
    let mark = first.mark();
    first.cont()?;
    let lost = first.wait_after(mark, SLACK, |event| event.is("id-lost"))?;
    let holder = lost.str("holder").unwrap_or_default();
    ensure!(holder.contains(&format!("pid {}", second.pid())), "{lost}");
    second.term()?;
    second.wait_exit(SLACK)?;
    first.wait_after(mark, SLACK, |event| event.is("id-regained"))?;
    Ok(())
}

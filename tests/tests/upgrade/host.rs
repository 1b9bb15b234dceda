//! A host on the data of an earlier version that was killed.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use leasehold_records::{Root, RunRecord};
use leasehold_tests::command::leasehold;
use leasehold_tests::guests;
use leasehold_tests::host::HostProcess;

use crate::fixture::{self, VersionFixture};

/// Longer than the TTL of the killed host's locks.
const SLACK: Duration = Duration::from_secs(60);

#[test]
fn a_host_goes_on_with_the_data_of_every_version() -> Result<()> {
    for fixture in fixture::all()? {
        go_on(&fixture).with_context(|| format!("version {}", fixture.version))?;
    }
    Ok(())
}

fn go_on(fixture: &VersionFixture) -> Result<()> {
    let place = tempfile::tempdir()?;
    for part in ["store", "data"] {
        fixture::copy(&fixture.dir.join(part), &place.path().join(part))?;
    }
    let instance = place.path().join("data/instance");
    let identity = fs::read(&instance)?;
    let config = format!(
        "[host]\nid = \"fixture\"\ndata_dir = \"{data}\"\n[store]\nembedded = true\ndir = \"{store}\"\n\
         [jobs.beats]\nplugin = \"{plugin}\"\nargs = [\"600\", \"100\"]\n",
        data = place.path().join("data").display(),
        store = place.path().join("store").display(),
        plugin = guests::heartbeat()?.display(),
    );
    let mut host = HostProcess::start(&config)?;
    // Later versions were drained before they were killed.
    leasehold(&config, &["undrain", "fixture"])?;
    let acquired = host.wait_for(SLACK, |event| {
        event.is("acquired") && event.job() == Some("beats")
    })?;
    let token = acquired.token().context("a grant has a token")?;
    let last = fixture.keys.iter().map(|key| key.create_revision).max();
    ensure!(
        Some(i64::try_from(token)?) > last,
        "token {token} after {last:?}"
    );
    ensure!(fs::read(&instance)? == identity, "the host is another one");

    let runs = leasehold(&config, &["runs", "--limit", "1000", "--format", "json"])?;
    ensure!(runs.code == Some(0), "{runs:?}");
    for key in &fixture.keys {
        if Root::default().parse_run(&key.key).is_none() {
            continue;
        }
        let run = RunRecord::from_json(&key.value)?;
        ensure!(
            runs.stdout.contains(&run.run_id),
            "{} is not shown",
            run.run_id
        );
    }
    host.term()?;
    ensure!(host.wait_exit(SLACK)?.code() == Some(0));
    Ok(())
}

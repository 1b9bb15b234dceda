//! Installation, configuration, the first start and the first plugin.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use leasehold_tests::binaries;
use leasehold_tests::etcd::Etcd;

use crate::machine::Machine;
use crate::operator::{answer, answer_at_last, answer_with_code, headline};
use crate::package::Package;
use crate::{Day, guests};

/// The jobs of every host, behind the file that the package brings.
const JOBS: &str = r#"
[jobs.report]
plugin = "report.wasm"
cron = "*/3 * * * * *"
tz = "Europe/Berlin"
args = ["2", "20"]

[jobs.pulse]
plugin = "pulse.wasm"
args = ["0", "50"]
ttl = "4s"
restart = { min = "50ms", max = "500ms" }

[jobs.billing]
plugin = "billing.wasm"
cron = "0 3 1 1 *"
tz = "Europe/Berlin"
env = { API_KEY = { secret = "api_key" } }
secrets = { api_key = { file = "secrets/api_key" } }

[jobs.ledger]
plugin = "ledger.wasm"
every = "2s"
config = { transfers = 3 }
allow = { kv = ["ledger/"] }
"#;

/// Installs and configures three machines.
pub(crate) fn install(etcd: Etcd) -> Result<Day> {
    headline("Install");
    let package = Package::pack()?;
    let version = package.field("Version")?;
    let mut machines = Vec::new();
    for name in ["web1", "web2", "web3"] {
        let machine = Machine::install(&package, name)?;
        answer(&machine, &["--version"], &[&format!("leasehold {version}")])?;
        for file in [
            "usr/share/man/man1/leasehold.1.gz",
            "usr/share/bash-completion/completions/leasehold",
        ] {
            ensure!(machine.path(file).exists(), "the package has no {file}");
        }
        configure(&machine, &etcd)?;
        let checked = machine.leasehold_as_service(&["check"])?;
        ensure!(checked.code == Some(0), "{checked:?}");
        ensure!(
            checked.stdout.contains("4 jobs are ready to run"),
            "{checked:?}"
        );
        machines.push(machine);
    }
    Ok(Day {
        machines,
        etcd,
        _package: package,
    })
}

/// Edits the file of the package, and puts plugins, a secret and a pager beside it.
fn configure(machine: &Machine, etcd: &Etcd) -> Result<()> {
    let path = "etc/leasehold/leasehold.toml";
    let mut text = fs::read_to_string(machine.path(path))?;
    let state = machine.path("var/lib/leasehold").display().to_string();
    let metrics = machine.metrics().address();
    let edits = [
        (
            "#id = \"host-1\"",
            format!("id = {:?}\nlisten = \"{metrics}\"", machine.name),
        ),
        (
            "data_dir = \"/var/lib/leasehold\"",
            format!("data_dir = {state:?}"),
        ),
        ("#grace = \"10s\"", "grace = \"300ms\"".to_owned()),
        (
            "\nembedded = true",
            format!("\nendpoints = [{:?}]", etcd.endpoint()),
        ),
    ];
    for (line, edited) in edits {
        ensure!(text.matches(line).count() == 1, "{line} in:\n{text}");
        text = text.replace(line, &edited);
    }
    let pager = machine.path("usr/local/bin/page").display().to_string();
    text = format!("{text}\n[notify]\ncommand = [{pager:?}]\njob_per_hour = 100\n{JOBS}");
    machine.write(path, text.as_bytes(), 0o644)?;
    let page = format!("#!/bin/sh\ncat >> {state}/pages\n");
    machine.write("usr/local/bin/page", page.as_bytes(), 0o755)?;
    for (name, plugin) in [
        ("report", "heartbeat"),
        ("pulse", "heartbeat"),
        ("ledger", "ledger"),
    ] {
        let content = fs::read(binaries::plugin(plugin)?)?;
        machine.write(&format!("etc/leasehold/{name}.wasm"), &content, 0o644)?;
    }
    machine.write("etc/leasehold/billing.wasm", &guests::billing()?, 0o644)?;
    fs::create_dir(machine.path("etc/leasehold/secrets"))?;
    machine.write_secret("etc/leasehold/secrets/api_key", "the-first-key-7f\n")
}

/// Starts the services one after the other, as a careful operator does.
pub(crate) fn start(day: &mut Day) -> Result<()> {
    headline("Start; which hosts run which version?");
    for machine in &mut day.machines {
        machine.start()?;
    }
    day.wait_hosts()?;
    let shown = answer(day.desk(), &["status"], &["running"])?;
    ensure!(!shown.contains('*'), "a host differs:\n{shown}");
    let hosts = shown.lines().skip(1).take(3);
    for (line, machine) in hosts.zip(&day.machines) {
        let words: Vec<&str> = line.split_whitespace().collect();
        ensure!(words.first() == Some(&machine.name), "{line} in:\n{shown}");
        ensure!(words.contains(&env!("CARGO_PKG_VERSION")), "{line}");
        let pid = machine.host()?.pid().to_string();
        ensure!(words.contains(&pid.as_str()), "{line}: not {pid}");
    }
    Ok(())
}

/// A plugin that appears in the folder of every host becomes a job.
pub(crate) fn drop_a_plugin_in(day: &Day) -> Result<()> {
    headline("Drop a plugin in");
    let job = "dropped.greeter";
    answer_with_code(day.desk(), &["explain", job], 2, &["there is no job"])?;
    for machine in &day.machines {
        machine.write(
            "etc/leasehold/plugins/greeter.wasm",
            &guests::greeter()?,
            0o644,
        )?;
    }
    for machine in &day.machines {
        let added = |event: &leasehold_tests::events::Event| {
            event.is("job-added") && event.job() == Some(job)
        };
        machine
            .host()?
            .wait_for(crate::operator::SLACK, added)
            .context(machine.name)?;
    }
    answer_at_last(day.desk(), &["logs", job], &["good morning"])?;
    answer_at_last(day.desk(), &["status", "--job", job], &[job, "✓"])?;
    Ok(())
}

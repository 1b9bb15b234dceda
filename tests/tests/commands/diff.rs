//! `leasehold check --diff` beside a running host: the effects of a reload on it.

use std::fmt::Write as _;
use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use leasehold_tests::host::HostProcess;
use leasehold_tests::{binaries, guests};

use crate::{SLACK, first};
use leasehold_tests::command::finish;

/// A host with jobs of these names and lines, which wait for an hour.
fn config(jobs: &[(&str, &str)]) -> Result<String> {
    let hello = guests::c_hello()?;
    let mut text = "[host]\nid = \"host-a\"\ndata_dir = \"data\"\n\
        [store]\nembedded = true\nmemory = true\n"
        .to_owned();
    for (name, lines) in jobs {
        let plugin = hello.display();
        write!(
            text,
            "[jobs.{name}]\nplugin = \"{plugin}\"\nevery = \"1h\"\n{lines}\n"
        )?;
    }
    Ok(text)
}

fn diff(host: &HostProcess) -> Result<String> {
    let mut command = Command::new(binaries::leasehold()?);
    command.args(["check", "--diff"]).current_dir(host.dir());
    let output = finish("leasehold check --diff", command)?;
    ensure!(
        output.code == Some(0) && output.errors().is_empty(),
        "{output:?}"
    );
    Ok(output.stdout)
}

/// Waits until the host has recorded this configuration as applied.
fn settles(host: &HostProcess, last: &str) -> Result<()> {
    let end = Instant::now() + SLACK;
    loop {
        let output = diff(host)?;
        if output.ends_with(last) {
            return Ok(());
        }
        if Instant::now() > end {
            bail!("it never output {last}, but {output}");
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn a_diff_lists_the_effects_of_a_reload_without_them() -> Result<()> {
    let before = config(&[("gone", ""), ("other", "ttl = \"10s\""), ("same", "")])?;
    let after = config(&[("new", ""), ("other", "ttl = \"12s\""), ("same", "")])?;
    let host = HostProcess::start(&before)?;
    first(&host, "host-started")?;
    settles(&host, "nothing would change; 3 jobs are unchanged")?;
    // A frozen host cannot reload before the diff is requested.
    host.stop()?;
    let file = host.dir().join("leasehold.toml");
    fs::write(&file, after.replace("[host]", "[host]\ngrace = \"3s\""))?;
    let output = diff(&host)?;
    println!("{output}");
    for line in [
        "Compared with what host `host-a` (pid ",
        "+ new is added now (",
        "~ other is changed with the next run\n    ttl: \"10s\" → \"12s\"\n",
        "- gone is removed now\n",
        "! the host is changed after a restart\n    host.grace: \"10s\" → \"3s\"\n",
        "\n1 job is unchanged",
    ] {
        ensure!(output.contains(line), "no {line:?} in {output}");
    }
    fs::write(&file, before)?;
    host.cont()?;
    settles(&host, "nothing would change; 3 jobs are unchanged")
}

//! `leasehold check --diff` beside a host that runs: what a reload would do to it.

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
    let said = finish("leasehold check --diff", command)?;
    ensure!(said.code == Some(0) && said.stderr.is_empty(), "{said:?}");
    Ok(said.stdout)
}

/// Waits until the host has noted what it applied, and that is this.
fn settles(host: &HostProcess, last: &str) -> Result<()> {
    let end = Instant::now() + SLACK;
    loop {
        let said = diff(host)?;
        if said.ends_with(last) {
            return Ok(());
        }
        if Instant::now() > end {
            bail!("it never said {last}, but {said}");
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn what_a_reload_would_do_is_told_and_not_done() -> Result<()> {
    let before = config(&[("gone", ""), ("other", "ttl = \"10s\""), ("same", "")])?;
    let after = config(&[("new", ""), ("other", "ttl = \"12s\""), ("same", "")])?;
    let host = HostProcess::start(&before)?;
    first(&host, "host-started")?;
    settles(&host, "nothing would change; 3 jobs are unchanged")?;
    // A frozen host cannot reload before the diff is requested.
    host.stop()?;
    let file = host.dir().join("leasehold.toml");
    fs::write(&file, after.replace("[host]", "[host]\ngrace = \"3s\""))?;
    let said = diff(&host)?;
    println!("{said}");
    for line in [
        "Compared with what host `host-a` (pid ",
        "+ new is added now (",
        "~ other is changed with the next run\n    ttl: \"10s\" → \"12s\"\n",
        "- gone is removed now\n",
        "! the host is changed after a restart\n    host.grace: \"10s\" → \"3s\"\n",
        "\n1 job is unchanged",
    ] {
        ensure!(said.contains(line), "no {line:?} in {said}");
    }
    fs::write(&file, before)?;
    host.cont()?;
    settles(&host, "nothing would change; 3 jobs are unchanged")
}

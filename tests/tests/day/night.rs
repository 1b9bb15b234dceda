//! The night: a host dies, its successor reports it; and what the morning after asks for.

use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use leasehold_tests::command::finish;
use leasehold_tests::etcd::Version;
use leasehold_tests::events::{Event, last_lines, merge};
use leasehold_tests::http;
use leasehold_tests::wait::eventually;
use serde_json::Value;

use crate::Day;
use crate::machine::Machine;
use crate::operator::{SLACK, answer, answer_at_last, answer_with_code, headline, json_at_last};

/// A host is killed in the middle of a run. The next holder pages the operator; the killed host comes back and knows its
/// last words.
pub(crate) fn alert_on_a_kill(day: &mut Day) -> Result<()> {
    headline("Tell me when it fails: kill -9; what did it print when it was cut off?");
    let (place, token) = day.pulse()?;
    let name = day.machines[place].name;
    let words = format!("token={token}");
    // Once a second the host writes its guests' last output to its disk.
    eventually(SLACK, "last words on the disk", || {
        let folder = fs::read_dir(day.machines[place].path("var/lib/leasehold/last-output"))?;
        for entry in folder {
            let content = fs::read(entry?.path())?;
            if String::from_utf8_lossy(&content).contains(&words) {
                return Ok(());
            }
        }
        bail!("none under {words}")
    })?;
    day.machines[place].kill()?;
    ensure!(
        http::get(day.machines[place].metrics().address(), "/livez").is_err(),
        "{name} answers"
    );
    day.machines[place].start()?;
    day.pulse_after(token)?;
    let page = eventually(SLACK, "a page about the killed run", || {
        let mut pages = pages(day).into_iter();
        let found = pages.find(|(_, page)| page["token"] == token);
        found.context("none yet")
    });
    let page = page.with_context(|| {
        let events = merge(day.machines.iter().map(Machine::events));
        let events: Vec<Event> = events
            .into_iter()
            .filter(|event| event.job() == Some("pulse") && !event.is("guest"))
            .collect();
        last_lines(&events, 30)
    })?;
    let (reporter, sent) = page;
    let at = day.machines[reporter].name;
    println!("{at}# /usr/local/bin/page received:\n{sent}");
    ensure!(
        sent["kind"] == "failure" && sent["outcome"] == "abandoned",
        "{sent}"
    );
    ensure!(sent["ran_on"] == name && sent["host"] == at, "{sent}");
    metrics_of(day, reporter)?;
    let token = token.to_string();
    let cut_off = ["logs", "pulse", "--run", token.as_str()];
    answer_at_last(day.desk(), &cut_off, &[&words, "beat "])?;
    answer_at_last(day.desk(), &["explain", "pulse"], &["pulse runs"])?;
    Ok(())
}

/// Messages that the pagers of all machines received, with the place of the machine.
fn pages(day: &Day) -> Vec<(usize, Value)> {
    let machines = day.machines.iter().enumerate();
    let pages = machines.flat_map(|(place, machine)| {
        let text = fs::read_to_string(machine.path("var/lib/leasehold/pages"));
        let text = text.unwrap_or_default();
        let pages = text.lines().map(serde_json::from_str);
        pages
            .filter_map(Result::ok)
            .map(|page| (place, page))
            .collect::<Vec<_>>()
    });
    pages.collect()
}

/// Of all stops, drains and restarts of the day, the kill alone was a failure.
pub(crate) fn no_false_alarm(day: &Day) -> Result<()> {
    let pages = pages(day);
    let failures = pages.iter().filter(|(_, page)| page["kind"] == "failure");
    ensure!(failures.count() == 1, "{pages:?}");
    Ok(())
}

/// The counter behind the alert.
fn metrics_of(day: &Day, place: usize) -> Result<()> {
    let address = day.machines[place].metrics().address();
    let counted = eventually(SLACK, "the counter of abandoned runs", || {
        let answer = http::get(address, "/metrics")?;
        let mut lines = answer.body.lines();
        let line = lines.find(|line| {
            line.starts_with("leasehold_runs_total")
                && line.contains("abandoned")
                && line.contains("pulse")
        });
        let line = line.context("none yet")?;
        let (_, count) = line.rsplit_once(' ').context("no value")?;
        ensure!(count.parse::<f64>()? >= 1.0, "{line}");
        Ok(line.to_owned())
    })?;
    println!(
        "{}$ curl -s http://{address}/metrics | grep abandoned\n{counted}",
        day.machines[place].name
    );
    Ok(())
}

/// Last night's runs and their output.
pub(crate) fn read_what_happened(day: &Day) -> Result<()> {
    headline("What happened last week? Last night's output");
    answer(
        day.desk(),
        &["runs", "--since", "7d", "--failed"],
        &["abandoned"],
    )?;
    let runs = answer(
        day.desk(),
        &["runs", "report", "--since", "24h", "-n", "5"],
        &["report", "done"],
    )?;
    let finished = |runs: &Value| {
        let mut runs = runs.as_array()?.iter();
        runs.find(|run| run["outcome"] == "done")?["token"].as_u64()
    };
    let token = json_at_last(day.desk(), &["runs", "report"], finished)?;
    ensure!(runs.contains("report"), "{runs}");
    let token = token.to_string();
    answer(
        day.desk(),
        &["logs", "report", "--run", &token],
        &["beat 2", &format!("token={token}")],
    )?;
    Ok(())
}

/// The program names etcd's command for a backup, which is tried.
pub(crate) fn back_up(day: &Day) -> Result<()> {
    headline("Back it up");
    let file = day.desk().path("var/night.backup");
    let file = file.to_str().context("a path")?;
    let refused = answer_with_code(
        day.desk(),
        &["store", "backup", file],
        5,
        &["real etcd", "etcdctl", "snapshot save", file],
    )?;
    let remedy = refused.stderr.split('`').nth(1).context("no command")?;
    let words: Vec<&str> = remedy.split(' ').collect();
    ensure!(words[0] == "etcdctl", "{remedy}");
    let mut command = Command::new(Version::V3_5.etcdctl()?);
    command.env("ETCDCTL_API", "3").args(&words[1..]);
    let saved = finish(remedy, command)?;
    ensure!(saved.code == Some(0), "{saved:?}");
    println!("{}$ {remedy}\n{}", day.desk().name, saved.stdout);
    let mut command = Command::new(Version::V3_5.etcdctl()?);
    command.env("ETCDCTL_API", "3");
    command.args(["snapshot", "status", file, "-w", "json"]);
    let status = finish("etcdctl snapshot status", command)?;
    let status: Value = serde_json::from_str(&status.stdout)?;
    ensure!(status["totalKey"].as_u64() > Some(20), "{status}");
    Ok(())
}

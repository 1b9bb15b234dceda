//! Requests: they carry the token, go where they were granted, and stop with the lock.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use leasehold_tests::binaries::plugin;
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::events::Event;
use leasehold_tests::guests::{Config, Job, config, config_for};
use leasehold_tests::host::HostProcess;
use leasehold_tests::wait::eventually;
use toml::{Table, Value};

use crate::server::{OK, Server};
use crate::{SLACK, detail, ended};
use leasehold_tests::command::leasehold;

/// The longest from a loss to the last request: a busy machine's, not a promise.
const STOP_BOUND: Duration = Duration::from_secs(1);

fn fetch() -> Result<PathBuf> {
    plugin("fetch")
}

/// The keys of `allow` that let a job reach `origins`.
fn allowing(origins: &[String], more: &[(&str, Value)]) -> Table {
    let mut allow = Table::new();
    allow.insert("http".to_owned(), origins.to_vec().into());
    for (key, value) in more {
        allow.insert((*key).to_owned(), value.clone());
    }
    allow
}

/// A job that posts to `url`.
fn reporting(job: Job, url: &str, allow: Table) -> Result<Job> {
    let job = job.plugin(&fetch()?).key("allow", allow);
    Ok(job.config("url", url).config("every_ms", 20).once())
}

fn host(etcd: &Etcd, job: Job) -> Result<HostProcess> {
    HostProcess::start(
        &config_for("host-a", etcd)
            .grace("300ms")
            .job("report", |_| job),
    )
}

#[test]
fn a_request_carries_its_runs_token_and_the_granted_secret() -> Result<()> {
    let etcd = Etcd::start(Version::V3_5)?;
    let server = Server::start(Some(OK))?;
    let dir = tempfile::tempdir()?;
    let key = dir.path().join("key");
    fs::write(&key, "hunter2-hunter2\n")?;
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600))?;
    let allow = allowing(&[server.origin()], &[("http_token", "X-Fence".into())]);
    let job = reporting(
        Job::default(),
        &format!("{}/beat?x", server.origin()),
        allow,
    )?;
    let mut secrets = Table::new();
    let mut place = Table::new();
    place.insert("file".to_owned(), key.to_string_lossy().into_owned().into());
    secrets.insert("api_key".to_owned(), place.into());
    let host = host(&etcd, job.config("times", 3).key("secrets", secrets))?;
    let ended = ended(&host, "report")?;
    ensure!(ended.outcome() == Some("done"), "{ended}");
    let asked = server.asked();
    ensure!(asked.len() == 3, "{asked:?}");
    let token = ended.token().context("a run without a token")?;
    for request in asked {
        let head = &request.head;
        ensure!(head.starts_with("post /beat?x http/1.1\r\n"), "{head}");
        ensure!(
            head.contains(&format!("\r\nx-fence: {token}\r\n")),
            "{head}"
        );
        ensure!(
            head.contains("\r\nauthorization: bearer hunter2-hunter2\r\n"),
            "{head}"
        );
    }
    Ok(())
}

/// A drop-in that asks for a header of its own choice carries the token in the operator's too.
#[test]
fn the_operators_header_is_set_over_a_drop_ins() -> Result<()> {
    let etcd = Etcd::start(Version::V3_5)?;
    let server = Server::start(Some(OK))?;
    let allow = allowing(
        &[server.origin()],
        &[("http_token", "X-Fencing-Token".into())],
    );
    let config = config_for("host-a", &etcd)
        .grace("300ms")
        .plugins("dir", "plugins")
        .plugins("allow", allow);
    let host = HostProcess::start_in_prepared(&config, |dir| {
        let folder = dir.join("plugins");
        fs::create_dir(&folder)?;
        fs::copy(fetch()?, folder.join("report.wasm"))?;
        let origin = server.origin();
        let beside = format!(
            "once = true\nconfig = {{ url = {origin:?}, times = 2 }}\n\
             [allow]\nhttp = [{origin:?}]\nhttp_token = \"X-Whatever\"\n"
        );
        Ok(fs::write(folder.join("report.toml"), beside)?)
    })?;
    let ended = ended(&host, "dropped.report")?;
    ensure!(ended.outcome() == Some("done"), "{ended}");
    let token = ended.token().context("a run without a token")?;
    let asked = server.asked();
    ensure!(asked.len() == 2, "{asked:?}");
    for request in asked {
        for name in ["x-fencing-token", "x-whatever"] {
            let line = format!("\r\n{name}: {token}\r\n");
            ensure!(request.head.matches(&line).count() == 1, "{}", request.head);
        }
    }
    Ok(())
}

#[test]
fn an_answer_that_no_key_can_fix_is_reported_as_such() -> Result<()> {
    let etcd = Etcd::start(Version::V3_5)?;
    let many = "h: 1\r\n".repeat(150);
    for (answer, words) in [
        (
            format!("HTTP/1.1 200 OK\r\n{many}\r\n"),
            "more than 100 headers, a limit that no key raises",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615\r\n\r\n".to_owned(),
            "announces a body of 18446744073709551615 bytes",
        ),
    ] {
        let server = Server::start(Some(&answer))?;
        let allow = allowing(&[server.origin()], &[]);
        let job = reporting(Job::default(), &server.origin(), allow)?;
        let host = host(&etcd, job.restart("1m", "1m"))?;
        host.wait_for(SLACK, |event| {
            event.is("guest") && event.text().is_some_and(|text| text.contains(words))
        })?;
        let told = host.events();
        let mut told = told.iter().filter_map(Event::text);
        ensure!(!told.any(|text| text.contains("http_fields")));
    }
    Ok(())
}

#[test]
fn no_request_leaves_after_the_lock_is_lost() -> Result<()> {
    let etcd = Etcd::start(Version::V3_5)?;
    let server = Server::start(Some(OK))?;
    let allow = allowing(&[server.origin()], &[("http_token", "X-Fence".into())]);
    let job = reporting(Job::default().ttl("10s"), &server.origin(), allow)?;
    let host = host(&etcd, job)?;
    eventually(SLACK, "some requests", || {
        ensure!(server.asked().len() >= 5);
        Ok(())
    })?;
    let key = etcd.wait_holder("/leasehold/locks/report/", SLACK)?;
    etcd.revoke(key.rsplit('/').next().unwrap_or_default())?;
    let ended = ended(&host, "report")?;
    ensure!(ended.outcome() == Some("lost"), "{ended}");
    let stopped = ended.stopped_ns().context("no end")?;
    let loss = host.wait_for(SLACK, |event| event.is("lock-lost"))?;
    let loss = loss.boot_ns().context("no time")?;
    // The job queues again, and its next run reports under a token of its own.
    let token = ended.token().context("a run without a token")?;
    let fence = format!("\r\nx-fence: {token}\r\n");
    let (mine, others) = eventually(SLACK, "requests of the next run", || {
        let asked = server.asked().into_iter();
        let (mine, others): (Vec<_>, Vec<_>) = asked.partition(|asked| asked.head.contains(&fence));
        ensure!(others.len() >= 5);
        Ok((mine, others))
    })?;
    let late = mine.iter().filter(|request| request.at_ns > stopped);
    let late = late.count();
    ensure!(
        late == 0,
        "{late} of {} requests after the guest was gone",
        mine.len()
    );
    let last = mine.last().context("no requests")?.at_ns;
    let last = Duration::from_nanos(last.saturating_sub(loss));
    ensure!(last < STOP_BOUND, "the last came {last:?} after the loss");
    let is_later = |head: &str| {
        let (_, rest) = head.split_once("\r\nx-fence: ")?;
        rest.split_once('\r')?
            .0
            .parse::<u64>()
            .ok()
            .map(|other| other > token)
    };
    ensure!(
        others
            .iter()
            .all(|other| is_later(&other.head) == Some(true)),
        "{others:?}"
    );
    Ok(())
}

#[test]
fn a_silent_server_holds_a_guest_for_its_timeout_at_most() -> Result<()> {
    let etcd = Etcd::start(Version::V3_5)?;
    let server = Server::start(None)?;
    let allow = allowing(&[server.origin()], &[]);
    let job = reporting(Job::default(), &server.origin(), allow)?;
    let host = host(&etcd, job.timeout("700ms"))?;
    let ended = ended(&host, "report")?;
    ensure!(ended.outcome() == Some("timeout"), "{ended}");
    let started = ended.u64("started_ns").context("no start")?;
    let ran = Duration::from_nanos(ended.stopped_ns().context("no end")? - started);
    ensure!(
        ran < Duration::from_millis(700) + STOP_BOUND,
        "it ran {ran:?}"
    );
    ensure!(server.asked().len() == 1);
    Ok(())
}

#[test]
fn an_ungranted_request_fails_in_the_guest_and_is_logged() -> Result<()> {
    let etcd = Etcd::start(Version::V3_5)?;
    let server = Server::start(Some(OK))?;
    let named = server.origin().replace("127.0.0.1", "localhost");
    for (allow, words, code) in [
        (
            allowing(&["http://127.0.0.1:1".to_owned()], &[]),
            "it was not granted: add",
            "HttpRequestDenied",
        ),
        (
            allowing(std::slice::from_ref(&named), &[]),
            "to `http_networks` in [jobs.report.allow]",
            "DestinationIpProhibited",
        ),
    ] {
        let job = reporting(Job::default(), &named, allow)?;
        let host = host(&etcd, job.restart("1m", "1m"))?;
        let ended = ended(&host, "report")?;
        ensure!(
            ended.outcome() == Some("retry") && detail(&ended).contains(code),
            "{ended}"
        );
        host.wait_for(SLACK, |event| {
            event.is("guest") && event.text().is_some_and(|text| text.contains(words))
        })?;
    }
    ensure!(server.asked().is_empty());
    let networks = Value::from(vec!["127.0.0.0/8", "::1"]);
    let allow = allowing(std::slice::from_ref(&named), &[("http_networks", networks)]);
    let job = reporting(Job::default(), &named, allow)?;
    let host = host(&etcd, job.config("times", 1))?;
    let ended = ended(&host, "report")?;
    ensure!(ended.outcome() == Some("done"), "{ended}");
    Ok(())
}

#[test]
fn a_plugin_with_ungranted_requests_is_refused_at_the_start() -> Result<()> {
    let config: Config = config("a", "http://127.0.0.1:1");
    let fetch = fetch()?;
    let config = config.job("report", |job| job.plugin(&fetch).config("url", "http://x"));
    let output = leasehold(&config, &["check"])?;
    ensure!(output.code == Some(4), "{output:?}");
    for part in [
        "job report",
        "imports wasi:http/",
        "add `http = [",
        "under [jobs.report.allow]",
    ] {
        ensure!(output.stderr.contains(part), "{}", output.stderr);
    }
    Ok(())
}

//! Locks in all modes: the runs that may be under way together on several hosts, and those that may not.
//!
//! The harness judges hosts by the rule of exclusive locks. These hosts are judged here, by the modes of their jobs.

use anyhow::{Context, Result, anyhow, ensure};
use leasehold_records::{TickRecord, TickState};
use leasehold_tests::checks::{self, Circumstances};
use leasehold_tests::command::leasehold;
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::events::Event;
use leasehold_tests::guests::{self, Config, Job, config};
use leasehold_tests::host::{HostProcess, merged};
use leasehold_tests::on_every_store;
use leasehold_tests::wait::eventually;
use toml::Value;

use crate::scene::{PULSE, SLACK, TTL, end_host, is, kept_running, next, runs, wait_record};

on_every_store!(
    readers_run_together_and_never_beside_a_writer,
    two_of_three_hosts_run_and_the_third_takes_over,
    a_set_of_locks_excludes_the_jobs_of_each_of_them,
    a_tick_under_a_shared_lock_is_run_by_one_host,
);

/// A job that pauses for a second between two runs. Otherwise one of its runs would always come between two readers.
const WRITER: &str = "write";

/// A run from its start to the moment when its guest had stopped.
#[derive(Clone, Debug)]
struct RunSpan {
    job: String,
    host: String,
    from_ns: u64,
    until_ns: u64,
}

impl RunSpan {
    fn overlaps(&self, other: &Self) -> bool {
        self.from_ns < other.until_ns && other.from_ns < self.until_ns
    }
}

/// Returns the runs of these hosts, by their starts. A run without an end lasts until its last effect.
fn spans(hosts: &[&HostProcess]) -> Result<Vec<RunSpan>> {
    let events = merged(hosts);
    let starts = events.iter().filter(|event| event.is("run-started"));
    starts.map(|start| span_of(start, &events)).collect()
}

fn span_of(start: &Event, events: &[Event]) -> Result<RunSpan> {
    // Another host may log an event about the run, when its own has vanished.
    let is_own = |event: &&Event| event.run() == start.run() && event.host() == start.host();
    let own = || events.iter().filter(is_own);
    let from_ns = start.boot_ns().context("a start has a time")?;
    let end = own().find_map(Event::stopped_ns);
    let last = own().filter_map(Event::boot_ns).max();
    Ok(RunSpan {
        job: start.job().context("a run has a job")?.to_owned(),
        host: start.host().context("a run has a host")?.to_owned(),
        from_ns,
        until_ns: end.or(last).unwrap_or(from_ns),
    })
}

/// Returns the pairs of runs that were under way together.
fn pairs(spans: &[RunSpan]) -> Vec<(&RunSpan, &RunSpan)> {
    let with_later = |(at, one): (usize, _)| spans[at + 1..].iter().map(move |other| (one, other));
    let pairs = spans.iter().enumerate().flat_map(with_later);
    pairs.filter(|(one, other)| one.overlaps(other)).collect()
}

fn jobs_of<'a>((one, other): &(&'a RunSpan, &'a RunSpan)) -> [&'a str; 2] {
    let mut jobs = [one.job.as_str(), other.job.as_str()];
    jobs.sort_unstable();
    jobs
}

/// Checks that no two runs of these jobs were under way together.
fn ensure_apart(spans: &[RunSpan], jobs: [&str; 2]) -> Result<()> {
    let found = pairs(spans).into_iter().find(|pair| jobs_of(pair) == jobs);
    ensure!(found.is_none(), "{found:?} ran together");
    Ok(())
}

/// Checks the promises that hold for each run by itself.
fn judge_runs(hosts: &[&HostProcess], circumstances: &Circumstances) -> Result<()> {
    let events = merged(hosts);
    checks::nothing_after_the_end(&events)
        .and_then(|()| checks::lost_runs_stop_in_time(&events, circumstances))
        .and_then(|()| checks::released_only_after_the_run(&events))
        .and_then(|()| checks::every_run_ends(&events, circumstances))
        .map_err(|why| anyhow!(why))
}

/// Returns the value of `lock` in a configuration.
fn lock(text: &str) -> Result<Value> {
    let mut table: toml::Table = format!("lock = {text}").parse()?;
    table.remove("lock").context("it was written there")
}

/// Starts a host whose jobs beat 40 ms apart: the name of each, its lock, and its number of beats.
fn start(name: &str, etcd: &Etcd, jobs: &[(&str, &str, &str)]) -> Result<HostProcess> {
    Ok(HostProcess::start(&host(name, etcd, jobs)?)?.unjudged())
}

fn host(name: &str, etcd: &Etcd, jobs: &[(&str, &str, &str)]) -> Result<Config> {
    let heartbeat = guests::heartbeat()?;
    let mut host = config(name, &etcd.endpoint()).grace("300ms");
    for (name, text, beats) in jobs {
        let lock = lock(text)?;
        host = host.job(name, |job| {
            let kept = kept_running(job, TTL).plugin(&heartbeat);
            let kept = kept.key("lock", lock).args(&[beats, "40"]);
            if *name == WRITER {
                kept.restart("1s", "1s")
            } else {
                kept
            }
        });
    }
    Ok(host)
}

/// Counts the runs of a job that have ended.
fn ended(hosts: &[&HostProcess], job: &str) -> usize {
    let events = merged(hosts);
    let ends = events.iter().filter(|event| is(event, job, "run-ended"));
    ends.count()
}

/// Fails on the mutant "shared weighs nothing".
fn readers_run_together_and_never_beside_a_writer(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let shared = r#"{ name = "ledger", mode = "shared" }"#;
    let jobs = [("read", shared, "8"), (WRITER, "\"ledger\"", "3")];
    let (mut a, mut b) = (start("a", &etcd, &jobs)?, start("b", &etcd, &jobs)?);
    let readers = ["read", "read"];
    eventually(SLACK, "readers together, and writers in turn", || {
        let hosts = [&a, &b];
        ensure!(ended(&hosts, WRITER) >= 6, "too few writers have run");
        let spans = spans(&hosts)?;
        let mut together = pairs(&spans).into_iter();
        let is_wanted =
            |pair: &(&RunSpan, &RunSpan)| jobs_of(pair) == readers && pair.0.host != pair.1.host;
        ensure!(together.any(|pair| is_wanted(&pair)), "no readers together");
        Ok(())
    })?;
    end_host(&mut a)?;
    end_host(&mut b)?;
    let spans = spans(&[&a, &b])?;
    ensure_apart(&spans, ["read", WRITER])?;
    ensure_apart(&spans, [WRITER, WRITER])?;
    judge_runs(&[&a, &b], &Circumstances::default())
}

/// Fails on the mutant "every earlier run is over", see scripts/mutants.
fn two_of_three_hosts_run_and_the_third_takes_over(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let jobs = [(PULSE, r#"{ name = "workers", of = 2 }"#, "0")];
    let (mut a, mut b) = (start("a", &etcd, &jobs)?, start("b", &etcd, &jobs)?);
    let first = runs(&a, 0, PULSE)?;
    runs(&b, 0, PULSE)?;
    let mut c = start("c", &etcd, &jobs)?;
    next(&c, 0, PULSE, "waiting")?;
    let desk = host("desk", &etcd, &jobs)?;
    let status = eventually(SLACK, "two holders in the status", || {
        let status = leasehold(&desk, &["status"])?.stdout;
        let held = status.matches("holds 1 (2/2 held)").count();
        ensure!(held == 2, "{status}");
        Ok(status)
    })?;
    ensure!(status.contains("#2 for 1"), "{status}");
    eventually(SLACK, "the reason of the wait", || {
        let explained = leasehold(&desk, &["explain", PULSE, "--host", "c"])?.stdout;
        let explained = explained.split_whitespace().collect::<Vec<_>>().join(" ");
        ensure!(explained.contains("`workers`"), "{explained}");
        ensure!(explained.contains("beside another"), "{explained}");
        Ok(())
    })?;
    ensure!(!c.has(|event| event.is("run-started")), "three hosts run");
    a.kill()?;
    runs(&c, 0, PULSE)?;
    // The run of the killed host is over; that of the other goes on, and is not taken for one.
    wait_record(&c, &first, "abandoned")?;
    let open = crate::scene::records(&c, PULSE)?;
    let open = open.iter().filter(|run| run["outcome"] == "running");
    ensure!(open.count() == 2, "two runs are under way");
    // An order to stop reaches both runs.
    let (in_b, in_c) = (b.mark(), c.mark());
    let stopped = leasehold(&desk, &["stop", PULSE])?;
    ensure!(stopped.code == Some(0), "{stopped:?}");
    next(&b, in_b, PULSE, "run-ended")?;
    next(&c, in_c, PULSE, "run-ended")?;
    end_host(&mut b)?;
    end_host(&mut c)?;
    let spans = spans(&[&a, &b, &c])?;
    for span in &spans {
        let is_open =
            |other: &&RunSpan| other.from_ns <= span.from_ns && span.from_ns < other.until_ns;
        let open = spans.iter().filter(is_open).count();
        ensure!(open <= 2, "{open} runs at the start of {span:?}: {spans:?}");
    }
    judge_runs(&[&a, &b, &c], &Circumstances::default().killed("a"))
}

/// Fails if the end of a run is recorded at the start of a later one alone: no run starts here after the kill.
#[test]
fn run_of_a_killed_host_is_ended_by_one_that_goes_on() -> Result<()> {
    let etcd = Etcd::start(Version::V3_5)?;
    let jobs = [(PULSE, r#"{ name = "workers", of = 2 }"#, "0")];
    // The one that goes on is the older: the other's run comes after its own in the history.
    let mut stays = start("stays", &etcd, &jobs)?;
    runs(&stays, 0, PULSE)?;
    let mut dies = start("dies", &etcd, &jobs)?;
    let last = runs(&dies, 0, PULSE)?;
    wait_record(&stays, &last, "running")?;
    dies.kill()?;
    let patience = SLACK * 3;
    let reported = stays.wait_for(patience, |event| is(event, PULSE, "run-abandoned"))?;
    ensure!(reported.to_string().contains("dies"), "{reported}");
    wait_record(&stays, &last, "abandoned")?;
    end_host(&mut stays)?;
    judge_runs(&[&stays, &dies], &Circumstances::default().killed("dies"))
}

/// Fails on the mutant "the second lock of a set is not watched".
fn a_set_of_locks_excludes_the_jobs_of_each_of_them(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let jobs = [
        ("a", "\"first\"", "4"),
        ("b", "\"second\"", "4"),
        ("both", r#"["first", "second"]"#, "3"),
    ];
    let (mut one, mut two) = (start("one", &etcd, &jobs)?, start("two", &etcd, &jobs)?);
    eventually(SLACK, "a and b together, and both in turn", || {
        let hosts = [&one, &two];
        ensure!(ended(&hosts, "both") >= 6, "the set was held too rarely");
        let spans = spans(&hosts)?;
        let mut together = pairs(&spans).into_iter();
        ensure!(together.any(|pair| jobs_of(&pair) == ["a", "b"]), "never");
        Ok(())
    })?;
    let held = one.events();
    let held = held.iter().find(|event| is(event, "both", "acquired"));
    let held = held.context("it was acquired")?;
    ensure!(held.lock() == Some("first+second"), "{held}");
    end_host(&mut one)?;
    end_host(&mut two)?;
    let spans = spans(&[&one, &two])?;
    for jobs in [
        ["a", "both"],
        ["b", "both"],
        ["both", "both"],
        ["a", "a"],
        ["b", "b"],
    ] {
        ensure_apart(&spans, jobs)?;
    }
    judge_runs(&[&one, &two], &Circumstances::default())
}

/// Fails on the mutant "a later token proves that a shared lock was lost".
fn a_tick_under_a_shared_lock_is_run_by_one_host(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    // The current slot of a year is a tick that lasts for the whole test.
    let ticking = |name: &str, beats: &str| -> Result<HostProcess> {
        let (heartbeat, shared) = (
            guests::heartbeat()?,
            lock("{ name = \"tick\", mode = \"shared\" }")?,
        );
        let tick = |job: Job| {
            let job = kept_running(job, TTL).plugin(&heartbeat).every("365days");
            job.key("lock", shared).args(&[beats, "40"])
        };
        let config = config(name, &etcd.endpoint()).grace("300ms");
        Ok(HostProcess::start(&config.job(PULSE, tick))?.unjudged())
    };
    let mut first = ticking("first", "0")?;
    let begun = runs(&first, 0, PULSE)?;
    let mut second = ticking("second", "3")?;
    let left = second.wait_for(SLACK, |event| {
        let reason = event.reason().unwrap_or_default();
        reason.starts_with("first runs the tick of")
    })?;
    ensure!(left.job() == Some(PULSE), "{left}");
    first.kill()?;
    let ended = next(&second, 0, PULSE, "run-ended")?;
    ensure!(ended.outcome() == Some("done"), "{ended}");
    wait_record(&second, &begun, "abandoned")?;
    let tick = eventually(SLACK, "the mark of the tick", || {
        let json = etcd.etcdctl(&["get", "--print-value-only", "/leasehold/ticks/pulse"])?;
        let tick = TickRecord::from_json(json.trim().as_bytes())?;
        ensure!(tick.state == TickState::Done, "{tick:?}");
        Ok(tick)
    })?;
    ensure!(tick.attempt == 2 && tick.host == "second", "{tick:?}");
    end_host(&mut second)?;
    let spans = spans(&[&first, &second])?;
    ensure_apart(&spans, [PULSE, PULSE])?;
    judge_runs(
        &[&first, &second],
        &Circumstances::default().killed("first"),
    )
}

//! Common parts of the scenarios: two hosts on one etcd, waits, and the verdict at the end.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use leasehold_tests::checks::{self, Circumstances};
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::events::{Event, last_lines};
use leasehold_tests::guests::{self, Config, Job};
use leasehold_tests::host::{HostProcess, merged};
use leasehold_tests::wait::eventually;
use leasehold_tests::{binaries, guests::config};
use serde_json::Value;

use leasehold_tests::bank;

/// For things that will happen.
pub(crate) const SLACK: Duration = Duration::from_secs(30);

/// The leases' time to live: short, so that scenarios are, and enough for two renewals to be missed.
pub(crate) const TTL: Duration = Duration::from_secs(3);

/// Default stop margin: the end of the lease within which the guest is stopped.
pub(crate) const MARGIN: Duration = Duration::from_millis(250);

/// Time for etcd to notice that a lease has ended, and to notify a successor: etcd checks every 500 ms.
pub(crate) const EXPIRY: Duration = Duration::from_millis(1_500);

/// Slack of upper bounds on a machine that runs several scenarios at once on few cores: a process there may not be
/// scheduled for some hundred milliseconds, several times in a row. Orders have no such slack.
pub(crate) const BUSY: Duration = Duration::from_secs(2);

/// The plain WASI command, a beat every 40 ms.
pub(crate) const PULSE: &str = "pulse";
/// The typed plugin that moves money with fenced writes.
pub(crate) const LEDGER: &str = "ledger";
/// The plugin that will not stop.
pub(crate) const STUBBORN: &str = "stubborn";

/// A config with one job for each of both kinds of guest.
pub(crate) fn two_jobs(host: &str, endpoint: &str) -> Result<Config> {
    two_jobs_for(host, endpoint, TTL)
}

/// A config with the plain command alone, which needs nothing of the store itself.
pub(crate) fn one_job(host: &str, endpoint: &str) -> Result<Config> {
    one_job_for(host, endpoint, TTL)
}

/// As [`one_job`], with another TTL.
pub(crate) fn one_job_for(host: &str, endpoint: &str, ttl: Duration) -> Result<Config> {
    let heartbeat = guests::heartbeat()?;
    Ok(base(host, endpoint).job(PULSE, |job| {
        kept_running(job, ttl).plugin(&heartbeat).args(&["0", "40"])
    }))
}

/// As [`two_jobs`], with another TTL.
pub(crate) fn two_jobs_for(host: &str, endpoint: &str, ttl: Duration) -> Result<Config> {
    let (heartbeat, ledger) = (guests::heartbeat()?, guests::ledger()?);
    Ok(base(host, endpoint)
        .job(PULSE, |job| {
            kept_running(job, ttl).plugin(&heartbeat).args(&["0", "40"])
        })
        .job(LEDGER, |job| {
            kept_running(job, ttl)
                .plugin(&ledger)
                .allow_kv(&["ledger/"])
                .config("forever", true)
                .config("pause_ms", 25)
        }))
}

/// A config with the stubborn plugin in one of its modes.
pub(crate) fn stubborn(host: &str, endpoint: &str, mode: &str) -> Result<Config> {
    let plugin = guests::stubborn()?;
    Ok(base(host, endpoint).job(STUBBORN, |job| {
        kept_running(job, TTL)
            .plugin(&plugin)
            .config("mode", mode)
            .config("after_beats", 3)
    }))
}

fn base(host: &str, endpoint: &str) -> Config {
    // The heartbeat never listens, so its grace is waited for in full.
    config(host, endpoint).grace("300ms")
}

/// A job whose lock has its own name; restarts are quick, since their pause is not tested.
pub(crate) fn kept_running(job: Job, ttl: Duration) -> Job {
    job.ttl(&format!("{}s", ttl.as_secs()))
        .restart("50ms", "500ms")
}

/// The prefix of a job's lock in the store.
pub(crate) fn lock_prefix(job: &str) -> String {
    format!("/leasehold/locks/{job}/")
}

/// The lease in a lock key's name, in hexadecimal.
pub(crate) fn lease_of(key: &str) -> &str {
    key.rsplit('/').next().unwrap_or_default()
}

/// True if `event` is about `job` and has this name.
pub(crate) fn is(event: &Event, job: &str, name: &str) -> bool {
    event.is(name) && event.job() == Some(job)
}

/// Time of an event, which every event of a host has.
pub(crate) fn at(event: &Event) -> Result<u64> {
    event
        .boot_ns()
        .with_context(|| format!("no time in {event}"))
}

/// The token of an event that has one.
pub(crate) fn token(event: &Event) -> Result<u64> {
    event
        .token()
        .with_context(|| format!("no token in {event}"))
}

/// A span as nanoseconds of the boot-time clock.
pub(crate) fn ns(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

/// Waits for an event of `job` after `mark`.
pub(crate) fn next(host: &HostProcess, mark: usize, job: &str, name: &str) -> Result<Event> {
    host.wait_after(mark, SLACK, |event| is(event, job, name))
        .with_context(|| format!("waiting for {name} of {job}"))
}

/// Waits until a run of `job` that started after `mark` has had an effect; gives its start.
pub(crate) fn runs(host: &HostProcess, mark: usize, job: &str) -> Result<Event> {
    let started = next(host, mark, job, "run-started")?;
    let run = started.run().map(str::to_owned);
    host.wait_after(mark, SLACK, |event| {
        is(event, job, "guest") && event.run() == run.as_deref()
    })
    .with_context(|| format!("waiting for an effect of {started}"))?;
    Ok(started)
}

/// Waits until the run of `started` has an effect admitted after `after_ns`: it continues.
pub(crate) fn goes_on(host: &HostProcess, started: &Event, after_ns: u64) -> Result<()> {
    host.wait_for(SLACK, |event| {
        event.is("guest")
            && event.run() == started.run()
            && event.boot_ns().is_some_and(|at| at > after_ns)
    })
    .map(drop)
    .with_context(|| format!("{started} had no effect after {after_ns}"))
}

/// The events of `job` named `name` after `mark` so far.
pub(crate) fn since(host: &HostProcess, mark: usize, job: &str, name: &str) -> Vec<Event> {
    let events = host.events();
    let new = events.into_iter().skip(mark);
    new.filter(|event| is(event, job, name)).collect()
}

/// Waits until the queue of `job` is as `wanted`.
pub(crate) fn wait_queue(
    etcd: &Etcd,
    job: &str,
    what: &str,
    wanted: impl Fn(&[String]) -> bool,
) -> Result<Vec<String>> {
    eventually(SLACK, &format!("{what} in the queue of {job}"), || {
        let queue = etcd.queue(&lock_prefix(job))?;
        ensure!(wanted(&queue), "it is {queue:?}");
        Ok(queue)
    })
}

/// The create revision of a key: the token that its owner has, or will have.
pub(crate) fn create_revision(etcd: &Etcd, key: &str) -> Result<u64> {
    let text = etcdctl_json(etcd, &["get", key, "--keys-only"])?;
    text["kvs"][0]["create_revision"]
        .as_u64()
        .with_context(|| format!("there is no key {key}: {text}"))
}

/// Runs an `etcdctl` command and parses its output as JSON.
pub(crate) fn etcdctl_json(etcd: &Etcd, args: &[&str]) -> Result<Value> {
    let text = etcd.etcdctl(&[args, &["-w", "json"]].concat())?;
    serde_json::from_str(&text).with_context(|| format!("reading {text:?}"))
}

/// The run records of a job as `leasehold runs` shows them to a program, with the config of `host`.
pub(crate) fn records(host: &HostProcess, job: &str) -> Result<Vec<Value>> {
    let output = Command::new(binaries::leasehold()?)
        .args(["runs", job, "-n", "100", "--format", "json", "-c"])
        .arg(host.dir().join("leasehold.toml"))
        .output()
        .context("running leasehold runs")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "leasehold runs failed: {said}");
    serde_json::from_slice(&output.stdout).context("reading what leasehold runs says")
}

/// Waits until the record of a run has `outcome`, and returns the record.
pub(crate) fn wait_record(host: &HostProcess, started: &Event, outcome: &str) -> Result<Value> {
    let (job, run) = (started.job().unwrap_or_default(), started.run());
    eventually(
        SLACK,
        &format!("a record of {run:?} that says {outcome}"),
        || {
            let records = records(host, job)?;
            let record = records
                .into_iter()
                .find(|record| record["run_id"].as_str() == run);
            let record = record.context("there is no record")?;
            ensure!(record["outcome"] == outcome, "it says {record}");
            Ok(record)
        },
    )
}

/// Two hosts with the same jobs: at the start `a` runs them all and `b` waits for them all.
pub(crate) struct Duel {
    // The hosts go before the store.
    pub(crate) a: HostProcess,
    pub(crate) b: HostProcess,
    pub(crate) etcd: Etcd,
    pub(crate) jobs: Vec<&'static str>,
}

impl Duel {
    /// Both kinds of guest, both hosts right at the store.
    pub(crate) fn start(version: Version) -> Result<Self> {
        let etcd = Etcd::start(version)?;
        let endpoint = etcd.endpoint();
        Self::through(etcd, &endpoint, &endpoint)
    }

    /// Both kinds of guest; each host reaches the store by its own way.
    pub(crate) fn through(etcd: Etcd, for_a: &str, for_b: &str) -> Result<Self> {
        let (a, b) = (two_jobs("a", for_a)?, two_jobs("b", for_b)?);
        Self::with(etcd, &a, &b, &[PULSE, LEDGER])
    }

    /// Any configs with the same jobs, each of which keeps running and never ends by itself.
    pub(crate) fn with(etcd: Etcd, a: &Config, b: &Config, jobs: &[&'static str]) -> Result<Self> {
        let a = HostProcess::start(a)?;
        for job in jobs {
            runs(&a, 0, job)?;
        }
        let b = HostProcess::start(b)?;
        for job in jobs {
            next(&b, 0, job, "waiting")?;
            wait_queue(&etcd, job, "two entries", |queue| queue.len() == 2)?;
        }
        Ok(Self {
            a,
            b,
            etcd,
            jobs: jobs.to_vec(),
        })
    }

    /// The start of the run of `job` that `a` began with.
    pub(crate) fn first_run(&self, job: &str) -> Result<Event> {
        next(&self.a, 0, job, "run-started")
    }

    /// The key of the entry in front of the queue of `job`.
    pub(crate) fn holder(&self, job: &str) -> Result<String> {
        self.etcd.wait_holder(&lock_prefix(job), SLACK)
    }

    /// The key of the entry behind it.
    pub(crate) fn waiter(&self, job: &str) -> Result<String> {
        let queue = self.etcd.queue(&lock_prefix(job))?;
        let second = queue.get(1).cloned();
        second.with_context(|| format!("no host waits for {job}: {queue:?}"))
    }

    /// Checks that neither host has logged such an event of `job` since these marks, one for each host.
    pub(crate) fn saw_none_of(
        &self,
        names: &[&str],
        job: &str,
        marks: (usize, usize),
    ) -> Result<()> {
        for name in names {
            let seen = [
                since(&self.a, marks.0, job, name),
                since(&self.b, marks.1, job, name),
            ]
            .concat();
            ensure!(seen.is_empty(), "{seen:?}");
        }
        Ok(())
    }

    /// Checks that `b` still waits at `place`, ends `a`, and checks that `b` then runs under that very place,
    /// taken at the revision `promised`.
    pub(crate) fn b_gets_its_place(&mut self, job: &str, place: &str, promised: u64) -> Result<()> {
        // Retried while the store does not answer: members that just changed their leader may not.
        wait_queue(
            &self.etcd,
            job,
            &format!("{place} as the waiter"),
            |queue| queue.get(1).is_some_and(|waiter| waiter == place),
        )?;
        end_host(&mut self.a)?;
        let start = runs(&self.b, 0, job)?;
        ensure!(
            token(&start)? == promised,
            "{start} is not under the place taken at {promised}"
        );
        Ok(())
    }

    /// Waits until `b` runs each job, and gives the starts, by job.
    pub(crate) fn b_takes_over(&self) -> Result<Vec<Event>> {
        let starts = self.jobs.iter().map(|job| runs(&self.b, 0, job));
        starts.collect()
    }

    /// Ends both hosts, and runs all checks over their logs, the ledger's total, and the absence of entries.
    pub(crate) fn end(mut self, circumstances: &Circumstances) -> Result<Vec<Event>> {
        for (id, host) in [("a", &mut self.a), ("b", &mut self.b)] {
            if circumstances.killed.iter().any(|killed| killed == id) {
                continue;
            }
            end_host(host)?;
        }
        for job in &self.jobs {
            wait_queue(&self.etcd, job, "no entry", <[String]>::is_empty)?;
        }
        if self.jobs.contains(&LEDGER) {
            bank::audit(&self.etcd)?;
        }
        judge(&[&self.a, &self.b], circumstances)
    }
}

/// Asks a host to end, if it has not, and checks that it ended well.
pub(crate) fn end_host(host: &mut HostProcess) -> Result<()> {
    if !host.events().iter().any(|event| event.is("host-stopping")) {
        host.term()?;
    }
    let status = host.wait_exit(SLACK)?;
    ensure!(
        status.code() == Some(0),
        "a host ended with {status}: {}",
        host.stderr()
    );
    Ok(())
}

/// All checks over the events of these hosts, which are given back.
pub(crate) fn judge(hosts: &[&HostProcess], circumstances: &Circumstances) -> Result<Vec<Event>> {
    let events = merged(hosts);
    checks::all(&events, circumstances).map_err(|why| {
        let told: Vec<_> = events
            .iter()
            .filter(|event| !event.is("guest") && !event.is("progress"))
            .cloned()
            .collect();
        anyhow!(
            "{why}\nwhat happened, without the guests' own words:\n{}",
            last_lines(&told, 80)
        )
    })?;
    Ok(events)
}

/// As [`ended_lost`], for a store that answers with errors: the ledger may end of itself at the first of them,
/// since it cannot know whether its write was made.
pub(crate) fn ended_without_the_store(ended: &Event) -> Result<()> {
    let own_accord = ended.job() == Some(LEDGER) && ended.outcome() == Some("retry");
    if own_accord {
        return no_late_call(ended);
    }
    ended_lost(ended)
}

/// Checks that a run ended for want of the lock, with no call admitted at or after its deadline.
pub(crate) fn ended_lost(ended: &Event) -> Result<()> {
    let outcome = ended.outcome();
    ensure!(outcome == Some("lost"), "the run was not lost: {ended}");
    no_late_call(ended)
}

fn no_late_call(ended: &Event) -> Result<()> {
    let deadline = ended
        .deadline_ns()
        .with_context(|| format!("no deadline in {ended}"))?;
    ensure!(
        ended.last_admitted_ns().is_none_or(|last| last < deadline),
        "a call was admitted after the deadline: {ended}"
    );
    Ok(())
}

//! Alerts that fire: three hosts with real faults, a real Prometheus, and the rules of `configs/monitoring`.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use leasehold_tests::binaries;
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::etcdctl::RunningEtcdctl;
use leasehold_tests::guests;
use leasehold_tests::host::HostProcess;
use leasehold_tests::ports::Port;
use leasehold_tests::prometheus::Prometheus;
use leasehold_tests::wait::eventually;
use rustix::process::Signal;

const PATIENCE: Duration = Duration::from_mins(1);
const HOSTS: [&str; 3] = ["web1", "web2", "web3"];

/// The rules, with alerts that fire after a second instead of minutes.
fn impatient_rules() -> Result<String> {
    let file = binaries::workspace().join("configs/monitoring/leasehold.rules.yml");
    let rules = std::fs::read_to_string(file)?;
    let lines = rules.lines().map(|line| match line.split_once("for: ") {
        Some((before, after)) if after.ends_with('m') => format!("{before}for: 1s\n"),
        _ => format!("{line}\n"),
    });
    Ok(lines.collect())
}

struct Scene {
    /// Holds the lock of the job `stuck`.
    foreign: RunningEtcdctl,
    etcd: Etcd,
    hosts: Vec<HostProcess>,
    ports: Vec<Port>,
    prometheus: Prometheus,
}

impl Scene {
    fn start() -> Result<Self> {
        let etcd = Etcd::start(Version::V3_5)?;
        let foreign = etcd.spawn_etcdctl(&["lock", "/leasehold/locks/stuck"])?;
        foreign.wait_line(PATIENCE, |line| line.contains("/stuck/"))?;
        let heartbeat = guests::heartbeat()?;
        let (mut hosts, mut ports) = (Vec::new(), Vec::new());
        for name in HOSTS {
            let port = Port::claim()?;
            let config = guests::config_for(name, &etcd)
                .host("listen", port.address().to_string())
                .store("request_timeout", "1s")
                .job("keeper", |job| {
                    job.plugin(&heartbeat).args(&["0", "50"]).ttl("5s")
                })
                .job("failing", |job| {
                    job.plugin(&heartbeat)
                        .args(&["nonsense"])
                        .restart("500ms", "500ms")
                })
                .job("stuck", |job| job.plugin(&heartbeat).args(&["0", "50"]));
            hosts.push(HostProcess::start(&config)?);
            ports.push(port);
        }
        let addresses: Vec<_> = ports.iter().map(Port::address).collect();
        let prometheus = Prometheus::start(&addresses, &impatient_rules()?)?;
        Ok(Self {
            foreign,
            etcd,
            hosts,
            ports,
            prometheus,
        })
    }

    /// Returns the place of the host that holds the lock of `job` after so many events of each host.
    fn holder(&self, job: &str, after: &[usize]) -> Result<usize> {
        eventually(PATIENCE, &format!("a holder of {job}"), || {
            let mut hosts = self.hosts.iter().zip(after);
            let found = hosts.position(|(host, after)| {
                let events = host.events();
                let mut later = events.iter().skip(*after);
                later.any(|event| event.is("acquired") && event.job() == Some(job))
            });
            found.context("none holds it")
        })
    }

    fn marks(&self) -> Vec<usize> {
        self.hosts.iter().map(HostProcess::mark).collect()
    }
}

#[test]
fn alerts_fire_for_the_faults_of_three_hosts() -> Result<()> {
    let mut scene = Scene::start()?;
    failed_run(&scene.prometheus)?;
    stuck_waiter(&mut scene)?;
    for early in [
        "LeaseholdHostDown",
        "LeaseholdStoreLost",
        "LeaseholdLockLost",
    ] {
        let firing = scene.prometheus.firing()?;
        ensure!(
            !firing.iter().any(|alert| alert.is(early, &[])),
            "{firing:?}"
        );
    }
    takeover(&scene)?;
    lost_store(&scene)
}

/// A job whose runs fail, and the sentence for the person on call.
fn failed_run(prometheus: &Prometheus) -> Result<()> {
    let labels = [("job_name", "failing"), ("outcome", "exit")];
    let failed = prometheus.wait_firing(PATIENCE, "LeaseholdRunFailed", &labels)?;
    let text = |key: &str| failed.annotations.get(key).map_or("", String::as_str);
    ensure!(
        text("summary").contains("A run of failing failed (exit), as web"),
        "{failed:?}"
    );
    ensure!(text("run") == "leasehold explain failing", "{failed:?}");
    Ok(())
}

/// The hosts wait behind a client that is no host, until that gives its lock back.
fn stuck_waiter(scene: &mut Scene) -> Result<()> {
    let labels = [("job_name", "stuck"), ("lock", "stuck")];
    let stuck = scene
        .prometheus
        .wait_firing(PATIENCE, "LeaseholdLockStuck", &labels)?;
    let run = stuck.annotations.get("run").map(String::as_str);
    ensure!(run == Some("leasehold explain stuck"), "{stuck:?}");
    scene.foreign.process().signal(Signal::INT)?;
    scene.holder("stuck", &[0; 3])?;
    scene
        .prometheus
        .wait_over(PATIENCE, "LeaseholdLockStuck", &labels)
}

/// The holder is frozen, so that another host goes on; when it thaws, it sees that its lock is lost.
fn takeover(scene: &Scene) -> Result<()> {
    let prometheus = &scene.prometheus;
    let at = scene.holder("keeper", &[0; 3])?;
    let (host, port) = (&scene.hosts[at], &scene.ports[at]);
    let marks = scene.marks();
    host.stop()?;
    let instance = port.address().to_string();
    let down = [("instance", instance.as_str())];
    prometheus.wait_firing(PATIENCE, "LeaseholdHostDown", &down)?;
    let next = scene.holder("keeper", &marks)?;
    ensure!(next != at, "the frozen host took its own lock");
    host.cont()?;
    let lost = [("job_name", "keeper"), ("host", HOSTS[at])];
    prometheus.wait_firing(PATIENCE, "LeaseholdLockLost", &lost)?;
    prometheus.wait_over(PATIENCE, "LeaseholdHostDown", &down)
}

/// The store answers nothing for a while.
fn lost_store(scene: &Scene) -> Result<()> {
    scene.etcd.pause()?;
    for host in HOSTS {
        let lost = [("host", host)];
        scene
            .prometheus
            .wait_firing(PATIENCE, "LeaseholdStoreLost", &lost)?;
    }
    scene.etcd.resume()?;
    scene
        .prometheus
        .wait_over(PATIENCE, "LeaseholdStoreLost", &[])
}

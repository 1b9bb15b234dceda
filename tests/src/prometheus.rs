//! A real Prometheus, with short intervals, that scrapes hosts and evaluates alert rules.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;
use tempfile::TempDir;

use crate::binaries;
use crate::http;
use crate::ports::Port;
use crate::process::Process;
use crate::wait::eventually;

/// Bound of a start.
const START: Duration = Duration::from_mins(1);

/// An alert that fires.
#[derive(Debug, Clone, Deserialize)]
pub struct Alert {
    /// Labels, with the name as `alertname`.
    pub labels: BTreeMap<String, String>,
    /// Texts for people.
    pub annotations: BTreeMap<String, String>,
    state: String,
}

impl Alert {
    /// True if it has this name and these labels.
    pub fn is(&self, name: &str, labels: &[(&str, &str)]) -> bool {
        let has = |key: &str, value: &str| self.labels.get(key).is_some_and(|found| found == value);
        has("alertname", name) && labels.iter().all(|(key, value)| has(key, value))
    }
}

#[derive(Deserialize)]
struct Reply {
    data: Alerts,
}

#[derive(Deserialize)]
struct Alerts {
    alerts: Vec<Alert>,
}

/// A running Prometheus. It ends when dropped.
#[derive(Debug)]
pub struct Prometheus {
    _process: Process,
    port: Port,
    _dir: TempDir,
}

impl Prometheus {
    /// Starts one that scrapes these hosts twice a second, with these rules.
    ///
    /// # Errors
    /// It is not installed, or does not start.
    pub fn start(hosts: &[SocketAddr], rules: &str) -> Result<Self> {
        let (port, dir) = (Port::claim()?, TempDir::new()?);
        let targets: Vec<String> = hosts.iter().map(|host| format!("\"{host}\"")).collect();
        let config = format!(
            "global: {{scrape_interval: 500ms, scrape_timeout: 400ms, evaluation_interval: 500ms}}\n\
             rule_files: [rules.yml]\n\
             scrape_configs: [{{job_name: leasehold, static_configs: [{{targets: [{}]}}]}}]\n",
            targets.join(", ")
        );
        fs::write(dir.path().join("prometheus.yml"), config)?;
        fs::write(dir.path().join("rules.yml"), rules)?;
        let log = fs::File::create(dir.path().join("log"))?;
        let mut command = Command::new(binaries::prometheus("prometheus")?);
        command
            .arg("--config.file=prometheus.yml")
            .arg("--storage.tsdb.path=data")
            .arg(format!("--web.listen-address={}", port.address()))
            .current_dir(dir.path())
            .stdout(Stdio::null())
            .stderr(log);
        let process = Process::spawn("prometheus", &mut command)?;
        let started = Self {
            _process: process,
            port,
            _dir: dir,
        };
        eventually(START, "Prometheus to start", || {
            let answer = http::get(started.port.address(), "/-/ready")?;
            ensure!(answer.status == 200, "{answer:?}");
            Ok(())
        })?;
        Ok(started)
    }

    /// Returns the alerts that fire.
    ///
    /// # Errors
    /// It does not answer.
    pub fn firing(&self) -> Result<Vec<Alert>> {
        let answer = http::get(self.port.address(), "/api/v1/alerts")?;
        let reply: Reply = serde_json::from_str(&answer.body).context("the alerts")?;
        let alerts = reply.data.alerts.into_iter();
        Ok(alerts.filter(|alert| alert.state == "firing").collect())
    }

    /// Waits until an alert of this name and labels fires.
    ///
    /// # Errors
    /// It does not fire in time.
    pub fn wait_firing(
        &self,
        patience: Duration,
        name: &str,
        labels: &[(&str, &str)],
    ) -> Result<Alert> {
        eventually(patience, &format!("the alert {name} {labels:?}"), || {
            let firing = self.firing()?;
            match firing.iter().find(|alert| alert.is(name, labels)) {
                Some(alert) => Ok(alert.clone()),
                None => bail!("others fire: {firing:?}"),
            }
        })
    }

    /// Waits until no alert of this name and labels fires.
    ///
    /// # Errors
    /// It goes on firing.
    pub fn wait_over(&self, patience: Duration, name: &str, labels: &[(&str, &str)]) -> Result<()> {
        eventually(patience, &format!("the end of {name} {labels:?}"), || {
            let firing = self.firing()?;
            let is_over = !firing.iter().any(|alert| alert.is(name, labels));
            ensure!(is_over, "it fires");
            Ok(())
        })
    }
}

//! Requests that scenarios send to a server as its operator: revisions, queues, leases, tokens and metrics.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{Etcd, RUNNER, builder};
use crate::wait::eventually;

impl Etcd {
    /// The store's current revision.
    ///
    /// # Errors
    /// The server does not answer.
    pub fn revision(&self) -> Result<u64> {
        self.header("revision")
    }

    /// The cluster's id, by which clients recognize another store at the same address.
    ///
    /// # Errors
    /// The server does not answer.
    pub fn cluster_id(&self) -> Result<u64> {
        self.header("cluster_id")
    }

    fn header(&self, field: &str) -> Result<u64> {
        let answer = self.etcdctl(&["get", "no-such-key", "-w", "json"])?;
        let answer: Value = serde_json::from_str(&answer).context("reading etcdctl's answer")?;
        answer["header"][field]
            .as_u64()
            .with_context(|| format!("etcdctl's answer has no {field}"))
    }

    /// Compacts everything before the current revision, and returns that revision.
    ///
    /// # Errors
    /// The server refuses, or it is compacted there already.
    pub fn compact(&self) -> Result<u64> {
        let revision = self.revision()?;
        self.etcdctl(&["compact", &revision.to_string()])?;
        Ok(revision)
    }

    /// The direct and deeper keys under `prefix`, oldest first: a lock's queue, its holder in front.
    ///
    /// # Errors
    /// The server does not answer.
    pub fn queue(&self, prefix: &str) -> Result<Vec<String>> {
        let keys = self.etcdctl(&[
            "get",
            prefix,
            "--prefix",
            "--keys-only",
            "--sort-by=CREATE",
            "--order=ASCEND",
        ])?;
        Ok(keys
            .lines()
            .filter(|line| !line.is_empty())
            .map(str::to_owned)
            .collect())
    }

    /// Revokes a lease, named in hexadecimal as the last part of a lock key is.
    ///
    /// # Errors
    /// There is no such lease.
    pub fn revoke(&self, lease: &str) -> Result<()> {
        self.etcdctl(&["lease", "revoke", lease]).map(drop)
    }

    /// Makes every login token of [`RUNNER`] invalid, as if it had expired, without touching the password.
    ///
    /// Clients then meet `invalid auth token`. In a server started with a token lifetime they meet `revision of
    /// auth store is old` (3.4) or `revision in header is old` (3.5, with an unspecific code). It sets the
    /// unchanged password again, upon which both versions drop a user's tokens.
    ///
    /// # Errors
    /// The server was started without users or does not answer.
    pub fn expire_tokens(&self) -> Result<()> {
        ensure!(
            self.security.users,
            "there are no tokens to expire: start etcd with users()"
        );
        builder::set_password(self, RUNNER)
    }

    /// Metrics of the first node, in Prometheus' text format.
    ///
    /// # Errors
    /// The node does not answer.
    pub fn metrics(&self) -> Result<String> {
        self.nodes[0].http_get("/metrics")
    }

    /// The sum of a metric of the first node over the label sets whose text contains `labels`.
    ///
    /// # Errors
    /// The node does not answer.
    pub fn metric(&self, name: &str, labels: &str) -> Result<f64> {
        Ok(sum_metric(&self.metrics()?, name, labels))
    }

    /// Waits until a key exists under `prefix`, and returns the first.
    ///
    /// # Errors
    /// None came in time.
    pub fn wait_holder(&self, prefix: &str, timeout: Duration) -> Result<String> {
        let what = format!("a key under {prefix}");
        eventually(timeout, &what, || {
            self.queue(prefix)?
                .into_iter()
                .next()
                .context("there is none")
        })
    }
}

fn sum_metric(text: &str, name: &str, labels: &str) -> f64 {
    let samples = text.lines().filter_map(|line| {
        let (key, value) = line.rsplit_once(' ')?;
        let (found, set) = key.split_once('{').unwrap_or((key, ""));
        (found == name && set.contains(labels)).then(|| value.parse::<f64>().ok())?
    });
    samples.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_summed_over_its_matching_label_sets_only() {
        let text = "# HELP n\nn{m=\"Txn\",c=\"OK\"} 3\nn{m=\"Txn\",c=\"Bad\"} 2\nn{m=\"Range\"} 7\nnn 100\nplain 1.5\n";
        assert!((sum_metric(text, "n", "m=\"Txn\"") - 5.0).abs() < f64::EPSILON);
        assert!((sum_metric(text, "plain", "") - 1.5).abs() < f64::EPSILON);
        assert!(sum_metric(text, "absent", "").abs() < f64::EPSILON);
    }
}

//! Waiting until the hosts show in their records that they have seen an order.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use leasehold_records::JobRecord;

use super::OrderDesk;
use crate::failure::Failure;
use crate::sink;

/// Longest wait for the hosts.
const PATIENCE: Duration = Duration::from_secs(5);
/// Time between two readings.
const PAUSE: Duration = Duration::from_millis(100);

/// The jobs concerned by an order, as their hosts showed them last.
pub(crate) struct SeenOrder {
    pub(crate) jobs: Vec<JobRecord>,
    /// Hosts that have not shown it.
    unseen: BTreeSet<String>,
}

impl SeenOrder {
    /// Waits until every host that shows a job of these has seen the order, or for a few seconds.
    pub(crate) async fn wait(
        desk: &OrderDesk,
        job: Option<&str>,
        is_concerned: impl Fn(&JobRecord) -> bool,
        has_seen: impl Fn(&JobRecord) -> bool,
    ) -> Result<Self, Failure> {
        let began = Instant::now();
        loop {
            let mut jobs = desk.jobs(job).await?;
            jobs.retain(&is_concerned);
            let unseen = jobs.iter().filter(|job| !has_seen(job));
            let unseen: BTreeSet<String> = unseen.map(|job| job.host.clone()).collect();
            if unseen.is_empty() || began.elapsed() >= PATIENCE {
                return Ok(Self { jobs, unseen });
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Returns the hosts concerned, in order.
    pub(crate) fn hosts(&self) -> Vec<String> {
        let hosts: BTreeSet<&String> = self.jobs.iter().map(|job| &job.host).collect();
        hosts.into_iter().cloned().collect()
    }

    /// Warns of hosts that have not shown the order.
    pub(crate) fn warn(&self) {
        if self.unseen.is_empty() {
            return;
        }
        let hosts: Vec<&str> = self.unseen.iter().map(String::as_str).collect();
        sink::print_warning(&format!(
            "warning: not seen within {} s by {}: it cannot reach the store, may not read the orders, or is of an \
             earlier version\n",
            PATIENCE.as_secs(),
            hosts.join(", ")
        ));
    }
}

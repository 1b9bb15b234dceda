//! Waiting until the hosts show in their records that they have seen an order.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use leasehold_records::JobRecord;

use crate::desk::OrderDesk;
use crate::error::OrderError;
use crate::report::OrderReport;

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
    /// Waits until every host that shows a job of these has seen the order, which is written, or for a few seconds.
    pub(crate) async fn wait(
        desk: &OrderDesk,
        job: Option<&str>,
        is_concerned: impl Fn(&JobRecord) -> bool,
        has_seen: impl Fn(&JobRecord) -> bool,
    ) -> Result<Self, OrderError> {
        let began = Instant::now();
        loop {
            let jobs = desk.jobs(job).await;
            let mut jobs = jobs.map_err(OrderError::after_writing)?;
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

    /// Returns the report of an order with this result, and a warning about hosts that have not shown the order.
    pub(crate) fn report(&self, sentence: String) -> OrderReport {
        let hosts: Vec<&str> = self.unseen.iter().map(String::as_str).collect();
        let warning = (!hosts.is_empty()).then(|| {
            format!(
                "not seen within {} s by {}: it cannot reach the store, may not read the orders, or is of an earlier \
                 version",
                PATIENCE.as_secs(),
                hosts.join(", ")
            )
        });
        OrderReport { sentence, warning }
    }
}

//! Ending the run of a job: the request, and the wait for its end.

use std::time::{Duration, Instant};

use leasehold_lock::{Batch, Token};
use leasehold_records::{AdminAction, StopKind};

use crate::desk::OrderDesk;
use crate::error::OrderError;
use crate::held_run::{HeldRun, add_requests, find_runs};

/// Longest wait for the end of the run; its grace time may be longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// Time between two readings.
const PAUSE: Duration = Duration::from_millis(100);

/// The run to end.
#[derive(Clone, Copy, Debug)]
pub struct RunEndOrder<'a> {
    /// The job.
    pub job: &'a str,
    /// Only the run on this host.
    pub host: Option<&'a str>,
}

impl RunEndOrder<'_> {
    /// Finds the runs to end.
    pub(crate) async fn find_running(self, desk: &OrderDesk) -> Result<Vec<HeldRun>, OrderError> {
        find_runs(desk, Some(self.job), self.host).await
    }

    /// Asks these runs to end.
    pub(crate) async fn request(
        self,
        desk: &OrderDesk,
        running: &[HeldRun],
        kind: StopKind,
    ) -> Result<(), OrderError> {
        let Some(first) = running.first() else {
            return Ok(());
        };
        let job = self.job;
        let mut batch = Batch::default();
        add_requests(desk, running, kind, &mut batch).await?;
        let mut action = desk.action(match kind {
            StopKind::Stop => AdminAction::Stop,
            StopKind::Restart => AdminAction::Restart,
        });
        action.job = Some(job.to_owned());
        action.host = self.host.map(ToOwned::to_owned);
        let key = desk.root().stop_request(job, first.token);
        let (_, revision) = desk.read(&key).await?;
        if !desk.commit((&key, revision), batch, &action).await? {
            return Err(OrderError::overtaken(&format!("the run of {job}")));
        }
        Ok(())
    }

    /// States that there is nothing to end.
    pub(crate) fn nothing_runs(self) -> String {
        let job = self.job;
        match self.host {
            Some(host) => format!("{job} does not run on {host}; nothing was changed"),
            None => format!("{job} does not run on any host; nothing was changed"),
        }
    }
}

/// Waits until these runs have ended, but not for long. Returns those that go on.
pub(crate) async fn wait_for_end(
    desk: &OrderDesk,
    running: &[HeldRun],
) -> Result<Vec<HeldRun>, OrderError> {
    let began = Instant::now();
    let mut left = running.to_vec();
    loop {
        let mut still = Vec::new();
        for run in left {
            let entry = desk.read(&run.key).await;
            let (entry, _) = entry.map_err(OrderError::after_writing)?;
            if entry.is_some_and(|entry| Token::from(entry.create_revision) == run.token) {
                still.push(run);
            }
        }
        left = still;
        if left.is_empty() || began.elapsed() >= PATIENCE {
            return Ok(left);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

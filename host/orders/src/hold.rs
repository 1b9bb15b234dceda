//! Writing a hold, such as a pause or a drain, with requests to end the runs that it concerns.
//!
//! A run may start after the runs were read and before its host has seen the hold. So they are read once more then.

use leasehold_lock::{Batch, Revision};
use leasehold_records::{AdminActionRecord, JobRecord, StopKind};

use crate::desk::OrderDesk;
use crate::error::OrderError;
use crate::held_run::{HeldRun, add_requests, find_runs};
use crate::seen::SeenOrder;
use crate::sentence::list_runs;

/// A hold to write.
pub(crate) struct HoldOrder<'a> {
    /// The key of its record, and the revision of that key's last change.
    pub(crate) key: (&'a str, Revision),
    /// The hold, as in `the pause of ledger`.
    pub(crate) name: String,
    /// The only job and the only host that it concerns.
    pub(crate) job: Option<&'a str>,
    pub(crate) host: Option<&'a str>,
    /// True if the runs under way are to end.
    pub(crate) stop: bool,
}

/// Runs that a hold concerns, once the hosts have seen it.
#[derive(Debug, Default)]
pub(crate) struct ConcernedRuns {
    pub(crate) under_way: Vec<HeldRun>,
    /// Runs that were asked to end; some may have ended.
    pub(crate) asked: Vec<HeldRun>,
}

impl HoldOrder<'_> {
    /// Writes the hold and the requests, and waits until the hosts have seen them.
    pub(crate) async fn write(
        &self,
        desk: &OrderDesk,
        mut batch: Batch,
        action: &AdminActionRecord,
        has_seen: impl Fn(&JobRecord) -> bool,
    ) -> Result<(SeenOrder, ConcernedRuns), OrderError> {
        let mut runs = ConcernedRuns::default();
        if self.stop {
            runs.asked = find_runs(desk, self.job, self.host).await?;
            add_requests(desk, &runs.asked, StopKind::Stop, &mut batch).await?;
        }
        if !desk.commit(self.key, batch, action).await? {
            return Err(OrderError::overtaken(&self.name));
        }
        let is_concerned = |job: &JobRecord| self.host.is_none_or(|host| job.host == host);
        let seen = SeenOrder::wait(desk, self.job, is_concerned, has_seen).await?;
        let under_way = find_runs(desk, self.job, self.host).await;
        runs.under_way = under_way.map_err(OrderError::after_writing)?;
        let late = runs.unasked();
        if self.stop && !late.is_empty() {
            let mut batch = Batch::default();
            add_requests(desk, &late, StopKind::Stop, &mut batch).await?;
            desk.write(batch).await?;
            runs.asked.extend(late);
        }
        Ok((seen, runs))
    }
}

// A run is known by its token: the next one on the same host may have the same key.
impl ConcernedRuns {
    fn unasked(&self) -> Vec<HeldRun> {
        let is_asked = |run: &HeldRun| self.asked.iter().any(|asked| asked.token == run.token);
        let unasked = self.under_way.iter().filter(|run| !is_asked(run));
        unasked.cloned().collect()
    }

    /// Describes the runs as the end of a sentence. `None` if there are none.
    pub(crate) fn describe(&self) -> Option<String> {
        let is_under_way = |run: &HeldRun| self.under_way.iter().any(|now| now.token == run.token);
        let (asked, ended): (Vec<HeldRun>, Vec<HeldRun>) =
            self.asked.iter().cloned().partition(is_under_way);
        let parts = [
            (asked, "was asked to stop, and has its grace time"),
            (ended, "was asked to stop and has ended"),
            (self.unasked(), "goes on to its end (--stop would end it)"),
        ];
        let parts = parts.iter().filter(|(runs, _)| !runs.is_empty());
        let parts: Vec<String> = parts
            .map(|(runs, what)| format!("{} {what}", list_runs(runs)))
            .collect();
        (!parts.is_empty()).then(|| parts.join("; "))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use leasehold_lock::Token;
    use leasehold_records::UnixMs;

    use super::*;

    pub(crate) fn run(token: u64) -> HeldRun {
        HeldRun {
            job: "ledger".into(),
            host: "web1".into(),
            key: "/leasehold/locks/billing/7b".into(),
            token: Token::new(token),
            since: UnixMs::new(0),
        }
    }

    #[test]
    fn run_of_the_last_look_is_asked_once() {
        let runs = ConcernedRuns {
            under_way: vec![run(42), run(43)],
            asked: vec![run(41), run(42)],
        };
        assert_eq!(runs.unasked(), [run(43)]);
        insta::assert_snapshot!(
            runs.describe().unwrap(),
            @"ledger on web1 (token 42) was asked to stop, and has its grace time; ledger on web1 (token 41) was asked to stop and has ended; ledger on web1 (token 43) goes on to its end (--stop would end it)"
        );
        assert_eq!(ConcernedRuns::default().describe(), None);
    }
}

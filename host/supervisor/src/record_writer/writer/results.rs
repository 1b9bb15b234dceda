//! Results of the writer's pieces of work.

use leasehold_lock::{LeaseId, RefusalKind, Revision, StoreError};
use leasehold_records::{RunRecord, printable};
use tokio::time::Instant;

use super::{SWEEP_EVERY, WorkResult, Writer};
use crate::record_writer::abandoned::log_abandoned;
use crate::record_writer::history::{self, HistoryFindings, HistoryVisit};
use crate::record_writer::outbox::WriteBatch;

impl Writer {
    pub(super) fn done(&mut self, done: WorkResult) {
        let now = Instant::now();
        match done {
            WorkResult::WriteBatch(load, lease, written) => {
                self.lanes -= 1;
                self.load_done(load, lease, written, now);
            }
            WorkResult::Lease(facts) => {
                self.lease.is_asked = false;
                self.lease.look_at = now + self.lease.every;
                match facts {
                    Ok(facts) => self.lease_known(&facts, now),
                    Err(error) => tracing::debug!(%error, "no lease for standing records"),
                }
            }
            WorkResult::Looked(looks) => self.looked(looks, now),
            WorkResult::CutOff(run, written) => {
                if matches!(written, Ok(true))
                    && let Ok(record) = RunRecord::from_json(&run.json)
                {
                    log_abandoned(&self.event_log, &record);
                }
                let failed = written.err().filter(|_| !self.is_closing);
                self.cut_off.ended(failed.as_ref().map(|_| run));
                if let Some(error) = failed {
                    tracing::debug!(%error, "cannot record the cut-off run of another host");
                    self.not_before = now + self.backoff.next();
                }
            }
            WorkResult::Swept(swept) => {
                self.sweep_at = Some(now + SWEEP_EVERY.mul_f64(0.75 + 0.25 * fastrand::f64()));
                match swept {
                    Ok(jobs) => {
                        for job in jobs {
                            let job = printable::line(&job);
                            tracing::info!(%job, "deleted the old runs of a job that no host has");
                        }
                    }
                    Err(error) => {
                        tracing::debug!(%error, "cannot search for runs of jobs that no host has");
                    }
                }
            }
            WorkResult::Ended(run, written) => {
                if matches!(written, Ok(true)) {
                    log_abandoned(&self.event_log, &run.record);
                }
                let failed = written.err().filter(|_| !self.is_closing);
                self.unended.written(failed.as_ref().map(|_| *run), now);
                if let Some(error) = failed {
                    tracing::debug!(%error, "cannot record the end of another host's run");
                    self.not_before = now + self.backoff.next();
                }
            }
            WorkResult::Trimmed(visits, trimmed) => {
                self.is_visiting = false;
                if let Err(error) = trimmed {
                    tracing::debug!(%error, "cannot tidy up the history of runs");
                    for visit in visits {
                        self.histories.repeat(visit, now);
                    }
                }
            }
        }
    }

    fn load_done(
        &mut self,
        load: WriteBatch,
        lease: LeaseId,
        written: Result<Revision, StoreError>,
        now: Instant,
    ) {
        let Err(error) = written else {
            self.backoff.reset();
            self.failure = None;
            for (key, mark, bytes) in self.outbox.written(load) {
                self.histories.wrote(&mark.job, key.clone(), bytes);
                if mark.is_first {
                    self.histories.ran(key, mark, now);
                }
            }
            return;
        };
        tracing::debug!(%error, "cannot write records");
        match &error {
            StoreError::Refused {
                kind: RefusalKind::LeaseNotFound,
                ..
            } if load.is_leased() => {
                // Every standing record was deleted with the lease.
                self.outbox.failed(load);
                self.not_before = now + self.backoff.next();
                if self.lease.current == Some(lease) {
                    self.lease_ended(lease, now);
                }
                return;
            }
            StoreError::Refused {
                kind: RefusalKind::Invalid,
                message,
            } => {
                if load.is_single() {
                    tracing::warn!(
                        "the store refused the record {}: {message}; it is left out",
                        load.first_key()
                    );
                    self.outbox.give_up(load);
                } else {
                    self.outbox.refused(load);
                }
                return;
            }
            _ => self.outbox.failed(load),
        }
        self.failure = Some(error.to_string());
        self.not_before = now + self.backoff.next();
        // The host ends, so there is no time to wait until the store accepts what it refuses.
        self.is_given_up = self.is_closing && !error.is_unknown();
    }

    fn looked(
        &mut self,
        looks: Vec<(HistoryVisit, Result<HistoryFindings, StoreError>)>,
        now: Instant,
    ) {
        self.is_visiting = false;
        let (mut visits, mut findings) = (Vec::new(), Vec::new());
        for (visit, found) in looks {
            match found {
                Ok(mut found) => {
                    if let Some((run, success)) = found.failed_elsewhere(self.event_log.host()) {
                        self.event_log.failed_elsewhere(run, success);
                    }
                    self.histories.left_open(&visit, &found, now);
                    for run in found.take_unended() {
                        if !self.outbox.has(&run.key) {
                            self.unended.note(run, now);
                        }
                    }
                    if found.has_surplus() {
                        visits.push(visit);
                        findings.push(found);
                    }
                }
                Err(error) => {
                    tracing::debug!(%error, "cannot read the history of runs");
                    self.histories.repeat(visit, now);
                }
            }
        }
        if !findings.is_empty() {
            self.is_visiting = true;
            let kv = self.kv.clone();
            self.begin(
                async move { WorkResult::Trimmed(visits, history::trim(kv, findings).await) },
            );
        }
    }
}

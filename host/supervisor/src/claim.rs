//! Claims on host ids: one process holds an id, and the store decides which.
//!
//! ```text
//!  no claim, or one of a process here that has ended  ──▶ taken at once
//!  a living process on the same data directory        ──▶ this one gets a name of its own: web1.2
//!  anything else: its lease ends meanwhile            ──▶ taken;   it is renewed ──▶ refused
//! ```
//!
//! A claim is a record under the host's lease, written by transactions that compare it. It protects records and
//! names, never a lock: once the host has started, this file decides nothing about guests.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use leasehold_lock::{Backoff, KeyValue, LeaseId, Locks, Revision, StoreError};
use leasehold_records::{IdRecord, Root, printable};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use crate::end::HostError;
use crate::event::{EventContext, EventKind};
use crate::event_log::EventLog;
use crate::identity::{ClaimRelation, HostIdentity};
use leasehold_config::wall::UnixMs;

/// Number of names tried for one id, so that an error cannot use up all names.
const MOST_NAMES: u32 = 100;
/// Pause between two readings of a lease that may end.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Time beyond its TTL after which a lease that is not renewed has ended.
const OVERDUE: Duration = Duration::from_secs(2);

/// Next step towards an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ClaimStep {
    /// This process holds the id already.
    Has,
    /// Write the claim over the record that was read.
    Take,
    /// Try the same id with the next number.
    NextName,
    /// Wait for the end of its lease, which shows if the holder is alive.
    Wait,
}

fn step(relation: Option<ClaimRelation>, is_numbered: bool) -> ClaimStep {
    match relation {
        Some(ClaimRelation::Own) => ClaimStep::Has,
        None | Some(ClaimRelation::Ended) => ClaimStep::Take,
        Some(ClaimRelation::Sibling) => ClaimStep::NextName,
        Some(ClaimRelation::Foreign) if is_numbered => ClaimStep::NextName,
        Some(ClaimRelation::Foreign) => ClaimStep::Wait,
    }
}

/// Returns the id under this number: the first is the id itself.
fn numbered(id: &str, number: u32) -> String {
    match number {
        1 => id.to_owned(),
        _ => format!("{id}.{number}"),
    }
}

/// Describes the holder in a record, for people.
fn holder(record: Option<&IdRecord>) -> String {
    record.map_or_else(
        || "a process without a readable record".to_owned(),
        |record| {
            let since =
                SystemTime::UNIX_EPOCH + Duration::from_millis(record.since_unix_ms.as_u64());
            printable::line(&format!(
                "pid {} on machine {}, since {}",
                record.pid,
                record.machine,
                humantime::format_rfc3339_seconds(since)
            ))
        },
    )
}

/// Access to the store, as a claim needs it.
#[derive(Clone)]
pub(crate) struct IdClaim {
    pub(crate) locks: Locks,
    pub(crate) root: Root,
    pub(crate) identity: Arc<HostIdentity>,
    /// TTL of the lease that carries the claim.
    pub(crate) ttl: Duration,
    pub(crate) event_log: EventLog,
}

/// A record as it was read, with its key in the store.
struct ReadClaim {
    found: Option<KeyValue>,
    record: Option<IdRecord>,
    relation: Option<ClaimRelation>,
}

impl ReadClaim {
    fn revision(&self) -> Revision {
        self.found
            .as_ref()
            .map_or(Revision::NONE, |found| found.mod_revision)
    }

    fn lease(&self) -> LeaseId {
        self.found
            .as_ref()
            .map_or(LeaseId::NONE, |found| found.lease)
    }
}

impl IdClaim {
    /// Takes the id, or a numbered one beside a living process on the same data directory. Goes on trying while the
    /// store does not answer.
    ///
    /// # Errors
    ///
    /// Another host has the id, or the store refuses.
    pub(crate) async fn take(&self, id: &str) -> Result<String, HostError> {
        let mut first = None;
        for number in 1..=MOST_NAMES {
            let name = numbered(id, number);
            match self.take_name(id, &name).await? {
                None => {
                    if let Some(holder) = first {
                        let (id, name) = (id.to_owned(), name.clone());
                        let taken = EventKind::IdTaken { id, name, holder };
                        self.event_log.emit(EventContext::default(), taken);
                    }
                    return Ok(name);
                }
                Some(holder) => {
                    first.get_or_insert(holder);
                }
            }
        }
        Err(HostError::IdHeld(format!(
            "host id {id} and {id}.2 to {id}.{MOST_NAMES} are all held by processes on this data directory\n  \
             = help: stop some of them, or set another `id` and `data_dir` in [host]"
        )))
    }

    /// Takes this name. Returns the holder, if a living process on the same data directory has it.
    async fn take_name(&self, id: &str, name: &str) -> Result<Option<String>, HostError> {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
        loop {
            match self.try_name(id, name).await {
                Ok(Some(taken)) => return taken,
                Ok(None) => {}
                Err(error @ (StoreError::Unknown(_) | StoreError::TooLarge(_))) => {
                    tracing::debug!(%error, name, "the host's id is not taken yet");
                    tokio::time::sleep(backoff.next()).await;
                }
                Err(error @ StoreError::Refused { .. }) => {
                    return Err(HostError::ClaimRefused {
                        name: name.to_owned(),
                        key: self.root.id(name),
                        error,
                    });
                }
            }
        }
    }

    /// Makes one attempt at this name. Returns `None` when it must be read again.
    async fn try_name(
        &self,
        id: &str,
        name: &str,
    ) -> Result<Option<Result<Option<String>, HostError>>, StoreError> {
        let read = self.read(name).await?;
        Ok(match step(read.relation, name != id) {
            ClaimStep::Has => Some(Ok(None)),
            ClaimStep::Take => self.put(name, &read).await?.then_some(Ok(None)),
            ClaimStep::NextName => Some(Ok(Some(holder(read.record.as_ref())))),
            ClaimStep::Wait => {
                let holder = holder(read.record.as_ref());
                let busy = EventKind::IdBusy {
                    id: name.to_owned(),
                    holder: holder.clone(),
                };
                self.event_log.emit(EventContext::default(), busy);
                if self.ends(name, &read).await? {
                    None
                } else {
                    Some(Err(self.refusal(name, &holder)))
                }
            }
        })
    }

    fn refusal(&self, name: &str, holder: &str) -> HostError {
        HostError::IdHeld(format!(
            "host id {name} is held by {holder}, with a data directory that is not this one; nothing was \
                 started, because the records of two hosts with one id overwrite each other\n  \
                 = help: set another `id` in [host] here, or stop that host; its claim is the key {}",
            self.root.id(name)
        ))
    }

    async fn read(&self, name: &str) -> Result<ReadClaim, StoreError> {
        let found = self.locks.kv().get(&self.root.id(name)).await?;
        let record = found
            .as_ref()
            .and_then(|found| IdRecord::from_json(&found.value).ok());
        let relation = found.as_ref().map(|_| match &record {
            Some(record) => self.identity.relation(record),
            None => ClaimRelation::Foreign,
        });
        Ok(ReadClaim {
            found,
            record,
            relation,
        })
    }

    /// Writes the claim over the record that was read. Returns false when that has changed meanwhile.
    async fn put(&self, name: &str, over: &ReadClaim) -> Result<bool, StoreError> {
        let lease = self.locks.lease(self.ttl).await?;
        let record = self
            .identity
            .record(name, UnixMs::from_system(SystemTime::now()))
            .to_json();
        let kv = self.locks.kv();
        kv.compare_and_put_leased(&self.root.id(name), over.revision(), &record, lease)
            .await
    }

    /// Waits until the claim is deleted or changes. Returns false when its lease is renewed, or does not end in
    /// time.
    async fn ends(&self, name: &str, read: &ReadClaim) -> Result<bool, StoreError> {
        let began = Instant::now();
        let mut left_before = u64::MAX;
        while let Some((left, granted)) = match read.lease() {
            LeaseId::NONE => None,
            lease => self.locks.lease_ttl(lease).await?,
        } {
            let overdue = Duration::from_secs(granted) + OVERDUE;
            if left > left_before || began.elapsed() > overdue {
                return Ok(false);
            }
            left_before = left;
            tokio::time::sleep(LOOK_EVERY).await;
        }
        // A record without a lease stays: an operator wrote it.
        Ok(self.read(name).await?.revision() != read.revision())
    }

    /// Keeps the claim on `name` with each new lease, until the host ends.
    pub(crate) fn keep(self, name: String) -> AbortOnDropHandle<()> {
        AbortOnDropHandle::new(tokio::spawn(async move {
            let mut store = self.locks.connectivity();
            let mut has = true;
            loop {
                tokio::select! {
                    () = tokio::time::sleep(self.ttl / 2) => {}
                    changed = store.changed() => if changed.is_err() { return },
                }
                match self.renew(&name).await {
                    Ok(holder) => {
                        let id = name.clone();
                        match (&holder, has) {
                            (Some(holder), true) => {
                                let holder = holder.clone();
                                let lost = EventKind::IdLost { id, holder };
                                self.event_log.emit(EventContext::default(), lost);
                            }
                            (None, false) => {
                                let regained = EventKind::IdRegained { id };
                                self.event_log.emit(EventContext::default(), regained);
                            }
                            (Some(_), false) | (None, true) => {}
                        }
                        has = holder.is_none();
                    }
                    Err(error) => {
                        tracing::debug!(%error, "the claim on the host's id is not renewed");
                    }
                }
            }
        }))
    }

    /// Writes the claim again if its lease has ended. Returns the holder, if another process has it.
    async fn renew(&self, name: &str) -> Result<Option<String>, StoreError> {
        let read = self.read(name).await?;
        let is_ours = match read.relation {
            Some(ClaimRelation::Own) => {
                let lease = self.locks.lease(self.ttl).await?;
                read.lease() == lease || self.put(name, &read).await?
            }
            None | Some(ClaimRelation::Ended) => self.put(name, &read).await?,
            Some(ClaimRelation::Sibling | ClaimRelation::Foreign) => false,
        };
        Ok((!is_ours).then(|| holder(read.record.as_ref())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_taken_numbered_or_waited_for_by_who_has_it() {
        let table = [
            (None, ClaimStep::Take, ClaimStep::Take),
            (Some(ClaimRelation::Own), ClaimStep::Has, ClaimStep::Has),
            (Some(ClaimRelation::Ended), ClaimStep::Take, ClaimStep::Take),
            (
                Some(ClaimRelation::Sibling),
                ClaimStep::NextName,
                ClaimStep::NextName,
            ),
            (
                Some(ClaimRelation::Foreign),
                ClaimStep::Wait,
                ClaimStep::NextName,
            ),
        ];
        for (relation, first, later) in table {
            assert_eq!(step(relation, false), first, "{relation:?}");
            assert_eq!(step(relation, true), later, "{relation:?}");
        }
        assert_eq!(numbered("web1", 1), "web1");
        assert_eq!(numbered("web1", 2), "web1.2");
    }

    #[test]
    fn the_holder_is_named_in_printable_words() {
        let record = IdRecord {
            host: "web1".into(),
            instance: "0".into(),
            life: "1".into(),
            machine: "db\u{1b}[31m1".into(),
            pid: 4711,
            since_unix_ms: UnixMs::new(1_790_000_000_000),
        };
        let text = holder(Some(&record));
        assert!(text.starts_with("pid 4711 on machine db"), "{text}");
        assert!(text.ends_with("since 2026-09-21T14:13:20Z"), "{text}");
        assert!(!text.contains('\u{1b}'), "{text}");
    }
}

//! Waiting for the lock with all that a run needs on this host, and logging who holds it.
//!
//! The queue shows the key of the holder's entry; the log shows a name as well. The name is read only when the wait
//! is long or over, so that it delays no hand-off. No grant is kept in this file.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use leasehold_lock::{Acquire, AcquireError, Grant, LockPlace, LockWait};
use leasehold_records::HolderRecord;
use tokio::sync::watch;

use super::context::JobContext;
use super::held_lock::HeldLock;
use super::machine::AcquireMiss;
use super::provision::{ProvisionReserve, RunProvisions};
use super::task::TaskResult;
use super::work;
use crate::event::EventKind;
use crate::record_writer::text;
use leasehold_config::wall::UnixMs;
use leasehold_config::{MOST_JOB_LOCKS, Wait};

// Each set of locks that a configuration allows can be taken.
const _: () = assert!(MOST_JOB_LOCKS == leasehold_lock::lock_set::MOST_LOCKS);

/// Wait behind the same holder after which the holder's name is logged.
const LONG: Duration = Duration::from_secs(1);
/// Time limit for reading a holder's name from the store.
const PATIENCE: Duration = Duration::from_secs(1);

/// Gets what a run needs, and then waits for the lock.
pub(crate) async fn acquire(context: Arc<JobContext>, had: Option<RunProvisions>) -> TaskResult {
    let provisions = async {
        match had {
            Some(had) => had.renew(&context).await,
            None => RunProvisions::get_soon(&context).await,
        }
    };
    if let Some(lack) = context.control.lack(&context.name) {
        return TaskResult::Missed(AcquireMiss::Lacks(lack));
    }
    let provisions = tokio::select! {
        () = context.cancel.cancelled() => return TaskResult::Missed(AcquireMiss::Cancelled),
        provisions = provisions => provisions,
    };
    let reserve = match provisions {
        Ok(provisions) => ProvisionReserve::new(provisions),
        Err(lack) => return TaskResult::Missed(AcquireMiss::Lacks(lack)),
    };
    let holder = HolderRecord {
        host: text(&context.host),
        job: text(&context.name),
        pid: std::process::id(),
        since_unix_ms: UnixMs::from_system(SystemTime::now()),
    };
    let locks = context.job.locks().iter();
    let locks = locks.map(|lock| (context.root.lock(lock.name()), lock.mode()));
    let request = Acquire::all(locks)
        .value(holder.to_json())
        .ttl(context.job.ttl())
        .stop_margin(context.job.stop_margin())
        .wait(match context.job.wait() {
            Wait::Forever => LockWait::Forever,
            Wait::AtMost(most) => LockWait::AtMost(most),
            Wait::Never => LockWait::Never,
        });
    let (places, place) = watch::channel(None);
    let about = context.event_context();
    let waiting = context.locks.acquire_reporting(request, |place| {
        let waits = EventKind::Waiting {
            place: place.ahead,
            holder: place.holder.clone(),
        };
        context.event_log.emit(about.clone(), waits);
        // The job is queued, and may wait long: its reserved slot is given up.
        drop(reserve.take());
        places.send_replace(Some(place));
    });
    let acquired = tokio::select! {
        () = context.cancel.cancelled() => return TaskResult::Missed(AcquireMiss::Cancelled),
        acquired = waiting => acquired,
        // The place in the queue is given up with the request.
        lack = context.control.held(&context.name) => {
            return TaskResult::Missed(AcquireMiss::Lacks(lack));
        }
        never = log_holders(&context, place) => match never {},
        never = reserve.expire() => match never {},
    };
    match acquired {
        Ok(grant) => provide(&context, grant, reserve.take()).await,
        Err(error @ AcquireError::Contended { .. }) => TaskResult::Missed(AcquireMiss::Contended(
            describe_contention(&context, &error).await,
        )),
        Err(AcquireError::Closed) => TaskResult::Missed(AcquireMiss::Cancelled),
        Err(error) if error.may_pass() => {
            TaskResult::Missed(AcquireMiss::Unanswered(error.to_string()))
        }
        Err(error) => TaskResult::Missed(AcquireMiss::Trouble(error.to_string())),
    }
}

/// Returns the lock with the resources of its run. If they are not available now, the lock goes to the next in the
/// queue.
async fn provide(
    context: &Arc<JobContext>,
    grant: Grant,
    reserved: Option<RunProvisions>,
) -> TaskResult {
    let at = context.clock.now();
    let provisions = match (context.control.lack(&context.name), reserved) {
        (Some(lack), _) => Err(lack),
        (None, Some(provisions)) => Ok(provisions),
        (None, None) => RunProvisions::get_now(context).await,
    };
    match provisions {
        Ok(provisions) => TaskResult::Acquired {
            grant: HeldLock::new(grant, at),
            provisions,
        },
        Err(lack) => {
            work::give_back(context, grant).await;
            TaskResult::Missed(AcquireMiss::Lacks(lack))
        }
    }
}

/// Logs the name of each holder that is waited for long.
async fn log_holders(
    context: &JobContext,
    mut place: watch::Receiver<Option<LockPlace>>,
) -> Infallible {
    let mut logged = None;
    loop {
        let holder = place.borrow_and_update().clone();
        let holder = holder.and_then(|place| place.holder);
        let long = async {
            match holder {
                // Many jobs may have begun to wait at once, and should not all send requests at once.
                Some(holder) if logged.as_ref() != Some(&holder) => {
                    tokio::time::sleep(LONG.mul_f64(1.0 + fastrand::f64())).await;
                    holder
                }
                _ => std::future::pending().await,
            }
        };
        let holder = tokio::select! {
            changed = place.changed() => match changed {
                Ok(()) => continue,
                // No further place is reported.
                Err(_) => std::future::pending().await,
            },
            holder = long => holder,
        };
        if let Some(by) = read_name(context, &holder).await {
            let blocked = EventKind::Blocked {
                by,
                holder: holder.clone(),
            };
            context.event_log.emit(context.event_context(), blocked);
        }
        logged = Some(holder);
    }
}

/// Returns the reason for which the lock was not acquired, with the holder's name.
async fn describe_contention(context: &JobContext, error: &AcquireError) -> String {
    let text = error.to_string();
    let AcquireError::Contended { holder, .. } = error else {
        return text;
    };
    let name = tokio::select! {
        // A host that stops does not wait for a name.
        () = context.cancel.cancelled() => None,
        name = read_name(context, holder) => name,
    };
    match name {
        Some(name) => text.replacen(holder, &format!("{name} ({holder})"), 1),
        None => text,
    }
}

/// Returns the job and the host of an entry, if it exists and Leasehold wrote it.
async fn read_name(context: &JobContext, entry: &str) -> Option<String> {
    // Boxed: it is rarely needed, and would make the future of every waiting job larger.
    let asked = Box::pin(async { context.locks.kv().get(entry).await });
    let found = tokio::time::timeout(PATIENCE, asked).await.ok()?.ok()??;
    let record = HolderRecord::from_json(&found.value).ok()?;
    Some(format!("{}@{}", record.job, record.host))
}

#[cfg(test)]
mod tests {
    use leasehold_lock::{RefusalKind, StoreError};

    use super::*;

    fn failed(source: StoreError) -> AcquireError {
        AcquireError::Store {
            name: "ledger".into(),
            source,
        }
    }

    /// Fails when the source is appended to a message that contains it.
    #[test]
    fn error_text_contains_its_source_once() {
        let error = failed(StoreError::Unknown("no reply within 5s".into()));
        let text = error.to_string();
        assert_eq!(text.matches("no reply within 5s").count(), 1, "{text}");
        assert!(error.may_pass());
    }

    #[test]
    fn a_refusal_does_not_wait_for_the_store_to_return() {
        let refused = failed(StoreError::Refused {
            kind: RefusalKind::NoSpace,
            message: "etcdserver: mvcc: database space exceeded".into(),
        });
        assert!(!refused.may_pass());
    }
}

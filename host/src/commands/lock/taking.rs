//! The way to the lock: a place in its queue, taken again if it was lost, until the lock is held or the wait is over.

use std::convert::Infallible;
use std::ffi::OsString;
use std::path::Path;
use std::time::{Duration, SystemTime};

use leasehold_lock::{AcquireError, Backoff, Grant, LockMode, LockPlace, LockWait, Locks};
use leasehold_records::{HolderRecord, UnixMs, printable};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::terms::{HoldTimes, LockName};
use super::waiting::{holder_of, show_places};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::sink;

/// First pause before another attempt.
const RETRY_AFTER: Duration = Duration::from_millis(100);
/// Longest pause before another attempt.
const RETRY_AT_MOST: Duration = Duration::from_secs(2);

/// Takes one lock.
pub(super) struct LockTaker<'a> {
    pub(super) locks: &'a Locks,
    pub(super) lock: &'a LockName,
    pub(super) mode: LockMode,
    pub(super) times: &'a HoldTimes,
    /// The program, for others to read in the queue.
    pub(super) program: String,
}

impl LockTaker<'_> {
    /// Waits for the lock, and shows who holds it meanwhile.
    pub(super) async fn take(&self) -> Result<Grant, Failure> {
        let until = match self.times.wait {
            LockWait::AtMost(most) => Some(Instant::now() + most),
            LockWait::Forever | LockWait::Never => None,
        };
        let (began, mut backoff) = (Instant::now(), Backoff::new(RETRY_AFTER, RETRY_AT_MOST));
        loop {
            let error = match Box::pin(self.try_once(until)).await {
                Ok(grant) => return Ok(grant),
                Err(error) => error,
            };
            let is_over = until.is_some_and(|until| Instant::now() >= until);
            if !error.may_pass() || is_over || self.times.wait == LockWait::Never {
                return Err(self.describe(&error, began.elapsed()).await);
            }
            sink::print_warning(&format!(
                "leasehold: lock {}: {}; joining the queue again\n",
                printable::line(&self.lock.shown),
                printable::whole(&describe_passing(&error)),
            ));
            sleep(backoff.next()).await;
        }
    }

    async fn try_once(&self, until: Option<Instant>) -> Result<Grant, AcquireError> {
        let wait = until.map_or(self.times.wait, |until| {
            LockWait::AtMost(until.saturating_duration_since(Instant::now()))
        });
        let record = HolderRecord {
            host: leasehold_tui::operator(),
            job: self.program.clone(),
            pid: std::process::id(),
            since_unix_ms: UnixMs::from_system(SystemTime::now()),
        };
        let request = self.times.request(self.lock, wait, record.to_json());
        let request = request.mode(self.mode);
        let (places, mut place) = watch::channel::<Option<LockPlace>>(None);
        let kv = self.locks.kv();
        let acquired = self.locks.acquire_reporting(request, |place| {
            places.send_replace(Some(place));
        });
        // Of a command under a lock that asks for the same one.
        let is_own = std::env::var("LEASEHOLD_LOCK").is_ok_and(|held| held == self.lock.shown);
        let show = async {
            show_places(&kv, (&self.lock.shown, is_own), &mut place).await;
            std::future::pending::<Infallible>().await
        };
        tokio::select! {
            acquired = acquired => acquired,
            never = show => match never {},
        }
    }

    /// The failure of acquisitions that took this long in all, the last with this error.
    async fn describe(&self, error: &AcquireError, waited: Duration) -> Failure {
        let lock = &self.lock.shown;
        match error {
            AcquireError::Contended { holder, ahead, .. } => {
                let kv = self.locks.kv();
                let holder = holder_of(&kv, holder).await;
                let text = describe_contended(lock, &holder, *ahead, waited);
                Failure::of_line(Exit::NotAcquired, &text)
            }
            AcquireError::Removed { revision, .. } => {
                let text = format!(
                    "lock {lock} was not acquired: an operator removed this client from the queue at revision {revision}"
                );
                Failure::of_line(Exit::NotAcquired, &text)
            }
            AcquireError::SessionLost { reason, .. } => {
                let text = format!(
                    "lock {lock} was not acquired: the place in the queue was lost: {reason}"
                );
                Failure::of_line(Exit::NotAcquired, &text)
            }
            AcquireError::Store { source, .. } => {
                let text = format!("lock {lock} was not acquired: {source}");
                Failure::of_line(Exit::Store, &text)
            }
            AcquireError::CapacityDiffers { entry, theirs, .. } => {
                let holder = holder_of(&self.locks.kv(), entry).await;
                let text = describe_capacity(lock, *theirs, &holder);
                Failure::new(Exit::NotAcquired, text)
            }
            AcquireError::BadName { .. }
            | AcquireError::BadSet(_)
            | AcquireError::AlreadyHeld { .. } => Failure::of_line(Exit::Usage, &error.to_string()),
            AcquireError::StoreWentBack { .. } | AcquireError::Closed => {
                Failure::of_line(Exit::Store, &error.to_string())
            }
        }
    }
}

fn describe_passing(error: &AcquireError) -> String {
    match error {
        AcquireError::SessionLost { reason, .. } => {
            format!("the place in the queue was lost: {reason}")
        }
        AcquireError::Store { source, .. } => source.to_string(),
        other => other.to_string(),
    }
}

fn describe_contended(lock: &str, holder: &str, ahead: usize, waited: Duration) -> String {
    let ahead = match ahead {
        0 | 1 => String::new(),
        more => format!(", and {} more ahead", more - 1),
    };
    let waited = match waited.as_millis() {
        0..100 => "at once".to_owned(),
        // In tenths of a second: the rest is the time of the last request.
        millis @ 100..10_000 => format!("within {}.{}s", millis / 1000, millis / 100 % 10),
        _ => format!(
            "within {}",
            humantime::format_duration(Duration::from_secs(waited.as_secs()))
        ),
    };
    format!("lock {lock} was not acquired {waited}: held by {holder}{ahead}")
}

fn describe_capacity(lock: &str, theirs: u32, holder: &str) -> String {
    format!(
        "lock {lock} was not acquired: it has {theirs} permits for {holder}\n  \
         = help: all users of the lock must name the same number: --permits W/{theirs}"
    )
}

/// Returns the program of a command for the queue. Its arguments are left out, since they may hold secrets.
pub(super) fn describe_program(command: &[OsString]) -> String {
    let name = command.first().map(|program| {
        let path = Path::new(program);
        let name = path.file_name().unwrap_or(path.as_os_str());
        name.to_string_lossy().into_owned()
    });
    // No job has a name that begins so.
    format!("$ {}", name.as_deref().unwrap_or("leasehold lock"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use leasehold_lock::{EndReason, StoreError};

    #[test]
    fn program_is_shown_without_folder_and_arguments() {
        let command = ["/opt/backup.sh", "--password=x"].map(OsString::from);
        assert_eq!(describe_program(&command), "$ backup.sh");
        assert_eq!(describe_program(&[]), "$ leasehold lock");
        assert_eq!(describe_program(&[OsString::from("..")]), "$ ..");
    }

    #[test]
    fn contended_lock_names_holder_and_wait() {
        let waited = Duration::from_millis(30_012);
        insta::assert_snapshot!(describe_contended("nightly", "$ backup.sh on ann@vm (pid 44)", 1, waited), @"lock nightly was not acquired within 30s: held by $ backup.sh on ann@vm (pid 44)");
        let waited = Duration::from_millis(1_512);
        insta::assert_snapshot!(describe_contended("nightly", "a", 1, waited), @"lock nightly was not acquired within 1.5s: held by a");
        insta::assert_snapshot!(describe_contended("nightly", "nightly on web1 (pid 44)", 3, Duration::ZERO), @"lock nightly was not acquired at once: held by nightly on web1 (pid 44), and 2 more ahead");
    }

    #[test]
    fn other_capacity_is_refused_with_the_holder_and_a_remedy() {
        insta::assert_snapshot!(describe_capacity("workers", 4, "$ sh on ann@vm (pid 44)"), @r"
        lock workers was not acquired: it has 4 permits for $ sh on ann@vm (pid 44)
          = help: all users of the lock must name the same number: --permits W/4
        ");
    }

    #[test]
    fn lost_place_and_silent_store_are_tried_again() {
        let silent = StoreError::Unknown("no reply".into());
        let passing = AcquireError::Store {
            name: "a".into(),
            source: silent,
        };
        let lost = AcquireError::SessionLost {
            name: "a".into(),
            reason: EndReason::DeadlinePassed.to_string(),
        };
        assert!(passing.may_pass() && lost.may_pass());
        assert!(!AcquireError::Closed.may_pass());
        insta::assert_snapshot!(describe_passing(&passing), @"the store did not answer: no reply");
        insta::assert_snapshot!(describe_passing(&lost), @"the place in the queue was lost: the lease was not renewed before its deadline");
    }
}

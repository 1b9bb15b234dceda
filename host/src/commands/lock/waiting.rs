//! Waiting for the lock, and lines about its holder and the own place.

use std::io::{self, IsTerminal as _};
use std::time::Duration;

use leasehold_lock::{KeyValue, Kv, LockPlace};
use leasehold_records::{HolderRecord, printable};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::sink;

/// Wait after which the first line is printed. Most waits are shorter than reading it.
const QUIET_FOR: Duration = Duration::from_millis(300);
/// Least time between two lines.
const LINE_EVERY: Duration = Duration::from_secs(1);
/// Time limit for reading the holder's entry.
const PATIENCE: Duration = Duration::from_secs(1);
/// Longest text of another client that is shown, in characters.
const LONGEST_TEXT: usize = 80;

/// Prints the place and the holder while it waits, and that the wait may be for this process's own lock: once, and at each change if standard error is a terminal.
/// Never returns while the sender exists.
pub(super) async fn show_places(
    kv: &Kv,
    (lock, is_own): (&str, bool),
    places: &mut watch::Receiver<Option<LockPlace>>,
) {
    let shows_changes = io::stderr().is_terminal();
    let mut shown = None;
    sleep(QUIET_FOR).await;
    loop {
        let place = places.borrow_and_update().clone();
        if let Some(place) = place
            && (shown.is_none() || shows_changes)
        {
            let line = describe_wait((lock, is_own), place.ahead, &holder(kv, &place).await);
            if shown.as_ref() != Some(&line) {
                sink::print_warning(&line);
                shown = Some(line);
                sleep(LINE_EVERY).await;
            }
        }
        if places.changed().await.is_err() {
            return;
        }
    }
}

/// Returns the line of a waiter.
fn describe_wait((lock, is_own): (&str, bool), ahead: usize, holder: &str) -> String {
    let ahead = match ahead {
        0 | 1 => "next in line".to_owned(),
        more => format!("{more} ahead"),
    };
    let own = if is_own {
        "; this process runs under a lock of that name itself (LEASEHOLD_LOCK), and may wait for ever"
    } else {
        ""
    };
    format!("leasehold: waiting for lock {lock}: held by {holder}; {ahead}{own}\n")
}

/// Returns the holder at a place, as a name for people.
pub(super) async fn holder(kv: &Kv, place: &LockPlace) -> String {
    match &place.holder {
        Some(key) => holder_of(kv, key).await,
        None => "another client".to_owned(),
    }
}

/// Returns the holder that an entry's key is of, as a name for people.
pub(super) async fn holder_of(kv: &Kv, key: &str) -> String {
    match timeout(PATIENCE, kv.get(key)).await {
        Ok(Ok(Some(entry))) => describe_holder(&entry),
        // Gone meanwhile, or not to be read.
        _ => format!("the client of {}", printable::line(key)),
    }
}

fn describe_holder(entry: &KeyValue) -> String {
    let key = printable::line(&entry.key);
    if let Ok(record) = HolderRecord::from_json(&entry.value) {
        let (job, host) = (printable::line(&record.job), printable::line(&record.host));
        return format!("{job} on {host} (pid {})", record.pid);
    }
    if entry.lease.is_none() {
        return format!("{key}, put there by hand, until it is deleted");
    }
    let text: String = printable::bytes(&entry.value)
        .chars()
        .take(LONGEST_TEXT)
        .collect();
    if text.is_empty() {
        format!("the client of {key}")
    } else {
        format!("{text}, the client of {key}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use leasehold_lock::{LeaseId, Revision};
    use leasehold_records::UnixMs;

    fn entry(value: &[u8], lease: LeaseId) -> KeyValue {
        KeyValue {
            key: "/leasehold/locks/nightly/694d".into(),
            value: value.into(),
            create_revision: Revision::new(7),
            mod_revision: Revision::new(7),
            lease,
        }
    }

    #[test]
    fn holder_is_named_as_its_entry_shows_it() {
        let record = HolderRecord {
            host: "ann@vm".into(),
            job: "$ backup.sh".into(),
            pid: 44,
            since_unix_ms: UnixMs::new(0),
        };
        let lease = LeaseId::new(0x694d);
        let shown = |value: &[u8], lease| describe_holder(&entry(value, lease));
        insta::assert_snapshot!(shown(&record.to_json(), lease), @"$ backup.sh on ann@vm (pid 44)");
        insta::assert_snapshot!(shown(b"", lease), @"the client of /leasehold/locks/nightly/694d");
        insta::assert_snapshot!(shown(b"deploy\x1b[2J", lease), @"deploy�[2J, the client of /leasehold/locks/nightly/694d");
        insta::assert_snapshot!(shown(b"", LeaseId::NONE), @"/leasehold/locks/nightly/694d, put there by hand, until it is deleted");
    }

    #[test]
    fn waiter_reads_its_place_and_the_holder() {
        insta::assert_snapshot!(describe_wait(("nightly", false), 1, "$ backup.sh on ann@vm (pid 44)"), @"leasehold: waiting for lock nightly: held by $ backup.sh on ann@vm (pid 44); next in line");
        insta::assert_snapshot!(describe_wait(("nightly", false), 3, "another client"), @"leasehold: waiting for lock nightly: held by another client; 3 ahead");
        insta::assert_snapshot!(describe_wait(("nightly", true), 1, "$ sh on ann@vm (pid 44)"), @"leasehold: waiting for lock nightly: held by $ sh on ann@vm (pid 44); next in line; this process runs under a lock of that name itself (LEASEHOLD_LOCK), and may wait for ever");
    }
}

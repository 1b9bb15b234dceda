//! The lock to take and the times of its hold, from the arguments. Pure.

use std::time::Duration;

use leasehold_config::lock_name_fault;
use leasehold_lock::locks::DEFAULT_DRIFT;
use leasehold_lock::{Acquire, LockMode, LockWait, RENEWALS_PER_TTL};
use leasehold_records::Root;

/// Shortest lease that etcd grants.
const SHORTEST_TTL: Duration = Duration::from_secs(2);
/// Longest lease. A lock that outlives its dead holder by more than this is a mistake.
const LONGEST_TTL: Duration = Duration::from_hours(1);
/// Waits beyond this have no end: a hundred years.
const LONGEST_WAIT: Duration = Duration::from_hours(24 * 365 * 100);
/// Longest grace that is chosen where none is given.
const USUAL_GRACE: Duration = Duration::from_secs(2);
/// Part of the TTL that the chosen grace has at most.
const GRACE_PER_TTL: u32 = 5;
/// Time between SIGKILL and the end of the lease: for the keeper to wake up, and for the kernel to end processes.
const KILL_ROOM: Duration = Duration::from_millis(100);
/// Time of a renewal to the store and back.
const RENEWAL_TRIP: Duration = Duration::from_millis(100);

/// The lock, as the operator names it, and its full name in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LockName {
    /// As given.
    pub(super) shown: String,
    /// Name in the store.
    pub(super) full: String,
}

impl LockName {
    /// Checks a name: that of a job's lock, or, if it is a `raw_key`, the name that `etcdctl lock` is given.
    pub(super) fn new(name: &str, raw_key: bool, root: &Root) -> Self {
        let full = if raw_key {
            name.to_owned()
        } else {
            root.lock(name)
        };
        Self {
            shown: name.to_owned(),
            full,
        }
    }

    /// Returns the fault of a name and its remedy.
    pub(super) fn fault(name: &str, raw_key: bool) -> Option<String> {
        if !raw_key {
            let (fault, help) = lock_name_fault(name)?;
            let or_raw = if name.starts_with('/') {
                "\n  = help: or add --raw-key, if it is the key that `etcdctl lock` is given"
            } else {
                ""
            };
            return Some(format!("the lock's name {fault}\n  = help: {help}{or_raw}"));
        }
        let fault = if name.is_empty() {
            "the lock's key is empty"
        } else if name.ends_with('/') {
            "the lock's key ends in `/`, which would be doubled"
        } else if name.contains(char::is_control) {
            "the lock's key holds a control character"
        } else {
            return None;
        };
        Some(format!(
            "{fault}\n  = help: write it as for `etcdctl lock`, as in /app/locks/nightly"
        ))
    }
}

/// Times of a hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HoldTimes {
    /// Time to live of the lease.
    pub(super) ttl: Duration,
    /// Time between SIGTERM and SIGKILL.
    pub(super) grace: Duration,
    pub(super) wait: LockWait,
}

impl HoldTimes {
    /// Checks that the times fit together.
    pub(super) fn new(
        ttl: Duration,
        grace: Option<Duration>,
        wait: Option<Duration>,
    ) -> Result<Self, String> {
        if ttl.subsec_nanos() != 0 || !(SHORTEST_TTL..=LONGEST_TTL).contains(&ttl) {
            return Err("--ttl must be from 2s to 1h, in whole seconds".to_owned());
        }
        let most = most_grace(ttl);
        let grace = grace.unwrap_or_else(|| (ttl / GRACE_PER_TTL).min(USUAL_GRACE));
        if grace > most {
            return Err(format!(
                "--grace of {} leaves a lease of {} no room for a renewal every third of it\n  \
                 = help: give --grace {} or less, or a longer --ttl",
                humantime::format_duration(grace),
                humantime::format_duration(ttl),
                humantime::format_duration(most),
            ));
        }
        Ok(Self {
            ttl,
            grace,
            wait: match wait {
                None => LockWait::Forever,
                Some(Duration::ZERO) => LockWait::Never,
                // Clocks end before such a wait does.
                Some(most) if most > LONGEST_WAIT => LockWait::Forever,
                Some(most) => LockWait::AtMost(most),
            },
        })
    }

    /// Returns the request for a lock, whose entry has this value.
    pub(super) fn request(&self, lock: &LockName, wait: LockWait, value: Vec<u8>) -> Acquire {
        Acquire::new(&lock.full)
            .value(value)
            .ttl(self.ttl)
            .stop_margin(self.grace + KILL_ROOM)
            .wait(wait)
    }
}

/// Parses permits, as in `1/3`.
pub(super) fn parse_permits(text: &str) -> Result<LockMode, String> {
    let form = || "write the permits to take and all that there are, as in 1/3".to_owned();
    let (weight, of) = text.split_once('/').ok_or_else(form)?;
    let weight = weight.parse().map_err(|_| form())?;
    let of = of.parse().map_err(|_| form())?;
    LockMode::permits(weight, of).map_err(|error| error.to_string())
}

/// Longest grace after which a renewal still fits into the lease, in whole milliseconds.
fn most_grace(ttl: Duration) -> Duration {
    let room = ttl.mul_f64(1.0 - DEFAULT_DRIFT);
    let spent = ttl / RENEWALS_PER_TTL + RENEWAL_TRIP + KILL_ROOM;
    let millis = room.saturating_sub(spent).as_millis();
    Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn chosen_grace_fits_every_ttl() {
        for ttl in [2, 3, 4, 9, 10, 60, 3600] {
            let times = HoldTimes::new(secs(ttl), None, None).unwrap();
            assert!(times.grace <= most_grace(times.ttl), "{times:?}");
        }
        let times = HoldTimes::new(secs(10), None, None).unwrap();
        assert_eq!(times.grace, secs(2));
        assert_eq!(times.wait, LockWait::Forever);
    }

    #[test]
    fn wait_of_zero_leaves_nothing_in_the_queue() {
        let wait = |wait| HoldTimes::new(secs(10), None, Some(wait)).unwrap().wait;
        assert_eq!(wait(Duration::ZERO), LockWait::Never);
        assert_eq!(wait(secs(3)), LockWait::AtMost(secs(3)));
        assert_eq!(wait(Duration::MAX), LockWait::Forever);
    }

    #[test]
    fn times_that_do_not_fit_are_refused_with_a_remedy() {
        let refused = |ttl, grace| HoldTimes::new(ttl, grace, None).unwrap_err();
        insta::assert_snapshot!(
            refused(Duration::from_millis(2_900), None),
            @"--ttl must be from 2s to 1h, in whole seconds"
        );
        insta::assert_snapshot!(
            refused(secs(1), None),
            @"--ttl must be from 2s to 1h, in whole seconds"
        );
        insta::assert_snapshot!(refused(secs(7200), None), @"--ttl must be from 2s to 1h, in whole seconds");
        insta::assert_snapshot!(refused(secs(5), Some(secs(4))), @r"
        --grace of 4s leaves a lease of 5s no room for a renewal every third of it
          = help: give --grace 3s 83ms or less, or a longer --ttl
        ");
    }

    #[test]
    fn permits_are_two_numbers_that_fit() {
        assert_eq!(parse_permits("2/5"), Ok(LockMode::permits(2, 5).unwrap()));
        for text in ["", "3", "1/", "/3", "a/b", "-1/3", "1/3/5"] {
            insta::allow_duplicates! {
                insta::assert_snapshot!(parse_permits(text).unwrap_err(), @"write the permits to take and all that there are, as in 1/3");
            }
        }
        insta::assert_snapshot!(parse_permits("0/3").unwrap_err(), @"0 permits were requested; the least is 1");
        insta::assert_snapshot!(parse_permits("4/3").unwrap_err(), @"4 permits of 3 can never be granted; the most is 3");
    }

    #[test]
    fn name_is_that_of_a_job_s_lock_or_a_raw_key() {
        let root = Root::default();
        let name = LockName::new("nightly", false, &root);
        assert_eq!(name.full, "/leasehold/locks/nightly");
        let raw = LockName::new("/app/x y", true, &root);
        assert_eq!(raw.full, "/app/x y");
        assert_eq!(LockName::fault("a/b-c.d_e", false), None);
        assert_eq!(LockName::fault("/app/x y", true), None);
    }

    #[test]
    fn faulty_names_are_refused_with_a_remedy() {
        let shown = |name, raw| LockName::fault(name, raw).unwrap();
        insta::assert_snapshot!(shown("", false), @r#"
        the lock's name is empty
          = help: write it as in "billing/ledger"
        "#);
        insta::assert_snapshot!(shown("/app/nightly", false), @r#"
        the lock's name starts or ends with an extra `/`
          = help: write it as in "billing/ledger"
          = help: or add --raw-key, if it is the key that `etcdctl lock` is given
        "#);
        insta::assert_snapshot!(shown("a b", false), @r"
        the lock's name holds ` `
          = help: use letters, digits, `.`, `_` and `-`, with `/` between parts
        ");
        insta::assert_snapshot!(shown("", true), @r"
        the lock's key is empty
          = help: write it as for `etcdctl lock`, as in /app/locks/nightly
        ");
        insta::assert_snapshot!(shown("/app/", true), @r"
        the lock's key ends in `/`, which would be doubled
          = help: write it as for `etcdctl lock`, as in /app/locks/nightly
        ");
    }
}

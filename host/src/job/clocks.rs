//! Which clock to believe: ours, or those that other hosts have written down. Pure.
//!
//! The store has no wall clock, so a host judges by what other hosts wrote. A clock that was read before a
//! write shows no later time than the moment of that write, and revisions tell which of two writes was
//! later. From that follows what can contradict:
//!
//! - a time later than ours: its clock is ahead, or ours is behind;
//! - a time earlier than our own start, written after we had written down that start: its clock is behind, or
//!   ours is ahead. Only times that were read just before they were written count here.
//!
//! A contradiction alone proves one of two clocks wrong. The host that is outnumbered is taken for the odd one
//! and stands back; where it is one against one, the host that came later does, while the other is alive. So
//! one odd clock moves no fleet, and two that agree move one that does not.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::wall::UnixMs;

/// How far clocks may be apart, and a tick ahead of the time, to be believed. Hosts that ask a time server are
/// within a second; a quartz left alone takes about two months to get this far. What is further off has not
/// been set, or not to the right zone, and is for a person to mend.
pub(crate) const SKEW: Duration = Duration::from_mins(5);

/// A time that a host wrote down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reading<'a> {
    pub(crate) host: &'a str,
    pub(crate) shown: UnixMs,
    /// The revision of the store at which it was written.
    pub(crate) revision: i64,
}

/// A host that lives, and what its clock showed when it started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LivingHost {
    pub(crate) host: String,
    pub(crate) started: UnixMs,
    /// The revision at which that was last written, and the one at which the host came.
    pub(crate) written: i64,
    pub(crate) came: i64,
}

impl LivingHost {
    fn reading(&self) -> Reading<'_> {
        Reading {
            host: &self.host,
            shown: self.started,
            revision: self.written,
        }
    }
}

/// Why the clock of `own`, which shows `now`, is not to be believed; `None` if it is. `fresh` are times that were
/// read just before they were written.
pub(crate) fn doubt(
    own: &str,
    now: UnixMs,
    fresh: &[Reading<'_>],
    living: &[LivingHost],
) -> Option<String> {
    let us = living.iter().find(|host| host.host == own);
    let others = || {
        let started = living.iter().map(LivingHost::reading);
        let all = fresh.iter().cloned().chain(started);
        all.filter(|reading| reading.host != own)
    };
    let later: Vec<Reading<'_>> = others()
        .filter(|reading| reading.shown > now.after(SKEW))
        .collect();
    if !later.is_empty() {
        let behind = |reading: &Reading<'_>| {
            later.iter().any(|late| {
                reading.revision > late.revision && reading.shown.after(SKEW) < late.shown
            })
        };
        let for_us = others().filter(behind);
        return outvoted(&later, for_us, us, living).then(|| odd(now, &later));
    }
    // What a clock showed that has been put back since is no evidence.
    let start = us.filter(|us| us.started <= now.after(SKEW))?;
    let is_earlier = |reading: &&Reading<'_>| {
        reading.host != own
            && reading.revision > start.written
            && reading.shown.after(SKEW) < start.started
    };
    let earlier: Vec<Reading<'_>> = fresh.iter().filter(is_earlier).cloned().collect();
    if earlier.is_empty() {
        return None;
    }
    let for_us = others().filter(|reading| reading.shown.after(SKEW) >= start.started);
    outvoted(&earlier, for_us, us, living).then(|| odd(now, &earlier))
}

/// True if the hosts of these readings outnumber ours and those for us, or came before us where they do not.
fn outvoted<'a>(
    against: &[Reading<'_>],
    for_us: impl Iterator<Item = Reading<'a>>,
    us: Option<&LivingHost>,
    living: &[LivingHost],
) -> bool {
    let against: BTreeSet<&str> = against.iter().map(|reading| reading.host).collect();
    let for_us: BTreeSet<&str> = for_us
        .map(|reading| reading.host)
        .filter(|host| !against.contains(host))
        .collect();
    let ours = 1 + for_us.len();
    let came_before_us = |host: &LivingHost| us.is_none_or(|us| host.came < us.came);
    let is_senior = || {
        let mut voices = living
            .iter()
            .filter(|host| against.contains(host.host.as_str()));
        voices.any(came_before_us)
    };
    against.len() > ours || (against.len() == ours && is_senior())
}

fn odd(now: UnixMs, against: &[Reading<'_>]) -> String {
    let mut told: Vec<String> = Vec::new();
    let mut hosts = BTreeSet::new();
    for reading in against {
        if hosts.insert(reading.host) {
            told.push(format!("{} wrote {}", reading.host, reading.shown));
        }
    }
    format!(
        "the clock of this host seems wrong: it shows {now}, but {}; set it, and keep it right with chrony or ntpd",
        told.join(" and ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_790_000_000_000;
    const YEAR: u64 = 365 * 24 * 3_600_000;

    fn at(millis: u64) -> UnixMs {
        UnixMs::new(millis)
    }

    fn reading(host: &'static str, shown: u64, revision: i64) -> Reading<'static> {
        let shown = at(shown);
        Reading {
            host,
            shown,
            revision,
        }
    }

    fn lives(host: &str, started: u64, came: i64) -> LivingHost {
        LivingHost {
            host: host.into(),
            started: at(started),
            written: came,
            came,
        }
    }

    fn is_odd(now: u64, fresh: &[Reading<'_>], living: &[LivingHost]) -> bool {
        doubt("us", at(now), fresh, living).is_some()
    }

    #[test]
    fn clocks_within_the_skew_do_not_contradict() {
        let skew = 299_000;
        let living = [lives("us", NOW - 60_000, 5), lives("a", NOW + skew, 3)];
        for shown in [NOW - skew - 60_000, NOW, NOW + skew] {
            assert!(!is_odd(NOW, &[reading("a", shown, 9)], &living));
        }
        assert!(!is_odd(NOW, &[], &[]));
    }

    #[test]
    fn one_clock_that_is_years_ahead_moves_no_other() {
        let ahead = [reading("mad", NOW + YEAR, 9)];
        assert!(!is_odd(NOW, &ahead, &[lives("us", NOW - 1, 20)]));
        // Nor while it lives, if it came later, or if a third host is with us.
        let mad = lives("mad", NOW + YEAR, 8);
        assert!(!is_odd(
            NOW,
            &ahead,
            &[lives("us", NOW - 1, 4), mad.clone()]
        ));
        let fleet = [lives("us", NOW - 1, 20), mad, lives("a", NOW - 1, 21)];
        assert!(!is_odd(NOW, &ahead, &fleet));
    }

    #[test]
    fn two_clocks_that_are_later_move_one_that_is_behind() {
        let done = [reading("a", NOW, 30)];
        let behind = NOW - 4 * YEAR;
        let fleet = [
            lives("a", NOW - 9, 3),
            lives("b", NOW - 9, 4),
            lives("us", behind, 2),
        ];
        assert!(is_odd(behind, &done, &fleet));
        // Both have stopped, and left what they wrote.
        let before = [reading("a", NOW, 30), reading("b", NOW - 9, 29)];
        assert!(is_odd(behind, &before, &[lives("us", behind, 40)]));
    }

    #[test]
    fn of_two_hosts_the_one_that_came_later_stands_back_while_the_other_lives() {
        let behind = NOW - 4 * YEAR;
        let done = [reading("a", NOW, 30)];
        let fleet = [lives("a", NOW - 9, 3), lives("us", behind, 20)];
        assert!(is_odd(behind, &done, &fleet));
        assert!(is_odd(behind, &done, &[lives("a", NOW - 9, 3)]));
        assert!(!is_odd(behind, &done, &[lives("us", behind, 20)]));
    }

    #[test]
    fn a_host_that_is_ahead_sees_it_by_what_is_written_after_its_start() {
        let ahead = NOW + 4 * YEAR;
        let us = lives("us", ahead, 20);
        // Written before we came, it may well be years old.
        let old = [reading("a", NOW, 10)];
        let fleet = [us.clone(), lives("a", NOW - 9, 3)];
        assert!(!is_odd(ahead + 9, &old, &fleet));
        let new = [reading("a", NOW, 21)];
        assert!(is_odd(ahead + 9, &new, &fleet));
        // The first to come gives way to two.
        let first = lives("us", ahead, 1);
        let fleet = [first, lives("a", NOW - 9, 3), lives("b", NOW - 9, 4)];
        assert!(!is_odd(ahead + 9, &new, &fleet));
        let both = [reading("a", NOW, 21), reading("b", NOW, 20)];
        assert!(is_odd(ahead + 9, &both, &fleet));
        // Its clock is right again, and what it showed at its start is no evidence against it.
        assert!(!is_odd(NOW + 9, &both, &fleet));
    }

    #[test]
    fn honest_hosts_outvote_one_that_is_behind_whoever_came_first() {
        let behind = [reading("mad", NOW - YEAR, 30)];
        let fleet = [
            lives("mad", NOW - YEAR, 1),
            lives("us", NOW - 9, 20),
            lives("a", NOW - 9, 21),
        ];
        assert!(!is_odd(NOW, &behind, &fleet));
    }

    #[test]
    fn the_reason_names_hosts_clocks_and_a_remedy() {
        let fresh = [reading("a", NOW, 30), reading("b", NOW - 1_000, 29)];
        let why = doubt("us", at(NOW - YEAR), &fresh, &[]);
        insta::assert_snapshot!(why.expect("it is odd"), @"the clock of this host seems wrong: it shows 2025-09-21T14:13:20Z, but a wrote 2026-09-21T14:13:20Z and b wrote 2026-09-21T14:13:19Z; set it, and keep it right with chrony or ntpd");
    }
}

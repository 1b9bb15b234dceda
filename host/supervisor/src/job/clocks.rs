//! Checking the wall clock against the times that other hosts have written. Pure.
//!
//! The store has no wall clock, so a host judges by the writes of other hosts. A clock that was read before a write
//! shows no later time than the moment of that write. Revisions show which of two writes was later. So two kinds of
//! reading contradict our clock:
//!
//! - a time later than ours: its clock is ahead, or ours is behind;
//! - a time earlier than our own start, written after our start was recorded: its clock is behind, or ours is
//!   ahead. A start that is written again with a lost record may be old; it contradicts only from a difference of
//!   months on.
//!
//! A contradiction alone proves one of two clocks wrong. Clocks that agree count together, and odd ones that
//! contradict each other do not. The host whose clock has fewer votes stands back. Where votes are equal, the host
//! that came later stands back while the other is alive. So one odd clock stops no fleet, and two that agree stop
//! those that do not.
//!
//! A time from before our start may be old, and contradicts nothing. So before its first claim, a host that has
//! just started waits for a living host with such a time to write again.

use std::collections::BTreeMap;
use std::time::Duration;

use super::machine::Lack;
use leasehold_config::Beat;
use leasehold_config::wall::UnixMs;

/// Largest difference between clocks that is believed, and the largest lead of a tick over the time. Hosts that
/// follow a time server are within a second; a quartz clock left alone takes about two months to get this far. A
/// clock that is further off was never set, or was set to the wrong zone, and an operator has to set it.
pub(crate) const SKEW: Duration = Duration::from_mins(5);

/// Bounds for the time that a host waits, after its start, for hosts with an old last write. It waits for their
/// next tick plus the first value, but never longer than the second.
const SETTLING: (Duration, Duration) = (Duration::from_mins(1), Duration::from_hours(1));

/// Longest assumed lifetime of a host: one that came after ours and started longer ago than this has a wrong clock.
const LIFETIME: Duration = Duration::from_hours(100 * 24);

/// A reading counts for a clock only if it is nearer to it, by this factor, than that clock is to the one it
/// contradicts. The reading's host may have started long ago and written nothing since.
const NEARER: u32 = 4;

/// A time that a host wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reading<'a> {
    pub(crate) host: &'a str,
    pub(crate) shown: UnixMs,
    /// The revision of the store at which it was written.
    pub(crate) revision: i64,
}

/// A living host, and the time that its clock showed at its start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LivingHost {
    pub(crate) host: String,
    pub(crate) started: UnixMs,
    /// The revision at which the start was last written, and the one at which the host came.
    pub(crate) written: i64,
    pub(crate) came: i64,
}

impl LivingHost {
    fn reading(&self) -> Reading<'_> {
        Reading {
            host: &self.host,
            shown: self.started,
            revision: self.came,
        }
    }
}

/// Returns the time that a host, after its start, waits for others to write, for a job with these ticks.
pub(crate) fn settling(beat: &Beat, now: UnixMs) -> Duration {
    let (least, most) = SETTLING;
    let next = beat.next(now);
    let after = next.and_then(|next| beat.next(next));
    let period = next
        .zip(after)
        .map_or(most, |(next, after)| after.since(next));
    least.saturating_add(period).min(most)
}

/// Returns a lack if the clock of `own`, which shows `now`, is in doubt. `fresh` are times that were read just
/// before they were written; `settling` is how long a host waits, after its start, for others to write.
pub(crate) fn doubt(
    own: &str,
    now: UnixMs,
    settling: Duration,
    fresh: &[Reading<'_>],
    living: &[LivingHost],
) -> Option<Lack> {
    let us = living.iter().find(|host| host.host == own);
    let readings = latest(own, fresh, living);
    // The clock may have been put back since the start; a start in the future is no evidence then.
    let start = us.filter(|us| us.started <= now.after(SKEW));
    let contradicts = |reading: &&Reading<'_>| {
        // A host that lost its record may have come again long after its start.
        let slack = if fresh.contains(reading) {
            SKEW
        } else {
            LIFETIME
        };
        let is_earlier = start.is_some_and(|start| {
            reading.revision > start.written && reading.shown.after(slack) < start.started
        });
        reading.shown > now.after(SKEW) || is_earlier
    };
    let (against, rest): (Vec<_>, Vec<_>) = readings.iter().partition(contradicts);
    let gap = against
        .iter()
        .map(|reading| apart(reading.shown, now))
        .min();
    let is_with_us = |reading: &Reading<'_>| {
        let is_since_start = start.is_some_and(|start| {
            reading.revision > start.written && reading.shown.after(SKEW) >= start.started
        });
        is_since_start || is_near(apart(reading.shown, now), gap.unwrap_or_default())
    };
    let ours = 1 + rest.iter().filter(|reading| is_with_us(reading)).count();
    let came_before_us = |reading: &&Reading<'_>| {
        let host = living.iter().find(|host| host.host == reading.host);
        host.is_some_and(|host| us.is_none_or(|us| host.came < us.came))
    };
    for reading in &against {
        let gap = apart(reading.shown, now);
        let agreeing: Vec<&Reading<'_>> = readings
            .iter()
            .filter(|other| !(rest.contains(other) && is_with_us(other)))
            .filter(|other| other.host == reading.host || agree(reading, other, gap))
            .collect();
        let is_outvoted = agreeing.len() > ours
            || (agreeing.len() == ours && agreeing.iter().any(came_before_us));
        if is_outvoted {
            return Some(Lack::Clock(odd(now, &agreeing)));
        }
    }
    let is_new = us.is_none_or(|us| us.started <= now && us.started.after(settling) > now);
    // Compared at our start: a reading ages, and a host that leaves the ticks to us writes none.
    let came = us.map_or(now, |us| us.started);
    let silent: Vec<&Reading<'_>> = rest
        .iter()
        .copied()
        .filter(|reading| !is_with_us(reading) && came_before_us(reading))
        .filter(|reading| reading.shown.after(SKEW) < came)
        .filter(|reading| living.iter().any(|host| host.host == reading.host))
        .collect();
    (is_new && silent.len() >= ours).then(|| Lack::Other(unsettled(settling, &silent)))
}

/// Returns the reading of each other host that counts: the last fresh one of its present life, else its start.
fn latest<'a>(own: &str, fresh: &[Reading<'a>], living: &'a [LivingHost]) -> Vec<Reading<'a>> {
    let mut latest: BTreeMap<&str, Reading<'a>> = BTreeMap::new();
    for host in living {
        latest.insert(&host.host, host.reading());
    }
    let mut by_revision: Vec<&Reading<'a>> = fresh.iter().collect();
    by_revision.sort_by_key(|reading| reading.revision);
    for reading in by_revision {
        let life = living.iter().find(|host| host.host == reading.host);
        if life.is_none_or(|life| reading.revision > life.came) {
            latest.insert(reading.host, reading.clone());
        }
    }
    latest.remove(own);
    latest.into_values().collect()
}

/// True if one clock may have shown both, and the one written first is not much older.
fn agree(one: &Reading<'_>, other: &Reading<'_>, gap: Duration) -> bool {
    let (old, new) = if one.revision < other.revision {
        (one, other)
    } else {
        (other, one)
    };
    old.shown <= new.shown.after(SKEW) && is_near(apart(old.shown, new.shown), gap)
}

/// True if this difference between two readings is better explained by the age of one than by the gap between
/// clocks.
fn is_near(apart: Duration, gap: Duration) -> bool {
    apart <= SKEW.max(gap / NEARER)
}

fn apart(one: UnixMs, other: UnixMs) -> Duration {
    one.since(other).max(other.since(one))
}

fn unsettled(settling: Duration, silent: &[&Reading<'_>]) -> String {
    format!(
        "the clock of this host is not compared yet: {}; \
         the job waits until other hosts write again, at most {} s from its start",
        told(silent),
        settling.as_secs()
    )
}

fn odd(now: UnixMs, against: &[&Reading<'_>]) -> String {
    format!(
        "the clock of this host seems wrong: it shows {now}, but {}; set it, and keep it right with chrony or ntpd",
        told(against)
    )
}

fn told(readings: &[&Reading<'_>]) -> String {
    let told = readings
        .iter()
        .map(|reading| format!("{} wrote {}", reading.host, reading.shown));
    told.collect::<Vec<_>>().join(" and ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_790_000_000_000;
    const MINUTE: u64 = 60_000;
    const A_MINUTE: Duration = Duration::from_mins(1);
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
        doubt("us", at(now), A_MINUTE, fresh, living).is_some()
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
        // Nor while the odd host lives, if it came later or if a third host agrees with us.
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
        // Both have stopped, and their readings remain.
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
        // Written before our start, it may be years old: it is waited for, but not for long.
        let old = [reading("a", NOW, 10)];
        let fleet = [us.clone(), lives("a", NOW - 9, 3)];
        assert!(is_odd(ahead + 9, &old, &fleet));
        assert!(!is_odd(ahead + MINUTE, &old, &fleet));
        let new = [reading("a", NOW, 21)];
        assert!(is_odd(ahead + 9, &new, &fleet));
        // Against two others, the first to come stands back.
        let first = lives("us", ahead, 1);
        let one = [first.clone(), lives("a", NOW - 9, 3)];
        assert!(!is_odd(ahead + 9, &new, &one));
        let fleet = [first, lives("a", NOW - 9, 3), lives("b", NOW - 9, 4)];
        assert!(is_odd(ahead + 9, &new, &fleet));
        let both = [reading("a", NOW, 21), reading("b", NOW, 20)];
        assert!(is_odd(ahead + 9, &both, &fleet));
        // The clock is right again, and the time it showed at its start is no evidence against it.
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

    /// One host that is behind counts neither for those that are ahead nor for those that are right.
    #[test]
    fn two_that_agree_outvote_odd_ones_on_both_sides() {
        let (ahead, behind) = (NOW + 4 * YEAR, NOW - 4 * YEAR);
        let fleet = |own: &str| {
            let all = [
                ("r", NOW, 3),
                ("w", ahead, 5),
                ("m", NOW + 9, 6),
                ("n", behind, 7),
            ];
            all.map(|(host, started, came)| {
                lives(if host == own { "us" } else { host }, started, came)
            })
        };
        let wrote = |host: &'static str, shown| [reading(host, shown, 30)];
        assert!(is_odd(ahead + 9, &wrote("m", NOW + 99), &fleet("w")));
        assert!(is_odd(behind + 9, &wrote("m", NOW + 99), &fleet("n")));
        for (host, own) in [("m", "r"), ("r", "m")] {
            assert!(!is_odd(NOW + 99, &wrote("w", ahead + 9), &fleet(own)));
            assert!(!is_odd(NOW + 99, &wrote("n", behind + 9), &fleet(own)));
            assert!(!is_odd(NOW + 99, &wrote(host, NOW + 98), &fleet(own)));
        }
    }

    #[test]
    fn a_start_that_is_written_again_with_a_lost_record_is_no_contradiction() {
        let month = 30 * 24 * 3_600_000;
        let mut again = [lives("a", NOW - month, 20), lives("b", NOW - month, 21)].to_vec();
        again.push(lives("us", NOW, 9));
        assert!(!is_odd(NOW + MINUTE, &[], &again));
        // Nor is one that is written again because the configuration has changed.
        for host in &mut again[..2] {
            (host.started, host.came, host.written) = (at(NOW - YEAR), 3, 30);
        }
        assert!(!is_odd(NOW + MINUTE, &[], &again));
    }

    #[test]
    fn a_host_that_has_just_come_waits_for_a_living_one_to_write() {
        let a = lives("a", NOW - YEAR, 3);
        let fleet = [a.clone(), lives("us", NOW, 9)];
        assert!(is_odd(NOW + 9, &[], &fleet));
        assert!(is_odd(NOW + 9, &[], std::slice::from_ref(&a)));
        // Host `a` has written since, or just before.
        for revision in [8, 10] {
            assert!(!is_odd(NOW + 9, &[reading("a", NOW, revision)], &fleet));
        }
        // Host `a` has ended, it came later, or a third host agrees with us.
        assert!(!is_odd(
            NOW + 9,
            &[reading("a", NOW - YEAR, 4)],
            &fleet[1..]
        ));
        assert!(!is_odd(
            NOW + 9,
            &[],
            &[lives("a", NOW - YEAR, 10), lives("us", NOW, 9)]
        ));
        assert!(!is_odd(
            NOW + 9,
            &[],
            &[a, lives("b", NOW, 8), lives("us", NOW, 9)]
        ));
    }

    #[test]
    fn a_host_that_waits_names_the_one_it_waits_for() {
        let fleet = [lives("a", NOW - YEAR, 3), lives("us", NOW, 9)];
        let why = doubt("us", at(NOW), A_MINUTE, &[], &fleet);
        insta::assert_snapshot!(why.expect("it waits").reason(), @"the clock of this host is not compared yet: a wrote 2025-09-21T14:13:20Z; the job waits until other hosts write again, at most 60 s from its start");
    }

    #[test]
    fn the_reason_names_hosts_clocks_and_a_remedy() {
        let fresh = [reading("a", NOW, 30), reading("b", NOW - 1_000, 29)];
        let why = doubt("us", at(NOW - YEAR), A_MINUTE, &fresh, &[]);
        insta::assert_snapshot!(why.expect("it is odd").reason(), @"the clock of this host seems wrong: it shows 2025-09-21T14:13:20Z, but a wrote 2026-09-21T14:13:20Z and b wrote 2026-09-21T14:13:19Z; set it, and keep it right with chrony or ntpd");
    }
}

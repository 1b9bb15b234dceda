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

use super::lack::RunLack;
use leasehold_config::Beat;
use leasehold_config::wall::UnixMs;
use leasehold_lock::Revision;

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
pub(crate) struct ClockReading<'a> {
    pub(crate) host: &'a str,
    pub(crate) shown: UnixMs,
    /// The revision of the store at which it was written.
    pub(crate) revision: Revision,
}

/// A living host, and the time that its clock showed at its start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LivingHost {
    pub(crate) host: String,
    pub(crate) started: UnixMs,
    /// The revision at which the start was last written, and the one at which the host came.
    pub(crate) write_revision: Revision,
    pub(crate) create_revision: Revision,
}

impl LivingHost {
    fn reading(&self) -> ClockReading<'_> {
        ClockReading {
            host: &self.host,
            shown: self.started,
            revision: self.create_revision,
        }
    }
}

/// Returns the time that a host, after its start, waits for others to write, for a job with these ticks.
pub(crate) fn settling_time(beat: &Beat, now: UnixMs) -> Duration {
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
pub(crate) fn find_doubt(
    own: &str,
    now: UnixMs,
    settling: Duration,
    fresh: &[ClockReading<'_>],
    living: &[LivingHost],
) -> Option<RunLack> {
    let us = living.iter().find(|host| host.host == own);
    let readings = latest_readings(own, fresh, living);
    // The clock may have been put back since the start; a start in the future is no evidence then.
    let start = us.filter(|us| us.started <= now.after(SKEW));
    let contradicts = |reading: &&ClockReading<'_>| {
        // A host that lost its record may have come again long after its start.
        let slack = if fresh.contains(reading) {
            SKEW
        } else {
            LIFETIME
        };
        let is_earlier = start.is_some_and(|start| {
            reading.revision > start.write_revision && reading.shown.after(slack) < start.started
        });
        reading.shown > now.after(SKEW) || is_earlier
    };
    let (against, rest): (Vec<_>, Vec<_>) = readings.iter().partition(contradicts);
    let gap = against
        .iter()
        .map(|reading| difference(reading.shown, now))
        .min();
    let is_with_us = |reading: &ClockReading<'_>| {
        let is_since_start = start.is_some_and(|start| {
            reading.revision > start.write_revision && reading.shown.after(SKEW) >= start.started
        });
        is_since_start || is_near(difference(reading.shown, now), gap.unwrap_or_default())
    };
    let ours = 1 + rest.iter().filter(|reading| is_with_us(reading)).count();
    let came_before_us = |reading: &&ClockReading<'_>| {
        let host = living.iter().find(|host| host.host == reading.host);
        host.is_some_and(|host| us.is_none_or(|us| host.create_revision < us.create_revision))
    };
    for reading in &against {
        let gap = difference(reading.shown, now);
        let agreeing: Vec<&ClockReading<'_>> = readings
            .iter()
            .filter(|other| !(rest.contains(other) && is_with_us(other)))
            .filter(|other| other.host == reading.host || agree(reading, other, gap))
            .collect();
        let is_outvoted = agreeing.len() > ours
            || (agreeing.len() == ours && agreeing.iter().any(came_before_us));
        if is_outvoted {
            return Some(RunLack::Clock(describe_odd(now, &agreeing)));
        }
    }
    let is_new = us.is_none_or(|us| us.started <= now && us.started.after(settling) > now);
    // Compared at our start: a reading ages, and a host that leaves the ticks to us writes none.
    let came = us.map_or(now, |us| us.started);
    let silent: Vec<&ClockReading<'_>> = rest
        .iter()
        .copied()
        .filter(|reading| !is_with_us(reading) && came_before_us(reading))
        .filter(|reading| reading.shown.after(SKEW) < came)
        .filter(|reading| living.iter().any(|host| host.host == reading.host))
        .collect();
    (is_new && silent.len() >= ours).then(|| RunLack::Other(describe_unsettled(settling, &silent)))
}

/// Returns the reading of each other host that counts: the last fresh one of its present life, else its start.
fn latest_readings<'a>(
    own: &str,
    fresh: &[ClockReading<'a>],
    living: &'a [LivingHost],
) -> Vec<ClockReading<'a>> {
    let mut latest: BTreeMap<&str, ClockReading<'a>> = BTreeMap::new();
    for host in living {
        latest.insert(&host.host, host.reading());
    }
    let mut by_revision: Vec<&ClockReading<'a>> = fresh.iter().collect();
    by_revision.sort_by_key(|reading| reading.revision);
    for reading in by_revision {
        let life = living.iter().find(|host| host.host == reading.host);
        if life.is_none_or(|life| reading.revision > life.create_revision) {
            latest.insert(reading.host, reading.clone());
        }
    }
    latest.remove(own);
    latest.into_values().collect()
}

/// True if one clock may have shown both, and the one written first is not much older.
fn agree(one: &ClockReading<'_>, other: &ClockReading<'_>, gap: Duration) -> bool {
    let (old, new) = if one.revision < other.revision {
        (one, other)
    } else {
        (other, one)
    };
    old.shown <= new.shown.after(SKEW) && is_near(difference(old.shown, new.shown), gap)
}

/// True if this difference between two readings is better explained by the age of one than by the gap between
/// clocks.
fn is_near(apart: Duration, gap: Duration) -> bool {
    apart <= SKEW.max(gap / NEARER)
}

fn difference(one: UnixMs, other: UnixMs) -> Duration {
    one.since(other).max(other.since(one))
}

fn describe_unsettled(settling: Duration, silent: &[&ClockReading<'_>]) -> String {
    format!(
        "the clock of this host is not compared yet: {}; \
         the job waits until other hosts write again, at most {} s from its start",
        list_readings(silent),
        settling.as_secs()
    )
}

fn describe_odd(now: UnixMs, against: &[&ClockReading<'_>]) -> String {
    format!(
        "the clock of this host seems wrong: it shows {now}, but {}; set it, and keep it right with chrony or ntpd",
        list_readings(against)
    )
}

fn list_readings(readings: &[&ClockReading<'_>]) -> String {
    let texts = readings
        .iter()
        .map(|reading| format!("{} wrote {}", reading.host, reading.shown));
    texts.collect::<Vec<_>>().join(" and ")
}

#[cfg(test)]
mod tests;

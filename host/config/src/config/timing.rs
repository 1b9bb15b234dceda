//! Check that a job's times fit together: the lease must outlast the stop of a guest, and leave
//! room to renew.
//!
//! The deadline is `sent + ttl × (1 − drift) − stop_margin`. This file compares the numbers and
//! changes none of them.

use std::ops::Range;
use std::time::Duration;

use leasehold_diagnostics::ConfigError;

use super::drift::Drift;
use super::node::Node;
use super::read::{duration, format_duration, format_size};
use crate::limits::{Limits, MIB};

/// Shortest TTL. etcd raises shorter leases to about this (its election timeout times 1.5), so a
/// shorter value would not take effect.
pub(super) const SHORTEST_TTL: Duration = Duration::from_secs(2);
/// Longest TTL. A lock that outlives its dead holder by more than this is a mistake.
pub(super) const LONGEST_TTL: Duration = Duration::from_hours(1);
pub(super) const DEFAULT_TTL: Duration = Duration::from_secs(10);
/// Default stop margin. It covers the default memory four times over.
pub(super) const DEFAULT_STOP_MARGIN: Duration = Duration::from_millis(250);

/// Renewals of a lease in the time after which it would end. The binary's build fails if the renewer's number is
/// another.
pub const RENEWALS_PER_TTL: u32 = 3;
/// Time of a renewal to the store and back.
const RENEWAL_TRIP: Duration = Duration::from_millis(100);

/// Times of one job, each valid by itself.
pub(super) struct Timing {
    pub(super) ttl: Duration,
    pub(super) stop_margin: Duration,
    pub(super) drift: Drift,
    pub(super) memory_bytes: u64,
}

impl Timing {
    /// Reports a stop margin in which a guest cannot be stopped.
    pub(super) fn refuse_short_margin(&self, place: Range<usize>) -> Option<ConfigError> {
        let needed = least_margin(self.memory_bytes);
        if self.stop_margin >= needed {
            return None;
        }
        let message = format!(
            "`stop_margin` of {} is less than the {} that stopping a guest with {} of memory may take",
            format_duration(self.stop_margin),
            format_duration(needed),
            format_size(self.memory_bytes),
        );
        let needed = format_duration(ceil(needed, Duration::from_millis(1)));
        let finding = ConfigError::at(place, message)
            .help(format!("set `stop_margin = \"{needed}\"` or more"));
        Some(match self.memory_that_fits() {
            Some(mib) => finding.help(format!(
                "or set `memory = \"{mib}MiB\"` or less in the job's limits"
            )),
            None => finding,
        })
    }

    /// Most whole MiB of memory whose stop fits the margin.
    fn memory_that_fits(&self) -> Option<u64> {
        let per_mib = least_margin(2 * MIB).saturating_sub(least_margin(MIB));
        let fixed = least_margin(MIB).saturating_sub(per_mib);
        let room = self.stop_margin.checked_sub(fixed)?;
        let mib = u64::try_from(room.as_nanos() / per_mib.as_nanos().max(1)).ok()?;
        (mib > 0).then_some(mib)
    }

    /// Reports a TTL that leaves no room for a renewal.
    pub(super) fn refuse_short_ttl(&self, place: Range<usize>) -> Option<ConfigError> {
        if self.fits() {
            return None;
        }
        let message = format!(
            "`ttl` of {} is too short for `stop_margin` of {}: with a drift of {} that leaves no room for a renewal every third of it",
            format_duration(self.ttl),
            format_duration(self.stop_margin),
            self.drift,
        );
        let mut remedies = Vec::new();
        if let Some(ttl) = self.ttl_that_fits() {
            remedies.push(format!("`ttl = \"{}\"` or more", format_duration(ttl)));
        }
        if let Some(margin) = self.margin_that_fits() {
            remedies.push(format!(
                "`stop_margin = \"{}\"` or less",
                format_duration(margin)
            ));
        }
        if remedies.is_empty() {
            remedies.push(self.both_that_fit());
        }
        let help = format!("set {}", remedies.join(", or "));
        Some(ConfigError::at(place, message).help(help))
    }

    fn fits(&self) -> bool {
        self.room().is_some_and(|room| room >= self.stop_margin)
    }

    /// Time that the TTL leaves for the stop margin.
    fn room(&self) -> Option<Duration> {
        // Rounded up: a third that is a nanosecond short is too short.
        let third = Duration::from_nanos(
            u64::try_from(self.ttl.as_nanos().div_ceil(RENEWALS_PER_TTL.into())).ok()?,
        );
        self.ttl
            .checked_sub(self.drift.of(self.ttl))?
            .checked_sub(third)?
            .checked_sub(RENEWAL_TRIP)
    }

    /// Least whole seconds that fit the margin, if a TTL may be that long.
    fn ttl_that_fits(&self) -> Option<Duration> {
        (SHORTEST_TTL.as_secs()..=LONGEST_TTL.as_secs())
            .map(Duration::from_secs)
            .find(|ttl| Self { ttl: *ttl, ..*self }.fits())
    }

    /// Most whole milliseconds that fit the TTL, if a guest can be stopped in them.
    fn margin_that_fits(&self) -> Option<Duration> {
        let millis = u64::try_from(self.room()?.as_millis()).ok()?;
        let margin = Duration::from_millis(millis);
        (margin >= least_margin(self.memory_bytes)).then_some(margin)
    }

    /// Least margin and a TTL for it, for times that changing one of them cannot fix.
    fn both_that_fit(&self) -> String {
        let stop_margin = ceil(least_margin(self.memory_bytes), Duration::from_millis(1));
        let ttl = Self {
            stop_margin,
            ..*self
        }
        .ttl_that_fits();
        format!(
            "`stop_margin = \"{}\"` and `ttl = \"{}\"` or more",
            format_duration(stop_margin),
            format_duration(ttl.unwrap_or(LONGEST_TTL)),
        )
    }
}

/// Stop margin of a job that sets none: the default, or more if a guest with this much memory needs
/// more.
pub(super) fn default_margin(memory_bytes: u64) -> Duration {
    let least = ceil(least_margin(memory_bytes), Duration::from_millis(1));
    DEFAULT_STOP_MARGIN.max(least)
}

fn least_margin(memory_bytes: u64) -> Duration {
    let limits = Limits {
        memory_bytes,
        ..Limits::default()
    };
    limits.least_stop_margin()
}

/// `span` rounded up to a whole number of `unit`.
fn ceil(span: Duration, unit: Duration) -> Duration {
    let units = span.as_nanos().div_ceil(unit.as_nanos().max(1));
    u32::try_from(units).map_or(span, |units| unit * units)
}

/// Reads a lease's time to live.
pub(super) fn ttl(node: &Node<'_>) -> Option<Duration> {
    let ttl = duration(node, SHORTEST_TTL, LONGEST_TTL)?;
    if ttl.subsec_nanos() == 0 {
        return Some(ttl);
    }
    node.reject(
        "must be whole seconds: leases are granted in them",
        format!("write \"{}s\" or \"{}s\"", ttl.as_secs(), ttl.as_secs() + 1),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::KIB;

    #[test]
    fn the_default_margin_grows_with_the_memory_that_a_job_may_have() {
        let mib = 1024 * KIB;
        assert_eq!(default_margin(64 * mib), Duration::from_millis(250));
        assert_eq!(default_margin(300 * mib), Duration::from_millis(482));
    }

    fn timing(ttl_s: u64, margin_ms: u64, memory_bytes: u64) -> Timing {
        Timing {
            ttl: Duration::from_secs(ttl_s),
            stop_margin: Duration::from_millis(margin_ms),
            drift: Drift::default(),
            memory_bytes,
        }
    }

    #[test]
    fn the_numbers_a_remedy_names_work_and_one_less_does_not() {
        for margin_ms in [1, 54, 250, 1_900, 5_000, 60_000] {
            let mut timing = timing(2, margin_ms, 64 * KIB);
            let ttl = timing.ttl_that_fits().expect("an hour is enough");
            timing.ttl = ttl;
            assert!(timing.fits());
            timing.ttl = ttl.saturating_sub(Duration::from_secs(1));
            assert!(!timing.fits() || timing.ttl < SHORTEST_TTL);
        }
        for ttl_s in [2, 3, 10, 3_600] {
            let mut timing = timing(ttl_s, 1, 64 * KIB);
            let margin = timing.margin_that_fits().expect("some margin fits");
            timing.stop_margin = margin;
            assert!(timing.fits());
            timing.stop_margin = margin + Duration::from_millis(1);
            assert!(!timing.fits());
        }
    }

    #[test]
    fn the_memory_a_remedy_names_can_be_stopped_in_the_margin() {
        for margin_ms in [34, 54, 250, 2_000] {
            let timing = timing(10, margin_ms, 4096 * MIB);
            let mib = timing.memory_that_fits().expect("a MiB fits");
            assert!(least_margin(mib * MIB) <= timing.stop_margin);
            assert!(least_margin((mib + 1) * MIB) > timing.stop_margin);
        }
        assert_eq!(timing(10, 33, MIB).memory_that_fits(), None);
        assert_eq!(timing(10, 1, MIB).memory_that_fits(), None);
    }

    #[test]
    fn the_defaults_fit() {
        let timing = timing(10, 250, 64 * MIB);
        assert!(timing.refuse_short_margin(0..0).is_none());
        assert!(timing.refuse_short_ttl(0..0).is_none());
    }
}

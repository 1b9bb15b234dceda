//! Counting dropped records, and reporting each burst of them once.

use std::fmt;
use std::time::Duration;

use tokio::time::Instant;

/// Time without a drop after which a burst is over.
const QUIET: Duration = Duration::from_secs(5);
/// Interval between reports of a burst that goes on.
const LONGEST: Duration = Duration::from_mins(1);

/// A burst of drops under way.
#[derive(Debug)]
struct Burst {
    began: Instant,
    last: Instant,
    records: u64,
    /// The store's error while records were dropped, if there was one.
    failure: Option<String>,
}

/// Number of records dropped since the last report.
#[derive(Debug, Default)]
pub(super) struct Losses {
    burst: Option<Burst>,
}

/// Report of a burst that is over, for the log.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Report {
    records: u64,
    lasted: Duration,
    failure: Option<String>,
}

impl Losses {
    /// Counts dropped records; `failure` is the store's error, if it accepts none.
    pub(super) fn add(&mut self, records: u64, failure: Option<&str>, now: Instant) {
        if records == 0 {
            return;
        }
        let burst = self.burst.get_or_insert(Burst {
            began: now,
            last: now,
            records: 0,
            failure: None,
        });
        burst.last = now;
        burst.records += records;
        if let Some(failure) = failure {
            burst.failure = Some(failure.to_owned());
        }
    }

    /// Returns the time of the next call of [`Losses::report`].
    pub(super) fn wake(&self) -> Option<Instant> {
        let burst = self.burst.as_ref()?;
        Some((burst.last + QUIET).min(burst.began + LONGEST))
    }

    /// Returns the burst, when it is over or has lasted long; at once when the host `ends`.
    pub(super) fn report(&mut self, now: Instant, ends: bool) -> Option<Report> {
        let is_due = ends || self.wake().is_some_and(|wake| wake <= now);
        let burst = self.burst.take_if(|_| is_due)?;
        Some(Report {
            records: burst.records,
            lasted: burst.last.saturating_duration_since(burst.began),
            failure: burst.failure,
        })
    }
}

impl Report {
    pub(super) const fn records(&self) -> u64 {
        self.records
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (records, lasted) = (self.records, self.lasted.as_secs().max(1));
        let noun = if records == 1 { "record" } else { "records" };
        write!(f, "{records} run {noun} dropped within {lasted} s: ")?;
        match &self.failure {
            None => f.write_str("more runs ended than could be written")?,
            Some(failure) => write!(f, "the store took none ({failure})")?,
        }
        f.write_str("; the event log has these runs")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_reported_once_when_it_is_over() {
        let mut losses = Losses::default();
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        losses.add(0, None, start);
        assert_eq!(losses.wake(), None);
        for n in 0..1000 {
            losses.add(2, None, at(n));
            assert_eq!(losses.report(at(n), false), None);
        }
        assert_eq!(losses.wake(), Some(at(5999)));
        let report = losses.report(at(5999), false).unwrap();
        insta::assert_snapshot!(report, @"2000 run records dropped within 1 s: more runs ended than could be written; the event log has these runs");
        assert_eq!(losses.report(at(9000), true), None);
    }

    #[test]
    fn a_store_that_takes_nothing_is_named_as_the_cause() {
        let mut losses = Losses::default();
        let start = Instant::now();
        losses.add(1, Some("no reply within 5s"), start);
        let report = losses.report(start, true).unwrap();
        insta::assert_snapshot!(report, @"1 run record dropped within 1 s: the store took none (no reply within 5s); the event log has these runs");
    }

    #[test]
    fn a_burst_without_an_end_is_reported_every_minute() {
        let mut losses = Losses::default();
        let start = Instant::now();
        let mut reports = 0;
        for second in 0..180 {
            let now = start + Duration::from_secs(second);
            losses.add(1, None, now);
            reports += usize::from(losses.report(now, false).is_some());
        }
        assert_eq!(reports, 2);
    }
}

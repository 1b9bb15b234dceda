//! Largest rate error between two clocks, as an exact fraction.
//!
//! Deadlines are computed from it, so there is no floating point here.

use std::fmt;
use std::time::Duration;

/// Parts in the whole.
const MILLION: u32 = 1_000_000;
/// Largest drift: above a fifth, a machine is broken rather than drifting.
const MOST_PPM: u32 = MILLION / 5;

/// The declared bound on the error of this machine's clock *rate* against the store's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Drift {
    ppm: u32,
}

impl Default for Drift {
    /// 1 %: far above any working oscillator, and it costs 100 ms of a 10 s lease.
    fn default() -> Self {
        Self { ppm: MILLION / 100 }
    }
}

impl Drift {
    /// Parts per million; at most 200,000.
    pub const fn ppm(self) -> u32 {
        self.ppm
    }

    /// Largest error of `span`, rounded up to a nanosecond.
    pub fn of(self, span: Duration) -> Duration {
        let nanos = (span.as_nanos() * u128::from(self.ppm)).div_ceil(MILLION.into());
        u64::try_from(nanos).map_or(Duration::MAX, Duration::from_nanos)
    }

    /// Reads `"1%"` or `"0.5%"`, up to four decimals, from 0 % to 20 %.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let number = text.strip_suffix('%')?.trim_end();
        let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(fraction) || fraction.len() > 4 || whole.len() > 2 {
            return None;
        }
        let whole: u32 = whole.parse().ok()?;
        // Four decimals of a percent are whole parts per million.
        let fraction: u32 = format!("{fraction:0<4}").parse().ok()?;
        let ppm = whole * (MILLION / 100) + fraction;
        (ppm <= MOST_PPM).then_some(Self { ppm })
    }
}

impl fmt::Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, fraction) = (self.ppm / 10_000, self.ppm % 10_000);
        let number = format!("{whole}.{fraction:04}");
        write!(f, "{}%", number.trim_end_matches('0').trim_end_matches('.'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_are_exact() {
        for (text, ppm) in [
            ("1%", Some(10_000)),
            ("0%", Some(0)),
            ("0.5%", Some(5_000)),
            ("0.0001%", Some(1)),
            ("20%", Some(200_000)),
            ("20.0001%", None),
            ("21%", None),
            ("-1%", None),
            ("1", None),
            ("%", None),
            (".5%", None),
            ("1.%", None),
            ("1e1%", None),
            ("99999999999%", None),
        ] {
            assert_eq!(Drift::parse(text).map(Drift::ppm), ppm, "{text}");
        }
        assert_eq!(Drift { ppm: 5_000 }.to_string(), "0.5%");
        assert_eq!(Drift { ppm: 100_000 }.to_string(), "10%");
        assert_eq!(Drift { ppm: 0 }.to_string(), "0%");
    }

    #[test]
    fn the_drift_of_a_span_is_rounded_against_us() {
        let drift = Drift::default();
        assert_eq!(
            drift.of(Duration::from_secs(10)),
            Duration::from_millis(100)
        );
        assert_eq!(drift.of(Duration::from_nanos(1)), Duration::from_nanos(1));
        assert_eq!(drift.of(Duration::ZERO), Duration::ZERO);
    }
}

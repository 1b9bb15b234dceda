//! Moments and spans as text for people: the age for an operator at night, and the clock for the calendar.

use std::time::Duration;

use crate::printable;
use crate::unix_ms::UnixMs;

/// The zone of a clock: its name, and the seconds by which it is ahead of UTC at the moment that is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ZoneOffset<'a> {
    /// The name, such as `Europe/Berlin`.
    pub name: &'a str,
    /// Seconds ahead of UTC; negative for zones behind it.
    pub seconds: i32,
}

impl ZoneOffset<'static> {
    /// The zone of UTC.
    pub const UTC: Self = Self {
        name: "UTC",
        seconds: 0,
    };
}

/// Returns the time until a moment by the reader's clock: `in 3m12s`, or `due`.
pub fn until(next: UnixMs, now: UnixMs) -> String {
    let left = next.since(now);
    if left.is_zero() {
        "due".into()
    } else {
        format!("in {}", age(left))
    }
}

/// Returns a span in its two largest units: `12s`, `3m12s`, `7h40m`, `3d04h`.
pub fn age(span: Duration) -> String {
    let seconds = span.as_secs();
    match seconds {
        0 => format!("{}ms", span.as_millis()),
        1..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3600..86400 => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}d{:02}h", seconds / 86400, seconds / 3600 % 24),
    }
}

/// Returns a moment as the clock of a zone shows it: `03:00 Europe/Berlin`, with the date unless that is the date of
/// `now`, and with seconds unless there are none.
pub fn clock(at: UnixMs, zone: ZoneOffset<'_>, now: UnixMs) -> String {
    let time = time_of(at, zone, now);
    format!("{time} {}", printable::line(zone.name))
}

/// As [`clock`], without the zone.
pub fn time_of(at: UnixMs, zone: ZoneOffset<'_>, now: UnixMs) -> String {
    let shown = local(at, zone.seconds);
    let (date, time) = shown.split_once('T').unwrap_or(("", &shown));
    let time = time.get(..8).unwrap_or(time);
    let time = time.strip_suffix(":00").unwrap_or(time);
    if local(now, zone.seconds).starts_with(date) {
        time.to_owned()
    } else {
        format!("{date} {time}")
    }
}

/// Returns the moment as RFC 3339 on a clock that is so many seconds ahead of UTC.
fn local(at: UnixMs, ahead_s: i32) -> String {
    let by = Duration::from_secs(u64::from(ahead_s.unsigned_abs()));
    let shifted = if ahead_s < 0 {
        at.before(by)
    } else {
        at.after(by)
    };
    shifted.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moment_has_its_date_unless_it_is_today_in_that_zone() {
        // 2026-11-30T23:30:00Z.
        let now = UnixMs::new(1_796_081_400_000);
        let berlin = ZoneOffset {
            name: "Europe/Berlin",
            seconds: 3600,
        };
        let soon = now.after(Duration::from_mins(90));
        assert_eq!(clock(soon, berlin, now), "02:00 Europe/Berlin");
        assert_eq!(clock(soon, ZoneOffset::UTC, now), "2026-12-01 01:00 UTC");
        let earlier = now.before(Duration::from_millis(3_661_500));
        assert_eq!(clock(earlier, ZoneOffset::UTC, now), "22:28:58 UTC");
        assert_eq!(
            clock(earlier, berlin, now),
            "2026-11-30 23:28:58 Europe/Berlin"
        );
        let west = ZoneOffset {
            name: "America/New_York",
            seconds: -18_000,
        };
        assert_eq!(time_of(now, west, now), "18:30");
    }

    #[test]
    fn span_has_its_two_largest_units() {
        for (seconds, text) in [
            (12, "12s"),
            (192, "3m12s"),
            (27_600, "7h40m"),
            (273_600, "3d04h"),
        ] {
            assert_eq!(age(Duration::from_secs(seconds)), text);
        }
        assert_eq!(age(Duration::from_millis(7)), "7ms");
        assert_eq!(until(UnixMs::new(5), UnixMs::new(5)), "due");
        assert_eq!(until(UnixMs::new(5_000), UnixMs::new(0)), "in 5s");
    }
}

//! Numbers for people: spans, times of day, counts, sizes and leases.
//!
//! Everything is rounded down. Nothing here reads a clock.

use std::time::Duration;

use leasehold_lock::LeaseId;
use leasehold_records::{UnixMs, wall_text};

/// A span of milliseconds in its two largest units.
pub(crate) fn age(ms: u64) -> String {
    wall_text::age(Duration::from_millis(ms))
}

/// The time of day in UTC: `12:04:31.120`.
pub(crate) fn clock_time(at: UnixMs) -> String {
    let unix_ms = at.as_u64();
    let seconds = unix_ms / 1000;
    format!(
        "{:02}:{:02}:{:02}.{:03}",
        seconds / 3600 % 24,
        seconds / 60 % 60,
        seconds % 60,
        unix_ms % 1000
    )
}

/// A number with its thousands apart: `1,204,518`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A size in the largest unit that it fills: `812 B`, `1.5 KiB`, `12 MiB`.
pub(crate) fn bytes(size: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let mut unit = 1_u128;
    let mut name = "B";
    for larger in UNITS {
        if u128::from(size) < unit * 1024 {
            break;
        }
        (unit, name) = (unit * 1024, larger);
    }
    // Tenths matter for a small number.
    let tenths = u128::from(size) * 10 / unit;
    match (tenths / 10, tenths % 10) {
        (whole @ 0..10, tenth @ 1..) => format!("{whole}.{tenth} {name}"),
        (whole, _) => format!("{whole} {name}"),
    }
}

/// A lease in hex, as etcd's tools write it, without its middle: `694d…3c07`.
pub(crate) fn hex_short(lease: LeaseId) -> String {
    /// Digits kept at each end.
    const END: usize = 4;
    let hex = lease.to_string();
    if hex.len() <= 2 * END + 1 {
        return hex;
    }
    format!("{}…{}", &hex[..END], &hex[hex.len() - END..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_their_two_largest_units() {
        for (ms, text) in [
            (0, "0ms"),
            (450, "450ms"),
            (12_999, "12s"),
            (252_000, "4m12s"),
            (3_720_000, "1h02m"),
            (273_600_000, "3d04h"),
        ] {
            assert_eq!(age(ms), text);
        }
        assert_eq!(age(u64::MAX), "213503982334d14h");
    }

    #[test]
    fn times_of_day_are_utc_to_the_millisecond() {
        assert_eq!(clock_time(UnixMs::new(0)), "00:00:00.000");
        assert_eq!(clock_time(UnixMs::new(1_795_694_671_120)), "12:04:31.120");
        assert_eq!(clock_time(UnixMs::new(u64::MAX)), "14:25:51.615");
    }

    #[test]
    fn thousands_stand_apart() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (1_204_518, "1,204,518"),
            (u64::MAX, "18,446,744,073,709,551,615"),
        ] {
            assert_eq!(count(number), text);
        }
    }

    #[test]
    fn sizes_never_claim_more_than_there_is() {
        for (size, text) in [
            (0, "0 B"),
            (812, "812 B"),
            (1_023, "1023 B"),
            (1_024, "1 KiB"),
            (1_535, "1.4 KiB"),
            (12 << 20, "12 MiB"),
            ((12 << 20) - 1, "11 MiB"),
            (u64::MAX, "15 EiB"),
        ] {
            assert_eq!(bytes(size), text);
        }
    }

    #[test]
    fn short_hex_keeps_both_ends_of_a_long_lease() {
        assert_eq!(hex_short(LeaseId::new(0x694d_8f2b_1a00_3c07)), "694d…3c07");
        assert_eq!(hex_short(LeaseId::new(0x6_94d8_f2b1)), "694d8f2b1");
        assert_eq!(hex_short(LeaseId::new(0)), "0");
        assert_eq!(hex_short(LeaseId::new(-1)), "ffff…ffff");
    }
}

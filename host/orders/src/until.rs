//! Times in arguments: a time of day, a moment, or a time span from now.

use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, Days, NaiveTime, TimeZone as _};
use chrono_tz::Tz;
use leasehold_records::UnixMs;

/// Returns the moment of `06:00` (the next one in this zone), `2026-12-01T06:00:00Z` or `2h`.
///
/// # Errors
///
/// The text is no time, or the time is past: a sentence with the forms.
pub fn parse(text: &str, now: UnixMs, zone: Tz) -> Result<UnixMs, String> {
    let until = if let Ok(span) = humantime::parse_duration(text) {
        Some(now.after(span))
    } else if let Ok(time) = NaiveTime::parse_from_str(text, "%H:%M") {
        next_time_of_day(time, now, zone)
    } else {
        let moment = DateTime::parse_from_rfc3339(text).ok();
        moment
            .and_then(|moment| u64::try_from(moment.timestamp_millis()).ok())
            .map(UnixMs::new)
    };
    let until = until.ok_or_else(|| {
        "write a time of day as 06:00, a moment as 2026-12-01T06:00:00Z, or a time span as 2h"
            .to_owned()
    })?;
    if until <= now {
        return Err(format!("{until} is in the past"));
    }
    Ok(until)
}

fn next_time_of_day(time: NaiveTime, now: UnixMs, zone: Tz) -> Option<UnixMs> {
    let millis = i64::try_from(now.as_u64()).ok()?;
    let today = DateTime::from_timestamp_millis(millis)?
        .with_timezone(&zone)
        .date_naive();
    // A time that the clocks leave out comes on the day after.
    (0..3).find_map(|days| {
        let day = today.checked_add_days(Days::new(days))?;
        let moment = zone.from_local_datetime(&day.and_time(time)).earliest()?;
        let moment = UnixMs::new(u64::try_from(moment.timestamp_millis()).ok()?);
        (moment > now).then_some(moment)
    })
}

/// Returns the zone of this machine: that of `TZ`, else that of /etc/localtime, else UTC.
pub fn local_zone() -> Tz {
    let named = std::env::var("TZ").ok().filter(|name| !name.is_empty());
    let link = std::fs::read_link("/etc/localtime").ok();
    zone_of(named.as_deref(), link.as_deref())
}

fn zone_of(named: Option<&str>, link: Option<&Path>) -> Tz {
    let linked = link.and_then(Path::to_str);
    let linked = linked.and_then(|link| link.split_once("zoneinfo/").map(|(_, name)| name));
    let named = named.map(|name| name.trim_start_matches(':'));
    named
        .or(linked)
        .and_then(|name| name.parse().ok())
        .unwrap_or(Tz::UTC)
}

/// Shows a moment in this zone, with the zone's name and the time left.
pub(crate) fn show(until: UnixMs, now: UnixMs, zone: Tz) -> String {
    let local = i64::try_from(until.as_u64())
        .ok()
        .and_then(DateTime::from_timestamp_millis);
    let local = local.map_or_else(
        || until.to_string(),
        |moment| {
            moment
                .with_timezone(&zone)
                .format("%Y-%m-%d %H:%M:%S")
                .to_string()
        },
    );
    format!(
        "{local} {zone} (in {})",
        leasehold_records::wall_text::age(left(until, now))
    )
}

fn left(until: UnixMs, now: UnixMs) -> Duration {
    until.since(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> UnixMs {
        let moment = DateTime::parse_from_rfc3339(text).unwrap();
        UnixMs::new(u64::try_from(moment.timestamp_millis()).unwrap())
    }

    #[test]
    fn time_of_day_is_the_next_one_in_the_zone() {
        let berlin: Tz = "Europe/Berlin".parse().unwrap();
        let now = at("2026-11-30T19:00:00Z");
        for (text, expected) in [
            ("06:00", "2026-12-01T05:00:00Z"),
            ("20:01", "2026-11-30T19:01:00Z"),
            ("20:00", "2026-12-01T19:00:00Z"),
            ("2h", "2026-11-30T21:00:00Z"),
            ("2026-12-24T18:00:00+01:00", "2026-12-24T17:00:00Z"),
        ] {
            assert_eq!(parse(text, now, berlin), Ok(at(expected)), "{text}");
        }
        // The clocks go from 02:00 to 03:00.
        let now = at("2026-03-28T22:00:00Z");
        assert_eq!(parse("02:30", now, berlin), Ok(at("2026-03-30T00:30:00Z")));
    }

    #[test]
    fn other_times_are_refused_with_the_forms() {
        let now = at("2026-11-30T19:00:00Z");
        insta::assert_snapshot!(
            parse("tomorrow", now, Tz::UTC).unwrap_err(),
            @"write a time of day as 06:00, a moment as 2026-12-01T06:00:00Z, or a time span as 2h"
        );
        insta::assert_snapshot!(
            parse("2026-11-30T18:00:00Z", now, Tz::UTC).unwrap_err(),
            @"2026-11-30T18:00:00Z is in the past"
        );
    }

    #[test]
    fn moment_is_shown_in_the_zone_of_the_machine() {
        let link = Path::new("/usr/share/zoneinfo/Europe/Berlin");
        let berlin = zone_of(None, Some(link));
        let shown = show(
            at("2026-12-01T05:00:00Z"),
            at("2026-11-30T19:00:00Z"),
            berlin,
        );
        assert_eq!(shown, "2026-12-01 06:00:00 Europe/Berlin (in 10h00m)");
        assert_eq!(zone_of(Some(":Asia/Tokyo"), Some(link)), Tz::Asia__Tokyo);
        assert_eq!(zone_of(None, None), Tz::UTC);
    }
}

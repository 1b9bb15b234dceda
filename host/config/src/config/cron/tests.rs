//! Moments of expressions in their zones, above all on the days on which clocks are changed.

use std::time::Duration;

use super::super::ticks::Beat;
use super::*;

fn at(text: &str) -> UnixMs {
    let at = DateTime::parse_from_rfc3339(text).expect("a moment");
    UnixMs::new(u64::try_from(at.timestamp_millis()).expect("since 1970"))
}

fn cron(text: &str, tz: &str) -> Cron {
    let cron = parse(text).unwrap_or_else(|fault| panic!("{text}: {fault:?}"));
    cron.in_zone(tz.parse().expect("a zone"))
}

/// The next `count` moments after `after`, as the clock of the zone shows them.
fn next(cron: &Cron, after: &str, count: usize) -> Vec<String> {
    let shown = |tick: UnixMs| {
        let local = cron.local(tick).expect("in range");
        local.format("%d. %H:%M %Z").to_string()
    };
    let ticks = std::iter::successors(cron.next(at(after)), |tick| cron.next(*tick));
    ticks.take(count).map(shown).collect()
}

#[test]
fn an_expression_has_five_fields_or_six_or_is_a_word() {
    let after = "2025-06-15T16:00:00.5Z";
    for (text, first) in [
        ("0 3 * * *", "2025-06-16T03:00:00Z"),
        ("  0   3 * * *  ", "2025-06-16T03:00:00Z"),
        ("*/15 * * * * *", "2025-06-15T16:00:15Z"),
        ("@daily", "2025-06-16T00:00:00Z"),
        ("@Hourly", "2025-06-15T17:00:00Z"),
        ("30 9 * * mon-fri", "2025-06-16T09:30:00Z"),
        ("0 0 L feb *", "2026-02-28T00:00:00Z"),
        ("0 0 29 2 *", "2028-02-29T00:00:00Z"),
        ("0 0 15W * ?", "2025-06-16T00:00:00Z"),
        ("0 0 * * FRI#2", "2025-07-11T00:00:00Z"),
        ("0 0 * * 5L", "2025-06-27T00:00:00Z"),
        // Day or weekday, as in classic cron; both with a plus.
        ("0 0 13 * FRI", "2025-06-20T00:00:00Z"),
        ("0 0 13 * +FRI", "2026-02-13T00:00:00Z"),
    ] {
        assert_eq!(cron(text, "UTC").next(at(after)), Some(at(first)), "{text}");
    }
    let newest = cron("*/15 * * * * *", "UTC").newest(at(after));
    assert_eq!(newest, Some(at("2025-06-15T16:00:00Z")));
}

/// On that day the hour from two to three does not occur: a tick in it comes at three, once.
#[test]
fn cron_time_in_the_gap_of_spring_comes_right_after_it() {
    let day = "2025-03-29T22:00:00Z";
    let berlin = |text| next(&cron(text, "Europe/Berlin"), day, 3);
    assert_eq!(
        berlin("30 2 * * *"),
        ["30. 03:00 CEST", "31. 02:30 CEST", "01. 02:30 CEST"]
    );
    assert_eq!(
        berlin("0 3 * * *"),
        ["30. 03:00 CEST", "31. 03:00 CEST", "01. 03:00 CEST"]
    );
    // A repeating expression follows the clock.
    assert_eq!(
        berlin("30 * * * *"),
        ["29. 23:30 CET", "30. 00:30 CET", "30. 01:30 CET"]
    );
    assert_eq!(
        next(&cron("*/30 2,3 * * *", "Europe/Berlin"), day, 2),
        ["30. 03:00 CEST", "30. 03:30 CEST"]
    );
}

/// The hour from two to three occurs twice: a tick in it comes the first time only.
#[test]
fn in_autumn_a_time_that_the_clock_has_twice_comes_once() {
    let day = "2025-10-25T22:30:00Z";
    let berlin = |text, count| next(&cron(text, "Europe/Berlin"), day, count);
    assert_eq!(berlin("30 2 * * *", 2), ["26. 02:30 CEST", "27. 02:30 CET"]);
    // The second occurrence is not due from a start between the two either.
    let later = next(
        &cron("30 2 * * *", "Europe/Berlin"),
        "2025-10-26T01:15:00Z",
        1,
    );
    assert_eq!(later, ["27. 02:30 CET"]);
    // A repeating expression follows the clock: these are different moments, and so different
    // ticks.
    assert_eq!(
        berlin("30 * * * *", 4),
        [
            "26. 01:30 CEST",
            "26. 02:30 CEST",
            "26. 02:30 CET",
            "26. 03:30 CET"
        ]
    );
}

/// Hosts compute the newest and the next tick at any moment between: all must get the same
/// ticks.
#[test]
fn newest_and_next_tick_agree_through_a_year_of_changes() {
    let zones = [
        "Europe/Berlin",
        "America/New_York",
        "Australia/Lord_Howe",
        "Africa/Casablanca",
        "Asia/Kathmandu",
        "America/Santiago",
        "UTC",
    ];
    let second = Duration::from_secs(1);
    for zone in zones {
        for text in [
            "30 2 * * *",
            "*/20 1-3 * * *",
            "0 0 * * *",
            "15 0 1 * *",
            "30 1,2 * * *",
        ] {
            let beat = Beat::Cron(cron(text, zone));
            let end = at("2026-01-01T00:00:00Z");
            let mut tick = beat.next(at("2025-01-01T00:00:00Z")).expect("it comes");
            while tick < end {
                let next = beat.next(tick).expect("it comes again");
                assert!(next > tick, "{text} in {zone}: {next} after {tick}");
                for inside in [
                    tick,
                    tick.after(second),
                    next.before(Duration::from_millis(1)),
                ] {
                    assert_eq!(
                        beat.newest(inside),
                        Some(tick),
                        "{text} in {zone} at {inside}"
                    );
                    assert_eq!(
                        beat.next(inside),
                        Some(next),
                        "{text} in {zone} at {inside}"
                    );
                }
                assert_eq!(beat.first(tick), Some(tick), "{text} in {zone}");
                tick = next;
            }
        }
    }
}

#[test]
fn a_zone_that_leaves_out_a_day_ends_no_schedule() {
    let ticks = next(
        &cron("15 0 * * *", "Pacific/Apia"),
        "2011-12-28T12:00:00Z",
        3,
    );
    assert_eq!(ticks, ["29. 00:15 -10", "31. 00:15 +14", "01. 00:15 +14"]);
}

#[test]
fn periods_count_from_1970_whoever_starts_when() {
    let beat = Beat::Every(Duration::from_secs(30));
    let (start, slot) = (at("2025-06-15T16:00:29.9Z"), at("2025-06-15T16:00:00Z"));
    assert_eq!(beat.newest(start), Some(slot));
    assert_eq!(beat.first(slot), Some(slot));
    assert_eq!(beat.next(slot), Some(at("2025-06-15T16:00:30Z")));
    assert_eq!(beat.next(UnixMs::new(u64::MAX)), None);
}

/// The library accepts each of these, with another meaning than it reads, or searches for seconds.
#[test]
fn what_the_library_would_misunderstand_is_refused() {
    for text in [
        ",  * * * *",
        "1,,2 * * * *",
        "MON * * * *",
        "0 0 * MON *",
        "0 JAN * * *",
        "0 0 * * * 2030",
        "0 0 30 2 *",
        "0 0 31W 2 *",
        "0 0 31 4,6,9,11 *",
        "@daily extra",
        "",
        "é * * * *",
        "1.5 * * * *",
        "*/0 * * * *",
    ] {
        assert!(parse(text).is_err(), "{text}");
    }
}

//! Doubts about clocks, by the readings of other hosts.

use super::*;

const NOW: u64 = 1_790_000_000_000;
const MINUTE: u64 = 60_000;
const A_MINUTE: Duration = Duration::from_mins(1);
const YEAR: u64 = 365 * 24 * 3_600_000;

fn at(millis: u64) -> UnixMs {
    UnixMs::new(millis)
}

fn reading(host: &'static str, shown: u64, revision: i64) -> ClockReading<'static> {
    let shown = at(shown);
    ClockReading {
        host,
        shown,
        revision: Revision::new(revision),
    }
}

fn lives(host: &str, started: u64, came: i64) -> LivingHost {
    LivingHost {
        host: host.into(),
        started: at(started),
        write_revision: Revision::new(came),
        create_revision: Revision::new(came),
    }
}

fn is_odd(now: u64, fresh: &[ClockReading<'_>], living: &[LivingHost]) -> bool {
    find_doubt("us", at(now), A_MINUTE, fresh, living).is_some()
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
fn later_of_two_hosts_stands_back_while_the_other_lives() {
    let behind = NOW - 4 * YEAR;
    let done = [reading("a", NOW, 30)];
    let fleet = [lives("a", NOW - 9, 3), lives("us", behind, 20)];
    assert!(is_odd(behind, &done, &fleet));
    assert!(is_odd(behind, &done, &[lives("a", NOW - 9, 3)]));
    assert!(!is_odd(behind, &done, &[lives("us", behind, 20)]));
}

#[test]
fn host_ahead_is_odd_by_writes_after_its_start() {
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
fn honest_hosts_outvote_one_behind_that_came_first() {
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
        all.map(|(host, started, came)| lives(if host == own { "us" } else { host }, started, came))
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
fn start_written_again_does_not_contradict() {
    let month = 30 * 24 * 3_600_000;
    let mut again = [lives("a", NOW - month, 20), lives("b", NOW - month, 21)].to_vec();
    again.push(lives("us", NOW, 9));
    assert!(!is_odd(NOW + MINUTE, &[], &again));
    // Nor is one that is written again because the configuration has changed.
    for host in &mut again[..2] {
        host.started = at(NOW - YEAR);
        (host.create_revision, host.write_revision) = (Revision::new(3), Revision::new(30));
    }
    assert!(!is_odd(NOW + MINUTE, &[], &again));
}

#[test]
fn new_host_waits_for_a_living_one_to_write() {
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
fn waiting_host_names_the_one_it_waits_for() {
    let fleet = [lives("a", NOW - YEAR, 3), lives("us", NOW, 9)];
    let why = find_doubt("us", at(NOW), A_MINUTE, &[], &fleet);
    insta::assert_snapshot!(why.expect("it waits").reason(), @"the clock of this host is not compared yet: a wrote 2025-09-21T14:13:20Z; the job waits until other hosts write again, at most 60 s from its start");
}

#[test]
fn the_reason_names_hosts_clocks_and_a_remedy() {
    let fresh = [reading("a", NOW, 30), reading("b", NOW - 1_000, 29)];
    let why = find_doubt("us", at(NOW - YEAR), A_MINUTE, &fresh, &[]);
    insta::assert_snapshot!(why.expect("it is odd").reason(), @"the clock of this host seems wrong: it shows 2025-09-21T14:13:20Z, but a wrote 2026-09-21T14:13:20Z and b wrote 2026-09-21T14:13:19Z; set it, and keep it right with chrony or ntpd");
}

//! Histories, by the test's own clock.

use leasehold_lock::Token;

use super::*;

fn key(n: u32) -> String {
    format!("/leasehold/runs/j/{n:020}")
}

fn mark(token: u64) -> RunMark {
    RunMark {
        job: "j".into(),
        lock: "l".into(),
        shared: false,
        token: Token::new(token),
        is_first: true,
    }
}

fn run(histories: &mut Histories, n: u32, now: Instant) {
    histories.ran(key(n).into(), mark(u64::from(n)), now);
}

#[test]
fn job_is_visited_at_first_then_after_time_or_many_runs() {
    let mut histories = Histories::default();
    let start = Instant::now();
    run(&mut histories, 1, start);
    assert_eq!(histories.due(start).len(), 1);
    assert_eq!(histories.due(start), []);
    run(&mut histories, 2, start);
    assert_eq!(histories.due(start + VISIT_EVERY / 2), []);
    // No other run came, but the one that did is visited.
    assert_eq!(histories.due(start + VISIT_EVERY).len(), 1);
    let later = start + VISIT_EVERY;
    for n in 0..VISIT_AFTER - 1 {
        run(&mut histories, 10 + n, later);
    }
    assert_eq!(histories.due(later), []);
    run(&mut histories, 90, later);
    let visits = histories.due(later);
    assert_eq!(visits.len(), 1);
    assert_eq!(&*visits[0].own, key(90).as_str());
}

#[test]
fn each_visit_looks_at_what_the_one_before_has_seen() {
    let mut histories = Histories::default();
    let mut now = Instant::now();
    let mut from = Vec::new();
    for n in 1..=4 {
        run(&mut histories, n, now);
        from.extend(histories.due(now).into_iter().map(|visit| visit.from));
        now += VISIT_EVERY;
    }
    let expected = [None, Some(key(1)), Some(key(1)), Some(key(2))];
    assert_eq!(from, expected.map(|key| key.map(Arc::from)));
}

#[test]
fn a_visit_that_failed_is_made_again_from_where_it_began() {
    let mut histories = Histories::default();
    let now = Instant::now();
    run(&mut histories, 1, now);
    let visit = histories.due(now).remove(0);
    histories.repeat(visit.clone(), now);
    assert_eq!(histories.due(now), []);
    let again = histories.due(now + AGAIN_AFTER);
    assert_eq!(again.len(), 1);
    assert_eq!(again[0].own, visit.own);
    histories.repeat(visit.clone(), now);
    histories.forget("j");
    assert_eq!(histories.wake(), None);
}

#[test]
fn the_runs_between_the_last_look_and_ones_own_are_looked_at() {
    let keys: Vec<String> = (1..=50).map(key).collect();
    let visit = |own, from: Option<u32>| HistoryVisit {
        own: key(own).into(),
        mark: mark(u64::from(own)),
        from: from.map(|from| key(from).into()),
        kept: 100,
        age: None,
    };
    let at = |own, from| looked_from(&keys, &visit(own, from)).map(str::to_owned);
    assert_eq!(at(50, None), Some(key(45)));
    assert_eq!(at(50, Some(20)), Some(key(20)));
    // The run that the visit started from has been deleted since.
    assert_eq!(at(3, None), Some(key(1)));
    assert_eq!(at(1, None), None);
    assert_eq!(at(50, Some(50)), Some(key(49)));
    assert_eq!(looked_until(&keys, &visit(40, None)), key(40));
    // Where several run together, each may outlive any other.
    let shared = |own| {
        let mut visit = visit(own, None);
        visit.mark.shared = true;
        visit
    };
    assert_eq!(looked_from(&keys, &shared(50)), Some(&*key(1)));
    assert_eq!(looked_from(&keys, &shared(1)), Some(&*key(1)));
    assert!(looked_until(&keys, &shared(1)) > key(50));
}

/// Fails if a run that goes on beside later ones is not read again, and so stays unended when its host dies.
#[test]
fn run_left_open_is_read_again_at_the_next_visit() {
    let mut histories = Histories::default();
    let start = Instant::now();
    for n in [1, 2, 3] {
        run(&mut histories, n, start + VISIT_EVERY * n);
        let visit = histories.due(start + VISIT_EVERY * n).remove(0);
        let found = HistoryFindings {
            open_from: Some(key(1).into()),
            ..HistoryFindings::default()
        };
        histories.left_open(&visit, &found, start + VISIT_EVERY * n);
    }
    let later = start + VISIT_EVERY * 4;
    run(&mut histories, 4, later);
    let visit = histories.due(later).remove(0);
    assert_eq!(visit.from.as_deref(), Some(&*key(1)));
    assert_eq!(histories.wake(), None);
    // While the own run goes on beside others, no start of another need come.
    let beside = HistoryFindings {
        goes_on: true,
        open_from: Some(key(1).into()),
        ..HistoryFindings::default()
    };
    histories.left_open(&visit, &beside, later);
    assert_eq!(histories.wake(), Some(later + SHARED_EVERY));
    let again = histories.due(later + SHARED_EVERY).remove(0);
    assert_eq!((again.own, again.from), (visit.own, Some(key(1).into())));
}

#[test]
fn the_newest_hundred_are_kept_and_the_rest_goes_together() {
    let keys = |count| (1..=count).map(key).collect::<Vec<_>>();
    assert_eq!(surplus(&keys(110), 100, 0), None);
    assert_eq!(surplus(&keys(111), 100, 0), Some((key(1), key(12))));
    // Old records go at once, and with those beyond the number.
    assert_eq!(surplus(&keys(9), 100, 3), Some((key(1), key(4))));
    assert_eq!(surplus(&keys(111), 100, 3), Some((key(1), key(12))));
    assert_eq!(surplus(&keys(6), FEWEST, 0), Some((key(1), key(2))));
}

/// Writes so many records of these sizes of some jobs, and visits them; returns the number kept of each.
fn kept(jobs: u32, records: u32, bytes: usize) -> Vec<usize> {
    let (mut histories, now) = (Histories::default(), Instant::now());
    for job in 0..jobs {
        let mark = RunMark {
            job: job.to_string(),
            ..mark(1)
        };
        for n in 0..records {
            histories.wrote(&mark.job, key(n).into(), 300);
            histories.wrote(&mark.job, key(n).into(), bytes);
        }
        histories.ran(key(records).into(), mark, now);
    }
    let visits = histories.due(now);
    visits.iter().map(|visit| visit.kept).collect()
}

#[test]
fn a_history_is_bounded_by_bytes_too() {
    assert_eq!(kept(1, 200, 400), [100]);
    assert_eq!(kept(1, 2, 32 << 10), [JOB_BYTES / (32 << 10)]);
    assert_eq!(kept(1, 200, 32 << 10), [JOB_BYTES / (32 << 10)]);
    assert_eq!(kept(1, 0, 0), [100]);
    // A thousand jobs share the bound for all.
    assert!(kept(1000, 2, 8 << 10).iter().all(|kept| *kept == 8));
    assert!(kept(1000, 2, 32 << 10).iter().all(|kept| *kept == FEWEST));
    assert!(kept(1000, 2, 400).iter().all(|kept| *kept == 100));
}

#[test]
fn only_an_earlier_run_under_the_same_lock_is_over() {
    let record = |outcome, lock: &str, token| RunRecord {
        outcome,
        lock: lock.into(),
        ..super::super::sample(token)
    };
    assert!(is_open(&record(Outcome::Running, "l", 3), &mark(4)));
    assert!(!is_open(&record(Outcome::Running, "l", 4), &mark(4)));
    assert!(!is_open(&record(Outcome::Running, "m", 3), &mark(4)));
    assert!(!is_open(&record(Outcome::Done, "l", 3), &mark(4)));
}

fn ended(token: u64, host: &str, outcome: Outcome) -> RunRecord {
    RunRecord {
        host: host.into(),
        outcome,
        ..crate::record_writer::sample(token)
    }
}

/// Only the host of the first success after a failure learns of it.
#[test]
fn failure_elsewhere_concerns_the_host_that_succeeds_next() {
    let found = |runs: &[(u64, &str, Outcome)]| {
        let mut findings = HistoryFindings::default();
        for (token, host, outcome) in runs {
            findings.note(ended(*token, host, *outcome));
        }
        let found = findings.failed_elsewhere("a");
        found.map(|(run, success)| (run.token.get(), success.map(Token::get)))
    };
    let (failed, done) = (Outcome::Trap, Outcome::Done);
    assert_eq!(found(&[(1, "b", done)]), None);
    assert_eq!(found(&[(1, "b", failed)]), Some((1, None)));
    assert_eq!(
        found(&[(1, "b", failed), (2, "a", done), (3, "b", done)]),
        Some((1, Some(2)))
    );
    assert_eq!(found(&[(1, "b", failed), (2, "c", done)]), None);
    assert_eq!(
        found(&[(1, "a", failed)]),
        None,
        "known on this host already"
    );
    assert_eq!(
        found(&[(1, "b", failed), (2, "c", done), (3, "c", failed)]),
        Some((3, None))
    );
}

//! The outbox, by the test's own clock.

use leasehold_records::{Outcome, UnixMs};

use leasehold_lock::{Batch, LeaseId};
use leasehold_records::fixtures::job_record;
use leasehold_records::{JobRecord, Root, RunRecord};

use super::departure::{LOAD_BYTES, PACE};
use super::intake::{BRIEF, LINGER, START_LINGER};
use super::*;

fn key(token: u64) -> String {
    Root::default().run(&started(token).key())
}

fn started(token: u64) -> RunRecord {
    super::super::sample(token)
}

fn ended(token: u64, after_ms: u64) -> RunRecord {
    RunRecord {
        ended_unix_ms: Some(UnixMs::new(1_000 + after_ms)),
        outcome: Outcome::Done,
        ..started(token)
    }
}

fn job(state: JobState, since_unix_ms: u64) -> JobRecord {
    JobRecord {
        since_unix_ms: UnixMs::new(since_unix_ms),
        ..job_record("j", "h", state)
    }
}

const JOB: &str = "/jobs/j/h";

fn keys(load: &WriteBatch) -> Vec<&str> {
    load.items.iter().map(|item| &*item.key).collect()
}

/// Returns the record of a run that `load` writes.
fn record(load: &WriteBatch, at: usize) -> RunRecord {
    match &load.items[at].content {
        WriteContent::Run { json, .. } => RunRecord::from_json(json).unwrap(),
        other => panic!("{other:?}"),
    }
}

/// Returns all transactions until `until`, each at its time, and all of them written at once.
fn loads(outbox: &mut Outbox, until: Instant) -> Vec<Vec<String>> {
    let mut loads = Vec::new();
    while let Some(wake) = outbox.wake(true, false)
        && wake <= until
    {
        let load = outbox.depart(wake, true, false).expect("it was due");
        loads.push(keys(&load).into_iter().map(str::to_owned).collect());
        outbox.written(load);
    }
    loads
}

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

#[test]
fn a_quick_run_and_its_states_are_one_transaction() {
    let (mut outbox, start) = (Outbox::default(), Instant::now());
    // The first run of a job is written from its start on: its duration is not known.
    outbox.run_started(key(1), &started(1), start);
    outbox.run_ended(key(1), &ended(1, 2), start + ms(2));
    loads(&mut outbox, start + ms(500));
    let start = start + ms(1000);
    outbox.job(JOB.into(), &job(JobState::Waiting, 1), start);
    outbox.run_started(key(2), &started(2), start + ms(2));
    outbox.job(JOB.into(), &job(JobState::Running, 2), start + ms(2));
    assert_eq!(loads(&mut outbox, start + ms(8)), [[""; 0]; 0]);
    outbox.run_ended(key(2), &ended(2, 8), start + ms(10));
    outbox.job(JOB.into(), &job(JobState::Sleeping, 3), start + ms(14));
    let sent = loads(&mut outbox, start + ms(500));
    assert_eq!(sent, [[key(2), JOB.to_owned()]]);
}

#[test]
fn a_run_that_takes_longer_is_two_transactions() {
    let (mut outbox, start) = (Outbox::default(), Instant::now());
    outbox.run_started(key(1), &started(1), start);
    outbox.job(JOB.into(), &job(JobState::Running, 1), start + ms(1));
    // Written before the run can end: a host that dies leaves a record of the run.
    assert_eq!(
        loads(&mut outbox, start + START_LINGER),
        [[key(1), JOB.to_owned()]]
    );
    outbox.run_ended(key(1), &ended(1, 900), start + ms(900));
    outbox.job(JOB.into(), &job(JobState::Sleeping, 2), start + ms(906));
    assert_eq!(
        loads(&mut outbox, start + ms(2000)),
        [[key(1), JOB.to_owned()]]
    );
}

#[test]
fn a_quick_run_on_a_slow_store_is_written_once_too() {
    let (mut outbox, start) = (Outbox::default(), Instant::now());
    outbox.run_ended(key(1), &ended(1, 2), start);
    loads(&mut outbox, start + ms(500));
    let start = start + ms(1000);
    outbox.job(JOB.into(), &job(JobState::Waiting, 1), start);
    outbox.run_started(key(2), &started(2), start + ms(60));
    outbox.job(JOB.into(), &job(JobState::Running, 2), start + ms(60));
    outbox.run_ended(key(2), &ended(2, 8), start + ms(66));
    let mut sent = loads(&mut outbox, start + ms(150));
    outbox.job(JOB.into(), &job(JobState::Sleeping, 3), start + ms(150));
    sent.extend(loads(&mut outbox, start + ms(500)));
    assert_eq!(sent, [[key(2)], [JOB.to_owned()]]);
    // A wait that lasts is shown.
    outbox.job(JOB.into(), &job(JobState::Waiting, 4), start + ms(1000));
    assert_eq!(loads(&mut outbox, start + ms(2000)), [[JOB]]);
}

#[test]
fn a_quick_job_that_runs_long_for_once_is_written_while_it_runs() {
    let (mut outbox, start) = (Outbox::default(), Instant::now());
    outbox.run_ended(key(1), &ended(1, 3), start);
    loads(&mut outbox, start + ms(500));
    let start = start + ms(1000);
    outbox.run_started(key(2), &started(2), start);
    assert_eq!(loads(&mut outbox, start + LINGER), [[key(2)]]);
}

#[test]
fn progress_is_written_twice_a_second_at_most() {
    let (mut outbox, start) = (Outbox::default(), Instant::now());
    outbox.job(JOB.into(), &job(JobState::Running, 1), start);
    loads(&mut outbox, start + ms(100));
    let mut sent = 0;
    for n in 0..100 {
        let now = start + ms(1000 + n * 20);
        outbox.job(JOB.into(), &job(JobState::Running, 1), now);
        sent += loads(&mut outbox, now).len();
    }
    assert!((2..=4).contains(&sent), "{sent} writes in two seconds");
}

#[test]
fn writes_of_one_key_never_overtake_one_another() {
    let (mut outbox, start) = (Outbox::default(), Instant::now());
    outbox.run_started(key(1), &started(1), start);
    let first = outbox.depart(start + ms(3), true, false).unwrap();
    outbox.run_ended(key(1), &ended(1, 60), start + ms(60));
    outbox.run_started(key(2), &started(2), start + ms(61));
    let second = outbox.depart(start + ms(90), true, false).unwrap();
    assert_eq!(keys(&second), [key(2)], "the end waits for the start");
    assert_eq!(outbox.wake(true, false), None);
    assert!(outbox.has(&key(1)));
    outbox.written(first);
    let third = outbox.depart(start + ms(95), true, false).unwrap();
    assert_eq!(record(&third, 0).outcome, Outcome::Done);
    outbox.written(second);
    outbox.written(third);
    assert!(outbox.is_empty());
}

#[test]
fn failed_write_is_repeated_with_later_records() {
    let (mut outbox, start) = (Outbox::default(), Instant::now());
    outbox.run_started(key(1), &started(1), start);
    outbox.run_started(key(2), &started(2), start);
    let load = outbox.depart(start + ms(3), true, false).unwrap();
    outbox.run_ended(key(1), &ended(1, 60), start + ms(60));
    outbox.failed(load);
    let again = outbox.depart(start + ms(60), true, false).unwrap();
    assert_eq!(keys(&again), [key(1), key(2)]);
    assert_eq!(record(&again, 0).outcome, Outcome::Done);
    // The end is the first record of the run in the store, so its history is visited now.
    let runs = outbox.written(again);
    assert!(runs.len() == 2 && runs.iter().all(|(_, mark, _)| mark.is_first));
}

#[test]
fn a_transaction_keeps_to_the_bounds_of_a_store() {
    let (mut outbox, start) = (Outbox::default(), Instant::now());
    for token in 0..1000 {
        outbox.run_ended(key(token), &ended(token, 1), start);
    }
    let mut seen = 0;
    while let Some(load) = outbox.depart(start + LINGER, true, false) {
        let batch = load.batch(LeaseId::NONE);
        assert_eq!(batch.len(), Batch::MOST_OPS, "a full one does not wait");
        seen += batch.len();
    }
    let rest = outbox.depart(start + LINGER + PACE, true, false).unwrap();
    assert_eq!(seen + rest.batch(LeaseId::NONE).len(), 1000);
    for token in 0..64 {
        let loud = RunRecord {
            output: "x".repeat(100 << 10),
            ..ended(2000 + token, 1)
        };
        outbox.run_ended(key(2000 + token), &loud, start);
    }
    let mut loads = 0;
    for n in 2..100 {
        if let Some(load) = outbox.depart(start + LINGER + PACE * n, true, false) {
            assert!(load.batch(LeaseId::NONE).bytes() <= LOAD_BYTES);
            loads += 1;
        }
    }
    assert!(loads >= 3, "{loads} transactions for 2.2 MiB");
}

#[test]
fn a_record_beyond_all_measure_is_written_without_its_texts() {
    let (mut outbox, start) = (Outbox::default(), Instant::now());
    let huge = RunRecord {
        detail: "x".repeat(3 << 20),
        output: "abc".into(),
        ..ended(1, 1)
    };
    outbox.run_ended(key(1), &huge, start);
    let load = outbox.depart(start + LINGER, true, false).unwrap();
    let record = record(&load, 0);
    assert_eq!(
        (record.outcome, record.output_truncated_bytes),
        (Outcome::Done, 3)
    );
}

#[test]
fn a_refusal_is_narrowed_down_to_the_one_record() {
    let (mut outbox, start) = (Outbox::default(), Instant::now());
    for token in 0..3 {
        outbox.run_ended(key(token), &ended(token, 1), start);
    }
    let load = outbox.depart(start + LINGER, true, false).unwrap();
    assert!(!load.is_single());
    outbox.refused(load);
    let mut alone = Vec::new();
    for n in 1..4 {
        let load = outbox
            .depart(start + LINGER + PACE * n, true, false)
            .unwrap();
        assert!(load.is_single());
        alone.push(load.first_key().to_owned());
        if n == 2 {
            outbox.give_up(load);
        } else {
            outbox.written(load);
        }
    }
    assert_eq!(alone, [key(0), key(1), key(2)]);
    assert!(outbox.is_empty());
    assert_eq!(outbox.take_dropped(), 1);
}

#[test]
fn without_a_lease_only_runs_are_written() {
    let (mut outbox, start) = (Outbox::default(), Instant::now());
    outbox.job(JOB.into(), &job(JobState::Waiting, 1), start);
    assert_eq!(outbox.wake(false, false), None);
    outbox.run_ended(key(1), &ended(1, 1), start);
    let load = outbox.depart(start + LINGER, false, false).unwrap();
    assert_eq!(keys(&load), [key(1)]);
    assert!(!load.is_leased());
    let load = outbox.depart(start + LINGER + PACE, true, false).unwrap();
    assert!(load.is_leased());
}

#[test]
fn new_lease_gets_all_standing_records_and_no_removed_one() {
    let (mut outbox, start) = (Outbox::default(), Instant::now());
    outbox.host("/hosts/h".into(), b"{}".to_vec(), start);
    outbox.job(JOB.into(), &job(JobState::Waiting, 1), start);
    outbox.job("/jobs/k/h".into(), &job(JobState::Waiting, 1), start);
    loads(&mut outbox, start + ms(100));
    outbox.job_removed(&Root::default(), "/jobs/k/h".into(), "k", start + ms(200));
    loads(&mut outbox, start + ms(300));
    outbox.rewrite_standing(start + ms(400));
    let sent = loads(&mut outbox, start + ms(400));
    assert_eq!(sent, [["/hosts/h", JOB]]);
}

#[test]
fn more_runs_than_may_wait_are_counted_and_the_newest_are_kept() {
    let (mut outbox, start) = (Outbox::default(), Instant::now());
    let count = u64::try_from(MOST_RUNS).unwrap() + 10;
    for token in 0..count {
        outbox.run_ended(key(token), &ended(token, 1), start);
    }
    assert_eq!(outbox.take_dropped(), 10);
    assert_eq!(outbox.take_dropped(), 0);
    let load = outbox.depart(start + LINGER, true, false).unwrap();
    assert_eq!(load.first_key(), key(10));
}

#[test]
fn at_the_end_all_runs_go_at_once_and_what_stands_does_not() {
    let (mut outbox, start) = (Outbox::default(), Instant::now());
    outbox.run_ended(key(1), &ended(1, 1), start);
    outbox.job(JOB.into(), &job(JobState::Sleeping, 1), start);
    outbox.forget_standing();
    let load = outbox.depart(start, true, true).unwrap();
    assert_eq!(keys(&load), [key(1)]);
    outbox.written(load);
    assert!(outbox.is_empty());
}

/// Promise P6. Seeded: for all inputs and all failures, the last state of each key is written last, and none is
/// lost. Fails on the mutant "a record is dropped", see scripts/mutants.
#[test]
fn the_last_state_of_each_run_is_the_last_that_is_written() {
    for seed in 0..300 {
        let (root, mut random) = (Root::default(), fastrand::Rng::with_seed(seed));
        let (mut outbox, mut now) = (Outbox::default(), Instant::now());
        let mut store: HashMap<Arc<str>, RunRecord> = HashMap::new();
        let mut in_flight: Vec<WriteBatch> = Vec::new();
        let (mut begun, mut over) = (Vec::new(), 0);
        let mut settle = |outbox: &mut Outbox, load: WriteBatch, fate: u8| {
            // A transaction whose answer is lost may have been carried out.
            if fate != 1 {
                for (at, item) in load.items.iter().enumerate() {
                    store.insert(item.key.clone(), record(&load, at));
                }
            }
            match fate {
                0 => drop(outbox.written(load)),
                1 | 2 => outbox.failed(load),
                _ => outbox.refused(load),
            }
        };
        for step in 0..400_u64 {
            now += ms(random.u64(0..8));
            match random.u8(0..5) {
                0 | 1 => {
                    outbox.run_started(key(step), &started(step), now);
                    begun.push(step);
                }
                2 if !begun.is_empty() => {
                    let token = begun.swap_remove(random.usize(0..begun.len()));
                    outbox.run_ended(key(token), &ended(token, random.u64(0..50)), now);
                    over += 1;
                }
                3 if !in_flight.is_empty() => {
                    let load = in_flight.swap_remove(random.usize(0..in_flight.len()));
                    settle(&mut outbox, load, random.u8(0..3));
                }
                _ => {
                    outbox.line_up(&root, now);
                    in_flight.extend(outbox.depart(now, true, false));
                }
            }
        }
        outbox.line_up_all(&root, now);
        while !outbox.is_empty() {
            now += ms(30);
            in_flight.extend(outbox.depart(now, true, true));
            for load in std::mem::take(&mut in_flight) {
                settle(&mut outbox, load, 0);
            }
        }
        let count = |wanted| {
            let of = store.values().filter(|run| run.outcome == wanted);
            of.map(RunRecord::runs).sum::<u64>()
        };
        assert_eq!(count(Outcome::Done), over, "seed {seed}");
        assert_eq!(count(Outcome::Running), begun.len() as u64, "seed {seed}");
    }
}

/// Runs a job each 100 ms, each run 2 ms long, and returns all writes with their times.
fn beats(outbox: &mut Outbox, start: Instant, runs: u64) -> Vec<(u64, Vec<String>)> {
    let (root, mut sent) = (Root::default(), Vec::new());
    for token in 0..runs {
        let begin = 100 * token;
        outbox.job(
            JOB.into(),
            &job(JobState::Waiting, begin),
            start + ms(begin),
        );
        outbox.run_started(key(token), &started(token), start + ms(begin + 1));
        outbox.job(
            JOB.into(),
            &job(JobState::Running, begin + 1),
            start + ms(begin + 1),
        );
        outbox.run_ended(key(token), &ended(token, 2), start + ms(begin + 3));
        outbox.job(
            JOB.into(),
            &job(JobState::Sleeping, begin + 3),
            start + ms(begin + 3),
        );
        for at in begin + 3..begin + 100 {
            let now = start + ms(at);
            outbox.line_up(&root, now);
            while let Some(load) = outbox.depart(now, true, false) {
                sent.push((at, keys(&load).into_iter().map(str::to_owned).collect()));
                outbox.written(load);
            }
        }
    }
    sent
}

/// Fails when each run has a record, and when the state of a job that comes and goes is written each time.
#[test]
fn a_job_that_never_rests_is_written_each_ten_seconds() {
    let (mut outbox, start) = (Outbox::default(), Instant::now());
    let sent = beats(&mut outbox, start, 600);
    let (early, late): (Vec<_>, Vec<_>) = sent.into_iter().partition(|(at, _)| *at < 2_000);
    assert!((10..=14).contains(&early.len()), "{early:?}");
    // Sixty seconds at one each ten: the record of a hundred runs, and the state of the job with it.
    assert!((5..=7).contains(&late.len()), "{late:?}");
    let both = late.iter().filter(|(_, keys)| {
        let jobs = keys.iter().filter(|key| *key == JOB).count();
        (keys.len(), jobs) == (2, 1)
    });
    assert!(both.count() >= 5, "{late:?}");
    assert!(!outbox.is_empty(), "the last runs wait");
}

#[test]
fn a_run_that_may_have_been_written_as_begun_is_not_merged() {
    let (mut outbox, start) = (Outbox::default(), Instant::now());
    beats(&mut outbox, start, 50);
    let now = start + ms(5_000);
    outbox.run_started(key(900), &started(900), now);
    let load = outbox
        .depart(now + BRIEF, true, false)
        .expect("a run that lasts is shown");
    outbox.failed(load);
    outbox.run_ended(key(900), &ended(900, 1_100), now + ms(1_100));
    let load = outbox
        .depart(now + ms(1_200), true, false)
        .expect("its end");
    let at = keys(&load)
        .iter()
        .position(|sent| *sent == key(900))
        .expect("its record");
    assert_eq!(
        (record(&load, at).outcome, record(&load, at).runs()),
        (Outcome::Done, 1)
    );
}

#[test]
fn a_busy_job_that_waits_or_runs_for_long_is_shown_as_it_is() {
    let (mut outbox, start) = (Outbox::default(), Instant::now());
    beats(&mut outbox, start, 50);
    let now = start + ms(5_000);
    outbox.job(JOB.into(), &job(JobState::Waiting, 5_000), now);
    assert_eq!(loads(&mut outbox, now + ms(900)), [[""; 0]; 0]);
    assert_eq!(loads(&mut outbox, now + BRIEF), [[JOB]]);
    // The state that it stays in is another than the one that was shown.
    outbox.job(JOB.into(), &job(JobState::Sleeping, 7_000), now + ms(2_000));
    assert_eq!(loads(&mut outbox, now + ms(2_000) + LINGER), [[JOB]]);
}

//! Budgets over runs, tokens and unanswered writes.

use super::*;

const MOST: u64 = 64 * 1024;
/// Length of a value that costs a KiB with a key of one byte.
const KILO: usize = 1024 - 256 - 1;

fn at(seconds: u64) -> BootTime {
    BootTime::from_nanos(seconds * 1_000_000_000)
}

fn budget() -> Budget {
    let mut budget = Budget::new(MOST);
    budget.enter(Token::new(7), MOST);
    budget
}

/// Returns a budget whose keys, of a KiB each, were counted.
fn counted(keys: usize) -> Budget {
    let mut budget = budget();
    let mut tally = budget.tally();
    for n in 0..keys {
        tally.add(&name(n), KILO);
    }
    budget.take(tally, at(0));
    budget
}

fn name(n: usize) -> String {
    char::from(u8::try_from(33 + n).unwrap()).to_string()
}

fn write(budget: &mut Budget, key: &str, value: usize, seconds: u64) -> Admission {
    let answer = budget.ask(key, value, at(seconds));
    if let Admission::Granted(charge) = answer {
        budget.settle(charge, Settled::Written);
    }
    answer
}

fn is_granted(answer: Admission) -> bool {
    matches!(answer, Admission::Granted(_))
}

#[test]
fn little_is_written_uncounted_under_however_many_tokens() {
    let mut budget = budget();
    assert!(is_granted(write(&mut budget, "a", KILO, 0)));
    for token in 8..20 {
        budget.enter(Token::new(token), MOST);
        assert_eq!(write(&mut budget, "b", KILO, 0), Admission::Count);
    }
}

#[test]
fn a_count_is_exact_for_writes_overwrites_and_deletions() {
    let mut budget = counted(63);
    assert!(is_granted(write(&mut budget, "z", KILO, 0)));
    let full = Admission::Full { used: MOST };
    assert_eq!(write(&mut budget, "y", 0, 0), full);
    // A value that is no longer than the one before is always accepted.
    assert!(is_granted(write(&mut budget, "z", KILO, 0)));
    assert_eq!(write(&mut budget, "z", KILO + 1, 0), full);
    assert!(is_granted(write(&mut budget, "z", KILO - 300, 0)));
    assert!(is_granted(write(&mut budget, "y", 0, 0)));
    budget.deleted("z", Settled::Written);
    assert!(is_granted(write(&mut budget, "x", 500, 0)));
}

#[test]
fn refused_write_returns_its_bytes_an_unanswered_one_does_not() {
    let mut budget = counted(63);
    for _ in 0..10 {
        let Admission::Granted(charge) = budget.ask("z", KILO, at(0)) else {
            panic!("no room");
        };
        budget.settle(charge, Settled::Refused);
    }
    let Admission::Granted(charge) = budget.ask("z", KILO, at(0)) else {
        panic!("no room");
    };
    budget.settle(charge, Settled::Unknown);
    assert_eq!(
        write(&mut budget, "y", KILO, 0),
        Admission::Full { used: MOST }
    );
    // The write may have failed after all.
    assert_eq!(write(&mut budget, "y", KILO, 2), Admission::Count);
}

#[test]
fn write_of_an_ended_run_counts_until_the_next_count() {
    let mut budget = counted(63);
    assert!(is_granted(budget.ask("z", KILO, at(0))));
    assert_eq!(write(&mut budget, "y", KILO, 2), Admission::Count);
}

#[test]
fn a_full_job_is_counted_anew_now_and_then_and_at_a_new_token() {
    let mut budget = counted(64);
    let full = Admission::Full { used: MOST };
    assert_eq!(write(&mut budget, "z", 0, 10), full);
    assert_eq!(write(&mut budget, "z", 0, 11), Admission::Count);
    budget.enter(Token::new(8), MOST);
    assert_eq!(write(&mut budget, "z", 0, 10), Admission::Count);
}

#[test]
fn more_than_the_limit_is_not_counted_to_its_end() {
    let mut budget = budget();
    let mut tally = budget.tally();
    tally.add("a", KILO);
    tally.exceed();
    budget.take(tally, at(0));
    assert_eq!(
        write(&mut budget, "z", 0, 0),
        Admission::Full { used: 1024 }
    );
    budget.deleted("q", Settled::Written);
    assert_eq!(write(&mut budget, "z", 0, 2), Admission::Count);
}

#[test]
fn a_job_has_one_budget_whatever_its_version() {
    let budgets = Budgets::default();
    let job: Arc<str> = "ledger".into();
    let first = budgets.of(&job, MOST);
    assert!(Arc::ptr_eq(&first, &budgets.of(&job, 2 * MOST)));
}

//! Stops the ledger at every point between two writes, in every way a write can fail.
//!
//! The promise: whoever reads the ledger at any moment, as its header says, finds the total, and
//! the next holder can always go on.

use leasehold_job::GuardError;

use crate::book::Book;
use crate::config::{Config, Plan};
use crate::error::BookError;
use crate::fake::{Fake, Fault};
use crate::journal::Journal;

const TRANSFERS: usize = 3;
/// Five accounts and the journal, then four writes for each transfer.
const WRITES: usize = 5 + 1 + 4 * TRANSFERS;

fn plan() -> Plan {
    Config::default().plan().expect("the defaults are a plan")
}

/// Opens the ledger and makes some transfers, as one run does.
fn session(store: &mut Fake) -> Result<Book, BookError> {
    let (mut book, _) = Book::open(store, &plan())?;
    for _ in 0..TRANSFERS {
        (book, _) = book.transfer(store, || {})?;
    }
    Ok(book)
}

fn journal(store: &Fake) -> Option<Journal> {
    let text = store.text("ledger/journal")?;
    Some(serde_json::from_str(text).expect("the journal is JSON"))
}

/// Adds up the accounts as an observer must; nothing to add up before the ledger is founded.
fn assert_total_as_observed(store: &Fake, moment: &str) {
    let Some(journal) = journal(store) else {
        return;
    };
    let sum: u64 = (0..journal.accounts)
        .map(|number| {
            let pending = journal.pending.iter().flat_map(|it| [&it.from, &it.to]);
            let mut intended = pending.filter(|change| change.account == number);
            intended.next().map_or_else(
                || {
                    let text = store.text(&format!("ledger/account/{number:04}"));
                    text.expect("the account exists")
                        .parse::<u64>()
                        .expect("a number")
                },
                |change| change.balance,
            )
        })
        .sum();
    assert_eq!(sum, 500, "{moment}: {journal:?}");
}

/// The next session, undisturbed, comes to its end.
fn assert_successor_goes_on(store: &mut Fake, moment: &str) {
    store.new_session(None);
    session(store).unwrap_or_else(|error| panic!("{moment}: {error:?}"));
    assert_total_as_observed(store, moment);
}

#[test]
fn an_undisturbed_session_makes_the_writes_that_the_other_tests_count_on() {
    let mut store = Fake::default();
    let book = session(&mut store).expect("nothing fails");
    assert_eq!(store.writes(), WRITES);
    assert_eq!(book.total(), 500);
    let journal = journal(&store).expect("founded");
    assert_eq!(
        (journal.transfers, journal.pending),
        (TRANSFERS as u64, None)
    );
}

#[test]
fn stopped_at_any_write_the_total_is_conserved_and_the_successor_goes_on() {
    for fault in [Fault::Lost, Fault::Done, Fault::Late] {
        for at in 0..WRITES {
            let moment = format!("{fault:?} at write {at}");
            let mut store = Fake::default();
            store.new_session(Some((at, fault)));
            session(&mut store).expect_err("the fault ends the session");
            assert_total_as_observed(&store, &moment);
            assert_successor_goes_on(&mut store, &moment);
        }
    }
}

#[test]
fn stopped_again_while_recovering_the_total_is_conserved() {
    for (first, second) in [
        (Fault::Lost, Fault::Done),
        (Fault::Done, Fault::Lost),
        (Fault::Done, Fault::Done),
        (Fault::Late, Fault::Lost),
    ] {
        for at in 0..WRITES {
            // Recovery takes three writes; a little further, and into the next transfer.
            for again_at in 0..6 {
                let moment =
                    format!("{first:?} at write {at}, {second:?} at {again_at} of the next");
                let mut store = Fake::default();
                store.new_session(Some((at, first)));
                session(&mut store).expect_err("the first fault ends the session");
                store.new_session(Some((again_at, second)));
                session(&mut store).expect_err("the second fault ends the session");
                assert_total_as_observed(&store, &moment);
                store.deliver();
                assert_total_as_observed(&store, &moment);
                assert_successor_goes_on(&mut store, &moment);
            }
        }
    }
}

#[test]
fn a_write_that_arrives_late_neither_costs_nor_makes_money() {
    for at in 0..WRITES {
        for successor_writes in 0..WRITES {
            let moment = format!("write {at} arrives after {successor_writes} of the successor's");
            let mut store = Fake::default();
            store.new_session(Some((at, Fault::Late)));
            session(&mut store).expect_err("the fault ends the session");
            // The successor is the same holder again, so the lock does not keep the write out.
            store.new_session(Some((successor_writes, Fault::Lost)));
            let _ = session(&mut store);
            store.deliver();
            assert_total_as_observed(&store, &moment);
            assert_successor_goes_on(&mut store, &moment);
        }
    }
}

#[test]
fn a_write_that_arrives_between_two_writes_of_a_successor_is_without_effect() {
    for at in 0..WRITES {
        for arrival in 0..WRITES {
            let moment = format!("write {at} arrives before write {arrival} of the successor");
            let mut store = Fake::default();
            store.new_session(Some((at, Fault::Late)));
            session(&mut store).expect_err("the fault ends the session");
            store.new_session_overtaken_at(arrival);
            match session(&mut store) {
                Ok(_) => {}
                // The late write was a journal and came first: this run ends, the next goes on.
                Err(BookError::Store { source, .. }) => assert_eq!(source, GuardError::Conflict),
                Err(corrupt @ BookError::Corrupt(_)) => panic!("{moment}: {corrupt}"),
            }
            assert_total_as_observed(&store, &moment);
            assert_successor_goes_on(&mut store, &moment);
        }
    }
}

#[test]
fn a_wrong_total_is_found_and_not_repaired() {
    let mut store = Fake::default();
    session(&mut store).expect("nothing fails");
    store.overwrite("ledger/account/0002", "1000000");
    store.new_session(None);
    let error = Book::open(&mut store, &plan()).expect_err("a million from nowhere");
    assert!(matches!(error, BookError::Corrupt(_)), "{error}");
    assert_eq!(store.writes(), 0);
}

#[test]
fn a_lost_or_a_surplus_account_is_found() {
    let mut store = Fake::default();
    session(&mut store).expect("nothing fails");
    store.overwrite("ledger/account/0005", "0");
    let error = Book::open(&mut store, &plan()).expect_err("a sixth account");
    assert!(matches!(error, BookError::Corrupt(_)), "{error}");
}

#[test]
fn an_account_changed_by_a_stranger_is_not_overwritten_by_a_recovery() {
    let mut store = Fake::default();
    // Founded, intent written, debited; stopped before the credit.
    store.new_session(Some((5 + 1 + 2, Fault::Lost)));
    session(&mut store).expect_err("stopped in the middle");
    let intent = journal(&store)
        .and_then(|it| it.pending)
        .expect("an intent");
    let credited = format!("ledger/account/{:04}", intent.to.account);
    store.overwrite(&credited, "7");

    store.new_session(None);
    let error = Book::open(&mut store, &plan()).expect_err("not what the intent read");
    assert!(matches!(error, BookError::Corrupt(_)), "{error}");
    assert_eq!(store.text(&credited), Some("7"));
    let kept = journal(&store).and_then(|it| it.pending);
    assert_eq!(kept, Some(intent), "the evidence stays");
}

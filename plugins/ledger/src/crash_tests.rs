//! Stops the ledger at every point between two writes, in every way a write can fail.
//!
//! The promise: an observer who reads the ledger at any moment, as documented in `lib.rs`, finds the
//! total, and the next holder can always continue.

use leasehold_job::mock::{Ended, Fault, Host, When};
use leasehold_job::{GuardError, Outcome};

use crate::book::Book;
use crate::config::{Config, Plan};
use crate::error::BookError;
use crate::journal::Journal;

const TRANSFERS: usize = 3;
/// Five accounts and the journal, then four writes for each transfer.
const WRITES: usize = 5 + 1 + 4 * TRANSFERS;

/// Every way in which a write can be a holder's last.
const ENDS: [Fault; 5] = [
    Fault::Lost,
    Fault::Stopped,
    Fault::DoneThenStopped,
    Fault::UnavailableButDone,
    Fault::UnavailableButComing,
];

fn host() -> Host {
    Host::new().job("ledger").allow_kv(&["ledger/"])
}

fn plan() -> Plan {
    Config::default().plan().expect("the defaults are a plan")
}

/// Opens the ledger and makes some transfers, as one run does; none when it is stopped.
fn session(host: &Host) -> Option<Result<Book, BookError>> {
    host.within(|ctx| {
        let (mut book, _) = Book::open(ctx.kv(), &plan())?;
        for _ in 0..TRANSFERS {
            (book, _) = book.transfer(ctx.kv(), || {})?;
        }
        Ok(book)
    })
}

/// A session that `fault` ends at its n-th write.
fn session_ended_by(host: &Host, fault: Fault, at: usize) {
    host.add(When::Write(at), fault);
    let ended = session(host);
    assert!(
        !matches!(ended, Some(Ok(_))),
        "{fault:?} at write {at} ends the session"
    );
    assert!(host.all_happened());
}

fn journal(host: &Host) -> Option<Journal> {
    let text = host.text("ledger/journal")?;
    Some(serde_json::from_str(&text).expect("the journal is JSON"))
}

/// Adds up the accounts as an observer must; nothing to add up before the ledger is founded.
fn assert_total_as_observed(host: &Host, moment: &str) {
    let Some(journal) = journal(host) else {
        return;
    };
    let sum: u64 = (0..journal.accounts)
        .map(|number| {
            let pending = journal.pending.iter().flat_map(|it| [&it.from, &it.to]);
            let mut intended = pending.filter(|change| change.account == number);
            intended.next().map_or_else(
                || {
                    let text = host.text(&format!("ledger/account/{number:04}"));
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

/// The next session, undisturbed, completes; by the same holder or by another.
fn assert_successor_goes_on(host: &Host, moment: &str) {
    host.succeed();
    match session(host) {
        Some(Ok(_)) => assert_total_as_observed(host, moment),
        other => panic!("{moment}: {other:?}"),
    }
}

#[test]
fn an_undisturbed_session_makes_the_counted_writes() {
    let host = host();
    let book = session(&host).expect("not stopped").expect("nothing fails");
    assert_eq!(host.writes(), WRITES);
    assert_eq!(book.total(), 500);
    let journal = journal(&host).expect("founded");
    assert_eq!(
        (journal.transfers, journal.pending),
        (TRANSFERS as u64, None)
    );
}

#[test]
fn a_run_reports_its_transfers_and_ends_between_two_when_asked() {
    let config = serde_json::json!({"transfers": 2, "pause_ms": 1000});
    let host = host().config(&config);
    let note = "2 transfers, total 500";
    assert_eq!(host.run(crate::run).outcome(), Outcome::done_with(note));
    let lines: Vec<String> = host.lines().into_iter().map(|line| line.message).collect();
    assert_eq!(lines[0], "opened with total 500");
    assert!(lines[2].starts_with("transfer 2: "), "{lines:?}");
    assert_eq!(host.lines()[2].field("token"), Some("1"));
    assert_eq!(
        host.progress().last().map(|it| (it.done, it.total)),
        Some((2, Some(2)))
    );

    // Asked in the middle of the third transfer, which is completed.
    host.again();
    let half_a_pause = host.now() + std::time::Duration::from_millis(500);
    let host = host.request_stop(When::After(half_a_pause));
    assert_eq!(
        host.run(crate::run).outcome(),
        Outcome::done_with("1 transfers, total 500")
    );
    assert_eq!(host.now(), half_a_pause);
}

#[test]
fn a_config_that_makes_no_ledger_is_fatal() {
    let host = host().config(&serde_json::json!({"accounts": 1}));
    let ended = host.run(crate::run);
    let reason = "accounts = 1: must be 2 to 1000";
    assert_eq!(ended, Ended::Failed(leasehold_job::Failure::fatal(reason)));
    assert_eq!(host.calls(), 1, "it only read its configuration");
}

#[test]
fn a_stop_at_any_write_conserves_the_total() {
    for fault in ENDS {
        for at in 1..=WRITES {
            let moment = format!("{fault:?} at write {at}");
            let host = host();
            session_ended_by(&host, fault, at);
            assert_total_as_observed(&host, &moment);
            assert_successor_goes_on(&host, &moment);
        }
    }
}

#[test]
fn a_stop_during_recovery_conserves_the_total() {
    for (first, second) in [
        (Fault::Lost, Fault::UnavailableButDone),
        (Fault::UnavailableButDone, Fault::Stopped),
        (Fault::DoneThenStopped, Fault::DoneThenStopped),
        (Fault::UnavailableButComing, Fault::Lost),
    ] {
        for at in 1..=WRITES {
            // Recovery takes three writes; a little further, and into the next transfer.
            for again_at in 1..=6 {
                let moment =
                    format!("{first:?} at write {at}, {second:?} at {again_at} of the next");
                let host = host();
                session_ended_by(&host, first, at);
                host.again();
                session_ended_by(&host, second, again_at);
                assert_total_as_observed(&host, &moment);
                host.deliver();
                assert_total_as_observed(&host, &moment);
                assert_successor_goes_on(&host, &moment);
            }
        }
    }
}

#[test]
fn a_late_write_conserves_the_total() {
    for at in 1..=WRITES {
        for successor_writes in 1..=WRITES {
            let moment = format!("write {at} arrives after {successor_writes} of the successor's");
            let host = host();
            session_ended_by(&host, Fault::UnavailableButComing, at);
            // The successor is the same holder again, so the lock does not keep the write out.
            host.again();
            host.add(When::Write(successor_writes), Fault::Stopped);
            let _ = session(&host);
            host.deliver();
            assert_total_as_observed(&host, &moment);
            assert_successor_goes_on(&host, &moment);
        }
    }
}

#[test]
fn a_late_write_between_a_successors_writes_has_no_effect() {
    for at in 1..=WRITES {
        for arrival in 1..=WRITES {
            let moment = format!("write {at} arrives before write {arrival} of the successor");
            let host = host();
            session_ended_by(&host, Fault::UnavailableButComing, at);
            host.again();
            host.add_arrival(When::Write(arrival));
            match session(&host).expect("the session is not stopped") {
                Ok(_) => {}
                // The late write was a journal and came first: this run ends, the next goes on.
                Err(BookError::Store { source, .. }) => assert_eq!(source, GuardError::Conflict),
                Err(corrupt @ BookError::Corrupt(_)) => panic!("{moment}: {corrupt}"),
            }
            assert_total_as_observed(&host, &moment);
            assert_successor_goes_on(&host, &moment);
        }
    }
}

/// Opening the ledger reports it as corrupt and does not change it.
fn assert_found_corrupt(host: &Host) {
    host.succeed();
    let opened = host.within(|ctx| Book::open(ctx.kv(), &plan()));
    assert!(
        matches!(opened, Some(Err(BookError::Corrupt(_)))),
        "{opened:?}"
    );
}

#[test]
fn a_wrong_total_is_found_and_not_repaired() {
    let host = host();
    assert!(matches!(session(&host), Some(Ok(_))));
    host.set("ledger/account/0002", "1000000");
    assert_found_corrupt(&host);
    assert_eq!(host.writes(), 0);
}

#[test]
fn a_lost_or_a_surplus_account_is_found() {
    let host = host();
    assert!(matches!(session(&host), Some(Ok(_))));
    host.set("ledger/account/0005", "0");
    assert_found_corrupt(&host);
    host.remove("ledger/account/0005");
    host.remove("ledger/account/0004");
    assert_found_corrupt(&host);
}

#[test]
fn an_account_changed_by_a_stranger_survives_a_recovery() {
    let host = host();
    // Founded, intent written, debited; stopped before the credit.
    session_ended_by(&host, Fault::Stopped, 5 + 1 + 2 + 1);
    let intent = journal(&host).and_then(|it| it.pending).expect("an intent");
    let credited = format!("ledger/account/{:04}", intent.to.account);
    host.set(&credited, "7");

    assert_found_corrupt(&host);
    assert_eq!(host.text(&credited).as_deref(), Some("7"));
    let kept = journal(&host).and_then(|it| it.pending);
    assert_eq!(kept, Some(intent), "the evidence stays");
}

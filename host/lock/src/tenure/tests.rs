//! Tenures over a clock that the test moves.

use leasehold_ids::{Revision, Token};

use super::*;
use crate::clock::ManualClock;
use crate::observer::RecordingObserver;

fn ten_seconds() -> (Arc<ManualClock>, Arc<SessionDeadline>, Tenure) {
    let clock = Arc::new(ManualClock::at(BootTime::from_nanos(1_000)));
    let deadline = SessionDeadline::new(clock.now().after(Duration::from_secs(10)));
    let tenure = Tenure::new(clock.clone(), deadline.clone(), Duration::ZERO);
    (clock, deadline, tenure)
}

/// Promise P3. Fails when `admits` trusts a flag that a thread sets instead of reading the clock.
#[test]
fn passed_deadline_admits_nothing_before_any_thread_notices() {
    let (clock, _, tenure) = ten_seconds();
    assert!(tenure.admits());
    clock.advance(Duration::from_secs(10));
    assert!(!tenure.admits());
    assert_eq!(tenure.end_reason(), Some(EndReason::DeadlinePassed));
    assert_eq!(tenure.ended_at(), Some(clock.now()));
}

#[test]
fn a_renewal_that_arrives_after_the_deadline_revives_nothing() {
    let (clock, deadline, tenure) = ten_seconds();
    clock.advance(Duration::from_secs(11));
    let later = clock.now().after(Duration::from_secs(10));
    assert!(!deadline.extend(later, clock.now()));
    assert!(!tenure.admits());
}

#[test]
fn refused_tenure_stays_ended_after_an_older_renewal() {
    let (clock, deadline, tenure) = ten_seconds();
    let just_before = clock.now().after(Duration::from_secs(9));
    clock.advance(Duration::from_secs(10));
    assert!(!tenure.admits());
    assert!(deadline.extend(just_before.after(Duration::from_secs(10)), just_before));
    assert!(!tenure.admits(), "an ended tenure stays ended");
}

#[test]
fn an_extension_never_moves_the_deadline_back() {
    let (clock, deadline, tenure) = ten_seconds();
    let was = tenure.deadline();
    assert!(deadline.extend(was.before(Duration::from_secs(3)), clock.now()));
    assert_eq!(tenure.deadline(), was);
}

#[test]
fn the_last_deadline_outlives_the_session_with_its_renewals() {
    let (clock, deadline, tenure) = ten_seconds();
    let renewed = clock.now().after(Duration::from_secs(11));
    assert!(deadline.extend(renewed, clock.now()));
    clock.advance(Duration::from_secs(11));
    assert!(!tenure.admits());
    deadline.end(EndReason::LeaseEnded, || clock.now());
    assert_eq!(tenure.deadline(), BootTime::BOOT);
    assert_eq!(tenure.last_deadline(), renewed);
}

#[test]
fn the_last_renewal_is_the_last_that_moved_the_deadline() {
    let (clock, deadline, tenure) = ten_seconds();
    assert_eq!(tenure.last_renewal(), None);
    clock.advance(Duration::from_secs(3));
    let at = clock.now();
    deadline.extend(at.after(Duration::from_secs(10)), at);
    clock.advance(Duration::from_secs(11));
    let late = clock.now();
    deadline.extend(late.after(Duration::from_secs(10)), late);
    assert_eq!(tenure.last_renewal(), Some(at));
}

#[test]
fn the_stop_margin_comes_off_the_end_of_the_session() {
    let (clock, deadline, _) = ten_seconds();
    let tenure = Tenure::new(clock.clone(), deadline, Duration::from_secs(1));
    clock.advance(Duration::from_millis(8_999));
    assert!(tenure.admits());
    clock.advance(Duration::from_millis(1));
    assert!(!tenure.admits());
}

#[test]
fn the_first_reason_stays() {
    let (_, deadline, tenure) = ten_seconds();
    tenure.end(EndReason::Removed {
        revision: Revision::new(7),
    });
    deadline.end(EndReason::LeaseEnded, || BootTime::BOOT);
    tenure.end(EndReason::Released);
    assert_eq!(
        tenure.end_reason(),
        Some(EndReason::Removed {
            revision: Revision::new(7)
        })
    );
    assert_eq!(tenure.deadline(), BootTime::BOOT);
    assert_eq!(tenure.remaining(), Duration::ZERO);
}

#[tokio::test]
async fn end_of_a_session_reaches_every_tenure_on_it() {
    let (clock, deadline, first) = ten_seconds();
    let second = Tenure::new(clock, deadline.clone(), Duration::ZERO);
    let waiting = tokio::spawn({
        let first = first.clone();
        async move { first.ended().await }
    });
    deadline.end(EndReason::LeaseEnded, || BootTime::from_nanos(7));
    assert_eq!(waiting.await.ok(), Some(EndReason::LeaseEnded));
    assert!(!second.admits());
    assert_eq!(second.end_reason(), Some(EndReason::LeaseEnded));
    assert_eq!(second.ended_at(), Some(BootTime::from_nanos(7)));
}
/// Fails when a reader between the reason and the moment finds no moment.
#[test]
fn reader_of_the_end_finds_its_moment() {
    let (clock, deadline, tenure) = ten_seconds();
    let mut seen = None;
    deadline.end(EndReason::LeaseEnded, || {
        seen = tenure.ended_at();
        clock.now()
    });
    assert_eq!(seen, Some(clock.now()));
    assert_eq!(tenure.ended_at(), seen);
}

#[test]
fn loss_of_a_tenure_is_reported_once_when_it_is_noticed() {
    let (clock, _, tenure) = ten_seconds();
    let (recorder, observer) = RecordingObserver::new();
    tenure.report_loss_with(LossReport::new(observer, vec!["/l".into()], Token::new(7)));
    assert!(recorder.take().is_empty());
    clock.advance(Duration::from_secs(11));
    assert!(!tenure.admits() && !tenure.admits());
    tenure.end(EndReason::Released);
    let expected = "lock_lost /l 7 the lease was not renewed before its deadline";
    assert_eq!(recorder.take(), [expected]);
}

#[test]
fn released_tenure_reports_no_loss_and_an_ended_session_one() {
    let (clock, deadline, tenure) = ten_seconds();
    let (recorder, observer) = RecordingObserver::new();
    tenure.report_loss_with(LossReport::new(
        observer.clone(),
        vec!["/l".into()],
        Token::new(7),
    ));
    tenure.end(EndReason::Released);
    assert!(recorder.take().is_empty());
    let tenure = Tenure::new(clock, deadline.clone(), Duration::ZERO);
    deadline.end(EndReason::LeaseEnded, || BootTime::BOOT);
    tenure.report_loss_with(LossReport::new(observer, vec!["/l".into()], Token::new(8)));
    let expected = "lock_lost /l 8 the lease expired or was revoked on the server";
    assert_eq!(recorder.take(), [expected]);
}

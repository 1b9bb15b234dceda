//! Tenures over a clock that the test moves.

use super::*;
use crate::clock::ManualClock;

fn ten_seconds() -> (Arc<ManualClock>, Arc<SessionDeadline>, Tenure) {
    let clock = Arc::new(ManualClock::at(BootTime::from_nanos(1_000)));
    let deadline = SessionDeadline::new(clock.now().after(Duration::from_secs(10)));
    let tenure = Tenure::new(clock.clone(), deadline.clone(), Duration::ZERO);
    (clock, deadline, tenure)
}

/// Promise P3. Fails when `admits` trusts a flag that a thread sets instead of reading the clock.
#[test]
fn nothing_is_admitted_at_the_deadline_though_no_thread_has_noticed_it() {
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
fn a_refused_call_ends_the_tenure_even_if_the_session_is_renewed_by_an_older_reading() {
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
    tenure.end(EndReason::Removed { revision: 7 });
    deadline.end(EndReason::LeaseEnded, || BootTime::BOOT);
    tenure.end(EndReason::Released);
    assert_eq!(
        tenure.end_reason(),
        Some(EndReason::Removed { revision: 7 })
    );
    assert_eq!(tenure.deadline(), BootTime::BOOT);
    assert_eq!(tenure.remaining(), Duration::ZERO);
}

#[tokio::test]
async fn the_end_of_the_session_is_heard_by_every_tenure_on_it() {
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
/// Fails when whoever looks between the reason and the moment is told that there is no moment.
#[test]
fn whoever_sees_the_end_finds_a_moment() {
    let (clock, deadline, tenure) = ten_seconds();
    let mut seen = None;
    deadline.end(EndReason::LeaseEnded, || {
        seen = tenure.ended_at();
        clock.now()
    });
    assert_eq!(seen, Some(clock.now()));
    assert_eq!(tenure.ended_at(), seen);
}

//! Decisions that follow from a record, and claims under lost requests and lost answers.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

use futures_util::FutureExt as _;

use leasehold_config::wall::UnixMs;
use leasehold_lock::{FencedError, Revision, StoreError, Token};
use leasehold_records::{Outcome, TickBefore, TickRecord, TickState};

use super::decision::{
    TickDecision, decide, describe_ahead, describe_done, describe_wait, look_at,
};
use super::*;
use crate::job::clocks::LivingHost;
use crate::job::lack::RunLack;
use crate::job::machine::{TickClaim, TickLook, TickMark};

const MINUTE: u64 = 60_000;

fn minute(at: u64) -> UnixMs {
    UnixMs::new(at * MINUTE)
}

fn record(tick: u64, state: TickState) -> TickRecord {
    TickRecord {
        job: "j".into(),
        tick_unix_ms: UnixMs::new(tick * MINUTE),
        state,
        host: "b".into(),
        lock_key: "/l/locks/j/b7".into(),
        token: Token::new(7),
        attempt: 1,
        run_id: "b-7-0".into(),
        claimed_unix_ms: UnixMs::new(tick * MINUTE),
        ended_unix_ms: None,
        outcome: None,
        retry_unix_ms: None,
        before: None,
        schedule: String::new(),
        dropped: false,
    }
}

fn ask(tick: u64, newest: u64) -> TickRequest {
    TickRequest {
        tick: minute(tick),
        newest: minute(newest),
        now: UnixMs::new(newest * MINUTE + 1_000),
        settling: Duration::from_mins(1),
        is_dropped: false,
    }
}

fn me() -> TickClaimant {
    TickClaimant {
        job: "j".into(),
        host: "a".into(),
        exclusive_locks: vec!["/l/locks/j".into()],
        lock_key: "/l/locks/j/a9".into(),
        token: Token::new(9),
        run_id: "a-9-0".into(),
        schedule: String::new(),
    }
}

#[test]
fn decision_under_the_lock_follows_from_the_record() {
    use TickState::{Claimed, Done, Retry};
    let runs = |tick: u64, attempt| TickDecision::Run {
        tick: minute(tick),
        attempt,
    };
    let decided = |tick, state, asked| decide(Some(&record(tick, state)), asked);
    assert_eq!(decide(None, ask(5, 5)), runs(5, 1));
    // No host has begun it.
    assert_eq!(decided(4, Done, ask(5, 5)), runs(5, 1));
    assert_eq!(decided(4, Claimed, ask(5, 5)), runs(5, 1));
    assert_eq!(decided(4, Retry, ask(5, 5)), runs(5, 1));
    // The host waited too long for the lock: it runs the newest, if none of the ticks is begun.
    assert_eq!(decided(4, Done, ask(5, 8)), runs(8, 1));
    // A tick that was cut off is run again first, however late, also when it is not the one that was waited for.
    assert_eq!(decided(5, Claimed, ask(5, 5)), runs(5, 2));
    assert_eq!(decided(5, Claimed, ask(5, 8)), runs(5, 2));
    assert_eq!(decided(6, Claimed, ask(5, 8)), runs(6, 2));
    for (tick, asked) in [
        (5, ask(5, 5)),
        (5, ask(5, 8)),
        (6, ask(5, 8)),
        (9, ask(5, 5)),
    ] {
        let known = minute(tick);
        let over = decided(tick, Done, asked);
        assert!(
            matches!(over, TickDecision::Over { known: at, .. } if at == known),
            "{over:?}"
        );
    }
    // Claimed by a clock ahead of ours; it will be taken over when our clock is there.
    for state in [Claimed, Retry, Done] {
        let over = decided(6, state, ask(5, 5));
        assert!(matches!(over, TickDecision::Over { .. }), "{state:?}");
    }
}

#[test]
fn failed_attempt_is_repeated_until_the_next_tick_is_due() {
    let waiting = TickRecord {
        retry_unix_ms: Some(UnixMs::new(5 * MINUTE + 4_000)),
        attempt: 3,
        ..record(5, TickState::Retry)
    };
    let early = decide(Some(&waiting), ask(5, 5));
    let wait = Duration::from_secs(3);
    assert!(
        matches!(early, TickDecision::NotYet { wait: at, .. } if at == wait),
        "{early:?}"
    );
    let due = TickRequest {
        now: UnixMs::new(5 * MINUTE + 4_000),
        ..ask(5, 5)
    };
    let (tick, attempt) = (minute(5), 4);
    assert_eq!(
        decide(Some(&waiting), due),
        TickDecision::Run { tick, attempt }
    );
    let (tick, attempt) = (minute(6), 1);
    assert_eq!(
        decide(Some(&waiting), ask(5, 6)),
        TickDecision::Run { tick, attempt }
    );
}

#[test]
fn record_without_the_lock_is_open_begun_or_over() {
    let seen = |tick, state| look_at(&record(tick, state), minute(5));
    assert_eq!(seen(4, TickState::Claimed), TickLook::Open);
    assert_eq!(seen(5, TickState::Claimed), TickLook::Begun);
    assert_eq!(seen(5, TickState::Retry), TickLook::Begun);
    assert!(matches!(seen(5, TickState::Done), TickLook::Over { .. }));
    assert!(matches!(seen(6, TickState::Claimed), TickLook::Over { .. }));
    let store = Scripted::new(None, &[]);
    assert_eq!(looked(&store), TickLook::Open);
    let (json, revision) = (b"no record".to_vec(), Revision::new(4));
    *store.found.lock().unwrap() = Some(RecordVersion { json, revision });
    assert_eq!(looked(&store), TickLook::Open);
}

#[test]
fn skip_reasons_name_the_host_and_the_next_attempt() {
    insta::assert_snapshot!(describe_done(&record(5, TickState::Done)), @"the tick of 1970-01-01T00:05:00Z was already run by b");
    insta::assert_snapshot!(describe_ahead(&record(6, TickState::Claimed)), @"b is at the tick of 1970-01-01T00:06:00Z already, by its clock");
    insta::assert_snapshot!(describe_wait(&record(5, TickState::Retry), minute(6)), @"attempt 1 at the tick of 1970-01-01T00:05:00Z failed on b; the next one is due at 1970-01-01T00:06:00Z");
}

/// Outcome of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Arrives,
    /// The request reaches the store, and its answer is lost.
    AnswerLost,
    /// The request never reaches the store.
    RequestLost,
    Refused,
}

struct Scripted {
    found: Mutex<Option<RecordVersion>>,
    writes: Mutex<VecDeque<Fate>>,
    readable: bool,
    /// True if the lock entry of the claiming host exists.
    holds: bool,
    /// Another entry that exists.
    other: Option<(&'static str, Token)>,
    living: Vec<LivingHost>,
}

impl Scripted {
    fn new(record: Option<&TickRecord>, writes: &[Fate]) -> Self {
        let found = record.map(|record| RecordVersion {
            json: record.to_json(),
            revision: Revision::new(3),
        });
        Self {
            found: Mutex::new(found),
            writes: Mutex::new(writes.iter().copied().collect()),
            readable: true,
            holds: true,
            other: None,
            living: vec![lives("a", 5, 2)],
        }
    }

    fn record(&self) -> TickRecord {
        let found = self.found.lock().unwrap().clone().expect("a record");
        TickRecord::from_json(&found.json).expect("one of ours")
    }

    fn put(&self, expected: Revision, json: Vec<u8>) -> Result<bool, StoreError> {
        let fate = self.writes.lock().unwrap().pop_front();
        let fate = fate.unwrap_or(Fate::Arrives);
        let mut found = self.found.lock().unwrap();
        let revision = found
            .as_ref()
            .map_or(Revision::NONE, |found| found.revision);
        match fate {
            Fate::RequestLost => return Err(StoreError::Unknown("lost".into())),
            Fate::Refused => {
                return Err(StoreError::Refused {
                    kind: leasehold_lock::RefusalKind::NoSpace,
                    message: "no space".into(),
                });
            }
            Fate::Arrives | Fate::AnswerLost => {}
        }
        let matches = revision == expected;
        if matches {
            let revision = revision.next();
            *found = Some(RecordVersion { json, revision });
        }
        match fate {
            Fate::AnswerLost => Err(StoreError::Unknown("lost".into())),
            _ => Ok(matches),
        }
    }
}

impl TickReader for Scripted {
    async fn read(&self) -> Result<Option<RecordVersion>, StoreError> {
        if !self.readable {
            return Err(StoreError::Unknown("no answer".into()));
        }
        Ok(self.found.lock().unwrap().clone())
    }

    async fn hosts(&self) -> Result<Vec<LivingHost>, StoreError> {
        Ok(self.living.clone())
    }
}

/// Returns a living host that started in this minute.
fn lives(host: &str, started: u64, came: i64) -> LivingHost {
    LivingHost {
        host: host.into(),
        started: minute(started),
        write_revision: Revision::new(came),
        create_revision: Revision::new(came),
    }
}

impl TickStore for Scripted {
    async fn write_fenced(&self, expected: Revision, json: Vec<u8>) -> Result<(), FencedError> {
        if !self.holds {
            return Err(FencedError::Stale);
        }
        if self.put(expected, json)? {
            Ok(())
        } else {
            Err(FencedError::Conflict)
        }
    }

    async fn entry_exists(&self, entry: &str, token: Token) -> Result<bool, StoreError> {
        Ok(self.other == Some((entry, token)))
    }

    async fn write(&self, expected: Revision, json: Vec<u8>) -> Result<bool, StoreError> {
        self.put(expected, json)
    }
}

fn claimed(store: &Scripted) -> TickClaim {
    claimed_over(store).0
}

fn claimed_over(store: &Scripted) -> (TickClaim, ReplacedRecord) {
    let claim = claim(store, &me(), ask(5, 5)).now_or_never();
    claim.expect("it never waits")
}

fn looked(store: &Scripted) -> TickLook {
    let look = look(store, "a", ask(5, 5)).now_or_never();
    look.expect("it never waits")
}

/// Four years in minutes, the unit of all times here.
const YEARS: u64 = 4 * 365 * 24 * 60;

/// Returns the record as a host whose clock is years ahead leaves it.
fn far_ahead(before: Option<TickBefore>) -> TickRecord {
    TickRecord {
        host: "mad".into(),
        before,
        ..record(5 + YEARS, TickState::Done)
    }
}

fn tick_before(tick: u64, state: TickState) -> TickBefore {
    TickBefore {
        host: "b".into(),
        tick_unix_ms: UnixMs::new(tick * MINUTE),
        state,
        attempt: 1,
        clock_unix_ms: UnixMs::new(tick * MINUTE),
        revision: Revision::new(2),
    }
}

#[test]
fn a_tick_that_is_years_ahead_is_written_over_and_named() {
    for before in [None, Some(tick_before(4, TickState::Done))] {
        let store = Scripted::new(Some(&far_ahead(before)), &[]);
        assert_eq!(looked(&store), TickLook::Open);
        let (claim, over) = claimed_over(&store);
        let (tick, attempt) = (minute(5), 1);
        assert_eq!(claim, TickClaim::Ours { tick, attempt });
        let overruled = over.overruled.expect("it is named");
        assert_eq!(
            (overruled.host.as_str(), overruled.tick, overruled.shown),
            ("mad", minute(5 + YEARS), minute(5 + YEARS))
        );
        let written = store.record();
        assert_eq!(written.tick_unix_ms, UnixMs::new(5 * MINUTE));
        assert_eq!(written.before.expect("kept").host, "mad");
    }
}

/// A wrong clock hides no tick that was done or cut off before it came.
#[test]
fn ticks_overwritten_by_a_wrong_clock_still_count() {
    use TickState::{Claimed, Done, Retry};
    let done = Scripted::new(Some(&far_ahead(Some(tick_before(5, Done)))), &[]);
    assert!(matches!(looked(&done), TickLook::Over { .. }));
    assert!(matches!(claimed(&done), TickClaim::Over { .. }));
    assert_eq!(done.record().host, "mad");
    for state in [Claimed, Retry] {
        let cut_off = Scripted::new(Some(&far_ahead(Some(tick_before(5, state)))), &[]);
        assert_eq!(looked(&cut_off), TickLook::Begun);
        let (tick, attempt) = (minute(5), 2);
        assert_eq!(claimed(&cut_off), TickClaim::Ours { tick, attempt });
    }
    // A kept tick that is as far ahead does not count either.
    let twice = far_ahead(Some(tick_before(6 + YEARS, Done)));
    let mut store = Scripted::new(Some(&twice), &[]);
    store.living.push(lives("c", 5, 9));
    assert_eq!(looked(&store), TickLook::Open);
}

#[test]
fn a_claim_names_the_run_that_it_cuts_off() {
    use TickState::{Claimed, Done, Retry};
    for (tick, state) in [(5, Claimed), (4, Claimed), (4, Done), (5, Retry)] {
        let store = Scripted::new(Some(&record(tick, state)), &[]);
        let (claim, over) = claimed_over(&store);
        assert!(matches!(claim, TickClaim::Ours { .. }));
        let named = over.cut_off.map(|record| record.run_id);
        let expected = (state == Claimed).then(|| "b-7-0".to_owned());
        assert_eq!(named, expected, "{tick} {state:?}");
    }
    // Named also if the answer to the claim is lost.
    let store = Scripted::new(Some(&record(5, Claimed)), &[Fate::AnswerLost]);
    assert!(claimed_over(&store).1.cut_off.is_some());
}

#[test]
fn a_claim_keeps_the_latest_tick_of_another_host() {
    let store = Scripted::new(Some(&record(4, TickState::Done)), &[]);
    claimed(&store);
    let kept = store.record().before.expect("kept");
    assert_eq!((kept.host.as_str(), kept.revision), ("b", Revision::new(3)));
    assert_eq!(kept.tick_unix_ms, UnixMs::new(4 * MINUTE));
    // A record of its own keeps the tick kept before.
    let own = TickRecord {
        host: "a".into(),
        before: Some(tick_before(3, TickState::Done)),
        ..record(4, TickState::Done)
    };
    let store = Scripted::new(Some(&own), &[]);
    claimed(&store);
    assert_eq!(store.record().before, own.before);
}

#[test]
fn a_tick_just_ahead_is_believed_as_before() {
    let ahead = TickRecord {
        host: "b".into(),
        ..record(9, TickState::Claimed)
    };
    let store = Scripted::new(Some(&ahead), &[]);
    assert!(matches!(looked(&store), TickLook::Over { .. }));
    assert!(matches!(claimed(&store), TickClaim::Over { .. }));
    assert_eq!(store.record(), ahead);
}

/// The period of ticks may be a year, and a clock may be wrong by less.
#[test]
fn retry_put_off_by_a_disbelieved_clock_is_due() {
    let put_off = TickRecord {
        host: "mad".into(),
        claimed_unix_ms: UnixMs::new(500 * MINUTE),
        retry_unix_ms: Some(UnixMs::new(501 * MINUTE)),
        ..record(5, TickState::Retry)
    };
    let store = Scripted::new(Some(&put_off), &[]);
    let (tick, attempt) = (minute(5), 2);
    assert_eq!(claimed(&store), TickClaim::Ours { tick, attempt });
}

#[test]
fn a_host_whose_clock_is_outvoted_neither_claims_nor_skips() {
    // Two hosts are years ahead of this one, so this clock is behind.
    let seen = far_ahead(Some(tick_before(5 + YEARS, TickState::Done)));
    let store = Scripted::new(Some(&seen), &[]);
    let TickLook::Lacks(RunLack::Clock(why)) = looked(&store) else {
        panic!("{:?}", looked(&store));
    };
    assert!(why.contains("mad") && why.contains("chrony"), "{why}");
    assert_eq!(claimed(&store), TickClaim::Lacks(RunLack::Clock(why)));
    assert_eq!(store.record().to_json(), seen.to_json());
    // One host is behind this one, and wrote after this one came: of two, the later to come stands back.
    let behind = TickRecord {
        host: "b".into(),
        ..record(5, TickState::Done)
    };
    let mut store = Scripted::new(Some(&behind), &[]);
    let now = minute(5 + YEARS);
    let look_now = |store: &Scripted| {
        let ask = TickRequest {
            now,
            ..ask(5 + YEARS, 5 + YEARS)
        };
        let look = look(store, "a", ask).now_or_never();
        look.expect("it never waits")
    };
    store.living = vec![lives("b", 4, 1), lives("a", 5 + YEARS, 2)];
    assert!(matches!(look_now(&store), TickLook::Lacks(_)));
    store.living = vec![lives("b", 4, 2), lives("a", 5 + YEARS, 1)];
    assert_eq!(look_now(&store), TickLook::Open);
}

/// Also where no record exists yet, or the last one is its own.
#[test]
fn new_host_judges_its_clock_before_its_first_claim() {
    let own = TickRecord {
        host: "a".into(),
        ..record(4 + YEARS, TickState::Done)
    };
    let now = minute(5 + YEARS);
    let ask = TickRequest {
        now,
        ..ask(5 + YEARS, 5 + YEARS)
    };
    for left in [None, Some(own), Some(record(5, TickState::Done))] {
        let mut store = Scripted::new(left.as_ref(), &[]);
        store.living = vec![lives("b", 4, 4), lives("a", 5 + YEARS, 5)];
        let look = look(&store, "a", ask).now_or_never();
        let look = look.expect("it never waits");
        assert!(
            matches!(look, TickLook::Lacks(RunLack::Other(_))),
            "{look:?}"
        );
        let claim = claim(&store, &me(), ask).now_or_never();
        let (claim, _) = claim.expect("it never waits");
        assert!(
            matches!(claim, TickClaim::Lacks(RunLack::Other(_))),
            "{claim:?}"
        );
        let found = store.found.lock().unwrap().clone();
        assert_eq!(
            found.map(|found| found.json),
            left.map(|left| left.to_json())
        );
    }
}

#[test]
fn claim_after_lost_answer_is_read_back_or_repeated() {
    use Fate::{AnswerLost, Arrives, RequestLost};
    for fates in [
        &[Arrives][..],
        &[AnswerLost],
        &[RequestLost],
        &[RequestLost, AnswerLost],
        &[RequestLost, RequestLost, RequestLost, Arrives],
    ] {
        let store = Scripted::new(Some(&record(5, TickState::Claimed)), fates);
        let (tick, attempt) = (minute(5), 2);
        // The record read back is the same claim: no second attempt is counted.
        assert_eq!(
            claimed(&store),
            TickClaim::Ours { tick, attempt },
            "{fates:?}"
        );
        let written = store.record();
        assert_eq!(
            (written.token, written.attempt),
            (Token::new(9), 2),
            "{fates:?}"
        );
    }
}

#[test]
fn a_claim_without_the_lock_changes_nothing() {
    let before = record(5, TickState::Claimed);
    let mut store = Scripted::new(Some(&before), &[]);
    store.holds = false;
    assert_eq!(claimed(&store), TickClaim::Lost);
    assert_eq!(store.record(), before);
}

/// While a configuration changes host by host, one host may still run the job under its old lock.
#[test]
fn tick_under_another_lock_is_left_until_that_entry_is_deleted() {
    let before = TickRecord {
        lock_key: "/l/locks/j-old/b7".into(),
        ..record(5, TickState::Claimed)
    };
    let mut store = Scripted::new(Some(&before), &[]);
    store.other = Some(("/l/locks/j-old/b7", Token::new(7)));
    let claim = claimed(&store);
    assert!(
        matches!(&claim, TickClaim::NotYet { reason, .. } if reason.contains("j-old/b7")),
        "{claim:?}"
    );
    assert_eq!(store.record(), before);
    // The entry was deleted, or is a later one of that key: the host that began the tick has lost that lock.
    for other in [None, Some(("/l/locks/j-old/b7", Token::new(8)))] {
        let mut store = Scripted::new(Some(&before), &[]);
        store.other = other;
        let (tick, attempt) = (minute(5), 2);
        assert_eq!(claimed(&store), TickClaim::Ours { tick, attempt });
        assert_eq!(store.record().lock_key, "/l/locks/j/a9");
    }
}

/// Fails if a later token counts as proof that an earlier holder of a shared lock has lost it: on the
/// mutant "a later token ends shared holds", see scripts/mutants.
#[test]
fn tick_under_a_shared_lock_is_left_until_that_entry_is_deleted() {
    let before = TickRecord {
        lock_key: "/l/locks/j/b7-r".into(),
        claimed_unix_ms: UnixMs::new(5 * MINUTE),
        ..record(4, TickState::Claimed)
    };
    let claimant = TickClaimant {
        exclusive_locks: vec!["/l/locks/k".into()],
        ..me()
    };
    let claimed = |store: &Scripted, now: u64| {
        let request = TickRequest {
            now: UnixMs::new(5 * MINUTE + now),
            ..ask(5, 5)
        };
        let claimed = claim(store, &claimant, request).now_or_never();
        claimed.expect("the store answers at once").0
    };
    // Also a later tick waits: the ticks of one job never run beside each other.
    for (now, wait) in [(0, 5), (20_000, 10), (300_000, 30)] {
        let mut store = Scripted::new(Some(&before), &[]);
        store.other = Some(("/l/locks/j/b7-r", Token::new(7)));
        let claim = claimed(&store, now);
        assert!(
            matches!(&claim, TickClaim::NotYet { wait: at, .. } if *at == Duration::from_secs(wait)),
            "{claim:?}"
        );
        assert_eq!(store.record(), before);
    }
    let store = Scripted::new(Some(&before), &[]);
    let (tick, attempt) = (minute(5), 1);
    assert_eq!(claimed(&store, 0), TickClaim::Ours { tick, attempt });
}

#[test]
fn unanswered_claim_is_given_up_with_its_reason() {
    let mut store = Scripted::new(None, &[]);
    store.readable = false;
    assert!(matches!(claimed(&store), TickClaim::Trouble(_)));
    let store = Scripted::new(None, &[Fate::RequestLost; 9]);
    assert!(matches!(claimed(&store), TickClaim::Trouble(_)));
    let store = Scripted::new(None, &[Fate::Refused]);
    let TickClaim::Trouble(text) = claimed(&store) else {
        panic!("it was refused");
    };
    assert!(text.contains("no space"), "{text}");
}

#[test]
fn foreign_record_is_reported_and_never_overwritten() {
    let store = Scripted::new(None, &[]);
    let (json, revision) = (b"{}".to_vec(), Revision::new(4));
    *store.found.lock().unwrap() = Some(RecordVersion { json, revision });
    let TickClaim::Trouble(text) = claimed(&store) else {
        panic!("it was claimed");
    };
    assert!(text.contains("delete the key ticks/j"), "{text}");
    assert_eq!(
        store.found.lock().unwrap().as_ref().unwrap().revision,
        Revision::new(4)
    );
}

#[test]
fn mark_applies_to_its_own_claim_alone() {
    let ended = |token, mark| EndedTick {
        tick: minute(5),
        token: Token::new(token),
        mark,
        outcome: Outcome::Done,
        now: minute(5),
    };
    let marked =
        |store: &Scripted, ended| mark(store, ended).now_or_never().expect("it never waits");
    let not_before = minute(6);
    for (how, state) in [
        (TickMark::Done, TickState::Done),
        (TickMark::Retry { not_before }, TickState::Retry),
    ] {
        let store = Scripted::new(Some(&record(5, TickState::Claimed)), &[Fate::AnswerLost]);
        assert!(marked(&store, ended(7, how)).is_err_and(|unmarked| unmarked.may_pass));
        // The second attempt finds it done.
        assert!(marked(&store, ended(7, how)).is_ok());
        assert_eq!(store.record().state, state);
    }
    // Taken over by another host meanwhile, or its record was deleted.
    let store = Scripted::new(Some(&record(5, TickState::Claimed)), &[]);
    let late = marked(&store, ended(6, TickMark::Done)).expect_err("it has been taken over");
    assert_eq!(
        (late.may_pass, late.reason.as_str()),
        (false, "b has taken over")
    );
    assert_eq!(store.record(), record(5, TickState::Claimed));
    assert!(marked(&Scripted::new(None, &[]), ended(7, TickMark::Done)).is_err());
}

/// The policy of another host allows the name to a dropped-in file, which is at a later tick than ours.
#[test]
fn dropped_in_job_has_ticks_of_its_own() {
    let theirs = TickRecord {
        dropped: true,
        ..record(6, TickState::Done)
    };
    let store = Scripted::new(Some(&theirs), &[]);
    assert_eq!(looked(&store), TickLook::Open);
    let ours = TickClaim::Ours {
        tick: minute(5),
        attempt: 1,
    };
    assert_eq!(claimed(&store), ours);
    assert!(!store.record().dropped);
    // From now on the dropped-in job stands back, and names the owner of these ticks.
    let asked = TickRequest {
        is_dropped: true,
        ..ask(5, 5)
    };
    let look = look(&store, "b", asked).now_or_never();
    let claim = claim(&store, &me(), asked).now_or_never();
    let (Some(TickLook::Lacks(seen)), Some((TickClaim::Lacks(met), _))) = (look, claim) else {
        panic!("it must stand back");
    };
    assert_eq!(seen, met);
    insta::assert_snapshot!(seen.reason(), @"ticks of `j` are those of a configured job, the last one on a: set another `name` in the manifest of the plugin here, or take `j` out of `names` under [plugins]");
}

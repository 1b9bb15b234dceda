//! Promises P2 and P3: guests are stopped without their consent, and have no effects afterwards.

use std::sync::atomic::{AtomicU64, Ordering};

use leasehold_lock::{EndReason, ManualClock, Revision};

use super::*;

const SHORT: Duration = Duration::from_millis(60);
const SPIN: &str = "(loop (br 0))";

fn lost() -> RunEnd {
    RunEnd::Lost(EndReason::DeadlinePassed)
}

async fn is_stopped_by_the_deadline(wat: &str) {
    let rig = Rig::new();
    let ran = rig.run_for(wat, SHORT, spec()).await;
    assert_eq!(ran.report.end, lost());
    assert!(ran.report.stopped_at >= ran.report.deadline);
    nothing_after_the_deadline(&ran, ran.report.deadline);
    rig.still_works().await;
}

#[tokio::test]
async fn a_guest_that_spins_is_stopped() {
    is_stopped_by_the_deadline(&guests::bare("", SPIN)).await;
}

#[tokio::test]
async fn a_component_that_spins_is_stopped() {
    is_stopped_by_the_deadline(&guests::job("", "(loop (br 0)) (i32.const 512)")).await;
}

#[tokio::test]
async fn an_endless_start_function_is_stopped_before_the_guest_exists() {
    let start = "(func $s (loop (br 0))) (start $s)";
    is_stopped_by_the_deadline(&guests::bare(start, "")).await;
    is_stopped_by_the_deadline(&guests::cli_run(start, "(i32.const 0)")).await;
}

#[tokio::test]
async fn a_guest_asleep_in_a_wasi_call_is_stopped() {
    // A relative subscription to the monotonic clock, an hour long.
    let body = r"(i32.store (i32.const 216) (i32.const 1))
        (i64.store (i32.const 224) (i64.const 3600000000000))
        (drop (call $poll (i32.const 200) (i32.const 400) (i32.const 1) (i32.const 500)))";
    is_stopped_by_the_deadline(&guests::command("", body)).await;
}

#[tokio::test]
async fn a_guest_waiting_for_a_stop_request_is_stopped() {
    let body = "(drop (call $stop (i32.const 3600000))) (i32.const 512)";
    is_stopped_by_the_deadline(&guests::job("", body)).await;
}

#[tokio::test]
async fn a_guest_that_fills_its_memory_over_and_over_is_stopped() {
    let body = "(loop (memory.fill (i32.const 0) (i32.const 1) (i32.const 0x3ff0000)) (br 0))";
    is_stopped_by_the_deadline(&guests::bare("(memory 1023)", body)).await;
}

#[tokio::test]
async fn flooding_guest_is_stopped_and_its_output_is_bounded() {
    let mut rig = Rig::new();
    rig.limits.output_bytes = 4096;
    let flood = guests::command(
        "0123456789abcde\\n",
        "(loop (call $say (i32.const 1) (i32.const 16)) (br 0))",
    );
    let ran = rig.run_for(&flood, SHORT, spec()).await;
    assert_eq!(ran.report.end, lost());
    nothing_after_the_deadline(&ran, ran.report.deadline);
    assert!(ran.report.output_truncated_bytes > 0);
    assert!(ran.report.output.starts_with('['), "{}", ran.report.output);
    assert!(ran.report.output.len() < 4096 + 64);
    assert!(ran.report.lines_dropped > 0);
    rig.still_works().await;
}

#[tokio::test]
async fn a_write_that_hangs_is_dropped_with_the_tenure() {
    let mut rig = Rig::new();
    rig.grants.kv = vec!["demo/".to_owned()];
    let fake_kv = Arc::new(FakeKv::default());
    fake_kv.hangs.store(true, Ordering::SeqCst);
    let plugin = rig.load(&guests::kv_job("demo/a", PUT)).await;
    let short = authority_with(lasting(SHORT), fake_kv.clone());
    let ran = rig.run_plugin(&plugin, short, spec()).await;
    assert_eq!(ran.report.end, lost());
    assert!(fake_kv.dropped.load(Ordering::SeqCst));
    assert_eq!(fake_kv.writes(), 0);
    rig.still_works().await;
}

/// Checks the lock, then writes one byte under the key at 1024.
const CHECK_AND_PUT: &str = "(call $check (i32.const 256))
    (call $put (i32.const 1024) (i32.const 6) (i32.const 0) (i32.const 1) (i32.const 256)) (i32.const 512)";
const PUT: &str = "(call $put (i32.const 1024) (i32.const 6) (i32.const 0) (i32.const 1) (i32.const 256)) (i32.const 512)";

/// Promise P3, at a point in time that is likely when etcd hangs.
#[tokio::test]
async fn guest_frozen_in_a_host_call_makes_no_call_after_the_thaw() {
    let mut rig = Rig::new();
    rig.grants.kv = vec!["demo/".to_owned()];
    let clock = Arc::new(ManualClock::at(BootTime::from_nanos(1_000)));
    let hour = Duration::from_hours(1);
    let tenure = Tenure::detached(clock.clone(), clock.now().after(hour));
    let fake_kv = Arc::new(FakeKv {
        on_check: Some(Box::new(move || clock.advance(hour))),
        ..FakeKv::default()
    });
    let plugin = rig.load(&guests::kv_job("demo/a", CHECK_AND_PUT)).await;
    let ran = rig
        .run_plugin(&plugin, authority_with(tenure, fake_kv.clone()), spec())
        .await;
    assert_eq!(ran.report.end, lost());
    assert_eq!(fake_kv.writes(), 0);
    assert_eq!(ran.report.admitted, 1);
    nothing_after_the_deadline(&ran, ran.report.deadline);
}

/// Clock that jumps an hour when it is read for the `at`-th time.
struct Stumbling {
    reads: AtomicU64,
    at: u64,
}

impl Stumbling {
    const START: BootTime = BootTime::from_nanos(1_000);

    fn has_jumped(&self) -> bool {
        self.reads.load(Ordering::SeqCst) > self.at
    }
}

impl Clock for Stumbling {
    fn now(&self) -> BootTime {
        let read = self.reads.fetch_add(1, Ordering::SeqCst);
        let jump = Duration::from_hours(u64::from(read >= self.at));
        Self::START.after(jump)
    }
}

/// Promise P3, with a freeze at every read of the clock. Fails if the gate admits a call without a check,
/// or checks before it reads the clock.
#[tokio::test]
async fn wherever_a_guest_is_frozen_it_writes_nothing_after_the_thaw() {
    let mut rig = Rig::new();
    rig.grants.kv = vec!["demo/".to_owned()];
    let put =
        "(call $put (i32.const 1024) (i32.const 6) (i32.const 0) (i32.const 1) (i32.const 256))";
    let body = format!("{} (i32.const 512)", put.repeat(5));
    let plugin = rig.load(&guests::kv_job("demo/a", &body)).await;
    let mut writes = Vec::new();
    for at in 0..80 {
        let clock = Arc::new(Stumbling {
            reads: AtomicU64::new(0),
            at,
        });
        let late = Arc::new(AtomicU64::new(0));
        let on_put = {
            let (clock, late) = (clock.clone(), late.clone());
            move || {
                late.fetch_add(u64::from(clock.has_jumped()), Ordering::SeqCst);
            }
        };
        let fake_kv = Arc::new(FakeKv {
            on_put: Some(Box::new(on_put)),
            ..FakeKv::default()
        });
        let deadline = Stumbling::START.after(Duration::from_mins(30));
        let tenure = Tenure::detached(clock, deadline);
        let ran = rig
            .run_plugin(&plugin, authority_with(tenure, fake_kv.clone()), spec())
            .await;
        assert_eq!(late.load(Ordering::SeqCst), 0, "frozen at reading {at}");
        nothing_after_the_deadline(&ran, deadline);
        assert!(matches!(ran.report.end, RunEnd::Lost(_) | RunEnd::Done(_)));
        writes.push(fake_kv.writes());
    }
    // The freezes ranged from before the first write to after the last.
    assert_eq!((writes.first(), writes.last()), (Some(&0), Some(&5)));
}

/// Promise P3, with another thread that advances the clock while the guest writes without a pause.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_frozen_while_it_talks_says_nothing_after_the_thaw() {
    let mut rig = Rig::new();
    rig.limits.log_lines_per_second = u32::MAX;
    let clock = Arc::new(ManualClock::at(BootTime::from_nanos(1_000)));
    let hour = Duration::from_hours(1);
    let deadline = clock.now().after(hour);
    let tenure = Tenure::detached(clock.clone(), deadline);
    let talk = "(loop (call $say (i32.const 1) (i32.const 2)) (br 0))";
    let plugin = rig.load(&guests::command("x\\n", talk)).await;
    let (send, mut receive) = mpsc::channel(4);
    let freeze = tokio::spawn(async move {
        assert!(receive.recv().await.is_some());
        clock.advance(hour);
    });
    let slot = rig.runtime.slots().take().await;
    let report = rig
        .runtime
        .run(&plugin, authority(tenure), spec(), send, slot)
        .await;
    freeze.await.unwrap();
    let events = Vec::new();
    let ran = Ran { report, events };
    assert_eq!(ran.report.end, lost());
    assert!(ran.report.admitted > 0);
    assert_eq!(ran.report.deadline, deadline);
    nothing_after_the_deadline(&ran, deadline);
}

#[tokio::test]
async fn a_tenure_that_has_ended_before_the_run_starts_no_guest() {
    let rig = Rig::new();
    let tenure = lasting(Duration::from_mins(1));
    let revision = Revision::new(9);
    tenure.end(EndReason::Removed { revision });
    let plugin = rig.load(guests::EXIT_3).await;
    let ran = rig.run_plugin(&plugin, authority(tenure), spec()).await;
    assert_eq!(
        ran.report.end,
        RunEnd::Lost(EndReason::Removed { revision })
    );
    assert_eq!((ran.report.admitted, ran.report.refused), (0, 0));
}

#[tokio::test]
async fn lost_lock_stops_a_blocked_guest_with_the_reason() {
    let rig = Rig::new();
    let tenure = lasting(Duration::from_mins(1));
    let body = "(drop (call $stop (i32.const 3600000))) (i32.const 512)";
    let plugin = rig.load(&guests::job("", body)).await;
    let take_away = async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        tenure.end(EndReason::LeaseEnded);
    };
    let run = rig.run_plugin(&plugin, authority(tenure.clone()), spec());
    let (ran, ()) = tokio::join!(run, take_away);
    assert_eq!(ran.report.end, RunEnd::Lost(EndReason::LeaseEnded));
}

#[tokio::test]
async fn a_run_ends_at_its_timeout() {
    let rig = Rig::new();
    let spec = RunSpec {
        timeout: Some(SHORT),
        ..spec()
    };
    let ran = rig
        .run_for(&guests::bare("", SPIN), Duration::from_mins(1), spec)
        .await;
    assert_eq!(ran.report.end, RunEnd::TimedOut);
}

#[tokio::test]
async fn abort_stops_at_once_and_a_request_after_the_grace() {
    let rig = Rig::new();
    let minute = Duration::from_mins(1);
    let aborted = spec();
    aborted.stop.abort.cancel();
    let ran = rig.run_for(&guests::bare("", SPIN), minute, aborted).await;
    assert_eq!(ran.report.end, RunEnd::Stopped);
    let mut asked = spec();
    asked.stop.grace = SHORT;
    asked.stop.requested.cancel();
    let ran = rig.run_for(&guests::bare("", SPIN), minute, asked).await;
    assert_eq!(ran.report.end, RunEnd::Stopped);
    assert!(ran.report.stopped_at.since(ran.report.started_at) >= SHORT);
}

#[tokio::test]
async fn a_guest_that_heeds_the_request_finishes_by_itself() {
    let rig = Rig::new();
    let body = "(if (i32.eqz (call $stop (i32.const 3600000))) (then unreachable)) (i32.const 512)";
    let plugin = rig.load(&guests::job("", body)).await;
    let spec = spec();
    let requested = spec.stop.requested.clone();
    let ask = async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        requested.cancel();
    };
    let long = authority(lasting(Duration::from_mins(1)));
    let (ran, ()) = tokio::join!(rig.run_plugin(&plugin, long, spec), ask);
    assert_eq!(ran.report.end, RunEnd::Done(None));
}

#[tokio::test]
async fn a_slot_is_taken_by_a_guest_and_free_again_when_it_is_gone() {
    let rig = Rig::with(&RuntimeOptions {
        max_runs: 1,
        preparing: Preparing::InThisProcess,
        ..RuntimeOptions::default()
    });
    let plugin = rig.load(&guests::bare("", SPIN)).await;
    let slots = rig.runtime.slots();
    let (send, _unread) = mpsc::channel(1);
    let slot = slots.take().await;
    let run = rig
        .runtime
        .run(&plugin, authority(lasting(SHORT)), spec(), send, slot);
    let (report, second) = tokio::join!(run, async {
        assert!(slots.try_take().is_none());
        slots.take().await
    });
    assert_eq!(report.end, lost());
    // The waiter has it, so no other caller could take it meanwhile.
    assert!(slots.try_take().is_none());
    drop(second);
    assert!(slots.try_take().is_some());
    rig.still_works().await;
}

/// Guests spin on every worker, and each is still stopped at its own deadline.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spinning_guests_on_all_workers_do_not_keep_each_other_alive() {
    let rig = Arc::new(Rig::new());
    let plugin = rig.load(&guests::bare("", SPIN)).await;
    let runs: Vec<_> = (0..4)
        .map(|_| {
            let (rig, plugin) = (rig.clone(), plugin.clone());
            tokio::spawn(async move {
                rig.run_plugin(&plugin, authority(lasting(SHORT)), spec())
                    .await
            })
        })
        .collect();
    for run in runs {
        assert_eq!(run.await.unwrap().report.end, lost());
    }
}

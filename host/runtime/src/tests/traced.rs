//! Runs that belong to a trace: the environment of the guest, and the calls that the observer receives.

use std::sync::{Mutex, PoisonError};

use super::*;

const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// Calls so far.
#[derive(Debug, Default)]
struct Calls(Mutex<Vec<HostCall>>);

impl CallObserver for Calls {
    fn call_ended(&self, call: HostCall) {
        let mut calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        calls.push(call);
    }
}

fn traced() -> (Arc<Calls>, RunSpec) {
    let calls = Arc::new(Calls::default());
    let trace = RunTrace {
        traceparent: TRACEPARENT.to_owned(),
        calls: Some(calls.clone()),
    };
    let spec = RunSpec {
        trace: Some(trace),
        ..spec()
    };
    (calls, spec)
}

fn taken(calls: &Calls) -> Vec<HostCall> {
    std::mem::take(&mut *calls.0.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Sleeps for so many milliseconds. The subscription is at 8192.
fn sleep(millis: u64) -> String {
    let nanos = millis * 1_000_000;
    format!(
        "(i32.store (i32.const 8208) (i32.const 1)) (i64.store (i32.const 8216) (i64.const {nanos}))
        (drop (call $poll (i32.const 8192) (i32.const 9000) (i32.const 1) (i32.const 9100)))"
    )
}

#[tokio::test]
async fn slow_calls_are_reported_by_name_and_fast_ones_are_not() {
    let rig = Rig::new();
    let (calls, spec) = traced();
    let body = format!(
        "(call $say (i32.const 1) (i32.const 3)) {} {} (call $say (i32.const 1) (i32.const 3))",
        sleep(20),
        sleep(40)
    );
    let guest = guests::command("abc", &body);
    let ran = rig.run_for(&guest, Duration::from_mins(1), spec).await;
    assert_eq!(ran.report.end, RunEnd::Done(None));
    assert_eq!(ran.report.admitted, 4);
    let calls = taken(&calls);
    let sleeps: Vec<_> = calls
        .iter()
        .filter(|call| call.name == "wasi_snapshot_preview1.poll_oneoff")
        .collect();
    // A busy machine may have made a write slow too.
    assert!(sleeps.len() == 2 && calls.len() <= 4, "{calls:?}");
    for (call, least) in sleeps.iter().zip([20, 40]) {
        assert!(
            call.ended.since(call.started) >= Duration::from_millis(least),
            "{call:?}"
        );
    }
    assert!(sleeps[0].ended <= sleeps[1].started);
    assert!(ran.report.started_at <= sleeps[0].started && sleeps[1].ended <= ran.report.stopped_at);
}

#[tokio::test]
async fn call_that_the_end_of_the_lock_cuts_off_is_reported() {
    let rig = Rig::new();
    let (calls, spec) = traced();
    let guest = guests::command("", &sleep(3_600_000));
    let ran = rig.run_for(&guest, Duration::from_millis(100), spec).await;
    assert!(
        matches!(ran.report.end, RunEnd::Lost(_)),
        "{:?}",
        ran.report.end
    );
    let calls = taken(&calls);
    let [call] = calls.as_slice() else {
        panic!("{calls:?}");
    };
    assert_eq!(call.name, "wasi_snapshot_preview1.poll_oneoff");
    assert!(ran.report.deadline <= call.ended && call.ended <= ran.report.stopped_at);
}

/// Fails when the links of `call_names` shadow an interface in part, or name no call.
#[tokio::test]
async fn calls_of_the_contract_have_the_name_of_their_function() {
    let rig = Rig::new();
    let (calls, spec) = traced();
    let guest = guests::job("", "(drop (call $stop (i32.const 30))) (i32.const 512)");
    let ran = rig.run_for(&guest, Duration::from_mins(1), spec).await;
    assert!(
        matches!(ran.report.end, RunEnd::Done(_)),
        "{:?}",
        ran.report.end
    );
    let names: Vec<_> = taken(&calls).into_iter().map(|call| call.name).collect();
    assert!(names.contains(&"lock.stop-requested".into()), "{names:?}");
}

#[tokio::test]
async fn environment_names_the_trace_in_place_of_a_configured_one() {
    let body = r"(drop (call $environ (i32.const 4096) (i32.const 1024)))
        (i32.store (i32.const 0) (i32.const 1024)) (i32.store (i32.const 4) (i32.const 600))
        (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))";
    let rig = Rig::new();
    let plugin = rig.load(&guests::command("", body)).await;
    let configured = vec![("TRACEPARENT".to_owned(), "configured".to_owned())];
    for (trace, shown) in [(traced().1.trace, TRACEPARENT), (None, "configured")] {
        let authority = authority(lasting(Duration::from_mins(1)));
        let spec = RunSpec {
            env: configured.clone(),
            trace,
            ..spec()
        };
        let output = rig.run_plugin(&plugin, authority, spec).await.report.output;
        assert_eq!(output.matches("TRACEPARENT=").count(), 1, "{output:?}");
        assert!(
            output.contains(&format!("TRACEPARENT={shown}")),
            "{output:?}"
        );
    }
}

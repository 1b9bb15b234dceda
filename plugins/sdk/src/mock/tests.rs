//! The mock behaves as the contract requires of a host.

use std::time::Duration;

use super::{Ended, Fault, Host, Line, Progress, When, Write};
use crate::log::{self, Level};
use crate::{Context, Failure, GuardError, Kv, Outcome, Trigger};

fn host() -> Host {
    Host::new().job("demo").allow_kv(&["demo/"])
}

fn put(ctx: &Context) -> Result<(), GuardError> {
    ctx.kv().put("demo/a", "1").map(drop)
}

/// Result of a write of `demo/a` with `fault`, and the value in the store after it.
fn write_under(fault: Fault) -> (Ended, Option<String>) {
    let host = host().fail(When::Write(1), fault);
    let ended = host.run(put);
    assert!(host.all_happened());
    (ended, host.text("demo/a"))
}

#[test]
fn a_run_sees_the_settings_of_its_host() {
    let host = host()
        .lock("team/demo")
        .token(41)
        .lease(Duration::from_secs(3))
        .config(&serde_json::json!({"n": 2}))
        .secret("api_key", "s3cret")
        .trigger(Trigger::Schedule)
        .scheduled_at(std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1));
    let ended = host.run(|ctx| {
        let config: serde_json::Value = ctx.config()?;
        let lock = ctx.lock();
        assert_eq!((ctx.job(), ctx.run_id()), ("demo", "run-1"));
        assert_eq!((ctx.attempt(), ctx.trigger()), (1, Trigger::Schedule));
        assert!(ctx.scheduled_at().is_some());
        assert_eq!((lock.name().as_str(), lock.token()), ("team/demo", 41));
        assert_eq!(lock.holder(), "29");
        assert!(lock.is_held() && lock.check().is_ok());
        assert_eq!(lock.remaining(), Duration::from_secs(3));
        assert_eq!(ctx.secret("api_key").as_deref(), Some("s3cret"));
        assert_eq!(ctx.secret("other"), None);
        log::warn!("half of {}", 2; "n" => 1);
        ctx.progress(1, Some(2), "halving");
        Ok::<_, Failure>(config["n"].to_string())
    });
    assert_eq!(ended.outcome(), Outcome::done_with("2"));
    let line = Line {
        level: Level::Warn,
        message: "half of 2".to_owned(),
        fields: vec![("n".to_owned(), "1".to_owned())],
    };
    assert_eq!(line.field("n"), Some("1"));
    assert_eq!(host.lines(), [line]);
    let half = Progress {
        done: 1,
        total: Some(2),
        message: "halving".to_owned(),
    };
    assert_eq!(host.progress(), [half]);
}

#[test]
fn an_ungranted_key_is_denied_and_a_large_value_refused() {
    let ended = host().run(|ctx| ctx.kv().put("other/a", "1").map(drop));
    let Ended::Failed(Failure::Fatal(reason)) = ended else {
        panic!("{ended:?}");
    };
    assert!(
        reason.contains("other/a") && reason.contains("[jobs.demo.allow]"),
        "{reason}"
    );
    let large = vec![0; 512 * 1024 + 1];
    let ended = host().run(|ctx| ctx.kv().put("demo/a", &large).map(drop));
    assert_eq!(ended, Ended::Failed(GuardError::TooLarge.into()));
}

#[test]
fn every_write_does_as_the_contract_requires() {
    let host = host().entry("demo/x", "old");
    let ended = host.run(|ctx| {
        let kv: Kv = ctx.kv();
        let first = kv.put("demo/a", "1")?;
        assert_eq!(
            kv.compare_and_put("demo/a", first - 1, "2"),
            Err(GuardError::Conflict)
        );
        assert_eq!(
            kv.compare_and_put("demo/a", 0, "2"),
            Err(GuardError::Conflict)
        );
        let second = kv.compare_and_put("demo/a", first, "2")?;
        assert!(second > first);
        assert_eq!(
            kv.compare_and_delete("demo/a", first),
            Err(GuardError::Conflict)
        );
        kv.compare_and_delete("demo/a", second)?;
        assert_eq!(
            kv.compare_and_delete("demo/a", second),
            Err(GuardError::Conflict)
        );
        kv.compare_and_delete("demo/a", 0)?;
        assert!(!kv.delete("demo/a")?);
        assert!(kv.delete("demo/x")?);
        kv.put("demo/c", "3")?;
        kv.put("demo/b", "2")?;
        let keys: Vec<String> = kv.list("demo/", 9)?.into_iter().map(|it| it.key).collect();
        assert_eq!(keys, ["demo/b", "demo/c"]);
        assert_eq!(kv.list("demo/", 1)?.len(), 1);
        assert_eq!(kv.get("demo/a")?, None);
        Ok::<_, GuardError>(())
    });
    assert_eq!(ended.outcome(), Outcome::done());
    assert_eq!(host.keys(), ["demo/b", "demo/c"]);
    assert_eq!(host.writes(), 12);
    let first = Write {
        token: 1,
        key: "demo/a".to_owned(),
        value: Some(b"1".to_vec()),
        revision: 2,
    };
    assert_eq!(host.history()[0], first);
}

#[test]
fn a_refused_write_did_not_happen_an_unanswered_one_may_have() {
    let failed = |error: GuardError| Ended::Failed(error.into());
    assert_eq!(write_under(Fault::Lost), (failed(GuardError::Lost), None));
    assert_eq!(
        write_under(Fault::Conflict),
        (failed(GuardError::Conflict), None)
    );
    assert_eq!(
        write_under(Fault::TooLarge),
        (failed(GuardError::TooLarge), None)
    );
    assert!(matches!(
        write_under(Fault::Denied),
        (Ended::Failed(Failure::Fatal(_)), None)
    ));
    assert_eq!(write_under(Fault::Stopped), (Ended::Stopped, None));
    let done = Some("1".to_owned());
    assert_eq!(
        write_under(Fault::DoneThenStopped),
        (Ended::Stopped, done.clone())
    );
    for (fault, holds) in [
        (Fault::Unavailable, None),
        (Fault::UnavailableButComing, None),
        (Fault::UnavailableButDone, done),
    ] {
        let (ended, text) = write_under(fault);
        assert!(
            matches!(ended, Ended::Failed(Failure::Retry(_))),
            "{fault:?}: {ended:?}"
        );
        assert_eq!(text, holds, "{fault:?}");
    }
}

#[test]
fn a_lost_lock_refuses_writes_and_reports_the_loss() {
    let host = host().fail(When::Call(1), Fault::Lost);
    let ended = host.run(|ctx| {
        let lock = ctx.lock();
        assert!(!lock.is_held());
        assert_eq!(lock.remaining(), Duration::ZERO);
        assert_eq!(lock.check(), Err(GuardError::Lost));
        put(ctx)
    });
    assert_eq!(ended, Ended::Failed(GuardError::Lost.into()));
    assert!(host.keys().is_empty());
}

#[test]
fn a_late_write_arrives_for_the_same_holder_only() {
    for (successor, holds) in [(false, Some("1")), (true, None)] {
        let host = host().fail(When::Write(1), Fault::UnavailableButComing);
        assert!(matches!(host.run(put), Ended::Failed(_)));
        if successor {
            host.succeed();
        } else {
            host.again();
        }
        host.deliver();
        assert_eq!(host.text("demo/a").as_deref(), holds);
    }
}

#[test]
fn a_late_write_arrives_before_the_scripted_call() {
    let host = host().fail(When::WriteOf("demo/a"), Fault::UnavailableButComing);
    assert!(matches!(host.run(put), Ended::Failed(_)));
    host.again();
    host.add_arrival(When::Write(2));
    let ended = host.run(|ctx| {
        ctx.kv().put("demo/b", "")?;
        assert_eq!(ctx.kv().get("demo/a")?, None);
        ctx.kv().put("demo/c", "")?;
        assert!(ctx.kv().get("demo/a")?.is_some());
        Ok::<_, GuardError>(())
    });
    assert_eq!(ended.outcome(), Outcome::done());
    assert_eq!(host.calls(), 4);
}

#[test]
fn a_wait_moves_the_clock_and_a_stop_request_ends_it() {
    let hour = Duration::from_hours(1);
    let host = host().request_stop(When::After(hour * 2));
    let ended = host.run(|ctx| {
        assert!(!ctx.lock().stop_requested(Duration::ZERO));
        assert!(!ctx.lock().stop_requested(hour));
        assert!(ctx.lock().stop_requested(hour * 24));
        assert!(ctx.lock().stop_requested(hour));
        Ok::<_, GuardError>(())
    });
    assert_eq!(ended.outcome(), Outcome::done());
    assert_eq!(host.now(), hour * 2);
}

#[test]
fn a_waiting_job_is_stopped_in_the_middle_of_its_wait() {
    let host = host().fail(When::After(Duration::from_secs(7)), Fault::Stopped);
    let ended = host.run(|ctx| {
        ctx.lock().stop_requested(Duration::from_mins(1));
        put(ctx)
    });
    assert_eq!(ended, Ended::Stopped);
    assert_eq!((host.now(), host.writes()), (Duration::from_secs(7), 0));
    host.succeed();
    host.pass(Duration::from_secs(1));
    assert_eq!(host.run(put).outcome(), Outcome::done());
}

#[test]
fn the_nth_call_of_stop_requested_returns_true() {
    let host = host().request_stop(When::Ask(3));
    let ended = host.run(|ctx| {
        let mut rounds = 0;
        while !ctx.lock().stop_requested(Duration::from_millis(10)) {
            rounds += 1;
        }
        Ok::<_, GuardError>(format!("{rounds} rounds"))
    });
    assert_eq!(ended.outcome(), Outcome::done_with("2 rounds"));
}

#[test]
fn a_panic_of_the_job_is_not_taken_for_a_stop() {
    let caught = std::panic::catch_unwind(|| {
        let _ =
            host().run(|_| -> Result<(), GuardError> { std::panic::resume_unwind(Box::new(7)) });
    });
    assert_eq!(
        caught.map_err(|payload| payload.downcast_ref::<i32>().copied()),
        Err(Some(7))
    );
}

#[test]
#[should_panic(expected = "there is no host here")]
fn a_call_outside_a_host_panics_with_the_remedy() {
    let _ = Kv::of_this_run().get("a");
}

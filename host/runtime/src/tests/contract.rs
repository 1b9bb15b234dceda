//! `leasehold:job@1` from the side of a typed guest.

use leasehold_lock::{LockMode, Revision};

use super::*;

#[tokio::test]
async fn a_job_knows_its_token_and_returns_in_every_way() {
    let rig = Rig::new();
    let mark = "(if (i64.ne (call $token) (i64.const 1)) (then unreachable))";
    // Layout of the result: 512 tag, 520 variant tag, then the payload.
    let text_at = |at: u32| {
        format!(
            "(i32.store (i32.const {at}) (i32.const 1024)) (i32.store (i32.const {}) (i32.const 4))",
            at + 4
        )
    };
    let done = format!(
        "(i32.store8 (i32.const 528) (i32.const 1)) {}",
        text_at(532)
    );
    let again =
        "(i32.store8 (i32.const 520) (i32.const 1)) (i64.store (i32.const 528) (i64.const 250))"
            .to_owned();
    let retry = format!(
        "(i32.store8 (i32.const 512) (i32.const 1)) {}",
        text_at(524)
    );
    let fatal = format!("(i32.store8 (i32.const 520) (i32.const 1)) {retry}");
    let text = || "a\nb\u{7}".replace('\n', "⏎").replace('\u{7}', "�");
    for (store, end) in [
        (done, RunEnd::Done(Some(text()))),
        (again, RunEnd::Again(Duration::from_millis(250))),
        (retry, RunEnd::Retry(text())),
        (fatal, RunEnd::Fatal(text())),
    ] {
        let wat = guests::job("a\\nb\\07", &format!("{mark} {store} (i32.const 512)"));
        assert_eq!(rig.run(&wat).await.report.end, end);
    }
}

#[tokio::test]
async fn a_log_line_arrives_with_its_level_and_fields() {
    let rig = Rig::new();
    // Field list with one field, ("key", "value"), at 256.
    let body = "(i32.store (i32.const 256) (i32.const 1026)) (i32.store (i32.const 260) (i32.const 3))
        (i32.store (i32.const 264) (i32.const 1029)) (i32.store (i32.const 268) (i32.const 5))
        (call $log (i32.const 3) (i32.const 1024) (i32.const 2) (i32.const 256) (i32.const 1)) (i32.const 512)";
    let ran = rig.run(&guests::job("hikeyvalue", body)).await;
    assert_eq!(ran.report.end, RunEnd::Done(None));
    let line = ran.lines()[0];
    assert_eq!((line.stream, line.level), (Stream::Log, Some(Level::Warn)));
    assert_eq!(line.text, "hi");
    assert_eq!(line.fields, [("key".to_owned(), "value".to_owned())]);
    assert_eq!(ran.report.output, "hi\n");
}

/// Makes a guest that puts `len` bytes under the key at 1024, and then runs `expect` on the raw answer at 256.
fn put(len: u32, expect: &str) -> String {
    format!(
        "(call $put (i32.const 1024) (i32.const 6) (i32.const 0) (i32.const {len}) (i32.const 256))
        {expect} (i32.const 512)"
    )
}

/// Makes code that traps unless the answer of `$put` is an error with this tag.
fn refused_as(tag: u32) -> String {
    format!(
        "(if (i32.ne (i32.load8_u (i32.const 256)) (i32.const 1)) (then unreachable))
        (if (i32.ne (i32.load8_u (i32.const 264)) (i32.const {tag})) (then unreachable))"
    )
}

#[tokio::test]
async fn a_fenced_write_goes_to_the_store_under_the_granted_prefix() {
    let mut rig = Rig::new();
    rig.grants.kv = vec!["demo/".to_owned()];
    let fake_kv = Arc::new(FakeKv::default());
    let expect = "(if (i64.ne (i64.load (i32.const 264)) (i64.const 1)) (then unreachable))";
    let plugin = rig.load(&guests::kv_job("demo/a", &put(3, expect))).await;
    let long = authority_with(lasting(Duration::from_mins(1)), fake_kv.clone());
    let ran = rig.run_plugin(&plugin, long, spec()).await;
    assert_eq!(ran.report.end, RunEnd::Done(None));
    assert_eq!(fake_kv.value("demo/a"), Some(vec![0; 3]));
}

#[tokio::test]
async fn ungranted_key_is_denied_and_large_value_is_too_large() {
    let mut rig = Rig::new();
    rig.limits.kv_value_bytes = 10;
    rig.grants.kv = vec!["demo/".to_owned()];
    for (key, len, tag) in [("other/", 1, 1), ("demoXa", 1, 1), ("demo/a", 11, 3)] {
        let fake_kv = Arc::new(FakeKv::default());
        let plugin = rig
            .load(&guests::kv_job(key, &put(len, &refused_as(tag))))
            .await;
        let long = authority_with(lasting(Duration::from_mins(1)), fake_kv.clone());
        let ran = rig.run_plugin(&plugin, long, spec()).await;
        assert_eq!(ran.report.end, RunEnd::Done(None), "{key}");
        assert_eq!(fake_kv.writes(), 0);
    }
}

/// Fails if a holder writes beside others without the operator's leave: on the mutant "shared holders write", see
/// scripts/mutants.
#[tokio::test]
async fn write_under_shared_locks_alone_is_denied_unless_allowed() {
    let mut rig = Rig::new();
    rig.grants.kv = vec!["demo/".to_owned()];
    let (shared, permits) = (LockMode::Shared, LockMode::permits(1, 3).unwrap());
    let emit = "(call $log (i32.const 2) (i32.load (i32.const 268)) (i32.load (i32.const 272)) (i32.const 0) (i32.const 0))";
    let refused = format!("{} {emit}", refused_as(1));
    let written = "(if (i32.load8_u (i32.const 256)) (then unreachable))";
    for (modes, kv_shared, answer, writes) in [
        (vec![shared], false, &*refused, 0),
        (vec![shared, shared], false, &refused, 0),
        (vec![shared], true, written, 1),
        (vec![shared, LockMode::Exclusive], false, written, 1),
        (vec![permits], false, written, 1),
    ] {
        rig.grants.kv_shared = kv_shared;
        let fake_kv = Arc::new(FakeKv::default());
        let plugin = rig.load(&guests::kv_job("demo/a", &put(3, answer))).await;
        let long = authority_with(lasting(Duration::from_mins(1)), fake_kv.clone());
        let ran = rig
            .run_plugin(&plugin, long.in_modes(modes.clone()), spec())
            .await;
        assert_eq!(ran.report.end, RunEnd::Done(None), "{modes:?}");
        assert_eq!(fake_kv.writes(), writes, "{modes:?}");
        if writes == 0 {
            let text = &ran.lines()[0].text;
            assert!(text.contains("kv_shared = true"), "{text}");
        }
    }
}

#[tokio::test]
async fn denial_names_the_place_where_the_job_comes_from() {
    let mut rig = Rig::new();
    rig.grants.kv = vec!["demo/".to_owned()];
    let emit = "(call $log (i32.const 2) (i32.load (i32.const 268)) (i32.load (i32.const 272)) (i32.const 0) (i32.const 0))";
    let mut said = Vec::new();
    for job in [
        JobSource::table("demo"),
        JobSource::dropped("dropped.demo", Path::new("plugins/demo.wasm")),
    ] {
        rig.job = job;
        let plugin = rig.load(&guests::kv_job("other/", &put(1, emit))).await;
        let long = authority_with(lasting(Duration::from_mins(1)), Arc::new(FakeKv::default()));
        let ran = rig.run_plugin(&plugin, long, spec()).await;
        said.push(ran.lines()[0].text.clone());
    }
    insta::assert_snapshot!(said.join("\n"));
}

/// Makes a guest that lists `demo/` with this limit, and traps unless the result has this tag and contains this
/// length or error tag.
fn list(limit: u32, tag: u32, load: &str, value: u32) -> String {
    let body = format!(
        "(call $list (i32.const 1024) (i32.const 5) (i32.const {limit}) (i32.const 256))
        (if (i32.ne (i32.load8_u (i32.const 256)) (i32.const {tag})) (then unreachable))
        (if (i32.ne ({load}) (i32.const {value})) (then unreachable))
        (i32.const 512)"
    );
    guests::kv_job("demo/", &body)
}

/// Promise of the contract: a list that is shorter than its limit is complete.
#[tokio::test]
async fn a_listing_is_as_long_as_its_limit_or_complete_or_too_large() {
    const LENGTH: &str = "i32.load (i32.const 264)";
    const ERROR: &str = "i32.load8_u (i32.const 260)";
    let mut rig = Rig::new();
    rig.grants.kv = vec!["demo/".to_owned()];
    // The lists take more room in the guest than its first pages have.
    let run = async |rig: &Rig, entries: u32, wat: String| {
        let fake_kv = Arc::new(FakeKv::default());
        for n in 0..entries {
            let mut all = fake_kv.entries.lock().unwrap();
            all.insert(format!("demo/{n}"), (Vec::new(), Revision::new(1)));
        }
        let plugin = rig
            .load(&wat.replace("\"memory\") 2)", "\"memory\") 4)"))
            .await;
        let long = authority_with(lasting(Duration::from_mins(1)), fake_kv);
        rig.run_plugin(&plugin, long, spec()).await.report.end
    };
    let done = RunEnd::Done(None);
    assert_eq!(run(&rig, 3, list(0, 0, LENGTH, 0)).await, done);
    assert_eq!(run(&rig, 3, list(2, 0, LENGTH, 2)).await, done);
    assert_eq!(run(&rig, 3, list(u32::MAX, 0, LENGTH, 3)).await, done);
    assert_eq!(run(&rig, 1_001, list(1_000, 0, LENGTH, 1_000)).await, done);
    assert_eq!(run(&rig, 1_001, list(5_000, 1, ERROR, 3)).await, done);
}

//! Orders to hosts: the form, its refusals, and the order that is sent.

use leasehold_records::{DrainMark, HoldMark, HostControl, JobControl};

use super::*;

/// led runs on host-1 and waits on host-2; both are in the Jobs view.
fn jobs(allow_write: bool) -> TestApp {
    let mut store = some();
    store.host("host-1", 0x51, &["led"]);
    store.host("host-2", 0x52, &["led"]);
    store.job("led", "host-2", "a", JobState::Waiting, None);
    let mut desk = TestApp::new(store, allow_write);
    desk.types("4");
    assert_eq!(desk.rows(), ["led@host-1", "led@host-2"]);
    desk
}

fn form(desk: &TestApp) -> &OrderForm {
    match &desk.app.overlay {
        Some(OpenOverlay::Form(form)) => form,
        other => panic!("{other:?}, {}", desk.note()),
    }
}

fn sent(effects: &[AppEffect]) -> &HostOrder {
    match effects {
        [AppEffect::Order(AdminOrder::Hosts(order))] => order,
        other => panic!("{other:?}"),
    }
}

#[test]
fn orders_without_allow_write_are_refused_with_the_option() {
    let mut desk = jobs(false);
    for key in ["T", "P", "R", "E", "A", "D", "U"] {
        assert!(desk.types(key).is_empty());
        assert!(desk.app.overlay.is_none(), "{key}");
        assert!(desk.note().contains("--allow-write"), "{}", desk.note());
    }
}

#[test]
fn orders_in_the_past_are_refused() {
    let mut desk = jobs(true);
    desk.types(" P");
    assert!(desk.note().contains("this is the past"), "{}", desk.note());
}

#[test]
fn pause_is_sent_with_its_reason_and_end() {
    let mut desk = jobs(true);
    desk.types("P");
    insta::assert_snapshot!(
        form(&desk).consequence,
        @"no new run of led starts on any host, and ticks that pass meanwhile follow `missed`; its run on host-1 goes on to its end"
    );
    desk.types("the disk is full");
    assert!(desk.press(KeyCode::Enter).is_empty());
    desk.types("tomorrow");
    assert!(desk.press(KeyCode::Enter).is_empty());
    assert!(desk.note().starts_with("until: write"), "{}", desk.note());
    desk.app.update(AppInput::Key(ctrl('u')), desk.now);
    desk.types("2h");
    let effects = desk.press(KeyCode::Enter);
    let order = sent(&effects);
    let until = desk.now.after(Duration::from_hours(2));
    assert_eq!(
        order.verb,
        OrderVerb::Pause {
            job: Some("led".into()),
            until: Some(until)
        }
    );
    assert_eq!(order.why, "the disk is full");
    assert!(desk.app.overlay.is_none());
    assert_eq!(desk.note(), "pause of led: sent to the store");
}

#[test]
fn pause_without_reason_and_end_takes_two_enters() {
    let mut desk = jobs(true);
    desk.types("P");
    desk.press(KeyCode::Enter);
    let effects = desk.press(KeyCode::Enter);
    let order = sent(&effects);
    assert_eq!(
        order.verb,
        OrderVerb::Pause {
            job: Some("led".into()),
            until: None
        }
    );
    assert_eq!(order.why, "");
}

#[test]
fn escape_sends_nothing() {
    let mut desk = jobs(true);
    desk.types("Tbecause");
    assert!(desk.press(KeyCode::Esc).is_empty());
    assert!(desk.app.overlay.is_none());
}

#[test]
fn stop_names_the_run_and_needs_the_job_name() {
    let mut desk = jobs(true);
    // The run is on the other host than the selected row.
    desk.types("jE");
    assert_eq!(
        form(&desk).verb,
        OrderVerb::Stop {
            job: "led".into(),
            host: "host-1".into()
        }
    );
    desk.press(KeyCode::Tab);
    desk.types("le");
    assert!(desk.press(KeyCode::Enter).is_empty());
    assert_eq!(desk.note(), "nothing was done: \"le\" is not \"led\"");
    desk.types("d");
    let effects = desk.press(KeyCode::Enter);
    assert_eq!(sent(&effects).verb.target(), "led on host-1");
}

#[test]
fn stop_and_restart_of_a_job_that_does_not_run_are_refused() {
    let mut store = FixtureStore::new();
    store.job("led", "host-1", "a", JobState::Sleeping, None);
    let mut desk = TestApp::new(store, true);
    desk.types("4");
    for key in ["E", "A"] {
        desk.types(key);
        assert_eq!(desk.note(), "led does not run on any host");
        assert!(desk.app.overlay.is_none());
    }
}

#[test]
fn job_orders_without_a_job_are_refused() {
    let mut desk = TestApp::new(FixtureStore::new(), true);
    desk.types("4");
    for key in ["T", "P", "R", "E", "A"] {
        desk.types(key);
        assert!(
            desk.note().contains("no job is selected"),
            "{}",
            desk.note()
        );
    }
    desk.types("D");
    assert!(
        desk.note().contains("no host is selected"),
        "{}",
        desk.note()
    );
}

#[test]
fn host_is_drained_from_its_session_after_typing_its_name() {
    let mut desk = jobs(true);
    desk.types("3");
    let hosts = desk.rows();
    let at = hosts.iter().position(|row| row == "52").expect("a session");
    desk.app.list_mut().select_at(at);
    desk.types("D");
    let host = || "host-2".to_owned();
    assert_eq!(form(&desk).verb, OrderVerb::Drain { host: host() });
    desk.press(KeyCode::Enter);
    desk.types("host-2");
    let effects = desk.press(KeyCode::Enter);
    assert_eq!(sent(&effects).verb, OrderVerb::Drain { host: host() });
}

#[test]
fn resume_and_undrain_name_the_hold_that_ends() {
    let mark = HoldMark {
        by: "bob@vm".into(),
        why: "kernel update".into(),
        at_unix_ms: UnixMs::new(0),
        until_unix_ms: None,
    };
    let pause = JobControl {
        pause: Some(mark.clone()),
    };
    let drain = HostControl {
        drain: Some(DrainMark { mark, keep: false }),
    };
    let mut store = some();
    store.put("/leasehold/control/jobs/led", &pause.to_json(), 0);
    store.put("/leasehold/control/hosts/host-1", &drain.to_json(), 0);
    let mut desk = TestApp::new(store, true);
    desk.types("4R");
    assert_eq!(
        form(&desk).consequence,
        "led runs again; paused by bob@vm: kernel update"
    );
    desk.press(KeyCode::Esc);
    desk.types("U");
    assert_eq!(
        form(&desk).consequence,
        "host-1 starts runs again; drained by bob@vm: kernel update"
    );
}

#[test]
fn drained_host_without_a_row_is_undrained_if_it_is_the_only_one() {
    let drain = HostControl {
        drain: Some(DrainMark {
            mark: HoldMark {
                by: "bob@vm".into(),
                why: String::new(),
                at_unix_ms: UnixMs::new(0),
                until_unix_ms: None,
            },
            keep: false,
        }),
    };
    let mut store = some();
    store.put("/leasehold/control/hosts/gone-1", &drain.to_json(), 0);
    let mut desk = TestApp::new(store, true);
    desk.types("4U");
    let host = "gone-1".into();
    assert_eq!(form(&desk).verb, OrderVerb::Undrain { host });
    let mut store = some();
    for host in ["gone-1", "gone-2"] {
        let key = format!("/leasehold/control/hosts/{host}");
        store.put(&key, &drain.to_json(), 0);
    }
    let mut desk = TestApp::new(store, true);
    desk.types("4U");
    assert_eq!(
        desk.note(),
        "this host is not drained; use `leasehold undrain` for one of gone-1, gone-2"
    );
}

#[test]
fn all_jobs_are_paused_from_the_palette_after_typing_so() {
    let mut desk = jobs(true);
    desk.types(":pause-all");
    desk.press(KeyCode::Enter);
    for _ in 0..2 {
        assert!(desk.press(KeyCode::Enter).is_empty());
    }
    assert!(desk.press(KeyCode::Enter).is_empty(), "nothing was typed");
    desk.types("all jobs");
    let effects = desk.press(KeyCode::Enter);
    let verb = OrderVerb::Pause {
        job: None,
        until: None,
    };
    assert_eq!(sent(&effects).verb, verb);
}

#[test]
fn answer_is_a_note_and_an_event() {
    let mut desk = jobs(true);
    for answer in [
        Ok("led is paused on host-1".to_owned()),
        Err("the store refused it\u{1b}[2J".to_owned()),
    ] {
        desk.app.apply(Fact {
            at_unix_ms: desk.now,
            kind: FactKind::Answer(answer),
        });
    }
    assert_eq!(desk.note(), "the store refused it\u{fffd}[2J");
    let events: Vec<(&str, String)> = desk
        .app
        .model
        .events
        .before(u64::MAX)
        .take(2)
        .map(|(_, event)| (event.kind.word(), event.kind.sentence()))
        .collect();
    assert_eq!(
        events,
        [
            ("FAILED", "the store refused it\u{fffd}[2J".to_owned()),
            ("DONE", "led is paused on host-1".to_owned())
        ]
    );
}

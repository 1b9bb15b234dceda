//! Lines of every form, and texts that try to forge one.

use std::time::{Duration, SystemTime};

use leasehold_lock::{BootTime, Token};

use super::*;
use crate::event::DisbelievedTick;

fn event(host: &str, token: Option<u64>, kind: EventKind) -> Event {
    Event {
        host: host.into(),
        at: BootTime::from_nanos(5_250_000_000),
        wall: SystemTime::UNIX_EPOCH + Duration::from_millis(1_500),
        context: EventContext {
            job: Some("ledger".into()),
            token: token.map(Token::new),
            ..EventContext::default()
        },
        kind,
    }
}

/// Formats an event as the first of its log.
fn of(event: &Event, form: Form) -> String {
    render(event, form, &mut NameColumns::of(form))
}

fn guest() -> EventKind {
    EventKind::Guest {
        stream: "log",
        level: Some("info"),
        text: "moved 5".into(),
        fields: vec![("token".into(), "7".into())],
    }
}

#[test]
fn every_form_names_the_host_that_spoke() {
    let text = of(&event("dev-1", Some(7), guest()), Form::Text);
    insta::assert_snapshot!(
        text,
        @"1970-01-01T00:00:01.500Z dev-1      ledger         info| moved 5 token=7"
    );
    let blocked = EventKind::Blocked {
        by: "ledger@dev-2".into(),
        holder: "/leasehold/locks/ledger/7".into(),
    };
    let text = of(&event("dev-1", None, blocked), Form::Text);
    insta::assert_snapshot!(
        text,
        @"1970-01-01T00:00:01.500Z dev-1      ledger         BLOCKED    by ledger@dev-2, who holds the lock"
    );
    let json = of(&event("dev-1", Some(7), guest()), Form::Json);
    let json: serde_json::Value = serde_json::from_str(&json).expect("it is JSON");
    assert_eq!(
        (&json["host"], &json["event"]),
        (&"dev-1".into(), &"guest".into())
    );
    assert_eq!(json["boot_ns"], 5_250_000_000_u64);
}

/// Escape, line end, bell, C1 and a direction mark, as the name of a file or the message of a server may
/// contain them.
const HOSTILE: &str =
    "x\u{1b}]0;owned\u{7}\n1970-01-01T00:00:02.000Z dev-1 ledger RELEASED\u{9b}2J\u{202e}\u{2028}";

#[test]
fn no_text_forges_a_line_or_reaches_the_terminal_raw() {
    let host = |name: &str| event(name, None, EventKind::HostStopped);
    let events = [
        host(HOSTILE),
        event(
            "dev-1",
            None,
            EventKind::PluginRefused {
                file: HOSTILE.into(),
                error: HOSTILE.into(),
                kept: false,
            },
        ),
        event(
            "dev-1",
            None,
            EventKind::StoreTrouble {
                error: HOSTILE.into(),
            },
        ),
        event(
            "dev-1",
            None,
            EventKind::Waiting {
                place: 1,
                holder: Some(HOSTILE.into()),
            },
        ),
        event(
            "dev-1",
            None,
            EventKind::Note {
                text: HOSTILE.into(),
            },
        ),
    ];
    let story = |colours| Form::Story {
        began: BootTime::from_nanos(0),
        colours,
    };
    for event in &events {
        for form in [Form::Text, Form::Json, story(false), story(true)] {
            let line = of(event, form);
            assert_eq!(line.matches('\n').count(), 1, "{line:?}");
            for escape in [
                "\u{1b}]", "\u{7}", "\u{9b}", "\u{202e}", "\u{2028}", "\n1970",
            ] {
                assert!(!line.contains(escape), "{line:?}");
            }
        }
    }
    let json: serde_json::Value = serde_json::from_str(&of(&events[2], Form::Json)).unwrap();
    assert_eq!(json["error"], HOSTILE);
}

#[test]
fn refused_configuration_has_a_log_line_for_each_line() {
    let error = "error: unknown key `x\u{1b}`\n --> one.toml:1:1\n\n1 error in one.toml";
    let refused = EventKind::ConfigRefused {
        error: error.into(),
    };
    let text = of(&event("dev-1", None, refused.clone()), Form::Text);
    let head = "1970-01-01T00:00:01.500Z dev-1      ledger        ";
    let lines: Vec<&str> = text
        .lines()
        .map(|line| line.strip_prefix(head).unwrap())
        .collect();
    assert_eq!(
        lines,
        [
            " REFUSED    the configuration; everything goes on as before:",
            "  | error: unknown key `x\u{fffd}`",
            "  |  --> one.toml:1:1",
            "  |",
            "  | 1 error in one.toml",
        ]
    );
    let json = of(&event("dev-1", None, refused), Form::Json);
    assert_eq!(json.lines().count(), 1);
    let json: serde_json::Value = serde_json::from_str(&json).expect("it is JSON");
    assert_eq!(json["error"], error);
}

#[test]
fn a_wrong_clock_and_a_lack_are_told_with_host_cause_and_remedy() {
    let disbelieved = EventKind::TickDisbelieved(DisbelievedTick {
        tick: "2031-01-08T00:00:00Z".into(),
        by: "web3".into(),
        its_clock: "2031-01-08T00:00:01Z".into(),
        our_clock: "2026-11-30T00:00:02Z".into(),
    });
    insta::assert_snapshot!(
        sentence(&disbelieved),
        @"CLOCK      web3 claimed the tick of 2031-01-08T00:00:00Z when its clock showed 2031-01-08T00:00:01Z, and ours shows 2026-11-30T00:00:02Z: it is not believed and written over; set the clock of web3, and keep it right with chrony or ntpd"
    );
    let lacking = EventKind::StandingBack {
        reason: "no free slot on this host (max_runs = 32)".into(),
        elsewhere: true,
    };
    insta::assert_snapshot!(
        sentence(&lacking),
        @"STANDBACK  other hosts may run it meanwhile: no free slot on this host (max_runs = 32)"
    );
}

#[test]
fn order_of_an_operator_reads_with_name_and_reason() {
    let paused = |until: Option<&str>| EventKind::Paused {
        by: "ann@vm".into(),
        why: "the disk is full".into(),
        until: until.map(Into::into),
    };
    let lines = [
        sentence(&paused(None)),
        sentence(&paused(Some("2026-12-01T06:00:00Z"))),
        sentence(&EventKind::Drained {
            by: "ann@vm".into(),
            why: String::new(),
            ends: true,
        }),
        sentence(&EventKind::StopRequested {
            kind: "restart",
            by: String::new(),
            why: "a new version, and `update = \"restart\"`".into(),
        }),
        sentence(&EventKind::TriggerRefused {
            trigger: "1".into(),
            by: "ann@vm".into(),
            reason: "its config has no key `batch`".into(),
        }),
    ];
    insta::assert_snapshot!(lines.join("\n"), @r#"
    PAUSED     by ann@vm: the disk is full
    PAUSED     by ann@vm until 2026-12-01T06:00:00Z: the disk is full
    DRAINED    by ann@vm; the host ends when its runs have ended
    ASKED      to restart: a new version, and `update = "restart"`
    REFUSED    the run requested by ann@vm: its config has no key `batch`
    "#);
}

#[test]
fn story_has_seconds_and_bold_acquisitions_and_no_repeats() {
    let story = |colours| Form::Story {
        began: BootTime::from_nanos(1_000_000_000),
        colours,
    };
    let events = [
        event("dev-1", Some(7), EventKind::Acquired { wait_ms: 12 }),
        event("dev-1", Some(7), guest()),
        event(
            "dev-2",
            None,
            EventKind::Waiting {
                place: 1,
                holder: Some("ledger@dev-1".into()),
            },
        ),
        event(
            "dev-2",
            None,
            EventKind::RunStarted {
                attempt: 1,
                trigger: "restart",
                tick: None,
                plugin_sha256: "00".into(),
            },
        ),
        event(
            "dev",
            None,
            EventKind::Note {
                text: "dev-1 is cut off".into(),
            },
        ),
    ];
    let lines = |form| {
        events
            .iter()
            .map(|event| of(event, form))
            .collect::<String>()
    };
    let plain = lines(story(false));
    insta::assert_snapshot!(plain.trim_start(), @r"
    4.250 dev-1   ledger     ACQUIRED   after 12 ms  (token 7)
       4.250 dev-1   ledger     info| moved 5
       4.250 dev-2   ledger     WAITING    1 ahead
       4.250 >>> dev-1 is cut off
    ");
    let coloured = lines(story(true));
    assert!(
        coloured.contains("\u{1b}[1mACQUIRED   after 12 ms  (token 7)\u{1b}[0m"),
        "{coloured}"
    );
}

#[test]
fn columns_grow_with_the_longest_names_up_to_a_bound() {
    let named = |host: &str, job: &str| {
        let mut event = event(host, None, guest());
        event.context.job = Some(job.into());
        event
    };
    let began = BootTime::from_nanos(0);
    let story = Form::Story {
        began,
        colours: false,
    };
    let events = [
        named("dev-1", "ledger"),
        named("build-worker-17", "dropped.nightly-report"),
        named("dev-1", "ledger"),
        named(&"h".repeat(25), &"j".repeat(33)),
        named("dev-1", "ledger"),
    ];
    let lines = |form: Form| {
        let mut columns = NameColumns::of(form);
        let lines = events.iter().map(|event| render(event, form, &mut columns));
        lines.collect::<String>()
    };
    insta::assert_snapshot!(format!("{}\n{}", lines(Form::Text), lines(story)));
}

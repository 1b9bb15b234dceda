//! Names that are long, wide, or hostile: they change their own cells and nothing else.

use leasehold_records::{JobState, Outcome, UnixMs};
use ratatui::buffer::Buffer;

use super::stage::{app, screen, text};
use crate::app::{App, OpenOverlay, View};
use crate::model::fixture::FixtureStore;

/// A cluster in which everything with a name has this one, among ordinary others.
fn named(name: &str, output: &str) -> (App, UnixMs) {
    let mut store = FixtureStore::new();
    let (one, two) = (0x0a11, 0x0b22);
    store.host(name, one, &[name]);
    let token = store.join(name, name, name, one);
    store.job(name, name, name, JobState::Running, Some(token));
    store
        .after(1_000)
        .run(name, name, name, token, Outcome::Running);
    let key = store.key(name, two);
    store.after(500).put(&key, name.as_bytes(), two);
    store.after(500).join("ordinary", "job", "host-1", 0x0c33);
    if !output.is_empty() {
        let run = store
            .model
            .shown(UnixMs::default())
            .state
            .runs
            .iter()
            .next();
        let (key, run) = run.map(|(key, run)| (key.clone(), run.clone())).unwrap();
        let mut run = (*run).clone();
        run.output = output.into();
        run.detail = output.into();
        let key = leasehold_records::Root::default().run(&key);
        store.put(&key, &run.to_json(), 0);
    }
    store.after(2_000).healthy();
    let (mut app, now) = app(store);
    app.lock = Some(leasehold_records::Root::default().lock(name).into());
    (app, now)
}

#[test]
fn long_and_wide_names() {
    let mut store = FixtureStore::new();
    let names = [
        "billing/漢字の請求書/とても長い名前のロックです/2026",
        "emoji/🚀🚀👩\u{200d}🔬/👨\u{200d}👩\u{200d}👧\u{200d}👦/☁\u{fe0f}",
        "marks/e\u{301}te\u{301}/n\u{303}andu\u{301}",
        "arabic/قفل/hebrew/נעילה",
        "a/very/long/path/that/somebody/thought/was/a/good/name/for/a/lock/in/production/eu-west-1",
    ];
    for (at, name) in names.iter().enumerate() {
        let at = i64::try_from(at).unwrap() * 16;
        store.after(1_000).join(name, "工程", "ホスト", 0x0a00 + at);
        store.after(1_000).join(name, "job", "host-1", 0x0a01 + at);
    }
    store.after(3_000).healthy();
    let (mut app, now) = app(store);
    let mut all = text(&mut app, now, (80, 24));
    all += &text(&mut app, now, (120, 35));
    app.view = View::Heatmap;
    all += &text(&mut app, now, (80, 24));
    insta::assert_snapshot!("names", all);
}

/// The screen with an `x` for every replacement character.
fn harmless(buffer: &Buffer) -> Vec<String> {
    let symbols = buffer.content.iter();
    symbols
        .map(|cell| cell.symbol().replace('\u{fffd}', "x"))
        .collect()
}

fn assert_nothing_moves(buffer: &Buffer) {
    for cell in &buffer.content {
        let moves = |c: char| {
            c.is_control()
                || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        };
        assert!(!cell.symbol().contains(moves), "{:?}", cell.symbol());
    }
}

fn overlays() -> [Option<OpenOverlay>; 3] {
    [
        None,
        Some(OpenOverlay::Describe { top: 0 }),
        Some(OpenOverlay::Logs { up: 0 }),
    ]
}

#[test]
fn hostile_name_changes_only_its_own_cells() {
    let hostile = "a\u{1b}[2Jb\u{7}c\u{202e}d\u{9b}1me\rf\u{2066}g";
    let plain = "ax[2Jbxcxdx1mexfxg";
    for view in View::ALL {
        for size in [(60, 15), (80, 24), (120, 35)] {
            for overlay in overlays() {
                let mut shown = [hostile, plain].map(|name| {
                    let (mut app, now) = named(name, "");
                    app.view = view;
                    app.overlay.clone_from(&overlay);
                    screen(&mut app, now, size).buffer().clone()
                });
                assert_nothing_moves(&shown[0]);
                let [hostile, plain] = &mut shown;
                assert_eq!(
                    harmless(hostile),
                    harmless(plain),
                    "{view:?} {size:?} {overlay:?}"
                );
            }
        }
    }
}

#[test]
fn output_line_of_ten_kilobytes_stays_one_line() {
    for (hostile, plain) in [
        (
            "\u{1b}]0;owned\u{7}".repeat(1_000),
            "\u{fffd}]0;owned\u{fffd}".repeat(1_000),
        ),
        ("漢\u{202e}".repeat(2_500), "漢\u{fffd}".repeat(2_500)),
    ] {
        for overlay in overlays() {
            let shown = [&hostile, &plain].map(|output| {
                let (mut app, now) = named("name", output);
                app.view = View::Jobs;
                app.overlay.clone_from(&overlay);
                screen(&mut app, now, (120, 35)).buffer().clone()
            });
            assert_nothing_moves(&shown[0]);
            // The bound on a text counts what is shown, so that both are cut at the same place.
            assert_eq!(shown[0], shown[1], "{overlay:?}");
        }
    }
}

//! Hooks for the repository's own tools: time of drawing, a panic on the screen, and the parsers of files.
//!
//! This is not a public interface; nothing else may use it.

use std::path::Path;
use std::time::Duration;

use leasehold_lock::{FeedItem, KeyChange, KeyValue, LeaseId, Revision, StoreHealth};
use leasehold_records::{HolderRecord, Root, UnixMs};
use ratatui::Terminal;
use ratatui::backend::TestBackend;

use crate::app::{App, AppSetup, FactSource, View};
use crate::fact::{Fact, FactKind};
use crate::filter::Filter;
use crate::keymap::{Command, DashboardSettings, Keymap};
use crate::model::{KeyScope, Model};
use crate::source::read_recording;
use crate::theme::{Theme, ThemeName};
use crate::view::draw;

/// The simulated moment.
const NOW: UnixMs = UnixMs::new(1_767_355_200_000);
/// Time between two frames: 30 frames a second.
const FRAME: Duration = Duration::from_millis(33);
/// Size of the screen.
const SIZE: (u16, u16) = (120, 35);

/// Times of frames, in microseconds of processor time.
#[derive(Clone, Copy, Debug)]
pub struct FrameTimes {
    /// The median.
    pub p50: u64,
    /// The 99th percentile.
    pub p99: u64,
    /// The maximum.
    pub most: u64,
}

/// Times of frames: while only the cursor moves, and with a change of the store in each.
#[derive(Clone, Copy, Debug)]
pub struct ViewFrames {
    /// Name of the view.
    pub view: &'static str,
    /// Times with a move of the cursor before each frame.
    pub moves: FrameTimes,
    /// Times with a change in the store before each frame.
    pub changes: FrameTimes,
}

/// Draws every view `frames` times, with this many locks and waiters.
pub fn frames(locks: u32, waiters: u32, frames: u32) -> Vec<ViewFrames> {
    View::ALL
        .into_iter()
        .map(|view| {
            let mut bench = FrameBench::new(locks, waiters);
            bench.app.command(command_of(view), NOW);
            ViewFrames {
                view: view.title(),
                moves: bench.times(frames, FrameBench::moves),
                changes: bench.times(frames, FrameBench::changes),
            }
        })
        .collect()
}

/// Measures filtering ten thousand rows of three fields, by typed text, in microseconds of processor time.
pub fn filters() -> Vec<(&'static str, u64)> {
    let row = |n| {
        [
            format!("billing/invoice-{n}"),
            "HELD".into(),
            format!("inv@host-{n}"),
        ]
    };
    let rows: Vec<[String; 3]> = (0..10_000).map(row).collect();
    let typed = [
        "voice-77",
        "/host-\\d*7$/",
        "!HELD",
        "-f bliv7",
        "held inv !ledger",
    ];
    let time = |text: &'static str| {
        let filter = Filter::parse(text).unwrap_or_default();
        let began = processor_time();
        let found = rows.iter().filter(|[a, b, c]| filter.matches(&[a, b, c]));
        std::hint::black_box(found.count());
        (text, processor_time().saturating_sub(began))
    };
    typed.into_iter().map(time).collect()
}

struct FrameBench {
    app: App,
    terminal: Terminal<TestBackend>,
    root: Root,
    now: UnixMs,
    revision: Revision,
    locks: u32,
}

impl FrameBench {
    fn new(locks: u32, waiters: u32) -> Self {
        let root = Root::default();
        let mut model = Model::new(KeyScope::new(root.clone(), Vec::new()));
        let revision = Revision::new(i64::from(locks + waiters) + 1);
        let entries = (0..locks).chain((0..waiters).map(|waiter| waiter % locks.max(1)));
        let keys = entries
            .zip(1..)
            .map(|(lock, create)| entry(&root, lock, Revision::new(create)))
            .collect();
        let kind = FactKind::Keys(FeedItem::Reading { revision, keys });
        model.apply(Fact {
            at_unix_ms: NOW,
            kind,
        });
        let health = StoreHealth {
            version: "3.5.1".into(),
            members: 3,
            leader: "m2".into(),
            revision,
            ..StoreHealth::default()
        };
        let kind = FactKind::Health(Ok(health));
        model.apply(Fact {
            at_unix_ms: NOW,
            kind,
        });
        for lease in 1..=i64::from(locks) {
            let kind = FactKind::Ttl(LeaseId::new(lease), Some((29, 30)));
            model.apply(Fact {
                at_unix_ms: NOW,
                kind,
            });
        }
        Self {
            app: App::new(model, setup()),
            terminal: terminal(),
            root,
            now: NOW.after(Duration::from_secs(1)),
            revision,
            locks,
        }
    }

    fn times(&mut self, frames: u32, before: fn(&mut Self, u32)) -> FrameTimes {
        let mut times: Vec<u64> = (0..frames)
            .map(|frame| {
                self.now = self.now.after(FRAME);
                before(self, frame);
                let began = processor_time();
                let (app, now) = (&mut self.app, self.now);
                match self.terminal.draw(|frame| draw(frame, app, now)) {
                    Ok(_) => {}
                    Err(never) => match never {},
                }
                processor_time().saturating_sub(began)
            })
            .collect();
        times.sort_unstable();
        let at = |percent: usize| {
            let at = times.len().saturating_sub(1) * percent / 100;
            times.get(at).copied().unwrap_or(0)
        };
        FrameTimes {
            p50: at(50),
            p99: at(99),
            most: at(100),
        }
    }

    fn moves(&mut self, frame: u32) {
        let command = if frame.is_multiple_of(20) {
            Command::PageDown
        } else {
            Command::Down
        };
        self.app.command(command, self.now);
    }

    /// Another client joins a queue, or leaves it.
    fn changes(&mut self, frame: u32) {
        self.revision = self.revision.next();
        let lock = (frame / 2 * 37) % self.locks.max(1);
        let mut key = entry(&self.root, lock, self.revision);
        key.key = format!("{}/visitor", self.root.lock(&name(lock)));
        let change = KeyChange {
            key: key.key.clone(),
            revision: self.revision,
            now: frame.is_multiple_of(2).then_some(key),
        };
        let (revision, changes) = (self.revision, vec![change]);
        let kind = FactKind::Keys(FeedItem::Changes { revision, changes });
        self.app.apply(Fact {
            at_unix_ms: self.now,
            kind,
        });
    }
}

fn setup() -> AppSetup {
    AppSetup {
        keymap: Keymap::default(),
        theme: Theme::choose(ThemeName::Dark, &|_| None),
        mouse: true,
        allow_write: false,
        source: FactSource::Store("memory".into()),
        operator: "probe".into(),
        zone: leasehold_orders::Tz::UTC,
        env: |_| None,
    }
}

fn terminal() -> Terminal<TestBackend> {
    match Terminal::new(TestBackend::new(SIZE.0, SIZE.1)) {
        Ok(terminal) => terminal,
        Err(never) => match never {},
    }
}

/// Reads a file of settings.
///
/// # Errors
///
/// The report for the user.
pub fn settings(text: &str) -> Result<(), String> {
    match DashboardSettings::from_toml(text, "settings.toml") {
        Ok(_) => Ok(()),
        Err(report) => Err(report.to_string()),
    }
}

/// Parses a filter and tries it; `None` if it is not a filter.
pub fn filter(text: &str, field: &str) -> Option<bool> {
    Some(Filter::parse(text).ok()?.matches(&[field, "HELD", "host"]))
}

/// Reads a recording, applies every fact and draws every view of its end. Returns the number of facts.
///
/// # Errors
///
/// The file is not a recording that can be shown.
pub fn recording(file: &Path) -> Result<usize, String> {
    let recording = read_recording(file).map_err(|error| error.to_string())?;
    let count = recording.facts.len();
    let mut app = App::new(Model::new(recording.scope), setup());
    let mut now = UnixMs::default();
    for fact in recording.facts {
        now = now.max(fact.at_unix_ms);
        app.apply(fact);
    }
    let mut terminal = terminal();
    for view in View::ALL {
        app.command(command_of(view), now);
        match terminal.draw(|frame| draw(frame, &mut app, now)) {
            Ok(_) => {}
            Err(never) => match never {},
        }
    }
    Ok(count)
}

/// Processor time of this thread, in microseconds: a busy machine does not change it.
fn processor_time() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    let (seconds, nanos) = (u64::try_from(time.tv_sec), u64::try_from(time.tv_nsec));
    seconds.unwrap_or(0) * 1_000_000 + nanos.unwrap_or(0) / 1_000
}

fn name(lock: u32) -> String {
    format!("team-{:02}/service-{lock:05}", lock % 40)
}

/// The entry of a lock with this create revision, on the lease of the same number.
fn entry(root: &Root, lock: u32, create_revision: Revision) -> KeyValue {
    let create = create_revision.get();
    let record = HolderRecord {
        host: format!("host-{:03}", create % 200),
        job: format!("job-{lock:05}"),
        pid: 1,
        since_unix_ms: NOW.before(Duration::from_millis(create.unsigned_abs() % 90_000)),
    };
    KeyValue {
        key: format!("{}/{create:x}", root.lock(&name(lock))),
        value: record.to_json(),
        create_revision,
        mod_revision: create_revision,
        lease: LeaseId::new(create),
    }
}

const fn command_of(view: View) -> Command {
    match view {
        View::Locks => Command::ViewLocks,
        View::Queue => Command::ViewQueue,
        View::Sessions => Command::ViewSessions,
        View::Jobs => Command::ViewJobs,
        View::Events => Command::ViewEvents,
        View::Heatmap => Command::ViewHeatmap,
    }
}

/// Captures the terminal for this thread, draws and panics: for the test that the terminal is restored.
///
/// # Errors
///
/// The terminal cannot be used.
pub fn panic_on_screen() -> std::io::Result<()> {
    crate::screen::panic_on_screen()
}

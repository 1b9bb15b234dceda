//! Progress of long work on standard error: a bar on a terminal, lines elsewhere. Quick work shows nothing.
//!
//! - `state`: which work is under way, and for how long
//! - `painter`: the bar, or the lines
//!
//! A thread of its own draws, because a terminal that is stopped blocks its writer.

mod painter;
mod state;

use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use leasehold_runtime::{LoadObserver, LoadStep, ObservedPlugin};
use leasehold_supervisor::last_words::LAST_WORDS;
use leasehold_supervisor::load_events::LoadEvents;

use painter::Painter;
use state::LoadState;

/// Interval between two drawings.
const TICK: Duration = Duration::from_millis(100);
/// Pause between two looks at the drawing thread.
const LOOK: Duration = Duration::from_millis(1);

/// Display of the loading of plugins. Dropping it clears the bar.
pub(crate) struct LoadProgress {
    shared: Arc<SharedProgress>,
}

/// State shared with the observer and with the thread that draws.
struct SharedProgress {
    /// False if nothing is displayed.
    is_shown: bool,
    state: Mutex<LoadState>,
    changed: Condvar,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// Observer of the loads that are displayed.
struct ProgressObserver {
    shared: Arc<SharedProgress>,
    events: Option<LoadEvents>,
}

impl LoadProgress {
    /// Displays the loading of so many plugins on standard error.
    pub(crate) fn of(total: usize) -> Self {
        Self::new(total, true)
    }

    /// Displays nothing: the events go to a program.
    pub(crate) fn hidden() -> Self {
        Self::new(0, false)
    }

    fn new(total: usize, is_shown: bool) -> Self {
        Self {
            shared: Arc::new(SharedProgress {
                is_shown,
                state: Mutex::new(LoadState::new(total)),
                changed: Condvar::new(),
                thread: Mutex::new(None),
            }),
        }
    }

    /// Returns the observer whose loads are displayed, and logged as `events` if there are any.
    pub(crate) fn observer(&self, events: Option<LoadEvents>) -> Arc<dyn LoadObserver> {
        Arc::new(ProgressObserver {
            shared: self.shared.clone(),
            events,
        })
    }

    /// Displays that a plugin's file is read, until [`LoadProgress::finish`].
    pub(crate) fn reading(&self, file: &Path) {
        self.shared.begin("reading", "", file);
    }

    /// Ends the display and clears the bar. Waits for a terminal that is stopped, but not for long.
    pub(crate) fn finish(&self) {
        self.shared.lock().end_all();
        self.shared.changed.notify_all();
        let thread = lock(&self.shared.thread).take();
        let Some(thread) = thread else { return };
        let began = Instant::now();
        while !thread.is_finished() && began.elapsed() < LAST_WORDS {
            std::thread::sleep(LOOK);
        }
        // A thread that is still stuck ends with the process.
        if thread.is_finished() {
            let _ = thread.join();
        }
    }
}

impl Drop for LoadProgress {
    fn drop(&mut self) {
        self.finish();
    }
}

impl SharedProgress {
    fn begin(self: &Arc<Self>, verb: &'static str, job: &str, file: &Path) {
        let mut state = self.lock();
        state.begin(verb, job, file, Instant::now());
        if self.is_shown && !state.is_over() {
            self.start();
        }
    }

    /// Starts the drawing thread if there is none. Without one nothing is displayed.
    fn start(self: &Arc<Self>) {
        let mut thread = lock(&self.thread);
        if thread.is_none() {
            let shared = self.clone();
            *thread = std::thread::Builder::new()
                .name("leasehold-bar".into())
                .spawn(move || shared.draw(Painter::for_stderr()))
                .ok();
        }
    }

    fn draw(&self, mut painter: Painter) {
        loop {
            let view = {
                let state = self.lock();
                let waited = self
                    .changed
                    .wait_timeout_while(state, TICK, |state| !state.is_over());
                let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
                state.view(Instant::now())
            };
            painter.paint(&view);
            if view.is_over {
                return;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, LoadState> {
        lock(&self.state)
    }
}

impl LoadObserver for ProgressObserver {
    fn observe(&self, plugin: &ObservedPlugin<'_>, step: &LoadStep) {
        if let Some(events) = &self.events {
            events.observe(plugin, step);
        }
        match step {
            LoadStep::Compiling { .. } => self.shared.begin("compiling", plugin.job, plugin.path),
            LoadStep::Ready { .. } | LoadStep::Refused => {
                self.shared.lock().end(plugin.job, Instant::now());
            }
        }
    }
}

/// Locks state that is consistent after every statement, so a poisoned lock is usable.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

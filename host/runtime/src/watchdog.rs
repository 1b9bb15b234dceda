//! The watchdog: one plain OS thread that moves the epoch of every engine while guests run.
//!
//! It shares nothing with the async workers, so guests that spin on all of them cannot delay it.
//! It sleeps without waking while no guest runs, from a moment after the last one has ended. It must never decide anything about a guest: each
//! guest looks at its own leash when the epoch has moved.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use wasmtime::Engine;

use leasehold_config::limits::EPOCH_TICK;

#[derive(Default)]
struct State {
    runs: u32,
    stop: bool,
    engines: Vec<Engine>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    /// The state is plain numbers that are whole after every statement, so a poisoned lock is
    /// as good as any.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The thread and its handle. Dropping it stops and joins the thread.
pub(crate) struct Watchdog {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Watchdog {
    pub(crate) fn start() -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let thread = thread::Builder::new()
            .name("leasehold-watchdog".to_owned())
            .spawn({
                let shared = shared.clone();
                move || tick(&shared)
            })?;
        Ok(Self {
            shared,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Adds an engine whose epoch is to be moved.
    pub(crate) fn add(&self, engine: Engine) {
        self.shared.lock().engines.push(engine);
    }

    /// Keeps the epoch moving until the returned value is dropped.
    pub(crate) fn watch(&self) -> Watch {
        self.shared.lock().runs += 1;
        self.shared.changed.notify_one();
        Watch(self.shared.clone())
    }

    /// Stops the thread and waits for it. Guests that still run would no longer be interrupted, so
    /// this comes last.
    pub(crate) fn stop(&self) {
        self.shared.lock().stop = true;
        self.shared.changed.notify_one();
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread {
            // The thread cannot panic; if it did, there is nothing left to stop.
            let _ = thread.join();
        }
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.stop();
    }
}

/// One running guest, as the watchdog sees it.
pub(crate) struct Watch(Arc<Shared>);

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.lock().runs -= 1;
    }
}

/// Ticks to go on for after the last run has ended. A run that follows soon need not wake the thread,
/// which would cost it more than its guest needs to start.
const IDLE_TICKS: u32 = 50;

fn tick(shared: &Shared) {
    let mut idle = 0;
    loop {
        {
            let mut state = shared.lock();
            idle = if state.runs == 0 { idle + 1 } else { 0 };
            while state.runs == 0 && idle > IDLE_TICKS && !state.stop {
                state = shared
                    .changed
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
            }
            if state.stop {
                return;
            }
            for engine in &state.engines {
                engine.increment_epoch();
            }
        }
        thread::sleep(EPOCH_TICK);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stands_still_without_runs_and_can_be_stopped_twice() {
        let watchdog = Watchdog::start().unwrap();
        let watch = watchdog.watch();
        assert_eq!(watchdog.shared.lock().runs, 1);
        drop(watch);
        assert_eq!(watchdog.shared.lock().runs, 0);
        watchdog.stop();
        watchdog.stop();
    }
}

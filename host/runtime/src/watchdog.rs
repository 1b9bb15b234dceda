//! The watchdog: a plain OS thread that increments the epoch of every engine while guests run.
//!
//! It shares nothing with the async workers, so guests that spin on all of them cannot delay it.
//! While no guest runs it sleeps without waking, beginning shortly after the last one has ended.
//! It decides nothing about a guest: each guest checks its own leash when the epoch has changed.

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
    /// Locks the state. A poisoned lock is used as it is: the state is plain numbers that are
    /// consistent after every statement.
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

    /// Adds an engine whose epoch is to be incremented.
    pub(crate) fn add(&self, engine: Engine) {
        self.shared.lock().engines.push(engine);
    }

    /// Keeps the epochs advancing until the returned value is dropped.
    pub(crate) fn watch(&self) -> RunWatch {
        self.shared.lock().runs += 1;
        self.shared.changed.notify_one();
        RunWatch(self.shared.clone())
    }

    /// Stops the thread and waits for it. Guests that still run would no longer be interrupted, so
    /// this is the last step of a shutdown.
    pub(crate) fn stop(&self) {
        self.shared.lock().stop = true;
        self.shared.changed.notify_one();
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread {
            // The thread does not panic. If it did, it would already have ended.
            let _ = thread.join();
        }
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Registration of one running guest with the watchdog.
pub(crate) struct RunWatch(Arc<Shared>);

impl Drop for RunWatch {
    fn drop(&mut self) {
        self.0.lock().runs -= 1;
    }
}

/// Number of ticks after the last run has ended. A run that follows soon then need not wake the thread,
/// which would cost more than starting its guest.
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

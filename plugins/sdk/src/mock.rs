//! A host for tests: in memory, scripted, and never more lenient than the real one.
//!
//! A job's function runs against it unchanged, natively, under plain `cargo test`; afterwards the
//! test inspects its writes, its log lines and its result. Rare faults of production happen here on
//! demand: the lock is lost before *this* write, *that* write gets no answer and happened all the same.
//!
//! ```
//! use std::time::Duration;
//!
//! use leasehold_job::mock::{Ended, Fault, Host, When};
//! use leasehold_job::{Context, Failure, Outcome, log};
//!
//! /// Counts its beats in the fenced store until it is asked to stop.
//! fn run(ctx: &Context) -> Result<Outcome, Failure> {
//!     let (lock, kv) = (ctx.lock(), ctx.kv());
//!     let mut beats: u64 = match kv.get("counter/beats")? {
//!         Some(entry) => entry.text()?.parse()?,
//!         None => 0,
//!     };
//!     while !lock.stop_requested(Duration::from_secs(1)) {
//!         beats += 1;
//!         kv.put("counter/beats", beats.to_string())?;
//!         log::info!("beat {beats}"; "token" => lock.token());
//!     }
//!     Ok(Outcome::done_with(format!("{beats} beats so far")))
//! }
//!
//! // An hour of beats takes no time: only the mock's clock moves.
//! let host = Host::new().allow_kv(&["counter/"]).request_stop(When::After(Duration::from_mins(1)));
//! assert_eq!(host.run(run), Ended::Finished(Outcome::done_with("59 beats so far")));
//! assert_eq!(host.lines()[0].message, "beat 1");
//!
//! // The next holder loses its lock: the run ends inside its third write, without notice.
//! host.succeed();
//! host.add(When::Write(3), Fault::Stopped);
//! assert_eq!(host.run(run), Ended::Stopped);
//! assert_eq!(host.text("counter/beats").as_deref(), Some("61"));
//!
//! // The one after it writes, and gets no answer.
//! host.succeed();
//! host.add(When::Write(1), Fault::UnavailableButDone);
//! assert!(matches!(host.run(run), Ended::Failed(Failure::Retry(_))));
//! assert_eq!(host.text("counter/beats").as_deref(), Some("62"));
//! ```
//!
//! # Like the real host, and unlike it
//!
//! Grants are denied by default, values and lists have their limits, the token grows from holder to
//! holder, and the store refuses the writes of a former holder. When a run is stopped, it ends inside
//! the call it is in. Here that is a panic which only the mock catches, so destructors run; in a real
//! guest they do not. A guest that makes no call is not stopped here.
//!
//! A write without an answer can be scripted both ways: it happened, or it did not.
//!
//! # Layout
//!
//! - `script`: [`When`] and [`Fault`]; `store`: keys, revisions and writes; `output`: log lines and progress
//! - `state`: one host; `calls`: the calls of a job to the host that its thread is on

pub(crate) mod calls;
mod output;
mod script;
mod state;
mod store;

use std::any::Any;
use std::cell::RefCell;
use std::fmt;
use std::panic::{self, AssertUnwindSafe};
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use serde::Serialize;

pub use output::{Line, Progress};
pub use script::{Fault, When};
pub use store::Write;

use crate::context::Context;
use crate::outcome::{Failure, Outcome};
use crate::types::Trigger;
use script::Effect;
use state::State;

/// A host that runs jobs on the test's own thread. Settings chained to `Host::new()` hold from the
/// start; changes by the other methods hold from the next call on.
pub struct Host(Rc<RefCell<State>>);

/// End of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Ended {
    /// The job returned an outcome.
    Finished(Outcome),
    /// The job returned a failure.
    Failed(Failure),
    /// The host stopped it inside a call; see [`Fault::Stopped`].
    Stopped,
}

impl Ended {
    /// The outcome that the job returned.
    ///
    /// # Panics
    ///
    /// With the reason, when it failed or was stopped.
    pub fn outcome(self) -> Outcome {
        match self {
            Self::Finished(outcome) => outcome,
            Self::Failed(failure) => panic!("the run failed: {failure}"),
            Self::Stopped => panic!("the run was stopped"),
        }
    }
}

impl Default for Host {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Settings of a new host.
impl Host {
    /// A host with the job `job`, which holds the lock `job` under token 1, has no configuration, no
    /// secret and no grant, and is never disturbed.
    pub fn new() -> Self {
        Self(Rc::new(RefCell::new(State::new())))
    }

    fn with(self, change: impl FnOnce(&mut State)) -> Self {
        change(&mut self.0.borrow_mut());
        self
    }

    /// The job's name; also its lock's, unless [`lock`](Self::lock) is called after it.
    #[must_use]
    pub fn job(self, name: &str) -> Self {
        self.with(|state| {
            name.clone_into(&mut state.info.job);
            name.clone_into(&mut state.lock);
        })
    }

    /// The lock's name.
    #[must_use]
    pub fn lock(self, name: &str) -> Self {
        self.with(|state| name.clone_into(&mut state.lock))
    }

    /// The token under which the first holder runs.
    #[must_use]
    pub fn token(self, token: u64) -> Self {
        self.with(|state| state.store.token = token)
    }

    /// Answer of [`Lock::remaining`](crate::Lock::remaining) while the lock is held; 10 s by default.
    #[must_use]
    pub fn lease(self, lease: Duration) -> Self {
        self.with(|state| state.lease = lease)
    }

    /// The table `[jobs.<name>.config]`: anything that serializes to a JSON object, such as the job's
    /// own type or `serde_json::json!({"transfers": 3})`.
    ///
    /// # Panics
    ///
    /// When it does not serialize.
    #[must_use]
    pub fn config(self, config: &impl Serialize) -> Self {
        match serde_json::to_string(config) {
            Ok(text) => self.with(|state| state.config = text),
            Err(error) => panic!("the config does not serialize: {error}"),
        }
    }

    /// One granted secret.
    #[must_use]
    pub fn secret(self, name: &str, value: &str) -> Self {
        self.with(|state| {
            state.secrets.insert(name.to_owned(), value.to_owned());
        })
    }

    /// Prefixes of keys that the job may use, as `kv` in `[jobs.<name>.allow]`; none by default.
    #[must_use]
    pub fn allow_kv(self, prefixes: &[&str]) -> Self {
        let prefixes = prefixes.iter().map(|&prefix| prefix.to_owned());
        self.with(|state| state.store.granted.extend(prefixes))
    }

    /// Cause of the run's start; [`Trigger::Manual`] by default.
    #[must_use]
    pub fn trigger(self, trigger: Trigger) -> Self {
        self.with(|state| state.info.trigger = trigger)
    }

    /// The time of the schedule for the run; none by default.
    #[must_use]
    pub fn scheduled_at(self, at: SystemTime) -> Self {
        let since = at.duration_since(SystemTime::UNIX_EPOCH).ok();
        let millis = since.and_then(|since| u64::try_from(since.as_millis()).ok());
        self.with(|state| state.info.scheduled_at = millis)
    }

    /// Value of a key from the start.
    #[must_use]
    pub fn entry(self, key: &str, value: impl AsRef<[u8]>) -> Self {
        self.set(key, value);
        self
    }

    /// Adds `fault` to the call that `when` names; see [`add`](Self::add).
    #[must_use]
    pub fn fail(self, when: When, fault: Fault) -> Self {
        self.add(when, fault);
        self
    }

    /// Asks the job to stop, from that moment on.
    #[must_use]
    pub fn request_stop(self, when: When) -> Self {
        self.0.borrow_mut().script.add(when, Effect::RequestStop);
        self
    }
}

/// Runs, and changes between them.
impl Host {
    /// Runs a job to its end. Calls are counted from 1 again.
    pub fn run<O, F>(&self, job: impl FnOnce(&Context) -> Result<O, F>) -> Ended
    where
        O: Into<Outcome>,
        F: Into<Failure>,
    {
        match self.within(job) {
            Some(Ok(outcome)) => Ended::Finished(outcome.into()),
            Some(Err(failure)) => Ended::Failed(failure.into()),
            None => Ended::Stopped,
        }
    }

    /// Runs a part of a job, or several; none when it was stopped. Calls are counted from 1 again.
    pub fn within<T>(&self, part: impl FnOnce(&Context) -> T) -> Option<T> {
        self.0.borrow_mut().begin_run();
        let _here = calls::enter(self.0.clone());
        // The state is whole whenever a call panics: no borrow of it outlives a call.
        let ended = panic::catch_unwind(AssertUnwindSafe(|| part(&Context::of_this_run())));
        match ended {
            Ok(value) => Some(value),
            Err(payload) if calls::is_stop(&*payload as &dyn Any) => None,
            Err(payload) => panic::resume_unwind(payload),
        }
    }

    /// The same holder continues with another run: the attempt grows by one, and the script is cleared.
    pub fn again(&self) {
        let mut state = self.0.borrow_mut();
        state.info.attempt += 1;
        state.calm();
    }

    /// Another holder has the lock: the token grows by one, the attempt is the first, and the script is
    /// cleared.
    pub fn succeed(&self) {
        let mut state = self.0.borrow_mut();
        state.store.token += 1;
        state.info.attempt = 1;
        state.calm();
    }

    /// Adds `fault` to the call that `when` names, once.
    pub fn add(&self, when: When, fault: Fault) {
        self.0.borrow_mut().script.add(when, Effect::Fail(fault));
    }

    /// Lets writes that are still under way arrive just before the call that `when` names; see
    /// [`Fault::UnavailableButComing`].
    pub fn add_arrival(&self, when: When) {
        self.0.borrow_mut().script.add(when, Effect::Deliver);
    }

    /// Lets writes that are still under way arrive now. The store refuses those of a former holder,
    /// and those whose compare fails.
    pub fn deliver(&self) {
        self.0.borrow_mut().store.deliver();
    }

    /// Writes a key from outside the job: neither lock nor revision is compared.
    pub fn set(&self, key: &str, value: impl AsRef<[u8]>) {
        self.0.borrow_mut().store.set(key, value.as_ref());
    }

    /// Deletes a key from outside the job.
    pub fn remove(&self, key: &str) {
        self.0.borrow_mut().store.remove(key);
    }

    /// Lets time pass, beside what the job waits by itself.
    pub fn pass(&self, time: Duration) {
        self.0.borrow_mut().now += time;
    }
}

/// Observations.
impl Host {
    /// The value of a key, as text.
    ///
    /// # Panics
    ///
    /// When it is not UTF-8.
    pub fn text(&self, key: &str) -> Option<String> {
        self.value(key).map(|value| match String::from_utf8(value) {
            Ok(text) => text,
            Err(error) => panic!("the value of {key:?} is not text: {error}"),
        })
    }

    /// The value of a key.
    pub fn value(&self, key: &str) -> Option<Vec<u8>> {
        self.0.borrow().store.value(key)
    }

    /// All keys, in order.
    pub fn keys(&self) -> Vec<String> {
        self.0.borrow().store.keys()
    }

    /// The writes of jobs that were carried out, in their order, by all holders.
    pub fn history(&self) -> Vec<Write> {
        self.0.borrow().store.history.clone()
    }

    /// Number of writes that the last run requested, carried out or not.
    pub fn writes(&self) -> usize {
        self.0.borrow().script.writes()
    }

    /// Number of calls of any kind that the last run made.
    pub fn calls(&self) -> usize {
        self.0.borrow().script.calls()
    }

    /// Log lines of all runs.
    pub fn lines(&self) -> Vec<Line> {
        self.0.borrow().lines.clone()
    }

    /// Progress reports of all runs.
    pub fn progress(&self) -> Vec<Progress> {
        self.0.borrow().progress.clone()
    }

    /// The time since the host was made; only waiting jobs and [`pass`](Self::pass) move it.
    pub fn now(&self) -> Duration {
        self.0.borrow().now
    }

    /// True if every step of the script has happened: a fault that no run reaches tests nothing.
    pub fn all_happened(&self) -> bool {
        self.0.borrow().script.is_done()
    }
}

#[cfg(test)]
mod tests;

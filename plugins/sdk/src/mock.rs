//! A host for tests: in memory, told what to do, and never kinder than the real one.
//!
//! A job's function runs against it unchanged, natively, under plain `cargo test`; afterwards the
//! test looks at what was written, logged and returned. What goes wrong in production only now and
//! then goes wrong here when it is told to: the lock is lost before *this* write, *that* write gets no
//! answer and happened all the same.
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
//! // The next holder loses its lock: the run ends inside its third write, without a word.
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
//! # What is like the real host, and what is not
//!
//! Grants are denied by default, values and lists have their limits, the token grows from holder to
//! holder, and the store refuses what a former holder sends. When a run is stopped, it ends inside
//! the call it is in; here that is a panic which nothing but the mock sees, so destructors run, which
//! in a real guest they do not. A guest that makes no call is not stopped here.
//!
//! This module must never be kinder than etcd: what may have happened must be tested both ways.
//!
//! # Layout
//!
//! - `script`: [`When`] and [`Fault`]; `store`: keys and who may write them; `said`: what was logged
//! - `state`: one host; `calls`: what a job calls, on the host that its thread is on

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

use crate::context::Trigger;
use crate::{Context, Failure, Outcome};
use script::Deed;
use state::State;

/// A host that runs jobs on the test's own thread. What is said with `Host::new()…` holds from the
/// start; what the other methods change holds from the next call on.
pub struct Host(Rc<RefCell<State>>);

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Ended {
    /// The job returned that it did its work.
    Finished(Outcome),
    /// The job returned that it did not.
    Failed(Failure),
    /// The host stopped it inside a call; see [`Fault::Stopped`].
    Stopped,
}

impl Ended {
    /// What the job returned.
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

/// What a host is made with.
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

    /// The job's name; also its lock's, unless [`lock`](Self::lock) is said after it.
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

    /// What [`Lock::remaining`](crate::Lock::remaining) answers while the lock is held; 10 s unless said.
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

    /// Prefixes of keys that the job may use, as `kv` in `[jobs.<name>.allow]`; none unless said.
    #[must_use]
    pub fn allow_kv(self, prefixes: &[&str]) -> Self {
        let prefixes = prefixes.iter().map(|&prefix| prefix.to_owned());
        self.with(|state| state.store.granted.extend(prefixes))
    }

    /// What started the run; [`Trigger::Manual`] unless said.
    #[must_use]
    pub fn trigger(self, trigger: Trigger) -> Self {
        self.with(|state| state.info.trigger = trigger)
    }

    /// When the schedule wanted the run; never, unless said.
    #[must_use]
    pub fn scheduled_at(self, at: SystemTime) -> Self {
        let since = at.duration_since(SystemTime::UNIX_EPOCH).ok();
        let millis = since.and_then(|since| u64::try_from(since.as_millis()).ok());
        self.with(|state| state.info.scheduled_at = millis)
    }

    /// What a key holds from the start.
    #[must_use]
    pub fn entry(self, key: &str, value: impl AsRef<[u8]>) -> Self {
        self.set(key, value);
        self
    }

    /// Lets `fault` befall the call that `when` names; see [`add`](Self::add).
    #[must_use]
    pub fn fail(self, when: When, fault: Fault) -> Self {
        self.add(when, fault);
        self
    }

    /// Asks the job to stop, from that moment on.
    #[must_use]
    pub fn request_stop(self, when: When) -> Self {
        self.0.borrow_mut().script.add(when, Deed::RequestStop);
        self
    }
}

/// What happens.
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

    /// The same holder goes on with another run: an attempt more, and nothing is to go wrong any more.
    pub fn again(&self) {
        let mut state = self.0.borrow_mut();
        state.info.attempt += 1;
        state.calm();
    }

    /// Another holder has the lock: the token has grown, it is its first attempt, and nothing is to go
    /// wrong any more.
    pub fn succeed(&self) {
        let mut state = self.0.borrow_mut();
        state.store.token += 1;
        state.info.attempt = 1;
        state.calm();
    }

    /// Lets `fault` befall the call that `when` names, once.
    pub fn add(&self, when: When, fault: Fault) {
        self.0.borrow_mut().script.add(when, Deed::Fail(fault));
    }

    /// Lets writes that are still on their way arrive just before the call that `when` names; see
    /// [`Fault::UnavailableButComing`].
    pub fn add_arrival(&self, when: When) {
        self.0.borrow_mut().script.add(when, Deed::Deliver);
    }

    /// Lets writes that are still on their way arrive now. The store refuses those of a former holder,
    /// and those whose compare fails.
    pub fn deliver(&self) {
        self.0.borrow_mut().store.deliver();
    }

    /// Writes a key as somebody else, who cares neither for the lock nor for revisions.
    pub fn set(&self, key: &str, value: impl AsRef<[u8]>) {
        self.0.borrow_mut().store.set(key, value.as_ref());
    }

    /// Deletes a key as somebody else.
    pub fn remove(&self, key: &str) {
        self.0.borrow_mut().store.remove(key);
    }

    /// Lets time pass, beside what the job waits by itself.
    pub fn pass(&self, time: Duration) {
        self.0.borrow_mut().now += time;
    }
}

/// What has happened.
impl Host {
    /// The value of a key, as text.
    ///
    /// # Panics
    ///
    /// When it is not UTF-8.
    pub fn text(&self, key: &str) -> Option<String> {
        self.value(key).map(|value| match String::from_utf8(value) {
            Ok(text) => text,
            Err(error) => panic!("the value of {key:?} is no text: {error}"),
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

    /// How many writes the last run asked for, whatever became of them.
    pub fn writes(&self) -> usize {
        self.0.borrow().script.writes()
    }

    /// How many calls of any kind the last run made.
    pub fn calls(&self) -> usize {
        self.0.borrow().script.calls()
    }

    /// What was logged, by all runs.
    pub fn lines(&self) -> Vec<Line> {
        self.0.borrow().lines.clone()
    }

    /// The progress that was reported, by all runs.
    pub fn progress(&self) -> Vec<Progress> {
        self.0.borrow().progress.clone()
    }

    /// The time since the host was made; only waiting jobs and [`pass`](Self::pass) move it.
    pub fn now(&self) -> Duration {
        self.0.borrow().now
    }

    /// Whether everything that was to go wrong did: a fault that no run reaches tests nothing.
    pub fn all_happened(&self) -> bool {
        self.0.borrow().script.is_done()
    }
}

#[cfg(test)]
mod tests;

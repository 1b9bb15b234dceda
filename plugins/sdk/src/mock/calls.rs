//! What a job calls, on the mock host that its thread is on; the native half of `host`.
//!
//! It must never hold on to the host's state when a run is stopped: that is a panic.

use std::any::Any;
use std::cell::RefCell;
use std::panic;
use std::rc::Rc;
use std::time::Duration;

use super::output::{Line, Progress};
use super::state::{Answer, State, Stop};
use super::store::Order;
use crate::context::Info;
use crate::log::Level;
use crate::{Entry, GuardError};

thread_local! {
    static HERE: RefCell<Option<Rc<RefCell<State>>>> = const { RefCell::new(None) };
}

/// This thread is on a host for as long as this lives.
pub(super) struct Here {
    before: Option<Rc<RefCell<State>>>,
}

pub(super) fn enter(state: Rc<RefCell<State>>) -> Here {
    Here {
        before: HERE.replace(Some(state)),
    }
}

impl Drop for Here {
    fn drop(&mut self) {
        HERE.set(self.before.take());
    }
}

/// Whether a run ended with this because it was stopped.
pub(super) fn is_stop(payload: &dyn Any) -> bool {
    payload.is::<Stop>()
}

/// Asks the host of this thread. The panic of a stop is quiet: no hook hears of it.
fn ask<T>(question: impl FnOnce(&mut State) -> Answer<T>) -> T {
    let Some(state) = HERE.with_borrow(Clone::clone) else {
        panic!("there is no host here: run the job with `leasehold_job::mock::Host::run`");
    };
    let answer = question(&mut state.borrow_mut());
    answer.unwrap_or_else(|stop| panic::resume_unwind(Box::new(stop)))
}

fn ask_other<T>(question: impl FnOnce(&mut State) -> T) -> T {
    ask(|state| {
        state.other()?;
        Ok(question(state))
    })
}

/// Not a call of the job's own, so it is not counted.
pub(crate) fn info() -> Info {
    ask(|state| Ok(state.info.clone()))
}

pub(crate) fn config() -> String {
    ask_other(|state| state.config.clone())
}

pub(crate) fn secret(name: &str) -> Option<String> {
    ask_other(|state| state.secrets.get(name).cloned())
}

pub(crate) fn progress(done: u64, total: Option<u64>, message: &str) {
    let message = message.to_owned();
    ask_other(|state| {
        state.progress.push(Progress {
            done,
            total,
            message,
        });
    });
}

pub(crate) fn emit(level: Level, message: &str, fields: &[(String, String)]) {
    let line = Line {
        level,
        message: message.to_owned(),
        fields: fields.to_vec(),
    };
    ask_other(|state| state.lines.push(line));
}

pub(crate) fn lock_name() -> String {
    ask_other(|state| state.lock.clone())
}

pub(crate) fn token() -> u64 {
    ask_other(|state| state.store.token)
}

/// The lease of a holder is named after its token here.
pub(crate) fn holder() -> String {
    ask_other(|state| format!("{:x}", state.store.token))
}

pub(crate) fn is_held() -> bool {
    ask_other(|state| state.is_held())
}

pub(crate) fn remaining_ms() -> u64 {
    let left = ask_other(|state| state.remaining());
    u64::try_from(left.as_millis()).unwrap_or(u64::MAX)
}

pub(crate) fn stop_requested(at_most_ms: u32) -> bool {
    ask(|state| state.stop_requested(Duration::from_millis(at_most_ms.into())))
}

pub(crate) fn check() -> Result<(), GuardError> {
    ask(State::check)
}

pub(crate) fn get(key: &str) -> Result<Option<Entry>, GuardError> {
    ask(|state| state.read(key, |store| Ok(store.get(key))))
}

pub(crate) fn list(prefix: &str, limit: u32) -> Result<Vec<Entry>, GuardError> {
    ask(|state| state.read(prefix, |store| store.list(prefix, limit)))
}

pub(crate) fn put(key: &str, value: &[u8]) -> Result<u64, GuardError> {
    let done = ask(|state| state.write(order(key, Some(value), None)))?;
    Ok(done.revision)
}

pub(crate) fn delete(key: &str) -> Result<bool, GuardError> {
    let done = ask(|state| state.write(order(key, None, None)))?;
    Ok(done.existed)
}

pub(crate) fn compare_and_put(key: &str, expected: u64, value: &[u8]) -> Result<u64, GuardError> {
    let done = ask(|state| state.write(order(key, Some(value), Some(expected))))?;
    Ok(done.revision)
}

pub(crate) fn compare_and_delete(key: &str, expected: u64) -> Result<(), GuardError> {
    ask(|state| state.write(order(key, None, Some(expected))))?;
    Ok(())
}

fn order(key: &str, value: Option<&[u8]>, expected: Option<u64>) -> Order {
    Order {
        key: key.to_owned(),
        value: value.map(<[u8]>::to_vec),
        expected,
    }
}

//! Calls of a job to the mock host that its thread is on; the native half of `host`.
//!
//! No borrow of the host's state outlives a call, because a stopped run unwinds by a panic.

use std::any::Any;
use std::cell::RefCell;
use std::panic;
use std::rc::Rc;
use std::time::Duration;

use super::output::{Line, Progress};
use super::state::{Answer, State, Stop};
use super::store::WriteRequest;
use crate::error::GuardError;
use crate::types::{Entry, Info, Level};

thread_local! {
    static HERE: RefCell<Option<Rc<RefCell<State>>>> = const { RefCell::new(None) };
}

/// Keeps this thread on a host while it lives.
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

/// True if this panic is the mock's own: the run was stopped.
pub(super) fn is_stop(payload: &dyn Any) -> bool {
    payload.is::<Stop>()
}

/// Calls the host of this thread. The panic of a stop is quiet: it runs no panic hook.
fn call<T>(request: impl FnOnce(&mut State) -> Answer<T>) -> T {
    let Some(state) = HERE.with_borrow(Clone::clone) else {
        panic!("there is no host here: run the job with `leasehold_job::mock::Host::run`");
    };
    let answer = request(&mut state.borrow_mut());
    answer.unwrap_or_else(|stop| panic::resume_unwind(Box::new(stop)))
}

fn call_other<T>(request: impl FnOnce(&mut State) -> T) -> T {
    call(|state| {
        state.other()?;
        Ok(request(state))
    })
}

/// Identity of the run. The SDK makes this call, not the job, so it is not counted.
pub(crate) fn info() -> Info {
    call(|state| Ok(state.info.clone()))
}

pub(crate) fn config() -> String {
    call_other(|state| state.config.clone())
}

pub(crate) fn secret(name: &str) -> Option<String> {
    call_other(|state| state.secrets.get(name).cloned())
}

pub(crate) fn progress(done: u64, total: Option<u64>, message: &str) {
    let message = message.to_owned();
    call_other(|state| {
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
    call_other(|state| state.lines.push(line));
}

pub(crate) fn lock_name() -> String {
    call_other(|state| state.lock.clone())
}

pub(crate) fn token() -> u64 {
    call_other(|state| state.store.token)
}

/// The holder's lease, which the mock names after the token.
pub(crate) fn holder() -> String {
    call_other(|state| format!("{:x}", state.store.token))
}

pub(crate) fn is_held() -> bool {
    call_other(|state| state.is_held())
}

pub(crate) fn remaining_ms() -> u64 {
    let left = call_other(|state| state.remaining());
    u64::try_from(left.as_millis()).unwrap_or(u64::MAX)
}

pub(crate) fn stop_requested(at_most_ms: u32) -> bool {
    call(|state| state.stop_requested(Duration::from_millis(at_most_ms.into())))
}

pub(crate) fn check() -> Result<(), GuardError> {
    call(State::check)
}

pub(crate) fn get(key: &str) -> Result<Option<Entry>, GuardError> {
    call(|state| state.read(key, |store| Ok(store.get(key))))
}

pub(crate) fn list(prefix: &str, limit: u32) -> Result<Vec<Entry>, GuardError> {
    call(|state| state.read(prefix, |store| store.list(prefix, limit)))
}

pub(crate) fn put(key: &str, value: &[u8]) -> Result<u64, GuardError> {
    let done = call(|state| state.write(write_request(key, Some(value), None)))?;
    Ok(done.revision)
}

pub(crate) fn delete(key: &str) -> Result<bool, GuardError> {
    let done = call(|state| state.write(write_request(key, None, None)))?;
    Ok(done.existed)
}

pub(crate) fn compare_and_put(key: &str, expected: u64, value: &[u8]) -> Result<u64, GuardError> {
    let done = call(|state| state.write(write_request(key, Some(value), Some(expected))))?;
    Ok(done.revision)
}

pub(crate) fn compare_and_delete(key: &str, expected: u64) -> Result<(), GuardError> {
    call(|state| state.write(write_request(key, None, Some(expected))))?;
    Ok(())
}

fn write_request(key: &str, value: Option<&[u8]>, expected: Option<u64>) -> WriteRequest {
    WriteRequest {
        key: key.to_owned(),
        value: value.map(<[u8]>::to_vec),
        expected,
    }
}

//! Script of a mock host: faults and events, and the calls at which they happen.
//!
//! A step that has not happened stays: a test checks that all have.

use std::time::Duration;

/// A moment in a run. Calls are counted from 1 in each run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// The n-th call to the host, of any kind: logging and reading the token count too.
    Call(usize),
    /// The n-th write: put, delete, and those that compare.
    Write(usize),
    /// The next write of this key.
    WriteOf(&'static str),
    /// The n-th read: get and list.
    Read(usize),
    /// The n-th call of [`stop_requested`](crate::Lock::stop_requested).
    Ask(usize),
    /// The first call at or after this time on the mock's clock, which starts at 0. When the job waits
    /// in [`stop_requested`](crate::Lock::stop_requested), it happens in the middle of the wait.
    After(Duration),
}

/// Fault of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The lock is lost, and the host reports it: this write and all after it are refused with
    /// [`GuardError::Lost`](crate::GuardError::Lost). A real host may stop the run instead.
    Lost,
    /// The lock is lost, and the run is stopped inside this call, before the call did anything.
    Stopped,
    /// The run is stopped inside this write, which the store has carried out.
    DoneThenStopped,
    /// Refused, as if another writer had just changed the key.
    Conflict,
    /// Refused, as if the grant were missing.
    Denied,
    /// Refused, as if it were over a limit.
    TooLarge,
    /// No answer, and it did not happen.
    Unavailable,
    /// No answer, and it happened.
    UnavailableButDone,
    /// No answer, and the write is still on its way: it arrives with
    /// [`Host::deliver`](super::Host::deliver) or [`Host::add_arrival`](super::Host::add_arrival).
    UnavailableButComing,
}

/// Effect of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    Fail(Fault),
    RequestStop,
    Deliver,
}

/// Kind of a call, as far as a [`When`] distinguishes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CallKind<'a> {
    Read,
    Write(&'a str),
    Ask,
    Other,
}

/// Steps that are still to happen, and the counts of the run's calls.
#[derive(Debug, Default)]
pub(super) struct Script {
    to_come: Vec<(When, Effect)>,
    calls: usize,
    reads: usize,
    writes: usize,
    asks: usize,
}

impl Script {
    pub(super) fn add(&mut self, when: When, effect: Effect) {
        self.to_come.push((when, effect));
    }

    /// A run begins: calls are counted anew.
    pub(super) fn begin_run(&mut self) {
        (self.calls, self.reads, self.writes, self.asks) = (0, 0, 0, 0);
    }

    pub(super) fn clear(&mut self) {
        self.to_come.clear();
    }

    pub(super) const fn calls(&self) -> usize {
        self.calls
    }

    pub(super) const fn writes(&self) -> usize {
        self.writes
    }

    pub(super) const fn is_done(&self) -> bool {
        self.to_come.is_empty()
    }

    /// Counts a call and takes out the steps that happen at it, in the order in which they were added.
    pub(super) fn call(&mut self, kind: CallKind<'_>, now: Duration) -> Vec<Effect> {
        self.calls += 1;
        match kind {
            CallKind::Read => self.reads += 1,
            CallKind::Write(_) => self.writes += 1,
            CallKind::Ask => self.asks += 1,
            CallKind::Other => {}
        }
        let (calls, reads, writes, asks) = (self.calls, self.reads, self.writes, self.asks);
        let is_now = |when: &When| match *when {
            When::Call(n) => n == calls,
            When::Read(n) => kind == CallKind::Read && n == reads,
            When::Write(n) => matches!(kind, CallKind::Write(_)) && n == writes,
            When::WriteOf(key) => kind == CallKind::Write(key),
            When::Ask(n) => kind == CallKind::Ask && n == asks,
            When::After(time) => time <= now,
        };
        let all = self.to_come.extract_if(.., |(when, _)| is_now(when));
        all.map(|(_, effect)| effect).collect()
    }

    /// The first moment of the clock after `now` and up to `until` at which something happens.
    pub(super) fn next_moment(&self, now: Duration, until: Duration) -> Option<Duration> {
        let moments = self.to_come.iter().filter_map(|(when, _)| match *when {
            When::After(time) if time > now && time <= until => Some(time),
            _ => None,
        });
        moments.min()
    }

    /// Takes out the steps that happen at this moment of the clock.
    pub(super) fn at(&mut self, now: Duration) -> Vec<Effect> {
        let is_now = |when: &When| matches!(*when, When::After(time) if time <= now);
        let all = self.to_come.extract_if(.., |(when, _)| is_now(when));
        all.map(|(_, effect)| effect).collect()
    }
}

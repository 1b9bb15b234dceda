//! What is to go wrong, and at which call.
//!
//! It must never forget a deed that has not happened: a test asks whether all have.

use std::time::Duration;

/// A moment in a run. Calls are counted from 1 in each run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// The n-th call to the host, of any kind: logging and asking for the token count too.
    Call(usize),
    /// The n-th write: put, delete, and those that compare.
    Write(usize),
    /// The next write of this key.
    WriteOf(&'static str),
    /// The n-th read: get and list.
    Read(usize),
    /// The n-th time that the job asks whether it is to stop.
    Ask(usize),
    /// The first call at or after this time on the mock's clock, which starts at 0. When the job waits
    /// in [`stop_requested`](crate::Lock::stop_requested), it happens in the middle of the wait.
    After(Duration),
}

/// What befalls a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The lock is lost, and the host says so: this write and all after it are refused with
    /// [`GuardError::Lost`](crate::GuardError::Lost). A host may be so kind; none has to be.
    Lost,
    /// The lock is lost, and the run is stopped inside this call, before the call did anything.
    Stopped,
    /// The run is stopped inside this write, which the store has carried out.
    DoneThenStopped,
    /// Refused, as if somebody else had just written the key.
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

/// What happens at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deed {
    Fail(Fault),
    RequestStop,
    Deliver,
}

/// What kind of call is being made, as far as a [`When`] can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind<'a> {
    Read,
    Write(&'a str),
    Ask,
    Other,
}

/// All that is still to happen, and how far the run is.
#[derive(Debug, Default)]
pub(super) struct Script {
    to_come: Vec<(When, Deed)>,
    calls: usize,
    reads: usize,
    writes: usize,
    asks: usize,
}

impl Script {
    pub(super) fn add(&mut self, when: When, deed: Deed) {
        self.to_come.push((when, deed));
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

    /// Counts a call, and takes out what happens at it, in the order in which it was added.
    pub(super) fn call(&mut self, kind: Kind<'_>, now: Duration) -> Vec<Deed> {
        self.calls += 1;
        match kind {
            Kind::Read => self.reads += 1,
            Kind::Write(_) => self.writes += 1,
            Kind::Ask => self.asks += 1,
            Kind::Other => {}
        }
        let (calls, reads, writes, asks) = (self.calls, self.reads, self.writes, self.asks);
        let is_now = |when: &When| match *when {
            When::Call(n) => n == calls,
            When::Read(n) => kind == Kind::Read && n == reads,
            When::Write(n) => matches!(kind, Kind::Write(_)) && n == writes,
            When::WriteOf(key) => kind == Kind::Write(key),
            When::Ask(n) => kind == Kind::Ask && n == asks,
            When::After(time) => time <= now,
        };
        let all = self.to_come.extract_if(.., |(when, _)| is_now(when));
        all.map(|(_, deed)| deed).collect()
    }

    /// The first moment of the clock after `now` and up to `until` at which something happens.
    pub(super) fn next_moment(&self, now: Duration, until: Duration) -> Option<Duration> {
        let moments = self.to_come.iter().filter_map(|(when, _)| match *when {
            When::After(time) if time > now && time <= until => Some(time),
            _ => None,
        });
        moments.min()
    }

    /// Takes out what happens at this moment of the clock.
    pub(super) fn at(&mut self, now: Duration) -> Vec<Deed> {
        let is_now = |when: &When| matches!(*when, When::After(time) if time <= now);
        let all = self.to_come.extract_if(.., |(when, _)| is_now(when));
        all.map(|(_, deed)| deed).collect()
    }
}

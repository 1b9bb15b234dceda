//! State of one mock host, and its answers to calls.
//!
//! Every call takes its faults from the script before it is answered.

use std::collections::BTreeMap;
use std::time::Duration;

use super::output::{Line, Progress};
use super::script::{CallKind, Effect, Fault, Script};
use super::store::{Store, WriteDone, WriteRequest};
use crate::error::GuardError;
use crate::types::{Info, Trigger};

/// Default answer to [`Lock::remaining`](crate::Lock::remaining).
const LEASE: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct State {
    pub(super) info: Info,
    pub(super) config: String,
    pub(super) secrets: BTreeMap<String, String>,
    pub(super) lock: String,
    pub(super) lease: Duration,
    pub(super) now: Duration,
    pub(super) script: Script,
    pub(super) store: Store,
    pub(super) lines: Vec<Line>,
    pub(super) progress: Vec<Progress>,
    runs: usize,
    held: bool,
    stop_requested: bool,
}

/// The run is over, inside the call it is in.
#[derive(Debug)]
pub(super) struct Stop;

/// A call's answer, or the end of the run.
pub(super) type Answer<T> = Result<T, Stop>;

impl State {
    pub(super) fn new() -> Self {
        Self {
            info: Info {
                job: "job".to_owned(),
                run_id: "run-0".to_owned(),
                attempt: 1,
                scheduled_at: None,
                trigger: Trigger::Manual,
            },
            config: "{}".to_owned(),
            secrets: BTreeMap::new(),
            lock: "job".to_owned(),
            lease: LEASE,
            now: Duration::ZERO,
            script: Script::default(),
            store: Store::new(1),
            lines: Vec::new(),
            progress: Vec::new(),
            runs: 0,
            held: true,
            stop_requested: false,
        }
    }

    pub(super) fn begin_run(&mut self) {
        self.runs += 1;
        self.info.run_id = format!("run-{}", self.runs);
        self.script.begin_run();
    }

    pub(super) fn calm(&mut self) {
        self.script.clear();
        (self.held, self.stop_requested) = (true, false);
    }

    /// A call that cannot fail.
    pub(super) fn other(&mut self) -> Answer<()> {
        match self.faults_of(CallKind::Other)? {
            None => Ok(()),
            Some(fault) => panic!("{fault:?} cannot happen to a call that has no error"),
        }
    }

    pub(super) const fn is_held(&self) -> bool {
        self.held
    }

    pub(super) fn remaining(&self) -> Duration {
        if self.held {
            self.lease
        } else {
            Duration::ZERO
        }
    }

    /// Waits on the mock's clock until the job is asked to stop, or the time has passed.
    pub(super) fn stop_requested(&mut self, at_most: Duration) -> Answer<bool> {
        if let Some(fault) = self.faults_of(CallKind::Ask)? {
            panic!("{fault:?} cannot happen to `stop_requested`, which has no error");
        }
        let until = self.now + at_most;
        while !self.stop_requested {
            let Some(moment) = self.script.next_moment(self.now, until) else {
                self.now = until;
                break;
            };
            self.now = moment;
            let effects = self.script.at(moment);
            if let Some(fault) = self.apply(effects)? {
                panic!("{fault:?} cannot happen while a job waits");
            }
        }
        Ok(self.stop_requested)
    }

    pub(super) fn check(&mut self) -> Answer<Result<(), GuardError>> {
        let fault = self.faults_of(CallKind::Other)?;
        Ok(fault
            .map_or(Ok(()), |fault| Err(error_of(fault)))
            .and(if self.held {
                Ok(())
            } else {
                Err(GuardError::Lost)
            }))
    }

    pub(super) fn read<T>(
        &mut self,
        key: &str,
        look: impl FnOnce(&Store) -> Result<T, GuardError>,
    ) -> Answer<Result<T, GuardError>> {
        if let Some(fault) = self.faults_of(CallKind::Read)? {
            assert!(fault != Fault::Conflict, "a read has no conflict");
            return Ok(Err(error_of(fault)));
        }
        let allowed = self.store.allowed(&self.info.job, key);
        Ok(allowed.and_then(|()| look(&self.store)))
    }

    pub(super) fn write(&mut self, request: WriteRequest) -> Answer<Result<WriteDone, GuardError>> {
        let fault = self.faults_of(CallKind::Write(&request.key))?;
        let acceptable = self.store.allowed(&self.info.job, &request.key);
        if let Err(refusal) = acceptable.and_then(|()| Store::check_size(&request)) {
            return Ok(Err(refusal));
        }
        if !self.held {
            return Ok(Err(GuardError::Lost));
        }
        match fault {
            None => Ok(self.store.commit(request)),
            Some(Fault::DoneThenStopped) => {
                // The run is stopped before it receives the store's answer.
                let _ = self.store.commit(request);
                Err(Stop)
            }
            Some(fault) => {
                match fault {
                    Fault::UnavailableButDone => drop(self.store.commit(request)),
                    Fault::UnavailableButComing => self.store.send_late(request),
                    _ => {}
                }
                Ok(Err(error_of(fault)))
            }
        }
    }

    /// Takes the effects of this call from the script and applies them; returns the fault left.
    fn faults_of(&mut self, kind: CallKind<'_>) -> Answer<Option<Fault>> {
        let effects = self.script.call(kind, self.now);
        self.apply(effects)
    }

    /// Applies effects; returns the fault that is left as an error for the caller.
    fn apply(&mut self, effects: Vec<Effect>) -> Answer<Option<Fault>> {
        let mut left = None;
        for effect in effects {
            match effect {
                Effect::RequestStop => self.stop_requested = true,
                Effect::Deliver => self.store.deliver(),
                Effect::Fail(Fault::Lost) => self.held = false,
                Effect::Fail(Fault::Stopped) => return Err(Stop),
                Effect::Fail(fault) => left = Some(fault),
            }
        }
        Ok(left)
    }
}

fn error_of(fault: Fault) -> GuardError {
    match fault {
        Fault::Lost | Fault::Stopped | Fault::DoneThenStopped => GuardError::Lost,
        Fault::Conflict => GuardError::Conflict,
        Fault::Denied => GuardError::Denied("denied by the test's script".to_owned()),
        Fault::TooLarge => GuardError::TooLarge,
        Fault::Unavailable | Fault::UnavailableButDone | Fault::UnavailableButComing => {
            GuardError::Unavailable("the answer was kept back by the test's script".to_owned())
        }
    }
}

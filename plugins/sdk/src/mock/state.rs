//! One mock host: what it knows, and what it does at each call.
//!
//! It must never answer a call before it has asked the script what befalls it.

use std::collections::BTreeMap;
use std::time::Duration;

use super::output::{Line, Progress};
use super::script::{Deed, Fault, Kind, Script};
use super::store::{Done, Order, Store};
use crate::GuardError;
use crate::context::{Info, Trigger};

/// What is left of the lease whenever a job asks, unless said otherwise.
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
        match self.befalls(Kind::Other)? {
            None => Ok(()),
            Some(fault) => panic!("{fault:?} cannot befall a call that has no error"),
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
        if let Some(fault) = self.befalls(Kind::Ask)? {
            panic!("{fault:?} cannot befall a question that has no error");
        }
        let until = self.now + at_most;
        while !self.stop_requested {
            let Some(moment) = self.script.next_moment(self.now, until) else {
                self.now = until;
                break;
            };
            self.now = moment;
            let deeds = self.script.at(moment);
            if let Some(fault) = self.happens(deeds)? {
                panic!("{fault:?} cannot befall a job that waits");
            }
        }
        Ok(self.stop_requested)
    }

    pub(super) fn check(&mut self) -> Answer<Result<(), GuardError>> {
        let fault = self.befalls(Kind::Other)?;
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
        if let Some(fault) = self.befalls(Kind::Read)? {
            assert!(fault != Fault::Conflict, "a read has no conflict");
            return Ok(Err(error_of(fault)));
        }
        let allowed = self.store.allowed(&self.info.job, key);
        Ok(allowed.and_then(|()| look(&self.store)))
    }

    pub(super) fn write(&mut self, order: Order) -> Answer<Result<Done, GuardError>> {
        let fault = self.befalls(Kind::Write(&order.key))?;
        let acceptable = self.store.allowed(&self.info.job, &order.key);
        if let Err(refusal) = acceptable.and_then(|()| Store::check_size(&order)) {
            return Ok(Err(refusal));
        }
        if !self.held {
            return Ok(Err(GuardError::Lost));
        }
        match fault {
            None => Ok(self.store.commit(order)),
            Some(Fault::DoneThenStopped) => {
                // Nobody learns what the store made of it.
                let _ = self.store.commit(order);
                Err(Stop)
            }
            Some(fault) => {
                match fault {
                    Fault::UnavailableButDone => drop(self.store.commit(order)),
                    Fault::UnavailableButComing => self.store.send_late(order),
                    _ => {}
                }
                Ok(Err(error_of(fault)))
            }
        }
    }

    /// Asks the script what happens at this call.
    fn befalls(&mut self, kind: Kind<'_>) -> Answer<Option<Fault>> {
        let deeds = self.script.call(kind, self.now);
        self.happens(deeds)
    }

    /// Does what happens; what is left is an error for the one who calls.
    fn happens(&mut self, deeds: Vec<Deed>) -> Answer<Option<Fault>> {
        let mut left = None;
        for deed in deeds {
            match deed {
                Deed::RequestStop => self.stop_requested = true,
                Deed::Deliver => self.store.deliver(),
                Deed::Fail(Fault::Lost) => self.held = false,
                Deed::Fail(Fault::Stopped) => return Err(Stop),
                Deed::Fail(fault) => left = Some(fault),
            }
        }
        Ok(left)
    }
}

fn error_of(fault: Fault) -> GuardError {
    match fault {
        Fault::Lost | Fault::Stopped | Fault::DoneThenStopped => GuardError::Lost,
        Fault::Conflict => GuardError::Conflict,
        Fault::Denied => GuardError::Denied("the test said so".to_owned()),
        Fault::TooLarge => GuardError::TooLarge,
        Fault::Unavailable | Fault::UnavailableButDone | Fault::UnavailableButComing => {
            GuardError::Unavailable("the test kept the answer back".to_owned())
        }
    }
}

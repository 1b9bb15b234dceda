//! The orders of operators at one moment. Pure.

use std::collections::BTreeMap;

use leasehold_config::wall::UnixMs;
use leasehold_lock::{KeyValue, LeaseId, Revision, Token};
use leasehold_records::{
    ControlKey, DrainMark, HoldKind, HoldMark, HostControl, JobControl, JobHold, RecordError, Root,
    StopRequest, TriggerRecord,
};

/// A requested run as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SeenTrigger {
    pub(crate) key: String,
    pub(crate) record: TriggerRecord,
    /// The revision of its last change.
    pub(crate) revision: Revision,
    /// The lease that carries it.
    pub(crate) lease: LeaseId,
}

/// The orders that concern one host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ControlState {
    /// True once the orders were read, or found unreadable for this user of the store.
    pub(crate) is_known: bool,
    /// The pause of all jobs.
    pub(crate) all: Option<HoldMark>,
    /// The drain of this host.
    pub(crate) drain: Option<DrainMark>,
    /// Pauses, by job.
    pub(crate) pauses: BTreeMap<String, HoldMark>,
    /// Requests to end a run, by job and token.
    pub(super) stops: BTreeMap<(String, Token), StopRequest>,
    /// Requested runs that no host has taken, by key.
    pub(super) triggers: BTreeMap<String, SeenTrigger>,
}

impl ControlState {
    /// Returns the orders in these keys.
    pub(crate) fn read(root: &Root, host: &str, keys: Vec<KeyValue>) -> Self {
        let mut state = Self {
            is_known: true,
            ..Self::default()
        };
        for key in keys {
            let name = key.key.clone();
            state.apply(root, host, &name, Some(key));
        }
        state
    }

    /// Applies a change of one key. An order that cannot be read counts as none.
    pub(crate) fn apply(&mut self, root: &Root, host: &str, key: &str, now: Option<KeyValue>) {
        let Some(meaning) = root.parse_control(key) else {
            return;
        };
        if let Err(error) = self.take(meaning, host, key, now) {
            tracing::warn!(key, %error, "an order of an operator is ignored");
        }
    }

    fn take(
        &mut self,
        meaning: ControlKey,
        host: &str,
        key: &str,
        now: Option<KeyValue>,
    ) -> Result<(), RecordError> {
        let value = now.as_ref().map(|now| now.value.as_slice());
        match meaning {
            ControlKey::All => {
                self.all = None;
                self.all = value
                    .map(JobControl::from_json)
                    .transpose()?
                    .and_then(pause);
            }
            ControlKey::Job(job) => {
                self.pauses.remove(&job);
                let control = value.map(JobControl::from_json).transpose()?;
                if let Some(pause) = control.and_then(pause) {
                    self.pauses.insert(job, pause);
                }
            }
            ControlKey::Host(name) if name == host => {
                self.drain = None;
                let control = value.map(HostControl::from_json).transpose()?;
                self.drain = control.and_then(|control| control.drain);
            }
            ControlKey::Host(_) => {}
            ControlKey::Stop(job, token) => {
                self.stops.remove(&(job.clone(), token));
                if let Some(request) = value.map(StopRequest::from_json).transpose()? {
                    self.stops.insert((job, token), request);
                }
            }
            ControlKey::Trigger(_, _) => {
                self.triggers.remove(key);
                if let Some(now) = now {
                    self.take_trigger(now)?;
                }
            }
        }
        Ok(())
    }

    fn take_trigger(&mut self, now: KeyValue) -> Result<(), RecordError> {
        let record = TriggerRecord::from_json(&now.value)?;
        if record.state.is_open() {
            let seen = SeenTrigger {
                key: now.key.clone(),
                record,
                revision: now.mod_revision,
                lease: now.lease,
            };
            self.triggers.insert(now.key, seen);
        }
        Ok(())
    }

    /// Returns the holds in force at `now` on a job of this host.
    pub(crate) fn holds(&self, job: &str, now: UnixMs) -> Vec<JobHold> {
        let drain = self.drain.as_ref().map(|drain| &drain.mark);
        let holds = [
            (HoldKind::Paused, self.pauses.get(job)),
            (HoldKind::AllPaused, self.all.as_ref()),
            (HoldKind::Drained, drain),
        ];
        let holds = holds.into_iter().filter_map(|(kind, mark)| {
            let mark = mark.filter(|mark| mark.is_in_force(now))?.clone();
            Some(JobHold { kind, mark })
        });
        holds.collect()
    }

    /// Returns the time of the next hold that ends by itself.
    pub(crate) fn next_end(&self, now: UnixMs) -> Option<UnixMs> {
        let drain = self.drain.iter().map(|drain| &drain.mark);
        let marks = self.pauses.values().chain(&self.all).chain(drain);
        marks
            .filter(|mark| mark.is_in_force(now))
            .filter_map(|mark| mark.until_unix_ms)
            .min()
    }

    /// Returns the request to end the run of this job under this token.
    pub(crate) fn stop_of(&self, job: &str, token: Token) -> Option<&StopRequest> {
        self.stops.get(&(job.to_owned(), token))
    }

    /// Returns the requested runs that no host has taken, and that this host may run.
    pub(crate) fn triggers_for<'a>(
        &'a self,
        host: &'a str,
    ) -> impl Iterator<Item = &'a SeenTrigger> {
        let is_ours = move |seen: &&SeenTrigger| {
            let only = seen.record.host.as_deref();
            only.is_none_or(|only| only == host)
        };
        self.triggers.values().filter(is_ours)
    }

    /// True if any requested run is open.
    pub(crate) fn has_triggers(&self) -> bool {
        !self.triggers.is_empty()
    }

    /// True if a requested run under this key is open.
    pub(crate) fn has_trigger(&self, key: &str) -> bool {
        self.triggers.contains_key(key)
    }

    /// True if this requested run is still as it was read.
    pub(crate) fn is_open(&self, seen: &SeenTrigger) -> bool {
        let known = self.triggers.get(&seen.key);
        known.is_some_and(|known| known.revision == seen.revision)
    }
}

fn pause(control: JobControl) -> Option<HoldMark> {
    control.pause
}

#[cfg(test)]
mod tests {
    use leasehold_records::{StopKind, TriggerState};

    use super::*;

    fn mark(why: &str, until: Option<u64>) -> HoldMark {
        HoldMark {
            by: "ann@vm".into(),
            why: why.into(),
            at_unix_ms: UnixMs::new(1),
            until_unix_ms: until.map(UnixMs::new),
        }
    }

    fn paused(why: &str, until: Option<u64>) -> Vec<u8> {
        let pause = Some(mark(why, until));
        JobControl { pause }.to_json()
    }

    fn key(key: String, value: Vec<u8>) -> KeyValue {
        KeyValue {
            key,
            value,
            create_revision: Revision::new(5),
            mod_revision: Revision::new(7),
            lease: LeaseId::new(9),
        }
    }

    fn trigger(state: TriggerState, host: Option<&str>) -> Vec<u8> {
        let record = TriggerRecord {
            id: "1".into(),
            job: "ledger".into(),
            by: "ann@vm".into(),
            why: String::new(),
            at_unix_ms: UnixMs::new(1),
            config: BTreeMap::new(),
            host: host.map(Into::into),
            state,
        };
        record.to_json()
    }

    fn reasons(state: &ControlState, job: &str, now: u64) -> Vec<String> {
        let holds = state.holds(job, UnixMs::new(now));
        holds.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn holds_of_a_job_are_those_of_it_of_all_and_of_its_host() {
        let root = Root::default();
        let mark = mark("c", None);
        let drain = Some(DrainMark { mark, keep: false });
        let drained = HostControl { drain }.to_json();
        let keys = vec![
            key(root.all_control(), paused("b", Some(50))),
            key(root.job_control("ledger"), paused("a", None)),
            key(root.host_control("web1"), drained.clone()),
            key(root.host_control("web2"), drained),
        ];
        let state = ControlState::read(&root, "web1", keys.clone());
        assert_eq!(
            reasons(&state, "ledger", 49),
            [
                "paused by ann@vm: a",
                "all jobs are paused by ann@vm until 1970-01-01T00:00:00.050Z: b",
                "this host is drained by ann@vm: c"
            ]
        );
        assert_eq!(
            reasons(&state, "other", 50),
            ["this host is drained by ann@vm: c"]
        );
        assert_eq!(state.next_end(UnixMs::new(49)), Some(UnixMs::new(50)));
        assert_eq!(state.next_end(UnixMs::new(50)), None);
        let other = ControlState::read(&root, "web3", keys);
        assert_eq!(reasons(&other, "other", 50), [""; 0]);
    }

    #[test]
    fn deleted_or_unreadable_order_is_none() {
        let root = Root::default();
        let name = root.job_control("ledger");
        let known = vec![key(name.clone(), paused("a", None))];
        for change in [None, Some(key(name.clone(), b"[]".to_vec()))] {
            let mut state = ControlState::read(&root, "web1", known.clone());
            state.apply(&root, "web1", &name, change);
            assert_eq!(reasons(&state, "ledger", 0), [""; 0]);
        }
    }

    #[test]
    fn stop_request_is_of_one_token() {
        let root = Root::default();
        let request = StopRequest {
            job: "ledger".into(),
            token: Token::new(7),
            kind: StopKind::Stop,
            by: "ann@vm".into(),
            why: String::new(),
            at_unix_ms: UnixMs::new(1),
        };
        let name = root.stop_request("ledger", Token::new(7));
        let state = ControlState::read(&root, "web1", vec![key(name, request.to_json())]);
        assert_eq!(state.stop_of("ledger", Token::new(7)), Some(&request));
        assert_eq!(state.stop_of("ledger", Token::new(8)), None);
        assert_eq!(state.stop_of("other", Token::new(7)), None);
    }

    #[test]
    fn trigger_is_open_until_a_host_takes_it() {
        let root = Root::default();
        let name = root.trigger("ledger", "1");
        let open = key(name.clone(), trigger(TriggerState::Open, None));
        let mut state = ControlState::read(&root, "web1", vec![open]);
        let seen = state
            .triggers_for("web1")
            .next()
            .cloned()
            .expect("a trigger");
        assert_eq!((seen.revision.get(), seen.lease.get()), (7, 9));
        assert!(state.is_open(&seen));
        let claimed = TriggerState::Claimed {
            runs_on: "web2".into(),
            lock_key: "/l/1".into(),
            token: Token::new(7),
            run_id: "web2-7-0".into(),
        };
        let taken = key(name.clone(), trigger(claimed, None));
        state.apply(&root, "web1", &name, Some(taken));
        assert!(!state.is_open(&seen));
        assert_eq!(state.triggers_for("web1").count(), 0);
    }

    #[test]
    fn trigger_for_one_host_is_not_of_another() {
        let root = Root::default();
        let name = root.trigger("ledger", "1");
        let keys = vec![key(name, trigger(TriggerState::Open, Some("web2")))];
        let state = ControlState::read(&root, "web1", keys);
        assert_eq!(state.triggers_for("web1").count(), 0);
        assert_eq!(state.triggers_for("web2").count(), 1);
    }
}

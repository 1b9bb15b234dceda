//! Simulation of hosts in virtual time: the real machine and the real claiming and marking, over a model of the
//! store.
//!
//! The model has all that the promises about ticks depend on: one record with a revision, and a queue of entries.
//! Each entry has a create revision and a lease that ends when its host dies or is frozen. Each host has a wall
//! clock of its own. Randomness comes from a seed, which every failure names.
//!
//! Each of the two protections that keep a tick from being run twice can be left out of the model ([`Mutant`]). The
//! tests below then fail, and a test checks that they do.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use futures_util::FutureExt as _;
use leasehold_lock::{BootTime, FencedError, Revision, StoreError, Token};
use leasehold_records::{Outcome, TickRecord, TickState};

use super::clocks::{LivingHost, settling_time};
use super::lack::RunLack;
use super::machine::{
    AcquireMiss, JobEnding, JobMachine, JobRules, JobSleep, LackEnd, MachineAction, MachineEvent,
    MachineState, PauseEnd, RunVerdict, TickClaim, TickMark, TimeNow, WakeTime,
};
use super::tick::{
    EndedTick, RecordVersion, TickClaimant, TickReader, TickRequest, TickStore, claim, look, mark,
};
use leasehold_config::wall::UnixMs;
use leasehold_config::{Config, Schedule};

type Machine = JobMachine<(), ()>;
type State = MachineState<()>;
type Event = MachineEvent<(), ()>;
type Action = MachineAction<(), ()>;

/// Wall time at the start of a simulation: on a full minute.
const START: u64 = 1_750_000_020_000;
const MINUTE: u64 = 60_000;
/// Time that an entry outlives its host.
const TTL: u64 = 10_000;

/// Protection that is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mutant {
    None,
    /// The store does not compare the lock entry of the claiming host.
    NoFence,
    /// No host reads or writes the record of ticks.
    NoRecord,
}

/// The store, as far as ticks need it.
struct Store {
    revision: Revision,
    record: Option<RecordVersion>,
    /// Tokens of the entries, in order; the first holds the lock.
    queue: Vec<Token>,
    hosts: BTreeMap<usize, LivingHost>,
    mutant: Mutant,
    /// Number of requests in a hundred that get no answer.
    unknown: u32,
    rng: fastrand::Rng,
    refused: u32,
}

impl Store {
    fn put(&mut self, json: Vec<u8>) {
        self.revision = self.revision.next();
        let revision = self.revision;
        self.record = Some(RecordVersion { json, revision });
    }

    fn is_at(&self, expected: Revision) -> bool {
        self.record
            .as_ref()
            .map_or(Revision::NONE, |found| found.revision)
            == expected
    }

    fn is_lost(&mut self) -> bool {
        self.rng.u32(0..100) < self.unknown
    }
}

/// The store as the holder of this entry sees it.
struct StoreView {
    store: Arc<Mutex<Store>>,
    token: Token,
}

impl StoreView {
    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().expect("no test panics with it")
    }
}

fn no_answer() -> StoreError {
    StoreError::Unknown("no answer".into())
}

impl TickReader for StoreView {
    async fn read(&self) -> Result<Option<RecordVersion>, StoreError> {
        let mut store = self.store();
        if store.is_lost() {
            return Err(no_answer());
        }
        Ok(store.record.clone())
    }

    async fn hosts(&self) -> Result<Vec<LivingHost>, StoreError> {
        let mut store = self.store();
        if store.is_lost() {
            return Err(no_answer());
        }
        Ok(store.hosts.values().cloned().collect())
    }
}

impl TickStore for StoreView {
    async fn write_fenced(&self, expected: Revision, json: Vec<u8>) -> Result<(), FencedError> {
        let mut store = self.store();
        if !store.queue.contains(&self.token) && store.mutant != Mutant::NoFence {
            store.refused += 1;
            return Err(FencedError::Stale);
        }
        // Both the request and the answer can be lost.
        if store.is_lost() {
            return Err(FencedError::Store(no_answer()));
        }
        if !store.is_at(expected) {
            return Err(FencedError::Conflict);
        }
        store.put(json);
        if store.is_lost() {
            return Err(FencedError::Store(no_answer()));
        }
        Ok(())
    }

    async fn entry_exists(&self, _entry: &str, _token: Token) -> Result<bool, StoreError> {
        panic!("all hosts have the same lock")
    }

    async fn write(&self, expected: Revision, json: Vec<u8>) -> Result<bool, StoreError> {
        let mut store = self.store();
        if store.is_lost() {
            return Err(no_answer());
        }
        let matches = store.is_at(expected);
        if matches {
            store.put(json);
        }
        if store.is_lost() {
            return Err(no_answer());
        }
        Ok(matches)
    }
}

/// Event at a host.
#[derive(Clone, Copy, Debug)]
enum HostEvent {
    Starts,
    Wakes,
    Looks(UnixMs),
    Queues,
    Gets,
    /// Checks for the resources of a run.
    Provides,
    Claims {
        tick: UnixMs,
        newest: UnixMs,
    },
    /// The run of this number on its host.
    Ends(u32),
    Marks {
        tick: UnixMs,
        mark: TickMark,
    },
    Releases,
    /// The lease of an entry whose host has died.
    LeaseEnds(Token),
    Faults(Fault),
}

#[derive(Clone, Copy, Debug)]
enum Fault {
    /// Dies now, and starts again after this.
    Dies(u64),
    /// Is frozen for so long.
    Freezes(u64),
    /// Is asked to stop, and starts again after this.
    Stops(u64),
}

/// Situation of a host in which a fault strikes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    Running,
    Claiming,
    Any,
}

struct Host {
    /// Lead of its wall clock over true time, in milliseconds.
    ahead: i64,
    machine: Machine,
    state: State,
    /// Number of its lives; events for an earlier life are dropped.
    life: u32,
    frozen_until: u64,
    token: Option<Token>,
    /// True if the lock was lost during the run.
    lost: bool,
    sequence: u32,
    /// Number of runs begun so far.
    runs: u32,
    restart: u64,
    outcome: Outcome,
    /// Start and end of the time in which it lacks what a run needs.
    lacking: (u64, u64),
}

/// One run of a guest.
#[derive(Clone, Debug)]
struct Run {
    tick: u64,
    host: usize,
    token: Token,
    from: u64,
    /// Time when it ended by itself, holding the lock.
    done: Option<u64>,
    /// Time when it stopped, for any reason.
    until: Option<u64>,
}

struct World {
    now: u64,
    sequence: u64,
    agenda: BinaryHeap<Reverse<(u64, u64)>>,
    entries: BTreeMap<u64, (usize, u32, HostEvent)>,
    store: Arc<Mutex<Store>>,
    hosts: Vec<Host>,
    rules: JobRules,
    rng: fastrand::Rng,
    runs: Vec<Run>,
    skipped: u32,
    stood_back: u32,
    overruled: u32,
    fault: Option<(Moment, Fault)>,
    faults: u32,
    duration: (u64, u64),
    failing: u32,
}

fn rules(job: &str) -> JobRules {
    let text = format!(
        "[store]\nendpoints = [\"http://127.0.0.1:1\"]\n[jobs.j]\nplugin = \"x.wasm\"\n{job}"
    );
    let config = Config::parse(&text, Path::new("test.toml")).expect("a valid job");
    let job = &config.jobs()[0];
    JobRules {
        schedule: job.schedule().clone(),
        restart: job.restart(),
        retries: job.retries(),
    }
}

impl World {
    fn new(job: &str, ahead: &[i64], seed: u64, mutant: Mutant) -> Self {
        let rules = rules(job);
        let store = Store {
            revision: Revision::new(1),
            record: None,
            queue: vec![],
            hosts: BTreeMap::new(),
            mutant,
            unknown: 0,
            rng: fastrand::Rng::with_seed(seed),
            refused: 0,
        };
        let host = |ahead: &i64| Host {
            ahead: *ahead,
            machine: Machine::new(rules.clone()),
            state: State::Ended(JobEnding::Stopped),
            life: 0,
            frozen_until: 0,
            token: None,
            lost: false,
            sequence: 0,
            runs: 0,
            restart: 0,
            outcome: Outcome::Done,
            lacking: (0, 0),
        };
        let mut world = Self {
            now: 0,
            sequence: 0,
            agenda: BinaryHeap::new(),
            entries: BTreeMap::new(),
            store: Arc::new(Mutex::new(store)),
            hosts: ahead.iter().map(host).collect(),
            rules: rules.clone(),
            rng: fastrand::Rng::with_seed(!seed),
            runs: vec![],
            skipped: 0,
            stood_back: 0,
            overruled: 0,
            fault: None,
            faults: 0,
            duration: (1_000, 15_000),
            failing: 0,
        };
        for at in 0..world.hosts.len() {
            world.plan(at, 0, HostEvent::Starts);
        }
        world
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().expect("no test panics with it")
    }

    fn plan(&mut self, host: usize, after: u64, event: HostEvent) {
        self.sequence += 1;
        self.agenda.push(Reverse((self.now + after, self.sequence)));
        let life = self.hosts[host].life;
        self.entries.insert(self.sequence, (host, life, event));
    }

    /// Returns the time of a request and its answer.
    fn trip(&mut self) -> u64 {
        self.rng.u64(1..20)
    }

    fn now_of(&self, host: usize) -> TimeNow {
        let wall = (START + self.now).saturating_add_signed(self.hosts[host].ahead);
        TimeNow {
            boot: BootTime::from_nanos(self.now * 1_000_000),
            wall: UnixMs::new(wall),
        }
    }

    /// Runs the simulation until this moment of true time.
    fn run_until(&mut self, end: u64) {
        while let Some(Reverse((at, sequence))) = self.agenda.peek().copied()
            && at <= end
        {
            self.agenda.pop();
            self.now = at;
            let Some((host, life, event)) = self.entries.remove(&sequence) else {
                continue;
            };
            let is_lease = matches!(event, HostEvent::LeaseEnds(_));
            if life != self.hosts[host].life && !is_lease {
                continue;
            }
            let thaw = self.hosts[host].frozen_until;
            if thaw > self.now && !is_lease {
                self.plan(host, thaw - self.now, event);
                continue;
            }
            self.happen(host, event);
            self.check();
        }
        self.now = end;
    }

    fn happen(&mut self, host: usize, event: HostEvent) {
        match event {
            HostEvent::Starts => self.start(host),
            HostEvent::Wakes => {
                // As the real sleep, it never ends before the clock shows its time.
                if let State::Sleeping(JobSleep {
                    until: WakeTime::Wall(until),
                    ..
                }) = self.hosts[host].state
                    && self.now_of(host).wall < until
                {
                    let left = until.since(self.now_of(host).wall);
                    self.plan(
                        host,
                        u64::try_from(left.as_millis()).expect("short"),
                        HostEvent::Wakes,
                    );
                    return;
                }
                let is_pausing = matches!(self.hosts[host].state, State::Pausing { .. });
                let event = if is_pausing {
                    let end = PauseEnd::Over(());
                    Event::PauseEnded { grant: (), end }
                } else {
                    Event::Woke
                };
                self.deliver(host, event);
            }
            HostEvent::Looks(tick) => {
                let (view, own) = (self.store_view(host), format!("host-{host}"));
                let ask = self.ask(host, tick, tick);
                let seen = look(&view, &own, ask).now_or_never();
                let seen = seen.expect("it never waits");
                self.deliver(host, Event::Looked(seen));
            }
            HostEvent::Queues => {
                let is_waiting = matches!(self.hosts[host].state, State::Waiting { .. });
                if let Some(lack) = self.lack(host) {
                    self.deliver(host, Event::Missed(AcquireMiss::Lacks(lack)));
                    return;
                }
                let own = self.hosts[host].token;
                let mut store = self.store();
                // The host has read twice that its entry was deleted, and has joined the queue again already.
                if !is_waiting || own.is_some_and(|own| store.queue.contains(&own)) {
                    return;
                }
                store.revision = store.revision.next();
                let token = Token::from(store.revision);
                store.queue.push(token);
                let is_first = store.queue[0] == token;
                drop(store);
                self.hosts[host].token = Some(token);
                if is_first {
                    let trip = self.trip();
                    self.plan(host, trip, HostEvent::Gets);
                }
            }
            HostEvent::Gets => {
                let is_waiting = matches!(self.hosts[host].state, State::Waiting { .. });
                if !is_waiting {
                    return;
                }
                if self.holds(host)
                    && let Some(lack) = self.lack(host)
                {
                    self.leave(host);
                    self.deliver(host, Event::Missed(AcquireMiss::Lacks(lack)));
                } else if self.holds(host) {
                    self.hosts[host].lost = false;
                    self.hosts[host].sequence = 0;
                    let acquired = Event::Acquired {
                        grant: (),
                        provisions: (),
                    };
                    self.deliver(host, acquired);
                } else {
                    // Its entry was deleted: back to the end of the queue.
                    let trip = self.trip();
                    self.plan(host, trip, HostEvent::Queues);
                }
            }
            HostEvent::Provides => {
                let event = self.lack(host).map_or(Event::Ready(Some(())), Event::Lacks);
                self.deliver(host, event);
            }
            HostEvent::Claims { tick, newest } => {
                let claim = self.claim(host, tick, newest);
                self.deliver(host, Event::Claimed { grant: (), claim });
            }
            HostEvent::Ends(run) if self.hosts[host].runs == run && self.is_running(host) => {
                self.end_run(host);
            }
            // The run was stopped before.
            HostEvent::Ends(_) => {}
            HostEvent::Marks { tick, mark } => self.mark(host, tick, mark),
            HostEvent::Releases => {
                self.leave(host);
                self.deliver(host, Event::Released);
            }
            HostEvent::LeaseEnds(token) => self.remove(token),
            HostEvent::Faults(fault) => self.strike(host, fault),
        }
    }

    fn start(&mut self, host: usize) {
        self.hosts[host].machine = Machine::new(self.rules.clone());
        let (now, jitter) = (self.now_of(host), self.rng.f64());
        let mut store = self.store();
        store.revision = store.revision.next();
        let came = store.revision;
        let living = LivingHost {
            host: format!("host-{host}"),
            started: now.wall,
            write_revision: came,
            create_revision: came,
        };
        store.hosts.insert(host, living);
        drop(store);
        let (state, actions) = self.hosts[host].machine.start(now, jitter);
        self.enter(host, state, actions);
    }

    fn mark(&mut self, host: usize, tick: UnixMs, how: TickMark) {
        let token = self.hosts[host].token.unwrap_or_default();
        let ended = EndedTick {
            tick,
            token,
            mark: how,
            outcome: self.hosts[host].outcome,
            now: self.now_of(host).wall,
        };
        let view = self.store_view(host);
        let marked = mark(&view, ended).now_or_never().expect("it never waits");
        if marked.is_err_and(|unmarked| unmarked.may_pass) && self.holds(host) {
            self.plan(host, 200, HostEvent::Marks { tick, mark: how });
            return;
        }
        self.deliver(host, Event::Marked { grant: () });
    }

    /// Returns the resource that a run lacks on this host: a secret or a slot, between two moments.
    fn lack(&self, host: usize) -> Option<RunLack> {
        let (from, until) = self.hosts[host].lacking;
        let is_lacking = (from..until).contains(&self.now);
        is_lacking.then(|| match host % 2 {
            0 => RunLack::Other("no secret".into()),
            _ => RunLack::Slot("no slot".into()),
        })
    }

    /// Plans the next check: when a slot is free, or after a pause for anything else.
    fn plan_readiness(&mut self, host: usize, until: LackEnd) {
        let left = match until {
            LackEnd::Slot => self.hosts[host].lacking.1.saturating_sub(self.now),
            LackEnd::At(until) => {
                let left = until.since(self.now_of(host).boot);
                u64::try_from(left.as_millis()).expect("short")
            }
            LackEnd::Hold => panic!("no operator is simulated"),
        };
        self.plan(host, left, HostEvent::Provides);
    }

    fn claim(&mut self, host: usize, tick: UnixMs, newest: UnixMs) -> TickClaim {
        if self.store().mutant == Mutant::NoRecord {
            // No record is ever written, so a look finds none either.
            let attempt = 1;
            return TickClaim::Ours {
                tick: newest,
                attempt,
            };
        }
        let me = &self.hosts[host];
        let token = me.token.unwrap_or_default();
        let claimant = TickClaimant {
            job: "j".into(),
            host: format!("host-{host}"),
            exclusive_locks: vec!["/l/locks/j".into()],
            lock_key: format!("/l/locks/j/{token}"),
            token,
            run_id: format!("host-{host}-{token}-{}", me.sequence),
            schedule: String::new(),
        };
        let ask = self.ask(host, tick, newest);
        let view = self.store_view(host);
        let claimed = claim(&view, &claimant, ask).now_or_never();
        let (claim, over) = claimed.expect("it never waits");
        self.overruled += u32::from(over.overruled.is_some());
        claim
    }

    fn ask(&self, host: usize, tick: UnixMs, newest: UnixMs) -> TickRequest {
        let now = self.now_of(host).wall;
        let Schedule::Ticks(ticks) = &self.rules.schedule else {
            panic!("all jobs here have ticks");
        };
        let settling = settling_time(ticks.beat(), now);
        TickRequest {
            tick,
            newest,
            now,
            settling,
            is_dropped: false,
        }
    }

    fn store_view(&self, host: usize) -> StoreView {
        StoreView {
            store: self.store.clone(),
            token: self.hosts[host].token.unwrap_or_default(),
        }
    }

    fn holds(&self, host: usize) -> bool {
        let token = self.hosts[host].token;
        token.is_some() && self.store().queue.first().copied() == token
    }

    fn is_running(&self, host: usize) -> bool {
        matches!(self.hosts[host].state, State::Running { .. })
    }

    fn end_run(&mut self, host: usize) {
        let now = self.now;
        let failing = self.rng.u32(0..100) < self.failing;
        let me = &mut self.hosts[host];
        let verdict = if me.lost {
            RunVerdict::Lost
        } else if me.machine.stopping {
            RunVerdict::Stopped
        } else if failing {
            RunVerdict::Failed("no luck".into())
        } else {
            RunVerdict::Done
        };
        let open = self.runs.iter_mut().rfind(|run| run.host == host);
        if let Some(run) = open.filter(|run| run.until.is_none()) {
            run.until = Some(now);
            run.done = matches!(verdict, RunVerdict::Done).then_some(now);
        }
        let outcome = self.hosts[host].outcome;
        let ended = Event::RunEnded {
            grant: (),
            verdict,
            outcome,
        };
        self.deliver(host, ended);
    }

    fn deliver(&mut self, host: usize, event: Event) {
        let (now, jitter) = (self.now_of(host), self.rng.f64());
        let me = &mut self.hosts[host];
        let state = std::mem::replace(&mut me.state, State::Ended(JobEnding::Stopped));
        let (state, actions) = me.machine.step(state, event, now, jitter);
        self.enter(host, state, actions);
    }

    fn enter(&mut self, host: usize, state: State, actions: Vec<Action>) {
        self.hosts[host].state = state;
        for action in actions {
            self.act(host, action);
        }
        if let Some((moment, fault)) = self.fault {
            let strikes = match (moment, &self.hosts[host].state) {
                (Moment::Running, State::Running { .. }) => Some(500),
                (Moment::Claiming, State::Claiming { .. }) => Some(0),
                (Moment::Any, _) => Some(self.rng.u64(0..5_000)),
                _ => None,
            };
            if let Some(after) = strikes {
                self.fault = None;
                self.faults += 1;
                self.plan(host, after, HostEvent::Faults(fault));
            }
        }
    }

    fn act(&mut self, host: usize, action: Action) {
        let trip = self.trip();
        match action {
            Action::Sleep { until, .. } => {
                let now = self.now_of(host);
                let left = match until {
                    WakeTime::Boot(until) => until.since(now.boot),
                    WakeTime::Wall(until) => until.since(now.wall),
                };
                let left = u64::try_from(left.as_millis()).expect("short");
                self.plan(host, left, HostEvent::Wakes);
            }
            Action::Look { tick } => self.plan(host, trip, HostEvent::Looks(tick)),
            Action::Acquire(_) => self.plan(host, trip, HostEvent::Queues),
            Action::Claim { tick, newest, .. } => {
                self.plan(host, trip, HostEvent::Claims { tick, newest });
            }
            Action::Run { turn, .. } => {
                let tick = turn.tick.map_or(0, UnixMs::as_u64);
                let token = self.hosts[host].token.unwrap_or_default();
                let from = self.now;
                self.runs.push(Run {
                    tick,
                    host,
                    token,
                    from,
                    done: None,
                    until: None,
                });
                let long = self.rng.u64(self.duration.0..=self.duration.1);
                self.hosts[host].runs += 1;
                let run = self.hosts[host].runs;
                self.plan(host, long, HostEvent::Ends(run));
            }
            Action::Pause { pause, .. } => {
                let pause = u64::try_from(pause.as_millis()).expect("short");
                self.plan(host, pause, HostEvent::Wakes);
            }
            Action::Mark { tick, mark, .. } => {
                self.hosts[host].sequence += 1;
                self.plan(host, trip, HostEvent::Marks { tick, mark });
            }
            Action::Release(()) => self.plan(host, trip, HostEvent::Releases),
            Action::StandBack { until } => self.plan_readiness(host, until),
            Action::LogSkipped(..) => self.skipped += 1,
            Action::LogBackoff { .. } => {}
            Action::LogStandingBack(_) => self.stood_back += 1,
            Action::LogEnded(ending) => {
                assert_eq!(ending, JobEnding::Stopped, "host {host}");
                let restart = self.hosts[host].restart;
                self.leave(host);
                self.store().hosts.remove(&host);
                self.hosts[host].life += 1;
                self.plan(host, restart, HostEvent::Starts);
            }
        }
    }

    fn leave(&mut self, host: usize) {
        if let Some(token) = self.hosts[host].token.take() {
            self.remove(token);
        }
    }

    /// Deletes an entry, and notifies the host that is first now.
    fn remove(&mut self, token: Token) {
        self.store().queue.retain(|entry| *entry != token);
        let first = self.store().queue.first().copied();
        for host in 0..self.hosts.len() {
            if self.hosts[host].token == Some(token) {
                self.hosts[host].lost = true;
                if matches!(self.hosts[host].state, State::Waiting { .. }) {
                    // It reads that its entry was deleted.
                    let trip = self.trip();
                    self.plan(host, trip, HostEvent::Gets);
                }
            }
            if first.is_some() && self.hosts[host].token == first {
                let trip = self.trip();
                self.plan(host, trip, HostEvent::Gets);
            }
        }
    }

    fn strike(&mut self, host: usize, fault: Fault) {
        let token = self.hosts[host].token;
        match fault {
            Fault::Dies(restart) => {
                let now = self.now;
                let open = self.runs.iter_mut().rfind(|run| run.host == host);
                if let Some(run) = open.filter(|run| run.until.is_none()) {
                    run.until = Some(now);
                }
                // Planned before its next life begins: the lease belongs to no host then.
                if let Some(token) = token {
                    self.plan(host, TTL, HostEvent::LeaseEnds(token));
                }
                self.store().hosts.remove(&host);
                let me = &mut self.hosts[host];
                me.life += 1;
                me.token = None;
                me.state = State::Ended(JobEnding::Stopped);
                self.plan(host, restart, HostEvent::Starts);
            }
            Fault::Freezes(until) => {
                self.hosts[host].frozen_until = self.now + until;
                if until > TTL {
                    if let Some(token) = token {
                        self.plan(host, TTL, HostEvent::LeaseEnds(token));
                    }
                    // Its tenure ends by the clock, before the lease does.
                    let limit = self.now;
                    let me = &mut self.hosts[host];
                    if matches!(me.state, State::Running { .. }) {
                        me.lost = true;
                        let open = self.runs.iter_mut().rfind(|run| run.host == host);
                        if let Some(run) = open.filter(|run| run.until.is_none()) {
                            // No call of the guest is admitted from its deadline on, frozen or not.
                            run.until = Some(limit);
                        }
                    }
                }
            }
            Fault::Stops(restart) => {
                let me = &mut self.hosts[host];
                me.machine.stopping = true;
                me.restart = restart;
                match me.state {
                    State::Sleeping(_) | State::StandingBack { .. } => {
                        self.deliver(host, Event::Cancelled);
                    }
                    State::Waiting { .. } => {
                        let cancelled = AcquireMiss::Cancelled;
                        self.deliver(host, Event::Missed(cancelled));
                    }
                    State::Running { .. } => self.end_run(host),
                    _ => {}
                }
            }
        }
    }

    /// Checks the invariant that holds at any moment.
    fn check(&self) {
        let open: Vec<&Run> = self.runs.iter().filter(|run| run.until.is_none()).collect();
        assert!(open.len() <= 1, "two runs at once: {open:?}");
    }

    /// Counts how often each tick came to its end, from the first to the last of these minutes.
    fn ends(&self, minutes: std::ops::RangeInclusive<u64>) -> BTreeMap<u64, usize> {
        let mut ends: BTreeMap<u64, usize> = minutes.map(|at| (START + at * MINUTE, 0)).collect();
        for run in self.runs.iter().filter(|run| run.done.is_some()) {
            if let Some(count) = ends.get_mut(&run.tick) {
                *count += 1;
            }
        }
        ends
    }

    fn record(&self) -> TickRecord {
        let store = self.store();
        let found = store.record.as_ref().expect("a record");
        TickRecord::from_json(&found.json).expect("one of ours")
    }
}

/// Checks the whole promise, but for the mutant: two hosts half a minute apart and a third, with faults during runs
/// and claims. Returns the first failure.
fn a_thousand_ticks(seed: u64, mutant: Mutant) -> Result<World, String> {
    a_thousand_ticks_of(&[0, 30_000, -200], seed, mutant)
}

fn a_thousand_ticks_of(ahead: &[i64], seed: u64, mutant: Mutant) -> Result<World, String> {
    let mut world = World::new("cron = \"* * * * *\"", ahead, seed, mutant);
    let mut faults = [
        (Moment::Running, Fault::Dies(20_000)),
        (Moment::Running, Fault::Freezes(25_000)),
        (Moment::Claiming, Fault::Freezes(25_000)),
        (Moment::Claiming, Fault::Dies(5_000)),
        (Moment::Running, Fault::Stops(3_000)),
        (Moment::Running, Fault::Freezes(3_000)),
    ]
    .into_iter()
    .cycle();
    for minute in 1..=1010 {
        if minute % 9 == 4 {
            world.fault = faults.next();
        }
        let ran = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            world.run_until(minute * MINUTE);
        }));
        if ran.is_err() {
            return Err(format!("seed {seed}: two runs at once at minute {minute}"));
        }
    }
    for (tick, count) in world.ends(2..=1001) {
        if count != 1 {
            let runs: Vec<&Run> = world.runs.iter().filter(|run| run.tick == tick).collect();
            let tick = UnixMs::new(tick);
            return Err(format!(
                "seed {seed}: {tick} came to its end {count} times: {runs:?}"
            ));
        }
    }
    let tokens: Vec<Token> = world.runs.iter().map(|run| run.token).collect();
    if !tokens.is_sorted() {
        return Err(format!("seed {seed}: tokens went back"));
    }
    Ok(world)
}

#[test]
fn thousand_ticks_run_once_through_takeovers() {
    for seed in 0..5 {
        let world = a_thousand_ticks(seed, Mutant::None).unwrap_or_else(|error| panic!("{error}"));
        // The simulation had every kind of fault, runs that were cut off, and late claims that were refused.
        assert!(world.faults > 100, "{} faults", world.faults);
        let cut = world.runs.iter().filter(|run| run.done.is_none()).count();
        assert!(cut > 40, "{cut} runs were cut off");
        assert!(
            world.store().refused > 5,
            "{} late claims",
            world.store().refused
        );
        let hosts = [0, 1, 2].map(|host| world.runs.iter().filter(|run| run.host == host).count());
        assert!(hosts.iter().all(|runs| *runs > 0), "{hosts:?}");
        assert_eq!(world.record().state, TickState::Done);
    }
}

/// The test above fails without the store's comparison, and without the record.
#[test]
fn ticks_run_twice_without_the_fence_or_the_record() {
    for mutant in [Mutant::NoFence, Mutant::NoRecord] {
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| {}));
        let survived = (0..5).filter(|seed| a_thousand_ticks(*seed, mutant).is_ok());
        let survived: Vec<u64> = survived.collect();
        std::panic::set_hook(hook);
        assert_eq!(survived, Vec::<u64>::new(), "{mutant:?}");
    }
}

/// For all events, and for all lost answers: a tick that is done is never begun again, and ticks go on.
#[test]
fn no_order_of_events_brings_a_tick_that_is_done_again() {
    for seed in 0..60 {
        let job = [
            "cron = \"* * * * *\"",
            "cron = \"* * * * *\"\nmissed = \"catch-up\"\njitter = \"20s\"",
            "every = \"20s\"\nretries = 2\nrestart = { min = \"1s\", max = \"5s\" }",
            "every = \"5s\"\nmissed = \"catch-up\"\nretries = 1",
        ][usize::try_from(seed % 4).expect("small")];
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut world = World::new(job, &[0, 30_000, -45_000], seed, Mutant::None);
        world.failing = 15;
        world.duration = (100, 12_000);
        world.store().unknown = 5;
        let mut done = 0;
        for step in 1..=400 {
            if rng.u32(0..6) == 0 {
                let moment = [Moment::Running, Moment::Claiming, Moment::Any][rng.usize(0..3)];
                let long = rng.u64(100..40_000);
                let fault = [Fault::Dies(long), Fault::Freezes(long), Fault::Stops(long)];
                world.fault = Some((moment, fault[rng.usize(0..3)]));
            }
            let before = world.runs.len();
            world.run_until(step * 10_000);
            // No run that has begun since is for a tick that was done before.
            for run in &world.runs[before..] {
                assert!(
                    run.tick > done,
                    "seed {seed}: {run:?} after {done} was done"
                );
            }
            let record = world.store().record.clone();
            let record = record.and_then(|found| TickRecord::from_json(&found.json).ok());
            if let Some(record) = record.filter(|record| record.state == TickState::Done) {
                assert!(
                    record.tick_unix_ms.as_u64() >= done,
                    "seed {seed}: it went back"
                );
                done = record.tick_unix_ms.as_u64();
            }
        }
        assert!(
            world.runs.len() > 20,
            "seed {seed}: {} runs",
            world.runs.len()
        );
    }
}

fn minutes_run(world: &World) -> Vec<u64> {
    let ends = world.runs.iter().filter(|run| run.done.is_some());
    ends.map(|run| (run.tick - START) / MINUTE).collect()
}

#[test]
fn ticks_missed_by_all_hosts_are_skipped_or_caught_up_with() {
    for (missed, expected) in [
        ("skip", vec![1, 2, 14, 15]),
        ("catch-up", vec![0, 1, 2, 13, 14, 15]),
    ] {
        let job = format!("cron = \"* * * * *\"\nmissed = \"{missed}\"");
        let mut world = World::new(&job, &[0, 0], 7, Mutant::None);
        world.run_until(2 * MINUTE + 40_000);
        // Both are down for ten ticks and a half, and no tick is begun.
        for host in [0, 1] {
            world.strike(host, Fault::Dies(10 * MINUTE + 50_000));
        }
        world.run_until(15 * MINUTE + 40_000);
        assert_eq!(minutes_run(&world), expected, "{missed}");
    }
}

#[test]
fn overrun_skips_or_catches_up_on_any_number_of_hosts() {
    for hosts in [&[0][..], &[0, 0, 10_000]] {
        for (missed, expected) in [("skip", [1, 4, 5]), ("catch-up", [1, 3, 4])] {
            let job = format!("cron = \"* * * * *\"\nmissed = \"{missed}\"");
            let mut world = World::new(&job, hosts, 7, Mutant::None);
            // With catch-up, the tick before the start is run too.
            world.run_until(50_000 - 20_000);
            world.duration = (150_000, 150_000);
            world.run_until(MINUTE + 30_000);
            world.duration = (5_000, 5_000);
            world.run_until(5 * MINUTE + 45_000);
            let run: Vec<u64> = minutes_run(&world)
                .into_iter()
                .filter(|at| *at > 0)
                .collect();
            assert_eq!(run[..3], expected, "{missed} on {} hosts", hosts.len());
        }
    }
}

#[test]
fn host_stopped_in_a_run_leaves_its_tick_to_another_at_once() {
    let mut world = World::new("cron = \"* * * * *\"", &[0, 0], 3, Mutant::None);
    world.duration = (8_000, 8_000);
    world.fault = Some((Moment::Running, Fault::Stops(5 * MINUTE)));
    world.run_until(2 * MINUTE - 1_000);
    let runs: Vec<(usize, bool)> = world
        .runs
        .iter()
        .map(|run| (run.host, run.done.is_some()))
        .collect();
    let [(first, false), (second, true)] = runs[..] else {
        panic!("{runs:?}");
    };
    assert_ne!(first, second);
    // At once, not after the lease's end: the first gave the lock back.
    assert!(
        world.runs[1].from - world.runs[0].from < 2_000,
        "{:?}",
        world.runs
    );
    let record = world.record();
    assert_eq!((record.attempt, record.state), (2, TickState::Done));
}

/// Each host in turn lacks something for three ticks, at times two hosts at once: the others run every tick in
/// time.
#[test]
fn host_with_a_lack_leaves_its_ticks_to_the_others() {
    let job = "cron = \"* * * * *\"\nrestart = { min = \"1s\", max = \"10s\" }";
    let mut world = World::new(job, &[0, 0, 0], 11, Mutant::None);
    for minute in 0..120 {
        if minute % 2 == 0 {
            let host = usize::try_from(minute / 2 % 3).expect("small");
            let from = minute * MINUTE - minute.min(1) * 30_000;
            world.hosts[host].lacking = (from, from + 3 * MINUTE);
        }
        world.run_until((minute + 1) * MINUTE);
    }
    for (tick, count) in world.ends(1..=119) {
        assert_eq!(count, 1, "{}", UnixMs::new(tick));
    }
    for run in &world.runs {
        assert!(run.from + START - run.tick < 30_000, "late: {run:?}");
    }
    let hosts = [0, 1, 2].map(|host| world.runs.iter().filter(|run| run.host == host).count());
    assert!(hosts.iter().all(|runs| *runs > 5), "{hosts:?}");
    assert!(world.stood_back > 30, "{}", world.stood_back);
}

/// Length of 1500 days in milliseconds.
const DAYS_1500: i64 = 1_500 * 24 * 3_600_000;

/// A fourth host's clock is four years off: each tick still runs once, and the odd host stands back.
#[test]
fn thousand_ticks_run_once_beside_a_clock_years_off() {
    for odd in [DAYS_1500, -DAYS_1500] {
        for seed in 0..4 {
            let ahead = [0, 30_000, -200, odd];
            let world = a_thousand_ticks_of(&ahead, seed, Mutant::None);
            let world = world.unwrap_or_else(|error| panic!("{error}"));
            let odd_runs = world.runs.iter().filter(|run| run.host == 3).count();
            assert!(
                odd_runs < 100,
                "seed {seed}: {odd_runs} runs of the odd host"
            );
            assert!(world.stood_back > 50, "seed {seed}: {}", world.stood_back);
        }
    }
}

/// One host after another, on one record, as in a fleet whose other hosts have ended.
#[test]
fn a_host_repairs_what_one_with_a_wrong_clock_left_behind() {
    for odd in [DAYS_1500, -DAYS_1500] {
        let mut world = World::new("cron = \"* * * * *\"", &[0, odd], 5, Mutant::None);
        // Both are dead, except in the turns that follow.
        for host in [0, 1] {
            world.strike(host, Fault::Dies(1_000 * MINUTE));
        }
        for (turn, host) in [0, 1, 0, 1, 0].into_iter().enumerate() {
            let turn = u64::try_from(turn).expect("small");
            world.plan(host, 20_000, HostEvent::Starts);
            world.run_until((turn + 1) * 6 * MINUTE);
            let runs = world.runs.iter();
            let runs = runs.filter(|run| run.from > turn * 6 * MINUTE && run.done.is_some());
            let runs: Vec<usize> = runs.map(|run| run.host).collect();
            assert!(runs.len() >= 4, "turn {turn}: {runs:?}");
            assert!(runs.iter().all(|ran| *ran == host), "turn {turn}: {runs:?}");
            world.strike(host, Fault::Dies(1_000 * MINUTE));
        }
        assert_eq!(world.overruled, 2);
    }
}

/// Returns every order in which hosts with these numbers can start.
fn orders(hosts: &[usize]) -> Vec<Vec<usize>> {
    if hosts.is_empty() {
        return vec![vec![]];
    }
    let mut orders = vec![];
    for first in hosts {
        let rest: Vec<usize> = hosts.iter().copied().filter(|host| host != first).collect();
        orders.extend(orders_after(*first, &rest));
    }
    orders
}

fn orders_after(first: usize, rest: &[usize]) -> Vec<Vec<usize>> {
    let with_first = |mut order: Vec<usize>| {
        order.insert(0, first);
        order
    };
    orders(rest).into_iter().map(with_first).collect()
}

/// Returns a world in which no host has started.
fn empty_world(every: u64, ahead: &[i64], seed: u64) -> World {
    let job = format!("every = \"{every}s\"\nrestart = {{ min = \"1s\", max = \"5s\" }}");
    let mut world = World::new(&job, ahead, seed, Mutant::None);
    world.duration = (50, 300);
    for host in 0..ahead.len() {
        // Events planned for this life are dropped.
        world.hosts[host].life += 1;
    }
    world
}

/// Returns the ticks that `hosts` ran to their end from a moment on.
fn ticks_since(world: &World, from: u64, hosts: &[usize]) -> Vec<u64> {
    let runs = world.runs.iter();
    let runs = runs.filter(|run| run.from >= from && hosts.contains(&run.host));
    runs.filter(|run| run.done.is_some())
        .map(|run| run.tick)
        .collect()
}

/// Asserts that each tick from the first of them to the last came once.
fn assert_once_each(ticks: &[u64], every: u64, context: &str) {
    let steps = ticks.windows(2).map(|pair| pair[1].abs_diff(pair[0]));
    assert!(
        steps.into_iter().all(|step| step == every * 1_000),
        "{context}: {ticks:?}"
    );
}

const FOUR_CLOCKS: [i64; 4] = [DAYS_1500, 0, 200_000, -DAYS_1500];

#[test]
fn odd_clocks_run_nothing_beside_two_honest_hosts_in_any_order() {
    for (order, seed) in orders(&[0, 1, 2, 3])
        .into_iter()
        .zip(0_u64..)
        .flat_map(|(order, at)| (0..4).map(move |seed| (order.clone(), at * 4 + seed)))
    {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut world = empty_world(2, &FOUR_CLOCKS, seed);
        let mut came = 0;
        let mut both = 0;
        for host in &order {
            came += [500, 3_000, 7_000, 70_000, 2_000_000][rng.usize(0..5)];
            world.plan(*host, came, HostEvent::Starts);
            if [1, 2].contains(host) {
                both = came;
            }
        }
        let context = format!("seed {seed}, order {order:?}");
        world.run_until(came + 120_000);
        // A run that had begun before both were there may end.
        let odd = ticks_since(&world, both + 500, &[0, 3]);
        assert!(odd.is_empty(), "{context}: {odd:?}");
        let honest = ticks_since(&world, came + 15_000, &[1, 2]);
        assert!(honest.len() > 45, "{context}: {} ticks", honest.len());
        assert_once_each(&honest, 2, &context);
    }
}

/// The host with the wrong clock was first, was killed, and starts again together with two others.
#[test]
fn an_odd_clock_that_comes_again_with_others_runs_nothing() {
    for order in orders(&[0, 2, 3]) {
        for seed in 0..4 {
            let mut world = empty_world(2, &FOUR_CLOCKS, seed);
            world.plan(0, 500, HostEvent::Starts);
            world.plan(1, 3_500, HostEvent::Starts);
            world.run_until(10_000);
            world.strike(0, Fault::Dies(1_000_000_000));
            let killed = world.now;
            for (host, after) in order.iter().zip([24_000, 24_020, 24_040]) {
                world.plan(*host, after, HostEvent::Starts);
            }
            world.run_until(killed + 150_000);
            let context = format!("seed {seed}, order {order:?}");
            let odd = ticks_since(&world, killed, &[0, 3]);
            assert!(odd.is_empty(), "{context}: {odd:?}");
            let honest = ticks_since(&world, killed + 40_000, &[1, 2]);
            assert!(honest.len() > 45, "{context}: {} ticks", honest.len());
            assert_once_each(&honest, 2, &context);
        }
    }
}

/// For any number of starts, for either of the two clocks wrong, and for rare ticks.
#[test]
fn of_two_hosts_the_later_one_judges_before_its_first_claim() {
    let pairs = [DAYS_1500, -DAYS_1500].map(|odd| [[0, odd], [odd, 0]]);
    for (seed, clocks) in pairs.into_iter().flatten().cycle().take(16).enumerate() {
        let seed = u64::try_from(seed).expect("small");
        for every in [2, 600] {
            let period = every * 1_000;
            let mut world = empty_world(every, &clocks, seed);
            world.plan(0, 500, HostEvent::Starts);
            for start in [10_000, 4_000_000, 8_000_000] {
                let start = start + 10 * period;
                world.plan(1, start - world.now, HostEvent::Starts);
                world.run_until(start + 100_000 + 3 * period);
                world.strike(1, Fault::Dies(1_000_000_000));
                world.run_until(world.now + 30_000);
            }
            let context = format!("seed {seed}, clocks {clocks:?}, every {every} s");
            let later = world.runs.iter().filter(|run| run.host == 1).count();
            assert_eq!(later, 0, "{context}");
            let first = ticks_since(&world, 10_000, &[0]);
            assert!(first.len() > 10, "{context}: {} ticks", first.len());
            assert_once_each(&first, every, &context);
        }
    }
}

/// Hosts die and start again at random, including those with odd clocks.
#[test]
fn odd_clocks_run_nothing_through_kills_of_hosts() {
    for seed in 0..12 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut world = empty_world(2, &FOUR_CLOCKS, seed);
        let mut lives = [false; 4];
        let mut honest_ran = 0;
        for _ in 0..40 {
            let host = rng.usize(0..4);
            lives[host] = !lives[host];
            if lives[host] {
                world.plan(host, 20, HostEvent::Starts);
            } else {
                world.strike(host, Fault::Dies(1_000_000_000));
            }
            let since = world.now + 500;
            let long = [4_000, 20_000, 90_000, 900_000][rng.usize(0..4)];
            world.run_until(world.now + long);
            if lives[1] && lives[2] {
                let context = format!("seed {seed}, {lives:?} for {long}");
                let odd = ticks_since(&world, since, &[0, 3]);
                assert!(odd.is_empty(), "{context}: {odd:?}");
                let honest = ticks_since(&world, since + 15_000, &[1, 2]);
                assert_once_each(&honest, 2, &context);
                honest_ran += honest.len();
                assert!(
                    long < 900_000 || honest.len() > 200,
                    "{context}: {honest:?}"
                );
            }
        }
        assert!(honest_ran > 0, "seed {seed}: the two never lived together");
    }
}

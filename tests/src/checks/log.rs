//! Events read into runs, releases and losses. Unreadable events are errors; nothing is judged here.

use std::fmt;

use crate::events::{Event, MALFORMED};

/// One start of a run, its effects and its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The host that ran it.
    pub host: String,
    /// The lock it ran under.
    pub lock: String,
    /// The token it ran under.
    pub token: u64,
    /// Its run's id; a retried run has several attempts.
    pub run: String,
    /// When it started, boot-time nanoseconds.
    pub started_ns: u64,
    /// When each call that a guest event came from was admitted.
    pub effects: Vec<u64>,
    /// Its end, if it has ended.
    pub end: Option<End>,
}

/// Fields of `run-ended`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// Time of the event.
    pub at_ns: u64,
    /// Outcome of the run.
    pub outcome: String,
    /// When the guest was seen stopped.
    pub stopped_ns: u64,
    /// Until when calls were to be admitted.
    pub deadline_ns: u64,
    /// When the last call was admitted, if any was.
    pub last_admitted_ns: Option<u64>,
}

/// A lock acquired, released or lost by its holder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// The holder.
    pub host: String,
    /// The lock.
    pub lock: String,
    /// The token it was held under.
    pub token: u64,
    /// Time of the event.
    pub at_ns: u64,
}

/// Facts that the checks judge.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Log {
    /// Every `acquired`.
    pub grants: Vec<Release>,
    /// Every `run-started`, in order.
    pub attempts: Vec<Attempt>,
    /// Every `released`.
    pub releases: Vec<Release>,
    /// Every `lock-lost` of a holder.
    pub losses: Vec<Release>,
    /// Ends without a start and starts without an end before them, as sentences.
    pub strays: Vec<String>,
}

impl Log {
    /// Reads merged events.
    ///
    /// # Errors
    /// A line is not an event, or lacks a field that every check relies on, or a guest wrote outside any run.
    pub fn read(events: &[Event]) -> Result<Self, String> {
        let mut log = Self::default();
        for event in events {
            match event.name() {
                MALFORMED => return Err(format!("a host wrote a line that is no event: {event}")),
                "acquired" => log.grants.push(Release::read(event)?),
                "run-started" => log.start(event)?,
                "guest" => log.effect(event)?,
                "run-ended" => log.end(event)?,
                "released" => log.releases.push(Release::read(event)?),
                // A waiter loses its place without having held a token.
                "lock-lost" if event.token().is_some() => log.losses.push(Release::read(event)?),
                _ => {}
            }
        }
        Ok(log)
    }

    fn start(&mut self, event: &Event) -> Result<(), String> {
        let attempt = Attempt {
            host: text(event, "host")?,
            lock: text(event, "lock")?,
            token: number(event, "token")?,
            run: text(event, "run")?,
            started_ns: number(event, "boot_ns")?,
            effects: Vec::new(),
            end: None,
        };
        if let Some(open) = self.latest(event)?.filter(|before| before.end.is_none()) {
            let stray = format!(
                "{open} started again at {} without an end between",
                attempt.started_ns
            );
            self.strays.push(stray);
        }
        self.attempts.push(attempt);
        Ok(())
    }

    fn effect(&mut self, event: &Event) -> Result<(), String> {
        let at = number(event, "boot_ns")?;
        let token = number(event, "token")?;
        let attempt = self
            .latest(event)?
            .ok_or_else(|| format!("a guest wrote outside any run: {event}"))?;
        if attempt.token != token {
            return Err(format!(
                "a guest wrote under another token than its run's {}: {event}",
                attempt.token
            ));
        }
        attempt.effects.push(at);
        Ok(())
    }

    fn end(&mut self, event: &Event) -> Result<(), String> {
        let end = End {
            at_ns: number(event, "boot_ns")?,
            outcome: text(event, "outcome")?,
            stopped_ns: number(event, "stopped_ns")?,
            deadline_ns: number(event, "deadline_ns")?,
            // Zero and absence both mean that no call was admitted.
            last_admitted_ns: event.last_admitted_ns().filter(|at| *at > 0),
        };
        match self.latest(event)? {
            Some(attempt) if attempt.end.is_none() => attempt.end = Some(end),
            Some(attempt) => {
                let stray = format!("{attempt} ended twice, the second time at {}", end.at_ns);
                self.strays.push(stray);
            }
            None => self
                .strays
                .push(format!("a run ended that never started: {event}")),
        }
        Ok(())
    }

    /// The last attempt of the run that an event is about.
    fn latest(&mut self, event: &Event) -> Result<Option<&mut Attempt>, String> {
        let (host, run) = (text(event, "host")?, text(event, "run")?);
        Ok(self
            .attempts
            .iter_mut()
            .rev()
            .find(|attempt| attempt.host == host && attempt.run == run))
    }
}

impl Release {
    pub(super) fn read(event: &Event) -> Result<Self, String> {
        Ok(Self {
            host: text(event, "host")?,
            lock: text(event, "lock")?,
            token: number(event, "token")?,
            at_ns: number(event, "boot_ns")?,
        })
    }

    /// True if the attempt ran under this grant.
    pub fn is_of(&self, attempt: &Attempt) -> bool {
        self.host == attempt.host && self.lock == attempt.lock && self.token == attempt.token
    }
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            host,
            lock,
            token,
            run,
            started_ns,
            ..
        } = self;
        write!(
            f,
            "run {run} on {host} (lock {lock}, token {token}, started at {started_ns})"
        )
    }
}

fn text(event: &Event, field: &str) -> Result<String, String> {
    event
        .str(field)
        .map(str::to_owned)
        .ok_or_else(|| format!("an event has no {field}: {event}"))
}

fn number(event: &Event, field: &str) -> Result<u64, String> {
    event
        .u64(field)
        .ok_or_else(|| format!("an event has no {field}: {event}"))
}

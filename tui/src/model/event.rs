//! Events as data: for the Events view, the stream and the audit of admin actions.

use std::collections::VecDeque;
use std::sync::Arc;

use leasehold_lock::Revision;
use leasehold_records::{AdminActionRecord, RunRecord, UnixMs};

use super::lock::LeaveReason;
use super::queue_entry::QueueEntry;
use super::store_item::LiveHost;
use crate::text::age;

/// An event.
#[derive(Clone, Debug)]
pub(crate) struct StoreEvent {
    /// Moment at which it was seen.
    pub(crate) at_unix_ms: UnixMs,
    /// Number of its step: a moment includes it once the next step has at least this number.
    pub(crate) step: u64,
    /// Revision; 0 for an event that is not a change in the store.
    pub(crate) revision: Revision,
    /// Label of the lock, for an event about one.
    pub(crate) lock: Option<Arc<str>>,
    pub(crate) kind: EventKind,
}

/// Kind of an event. Spans are in milliseconds, and `None` where the beginning was not seen.
#[derive(Clone, Debug)]
pub(crate) enum EventKind {
    /// A client joined a queue behind `ahead` others.
    Waits {
        who: Arc<QueueEntry>,
        ahead: usize,
    },
    /// A client acquired a free lock.
    Acquires {
        who: Arc<QueueEntry>,
    },
    /// The holder left, and no client was waiting.
    Ends {
        who: Arc<QueueEntry>,
        held_ms: Option<u64>,
        parting: LeaveReason,
    },
    /// The holder left, and the first waiter became the holder.
    Passes {
        from: Arc<QueueEntry>,
        held_ms: Option<u64>,
        parting: LeaveReason,
        to: Arc<QueueEntry>,
        waited_ms: Option<u64>,
    },
    /// A waiter left.
    Leaves {
        who: Arc<QueueEntry>,
        place: usize,
        parting: LeaveReason,
    },
    RunStarts(Arc<RunRecord>),
    RunEnds(Arc<RunRecord>),
    HostUp(Arc<LiveHost>),
    HostGone(Arc<LiveHost>),
    Deed(Arc<AdminActionRecord>),
    /// Result of an action of this operator.
    Answer(Result<Arc<str>, Arc<str>>),
    /// The connection to the store was lost.
    Down(Arc<str>),
    /// Everything was read again; changes during the interruption have no moments of their own.
    Live,
}

impl EventKind {
    /// One word for it, also a field of the stream: it never changes.
    pub(crate) const fn word(&self) -> &'static str {
        match self {
            Self::Waits { .. } => "WAIT",
            Self::Acquires { .. } => "ACQUIRE",
            Self::Ends { parting, .. } => match parting {
                LeaveReason::Released => "RELEASE",
                LeaveReason::Expired => "EXPIRE",
                LeaveReason::Forced => "FORCED",
            },
            Self::Passes { parting, .. } => match parting {
                LeaveReason::Released => "HANDOFF",
                LeaveReason::Expired | LeaveReason::Forced => "TAKEOVER",
            },
            Self::Leaves { .. } => "LEAVE",
            Self::RunStarts(_) => "RUN",
            Self::RunEnds(_) => "ENDED",
            Self::HostUp(_) => "HOST",
            Self::HostGone(_) => "GONE",
            Self::Deed(_) => "DEED",
            Self::Answer(Ok(_)) => "DONE",
            Self::Answer(Err(_)) => "FAILED",
            Self::Down(_) => "DOWN",
            Self::Live => "LIVE",
        }
    }

    /// Returns true for events that need attention.
    pub(crate) fn is_trouble(&self) -> bool {
        use leasehold_records::Outcome::{Again, Done, Running, Stopped};
        match self {
            Self::Ends { parting, .. }
            | Self::Passes { parting, .. }
            | Self::Leaves { parting, .. } => *parting != LeaveReason::Released,
            Self::RunEnds(run) => !matches!(run.outcome, Done | Again | Running | Stopped),
            Self::HostGone(_) | Self::Down(_) | Self::Deed(_) | Self::Answer(Err(_)) => true,
            _ => false,
        }
    }

    /// The rest of the sentence.
    pub(crate) fn sentence(&self) -> String {
        let ago = |span: &Option<u64>| span.map_or_else(|| "?".to_owned(), age);
        match self {
            Self::Waits { who, ahead } => format!("+{} (place {ahead})", who.who.label()),
            Self::Acquires { who } => format!("{} token {}", who.who.label(), who.create_revision),
            Self::Ends {
                who,
                held_ms,
                parting,
            } => {
                format!("{} {} {}", who.who.label(), parting.verb(), ago(held_ms))
            }
            Self::Passes {
                from,
                held_ms,
                parting,
                to,
                waited_ms,
            } => format!(
                "{} {} {} -> {} token {} waited {}",
                from.who.label(),
                parting.verb(),
                ago(held_ms),
                to.who.label(),
                to.create_revision,
                ago(waited_ms)
            ),
            Self::Leaves {
                who,
                place,
                parting,
            } => {
                let how = match parting {
                    LeaveReason::Released => "",
                    LeaveReason::Expired => ", its lease ended",
                    LeaveReason::Forced => ", removed by an operator",
                };
                format!("-{} (from place {place}{how})", who.who.label())
            }
            Self::RunStarts(run) => {
                format!("{}@{} attempt {}", run.job, run.host, run.attempt)
            }
            Self::RunEnds(run) => end_of_run(run),
            Self::HostUp(host) => {
                format!("{} is up, pid {}", host.record.host, host.record.pid)
            }
            Self::HostGone(host) => format!("{} is down", host.record.host),
            Self::Deed(deed) => deed.to_string(),
            Self::Answer(Ok(text) | Err(text)) => text.to_string(),
            Self::Down(reason) => format!("connection to the store lost: {reason}"),
            Self::Live => "everything was read".into(),
        }
    }
}

/// The rest of the sentence about the end of a run.
fn end_of_run(run: &RunRecord) -> String {
    let ended = run.ended_unix_ms.unwrap_or(run.started_unix_ms);
    let took = age(ended.millis_since(run.started_unix_ms));
    let detail = if run.detail.is_empty() {
        String::new()
    } else {
        format!(": {}", run.detail)
    };
    let outcome = run.outcome.as_str();
    let times = match run.runs() {
        1 => String::new(),
        runs => format!(" x {runs}, the last"),
    };
    format!(
        "{}@{} {outcome}{times} after {took}{detail}",
        run.job, run.host
    )
}

impl LeaveReason {
    pub(crate) const fn verb(self) -> &'static str {
        match self {
            Self::Released => "held",
            Self::Expired => "lease ended, held",
            Self::Forced => "forced out, held",
        }
    }
}

/// Events, oldest first, bounded.
#[derive(Debug)]
pub(crate) struct EventLog {
    ring: VecDeque<StoreEvent>,
    /// Number of the oldest event that is kept.
    first: u64,
    most: usize,
}

impl EventLog {
    pub(super) const fn new(most: usize) -> Self {
        Self {
            ring: VecDeque::new(),
            first: 0,
            most,
        }
    }

    pub(super) fn push(&mut self, event: StoreEvent) {
        if self.ring.len() == self.most {
            self.ring.pop_front();
            self.first += 1;
        }
        self.ring.push_back(event);
    }

    /// Events before step `next`, newest first, each with its number.
    pub(crate) fn before(&self, next: u64) -> impl Iterator<Item = (u64, &StoreEvent)> {
        let known = self.ring.partition_point(|event| event.step <= next);
        let numbers = (self.first..self.first + known as u64).rev();
        numbers.zip(self.ring.range(..known).rev())
    }

    /// The event of this number, while it is kept.
    pub(crate) fn get(&self, number: u64) -> Option<&StoreEvent> {
        let at = usize::try_from(number.checked_sub(self.first)?).ok()?;
        self.ring.get(at)
    }

    /// Number of all events so far.
    pub(crate) fn total(&self) -> u64 {
        self.first + self.ring.len() as u64
    }
}

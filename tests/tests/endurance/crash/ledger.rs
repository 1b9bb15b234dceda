//! Requests and answers of the clients in one life of the store.
//!
//! Does not use the store's content. A request without an answer is neither done nor not done.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

use crate::client::Held;

/// Effect of one write on one key: a value and a lease, or a delete.
pub(super) type Wish = (String, Option<(String, i64)>);

/// State of a lease, as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lease {
    /// Asked for; no answer.
    Asked,
    /// Granted.
    Granted,
    /// To be revoked; no answer.
    Ending,
    /// Revoked.
    Ended,
}

/// A key as it was read at a revision.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) revision: i64,
    pub(super) key: String,
    pub(super) held: Option<Held>,
}

/// All requests and answers of one life.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// By revision.
    pub(super) acknowledged: BTreeMap<i64, Vec<Wish>>,
    pub(super) unanswered: Vec<Vec<Wish>>,
    pub(super) reads: Vec<Read>,
    pub(super) leases: BTreeMap<i64, Lease>,
    /// The highest revision that any client received.
    pub(super) highest: i64,
    /// Violations.
    pub(super) complaints: Vec<String>,
}

/// Log in which all clients of one life record their answers.
#[derive(Debug)]
pub(super) struct Ledger {
    said: Mutex<Said>,
    dying: AtomicBool,
    /// Nothing that is asked from now on can have been done.
    pub(super) dead: CancellationToken,
    next: AtomicI64,
}

impl Ledger {
    pub(super) fn new(revision: i64, leases: impl IntoIterator<Item = i64>) -> Self {
        let leases = leases.into_iter().map(|id| (id, Lease::Granted));
        let said = Said {
            leases: leases.collect(),
            highest: revision,
            ..Said::default()
        };
        Self {
            said: Mutex::new(said),
            dying: AtomicBool::new(false),
            dead: CancellationToken::new(),
            // Revisions grow, so these never come twice.
            next: AtomicI64::new(revision * 1_000_000),
        }
    }

    pub(super) fn said(&self) -> MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A number that is used once.
    pub(super) fn unique(&self) -> i64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// From now on a request may go without an answer.
    pub(super) fn may_fail(&self) {
        self.dying.store(true, Ordering::SeqCst);
    }

    /// Requests fail, and may.
    pub(super) fn failed(&self, what: &str) {
        if !self.dying.load(Ordering::SeqCst) {
            self.complain(format!("while nothing was wrong: {what}"));
        }
    }

    pub(super) fn complain(&self, what: String) {
        self.said().complaints.push(what);
    }

    pub(super) fn acknowledge(&self, revision: i64, mut wishes: Vec<Wish>) {
        let mut said = self.said();
        said.highest = said.highest.max(revision);
        wishes.sort_unstable();
        let text = format!("{wishes:?}");
        if let Some(other) = said.acknowledged.insert(revision, wishes) {
            let complaint = format!("revision {revision} was given to {other:?} and to {text}");
            said.complaints.push(complaint);
        }
    }

    pub(super) fn unanswered(&self, mut wishes: Vec<Wish>) {
        wishes.sort_unstable();
        self.said().unanswered.push(wishes);
    }

    pub(super) fn read(&self, revision: i64, key: &str, held: Option<Held>) {
        let mut said = self.said();
        said.highest = said.highest.max(revision);
        said.reads.push(Read {
            revision,
            key: key.to_owned(),
            held,
        });
    }

    pub(super) fn lease(&self, id: i64, lease: Lease) {
        self.said().leases.insert(id, lease);
    }
}

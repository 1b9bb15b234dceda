//! One line about one session: a lease, its owner, and its entries.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use leasehold_lock::LeaseId;
use leasehold_records::UnixMs;

use super::entry_owner::EntryOwner;
use super::lease::LeaseTtl;
use super::lock::ObservedLock;
use super::queue_entry::QueueEntry;
use super::store_item::LiveHost;
use super::store_model::{Model, ShownMoment};

/// A lease and its entries.
#[derive(Clone, Debug)]
pub(crate) struct SessionRow {
    pub(crate) lease: LeaseId,
    /// The host whose record it carries, if any.
    pub(crate) host: Option<Arc<LiveHost>>,
    /// Owner of its entries, if it carries no record of a host.
    pub(crate) whose: String,
    /// Labels and entries of the locks that it holds.
    pub(crate) holds: Vec<(Arc<str>, Arc<QueueEntry>)>,
    /// Labels, entries and places of the locks that it waits for.
    pub(crate) waits: Vec<(Arc<str>, Arc<QueueEntry>, usize)>,
    pub(crate) ttl: Option<LeaseTtl>,
}

/// A session in short: enough to sort many of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SessionBrief {
    pub(crate) lease: LeaseId,
    pub(crate) holds: usize,
    pub(crate) waits: usize,
    /// It carries no record of a host.
    is_client: bool,
    /// Number of its name among all names.
    whose: usize,
}

impl Model {
    /// Every lease with entries or a host record at the shown moment: hosts first, then others, by name.
    pub(crate) fn sessions(&self, shown: ShownMoment<'_>) -> Vec<SessionRow> {
        let mut rows = SessionRows::new(self, shown);
        for lock in shown.state.locks.values() {
            rows.add(lock, |_| true);
        }
        rows.in_order()
    }

    /// Like [`Model::sessions`], for these leases alone: a screen shows few of many.
    pub(crate) fn sessions_of(
        &self,
        shown: ShownMoment<'_>,
        leases: &[LeaseId],
    ) -> Vec<SessionRow> {
        let mut rows = SessionRows::new(self, shown);
        rows.by_lease.retain(|lease, _| leases.contains(lease));
        for lease in leases {
            let mut last = None;
            for name in shown.state.lease_locks.locks_of(*lease) {
                if last.replace(name) != Some(name)
                    && let Some(lock) = shown.state.locks.get(name)
                {
                    rows.add(lock, |other| other == *lease);
                }
            }
        }
        rows.in_order()
    }

    /// All sessions in short, in the order of [`Model::sessions`].
    pub(crate) fn session_briefs(shown: ShownMoment<'_>) -> Vec<SessionBrief> {
        let mut briefs: Vec<SessionBrief> = Vec::new();
        let mut names = Names::default();
        let mut places: HashMap<LeaseId, usize> = HashMap::new();
        let mut place = |briefs: &mut Vec<SessionBrief>, lease, is_client, whose| {
            *places.entry(lease).or_insert_with(|| {
                briefs.push(SessionBrief {
                    lease,
                    holds: 0,
                    waits: 0,
                    is_client,
                    whose,
                });
                briefs.len() - 1
            })
        };
        for host in shown.state.hosts.values() {
            let name = names.number(Cow::Borrowed(&host.record.host));
            place(&mut briefs, host.lease, false, name);
        }
        for lock in shown.state.locks.values() {
            for (role, entry) in lock.queue.roles() {
                if entry.lease.is_none() {
                    continue;
                }
                let name = names.number(whose(&entry.who));
                let place = place(&mut briefs, entry.lease, true, name);
                if let Some(brief) = briefs.get_mut(place) {
                    if role.is_holder() {
                        brief.holds += 1;
                    } else {
                        brief.waits += 1;
                    }
                }
            }
        }
        let ranks = names.ranks();
        let rank = |brief: &SessionBrief| ranks.get(brief.whose).copied();
        briefs.sort_unstable_by_key(|brief| (brief.is_client, rank(brief), brief.lease));
        briefs
    }
}

/// Names, numbered in the order of their first use: many sessions have few names, and comparing numbers is faster.
#[derive(Default)]
struct Names<'a>(HashMap<Cow<'a, str>, usize>);

impl<'a> Names<'a> {
    fn number(&mut self, name: Cow<'a, str>) -> usize {
        let next = self.0.len();
        *self.0.entry(name).or_insert(next)
    }

    /// Rank of each number in the order of the names.
    fn ranks(self) -> Vec<usize> {
        let mut names: Vec<(Cow<'a, str>, usize)> = self.0.into_iter().collect();
        names.sort_unstable();
        let mut ranks = vec![0; names.len()];
        for (rank, (_, number)) in names.into_iter().enumerate() {
            if let Some(place) = ranks.get_mut(number) {
                *place = rank;
            }
        }
        ranks
    }
}

/// Name of the owner of an entry: its host, or the client.
fn whose(who: &EntryOwner) -> Cow<'_, str> {
    match who.host() {
        Some(host) => Cow::Borrowed(host),
        None => Cow::Owned(who.label()),
    }
}

/// Builder of session rows.
struct SessionRows<'a> {
    model: &'a Model,
    now: UnixMs,
    by_lease: BTreeMap<LeaseId, SessionRow>,
}

impl<'a> SessionRows<'a> {
    /// Starts with the sessions of hosts, which have no entries yet.
    fn new(model: &'a Model, shown: ShownMoment<'_>) -> Self {
        let mut rows = Self {
            model,
            now: shown.now,
            by_lease: BTreeMap::new(),
        };
        for host in shown.state.hosts.values() {
            let row = rows.row(host.lease);
            row.whose.clone_from(&host.record.host);
            row.host = Some(host.clone());
        }
        rows
    }

    fn row(&mut self, lease: LeaseId) -> &mut SessionRow {
        let (leases, now) = (&self.model.leases, self.now);
        self.by_lease.entry(lease).or_insert_with(|| SessionRow {
            lease,
            host: None,
            whose: String::new(),
            holds: Vec::new(),
            waits: Vec::new(),
            ttl: leases.ttl(lease, now),
        })
    }

    /// Adds the entries of this lock under `wanted` leases.
    fn add(&mut self, lock: &ObservedLock, wanted: impl Fn(LeaseId) -> bool) {
        for (role, entry) in lock.queue.roles() {
            if entry.lease.is_none() || !wanted(entry.lease) {
                continue;
            }
            let row = self.row(entry.lease);
            if row.whose.is_empty() {
                row.whose = whose(&entry.who).into_owned();
            }
            if role.is_holder() {
                row.holds.push((lock.label.clone(), entry.clone()));
            } else {
                row.waits
                    .push((lock.label.clone(), entry.clone(), role.place()));
            }
        }
    }

    fn in_order(self) -> Vec<SessionRow> {
        let mut rows: Vec<SessionRow> = self.by_lease.into_values().collect();
        rows.sort_by_cached_key(|row| (row.host.is_none(), row.whose.clone(), row.lease));
        rows
    }
}

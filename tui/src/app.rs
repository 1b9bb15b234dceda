//! The program behind the screen: what is looked at, what is typed, and what a key does.
//!
//! Pure: it is given inputs and moments, changes itself, and says what should be done outside
//! ([`AppEffect`]). It never draws, and it never asks the store for anything by itself.

mod admin_order;
mod hit_areas;
mod list;
mod overlay;
mod overlay_keys;
mod queue_tree;
mod rows;
mod sort;
mod time_travel;
mod update;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use leasehold_records::Deed;

pub(crate) use admin_order::AdminOrder;
pub(crate) use hit_areas::HitAreas;
pub(crate) use list::{RowKey, RowList};
pub(crate) use overlay::matches;
pub(crate) use overlay::{OpenOverlay, TextInput};
pub(crate) use queue_tree::{QueueBranch, tree};
pub(crate) use rows::StateCounts;
pub(crate) use sort::SortOrder;
pub(crate) use update::AppInput;

use crate::fact::Fact;
use crate::filter::Filter;
use crate::keymap::Keymap;
use crate::model::{EntryOwner, Model, ShownMoment};
use crate::theme::Theme;

/// What the screen can be about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, clap::ValueEnum)]
pub enum View {
    /// Every lock in a line.
    Locks,
    /// The queue of one lock, and who blocks whom.
    Queue,
    /// Leases, and what goes when they go.
    Sessions,
    /// Jobs, their runs and their output.
    Jobs,
    /// What happened.
    Events,
    /// Locks over time.
    Heatmap,
}

impl View {
    pub(crate) const ALL: [Self; 6] = [
        Self::Locks,
        Self::Queue,
        Self::Sessions,
        Self::Jobs,
        Self::Events,
        Self::Heatmap,
    ];

    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Locks => "Locks",
            Self::Queue => "Queue",
            Self::Sessions => "Sessions",
            Self::Jobs => "Jobs",
            Self::Events => "Events",
            Self::Heatmap => "Heatmap",
        }
    }

    const fn at(self) -> usize {
        self as usize
    }
}

/// What should be done outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AppEffect {
    Quit,
    Suspend,
    /// Put this into the terminal's clipboard.
    Copy(String),
    /// Take the mouse, or leave it to the terminal.
    Mouse(bool),
    /// Do this to somebody's entry or lease.
    Order(AdminOrder),
}

/// A line for whoever has just done something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StatusNote {
    pub(crate) text: String,
    pub(crate) is_bad: bool,
    /// When it was said, in Unix milliseconds.
    pub(crate) at: u64,
}

/// Where the facts come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FactSource {
    /// From a store at this address.
    Store(String),
    /// From this recording; its last moment, in Unix milliseconds, is its present.
    Recording { file: String, ended: u64 },
}

/// What decides how it looks and what it may do; fixed while it runs but for theme and mouse.
#[derive(Debug)]
pub(crate) struct AppSetup {
    pub(crate) keymap: Keymap,
    pub(crate) theme: Theme,
    /// Looks up what the environment says of the terminal.
    pub(crate) env: fn(&str) -> Option<String>,
    pub(crate) mouse: bool,
    /// Whether anything may be changed in the store.
    pub(crate) allow_write: bool,
    pub(crate) source: FactSource,
    /// Who would be named for a deed, as user@machine.
    pub(crate) operator: String,
}

/// The program.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) model: Model,
    pub(crate) setup: AppSetup,
    pub(crate) view: View,
    /// The views that one came through, for the way back.
    trail: Vec<View>,
    lists: [RowList; View::ALL.len()],
    sorts: [SortOrder; View::ALL.len()],
    pub(crate) filter: Filter,
    /// What covers the view.
    pub(crate) overlay: Option<OpenOverlay>,
    /// The lock that the Queue view is about, by its full name.
    pub(crate) lock: Option<Arc<str>>,
    /// Whether the selected lock is kept in sight wherever it goes.
    pub(crate) follow: bool,
    pub(crate) note: Option<StatusNote>,
    /// Until when rows keep their places, because somebody moves among them.
    hold_until: u64,
    /// What the rows were made from.
    stamp: rows::RowsFingerprint,
    /// When they were, in Unix milliseconds.
    refreshed: u64,
    counts: StateCounts,
    /// Where things were drawn, for the mouse; whoever draws says so.
    pub(crate) spots: HitAreas,
    /// Whether a recording plays, and since when at which moment.
    pub(crate) playing: Option<(u64, u64)>,
}

impl App {
    pub(crate) fn new(model: Model, setup: AppSetup) -> Self {
        Self {
            model,
            setup,
            view: View::Locks,
            trail: Vec::new(),
            lists: Default::default(),
            sorts: SortOrder::defaults(),
            filter: Filter::default(),
            overlay: None,
            lock: None,
            follow: false,
            note: None,
            hold_until: 0,
            stamp: rows::RowsFingerprint::default(),
            refreshed: 0,
            counts: StateCounts::default(),
            spots: HitAreas::default(),
            playing: None,
        }
    }

    /// The present: of a recording, its last moment.
    pub(crate) fn present(&self, now: u64) -> u64 {
        match &self.setup.source {
            FactSource::Store(_) => now,
            FactSource::Recording { ended, .. } => *ended,
        }
    }

    /// What is shown.
    pub(crate) fn shown(&self, now: u64) -> ShownMoment<'_> {
        self.model.shown(self.present(now))
    }

    /// The list of the view that is looked at.
    pub(crate) fn list(&self) -> &RowList {
        &self.lists[self.view.at()]
    }

    pub(crate) fn list_mut(&mut self) -> &mut RowList {
        &mut self.lists[self.view.at()]
    }

    pub(crate) fn sort(&self) -> SortOrder {
        self.sorts[self.view.at()]
    }

    /// The lock that the selected row is about, by its full name.
    pub(crate) fn selected_lock(&self, now: u64) -> Option<Arc<str>> {
        match self.list().selected()? {
            RowKey::Lock(lock) | RowKey::Entry(lock, _) => Some(lock.clone()),
            RowKey::Job(job, host) => {
                let mut jobs = self.shown(now).world.jobs.values();
                let job = jobs.find(|record| record.job == *job && record.host == *host)?;
                Some(self.model.scope.root().lock(&job.lock).into())
            }
            RowKey::Session(_) | RowKey::Event(_) => None,
        }
    }

    /// The job that the selected row is about, and its host: itself, or whoever is selected in a queue.
    pub(crate) fn job(&self, now: u64) -> Option<(String, String)> {
        if let Some(RowKey::Job(job, host)) = self.list().selected() {
            return Some((job.clone(), host.clone()));
        }
        let lock = self.selected_lock(now)?;
        let queue = &self.shown(now).world.locks.get(&lock)?.queue;
        let entry = match self.list().selected() {
            Some(RowKey::Entry(_, key)) => queue.iter().find(|entry| entry.key == *key)?,
            _ => queue.first()?,
        };
        match &entry.who {
            EntryOwner::Job { job, host } => Some((job.to_string(), host.to_string())),
            _ => None,
        }
    }

    /// Takes a fact in.
    pub(crate) fn take(&mut self, fact: Fact) {
        if let crate::fact::FactKind::Answer(answer) = &fact.told {
            let (text, is_bad) = match answer {
                Ok(text) => (text.clone(), false),
                Err(text) => (text.clone(), true),
            };
            self.note = Some(StatusNote {
                text,
                is_bad,
                at: fact.at,
            });
        }
        self.model.take(fact);
    }

    fn say(&mut self, now: u64, text: impl Into<String>) {
        self.note = Some(StatusNote {
            text: text.into(),
            is_bad: false,
            at: now,
        });
    }

    /// Says that something is not as it should be.
    pub(crate) fn complain(&mut self, now: u64, text: impl Into<String>) {
        self.note = Some(StatusNote {
            text: text.into(),
            is_bad: true,
            at: now,
        });
    }

    /// The leases that should be asked about: those on the screen, and holders whose time runs out.
    pub(crate) fn wanted(&self, now: u64) -> Vec<i64> {
        rows::wanted(self, now)
    }

    /// What can be done to the selected row, if anything.
    pub(crate) fn order(&self, deed: Deed, now: u64) -> Result<AdminOrder, String> {
        admin_order::order(self, deed, now)
    }
}

//! The Queue view: holder and waiters of a lock, in order, and below each waiter the queues of the locks that it
//! holds.
//!
//! ```text
//! | billing/invoice-07  CONTEND  held 4m12s by inv@host-3  17 wait, the first 3m58s          |
//! | +-- Queue: billing/invoice-07, in the order of create revisions ------- 1-20 of 21 --+  |
//! | | PLACE            TOKEN   WHO         FOR   LEASE      TTL            ALSO           |  |
//! | | HOLD           1204311   inv@host-3  4m12s 694d…3c07  ######..  22s                 |  |
//! | |  +- #2         1204355   led@host-1  3m41s …          HOLDS billing/ledger <-- blocks 4 |
//! | |  |  +- HOLD    1204301   led@host-1  3m50s …          the queue of billing/ledger   |  |
//! | +-------------------------------------------------------------------------------------+ |
//! | blast radius: 21 waiters, 2 locks; cycle: none                                          |
//! ```

use std::collections::HashMap;
use std::sync::Arc;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};

use leasehold_records::UnixMs;

use super::layout::{inside, window};
use super::line_parts::LineParts;
use super::paint;
use super::scene::ViewScene;
use super::table::{FittedTable, TableCell};
use super::{cells, empty, pane, queue_pane};
use crate::app::{App, QueueBranch, RowKey, build_queue_tree};
use crate::columns::{ColumnSpec, ColumnWidth};
use crate::model::ObservedLock;
use crate::text;

/// A column about an entry of a queue.
#[derive(Clone, Copy, PartialEq, Eq)]
enum EntryColumn {
    Place,
    Token,
    Owner,
    Since,
    Lease,
    Ttl,
    Also,
}

const ENTRY_COLUMNS: [ColumnSpec<EntryColumn>; 7] = {
    use ColumnWidth as Width;
    [
        ColumnSpec::new(EntryColumn::Place, "PLACE").on_screen(Width::text(12, 18, 0)),
        ColumnSpec::new(EntryColumn::Token, "TOKEN").on_screen(Width::number(7, 12, 1)),
        ColumnSpec::new(EntryColumn::Owner, "WHO").on_screen(Width::text(14, 36, 0)),
        ColumnSpec::new(EntryColumn::Since, "FOR").on_screen(Width::number(6, 8, 0)),
        ColumnSpec::new(EntryColumn::Lease, "LEASE").on_screen(Width::text(9, 9, 3)),
        ColumnSpec::new(EntryColumn::Ttl, "TTL").on_screen(Width::bar(6, 17, 2)),
        ColumnSpec::new(EntryColumn::Also, "ALSO").on_screen(Width::text(24, 400, 0)),
    ]
};

pub(super) fn render(frame: &mut Frame<'_>, area: Rect, app: &mut App, now: UnixMs) {
    let [about, list, below] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Min(0),
        Constraint::Length(1),
    ])
    .areas(area);
    let inner = inside(list);
    let (rows, range) = window(app, inner, 1);
    let scene = ViewScene::new(app, now);
    let lock = app
        .lock
        .as_ref()
        .and_then(|name| scene.shown.state.locks.get(name));
    if let Some(lock) = lock {
        let pieces = about_lock(&scene, lock).fit(about.width.into());
        paint::line(frame.buffer_mut(), about, 0, &pieces);
        let pieces = queue_pane::blast(&scene, &lock.name);
        paint::line(frame.buffer_mut(), below, 0, &pieces);
    }
    let name = lock.map_or("none", |lock| &*lock.label);
    let title = format!("Queue: {name}, by create revision{}", pane::notes(&scene));
    pane::list(frame, list, &scene, &title, &pane::place(app.list()));
    let table = FittedTable::new(&ENTRY_COLUMNS, inner.width);
    table.head(frame.buffer_mut(), inner, None, scene.theme.header);
    let visible = app.list().rows().get(range.clone()).unwrap_or_default();
    let branches = branches(&scene, visible);
    for (at, key) in visible.iter().enumerate() {
        let Some(branch) = branches.get(key) else {
            continue;
        };
        let line = paint::row(rows, u16::try_from(at).unwrap_or(u16::MAX));
        let cell = |column, width| cell_of(&scene, branch, column, width);
        let is_selected = app.list().position() == Some(range.start + at);
        table.row(frame.buffer_mut(), line, cell, is_selected, scene.theme);
    }
    empty::render(frame, rows, &scene);
}

/// Branches of the tree that are on the screen.
fn branches<'a>(scene: &ViewScene<'_>, visible: &'a [RowKey]) -> HashMap<&'a RowKey, QueueBranch> {
    let mut wanted: HashMap<(&Arc<str>, &Arc<str>), &RowKey> = HashMap::new();
    for key in visible {
        if let RowKey::Entry(lock, entry) = key {
            wanted.insert((lock, entry), key);
        }
    }
    let Some(lock) = &scene.app.lock else {
        return HashMap::new();
    };
    build_queue_tree(scene.shown.state, lock)
        .into_iter()
        .filter_map(|branch| {
            let key = wanted.get(&(&branch.lock, &branch.entry.key))?;
            Some((*key, branch))
        })
        .collect()
}

/// A line about the lock itself.
fn about_lock(scene: &ViewScene<'_>, lock: &ObservedLock) -> LineParts {
    let theme = scene.theme;
    let row = scene.app.model.row(scene.shown, lock);
    let mut parts = LineParts::default();
    parts.add(0, format!(" {}", paint::cut(row.label, 40)), theme.title);
    parts.add(0, row.state.word(), cells::state_style(theme, row.state));
    if let Some(holder) = &row.holder {
        let held = row
            .held()
            .map_or_else(String::new, |held| format!(" for {}", text::age(held)));
        let holder = paint::cut(&holder.who.label(), 40);
        parts.add(1, format!("held by {holder}{held}"), theme.text);
    }
    if let Some(was) = &row.was {
        let was = paint::cut(&was.who.label(), 40);
        parts.add(2, format!("taken over from {was}"), theme.takeover);
    }
    match (row.waiters, row.oldest()) {
        (0, _) => parts.add(3, "no waiters", theme.dim),
        (waiters, Some(oldest)) => {
            let text = format!("{waiters} wait, the first for {}", text::age(oldest));
            parts.add(1, text, theme.contend);
        }
        (waiters, None) => parts.add(1, format!("{waiters} wait"), theme.contend),
    }
    parts
}

fn cell_of(
    scene: &ViewScene<'_>,
    branch: &QueueBranch,
    column: EntryColumn,
    width: usize,
) -> TableCell {
    let theme = scene.theme;
    let entry = &branch.entry;
    let lock = scene.shown.state.locks.get(&branch.lock);
    match column {
        EntryColumn::Place => {
            let style = if branch.role.is_holder() {
                theme.good
            } else {
                theme.contend
            };
            (place(branch), style)
        }
        EntryColumn::Token => (entry.create_revision.to_string(), theme.dim),
        EntryColumn::Owner => (entry.who.label(), theme.text),
        EntryColumn::Since => {
            let since = if branch.role.is_holder() {
                lock.and_then(|lock| scene.app.model.row(scene.shown, lock).held())
            } else {
                entry.since_unix_ms.map(|since| scene.ago(since))
            };
            (cells::span(since), theme.text)
        }
        EntryColumn::Lease if entry.lease.is_none() => ("none".to_owned(), theme.dim),
        EntryColumn::Lease => (text::hex_short(entry.lease), theme.dim),
        EntryColumn::Ttl => {
            let ttl = scene.app.model.leases.ttl(entry.lease, scene.shown.now);
            cells::ttl(theme, entry.lease, ttl, width)
        }
        EntryColumn::Also => also(scene, branch, lock, width),
    }
}

/// Place in the tree: `HOLD`, ` +- #2`, ` |  +- #1`.
fn place(branch: &QueueBranch) -> String {
    let at = if branch.role.is_holder() {
        "HOLD".to_owned()
    } else {
        format!("#{}", branch.role.place())
    };
    if branch.depth == 0 && branch.role.is_holder() {
        return at;
    }
    // Waiters are one level further in than the holder.
    let depth = branch.depth + usize::from(branch.depth > 0 && !branch.role.is_holder());
    format!(" {}+- {at}", "|  ".repeat(depth.min(8)))
}

/// Further text: the lock of a branch, and the locks that a waiter holds.
fn also(
    scene: &ViewScene<'_>,
    branch: &QueueBranch,
    lock: Option<&ObservedLock>,
    room: usize,
) -> TableCell {
    let theme = scene.theme;
    let Some(lock) = lock else {
        return (String::new(), theme.text);
    };
    if branch.depth > 0 && branch.role.is_holder() {
        return (format!("the queue of {}", lock.label), theme.title);
    }
    match queue_pane::also(scene, lock, branch.role, &branch.entry, room) {
        Some(also) => (also, theme.warn),
        None if branch.role.is_holder() && branch.entry.who.host().is_none() => {
            ("not one of our jobs".to_owned(), theme.dim)
        }
        None => (String::new(), theme.text),
    }
}

//! The queue of the selected lock, below the Locks view: its first entries, and the clients that its holder blocks.
//!
//! ```text
//! | HOLD 1204311 inv@host-3                        4m12s   22s  |
//! | #1   1204340 inv@host-1                        3m58s        |
//! | #2   1204355 led@host-1  HOLDS billing/ledger  3m41s        |
//! | + 14 more                                                   |
//! | blast radius: 21 waiters, 2 locks; cycle: none              |
//! ```

use std::fmt::Write as _;
use std::sync::Arc;

use ratatui::Frame;
use ratatui::layout::Rect;

use super::paint::{self, TextPage, TextPiece};
use super::scene::ViewScene;
use super::{cells, pane};
use crate::model::{ObservedLock, QueueEntry, QueueRole, blocked_by, locks_kept_by};
use crate::text;

/// Entries in the one-line form.
const NAMED: usize = 8;

/// Draws the pane.
pub(super) fn render(
    frame: &mut Frame<'_>,
    area: Rect,
    scene: &ViewScene<'_>,
    lock: Option<&ObservedLock>,
) {
    let title = lock.map_or_else(
        || "Queue".to_owned(),
        |lock| format!("Queue: {}", lock.label),
    );
    let inner = pane::frame(frame, area, scene, &title);
    let mut page = TextPage::new(frame.buffer_mut(), inner);
    let Some(lock) = lock else {
        page.text(" no lock is selected", scene.theme.dim);
        return;
    };
    if lock.queue.is_empty() {
        page.text(" free: no holder, no waiters", scene.theme.dim);
        return;
    }
    let room = page.left().saturating_sub(1);
    let shown = if lock.queue.len() > room {
        room.saturating_sub(1)
    } else {
        lock.queue.len()
    };
    for (role, entry) in lock.queue.roles().take(shown) {
        let pieces = entry_line(scene, lock, role, entry, page.width());
        page.line(&pieces);
    }
    if shown < lock.queue.len() {
        let more = text::count((lock.queue.len() - shown) as u64);
        page.text(&format!(" + {more} more"), scene.theme.dim);
    }
    page.line(&blast(scene, &lock.name));
}

/// Draws the queue in one line, for screens without room for the pane.
pub(super) fn line(frame: &mut Frame<'_>, area: Rect, scene: &ViewScene<'_>) {
    let theme = scene.theme;
    let Some(lock) = scene.lock() else {
        return;
    };
    let label = paint::cut(&lock.label, usize::from(area.width) / 4);
    let mut queue = String::new();
    if lock.queue.is_empty() {
        queue.push_str("free");
    }
    for (role, entry) in lock.queue.roles().take(NAMED) {
        let who = entry.who.label();
        let between = if role.is_holder() { "HOLD " } else { " <- " };
        let _ = write!(queue, "{between}{who}");
        if let Some(since) = entry.since_unix_ms.filter(|_| !role.is_holder()) {
            let _ = write!(queue, " {}", text::age(scene.ago(since)));
        }
    }
    if lock.queue.len() > NAMED {
        let _ = write!(queue, "  + {} more", lock.queue.len() - NAMED);
    }
    let pieces = [
        TextPiece::new(format!(" {label}: "), theme.title),
        TextPiece::new(queue, theme.text),
    ];
    paint::line(frame.buffer_mut(), area, 0, &pieces);
}

fn entry_line(
    scene: &ViewScene<'_>,
    lock: &ObservedLock,
    role: QueueRole,
    entry: &QueueEntry,
    width: usize,
) -> Vec<TextPiece> {
    let theme = scene.theme;
    let (mark, since) = if role.is_holder() {
        let row = scene.app.model.row(scene.shown, lock);
        ("HOLD".to_owned(), row.held())
    } else {
        (
            format!("#{}", role.place()),
            entry.since_unix_ms.map(|since| scene.ago(since)),
        )
    };
    let ttl = scene.app.model.leases.ttl(entry.lease, scene.shown.now);
    let (ttl, ttl_style) = cells::ttl(theme, entry.lease, ttl, 6);
    let style = if role.is_holder() {
        theme.good
    } else {
        theme.contend
    };
    // ` HOLD ` and the token, then at the right the age and the lease.
    let fixed = 1 + 5 + 1 + 8 + 1 + 1 + 6 + 1 + 6;
    let room = width.saturating_sub(fixed);
    let who = entry.who.label();
    let also = also(
        scene,
        lock,
        role,
        entry,
        room.saturating_sub(text::width(&who) + 2),
    );
    let room_for_who = room.saturating_sub(also.as_ref().map_or(0, |also| text::width(also) + 2));
    let who = paint::cut(&who, room_for_who.max(room / 2));
    let mut pieces = vec![
        TextPiece::new(format!(" {} ", text::fit(&mark, 5)), style),
        TextPiece::new(
            format!("{} ", text::fit(&entry.create_revision.to_string(), 8)),
            theme.dim,
        ),
        TextPiece::new(who.clone(), theme.text),
    ];
    let used = text::width(&who);
    let rest = room.saturating_sub(used);
    let also = also.map_or_else(String::new, |also| format!("  {also}"));
    pieces.push(TextPiece::new(text::fit(&also, rest), theme.warn));
    pieces.push(TextPiece::new(
        format!(" {}", text::fit_right(&cells::span(since), 6)),
        theme.text,
    ));
    pieces.push(TextPiece::new(format!(" {ttl}"), ttl_style));
    pieces
}

/// Further text about a waiter: the entry of its own job that it waits behind, or the other locks that it holds.
pub(super) fn also(
    scene: &ViewScene<'_>,
    lock: &ObservedLock,
    role: QueueRole,
    entry: &QueueEntry,
    room: usize,
) -> Option<String> {
    if role.is_holder() {
        return None;
    }
    behind_own(scene, lock, entry, room).or_else(|| also_holds(scene, lock, entry, room))
}

/// The entry of an earlier session that the waiter's own job left before it, and the time until its lease runs out.
fn behind_own(
    scene: &ViewScene<'_>,
    lock: &ObservedLock,
    entry: &QueueEntry,
    room: usize,
) -> Option<String> {
    let before = lock.queue.predecessor(entry)?;
    let ttl = scene.app.model.leases.ttl(before.lease, scene.shown.now);
    let left = ttl.map_or_else(String::new, |ttl| {
        format!(", {} left", text::age(ttl.left_ms))
    });
    let full = format!("behind its own expiring entry{left}");
    if text::width(&full) <= room {
        return Some(full);
    }
    Some(format!("its old entry{left}"))
}

/// Other locks that a waiter holds, and the number of their waiters; without a name where that does not fit.
fn also_holds(
    scene: &ViewScene<'_>,
    lock: &ObservedLock,
    entry: &QueueEntry,
    room: usize,
) -> Option<String> {
    let held = locks_kept_by(scene.shown.state, entry);
    let others: Vec<&Arc<str>> = held.filter(|held| **held != lock.name).collect();
    let first = others.first()?;
    let locks = &scene.shown.state.locks;
    let waiters = |name: &Arc<str>| locks.get(name).map_or(0, |lock| lock.waiters().len());
    let blocks: usize = others.iter().map(|name| waiters(name)).sum();
    let more = match others.len() {
        1 => String::new(),
        some => format!(" +{}", some - 1),
    };
    let name = scene.label(first);
    if blocks == 0 {
        return Some(format!("HOLDS {name}{more}"));
    }
    let full = format!("HOLDS {name}{more} <-- blocks {blocks} more");
    if text::width(&full) <= room {
        return Some(full);
    }
    Some(format!("blocks {blocks} more"))
}

/// Clients and locks that the holder of a lock blocks.
pub(super) fn blast(scene: &ViewScene<'_>, lock: &str) -> Vec<TextPiece> {
    let theme = scene.theme;
    let state = scene.shown.state;
    let blocked = blocked_by(state, lock);
    let waiters = text::count(blocked.waiters as u64);
    let locks = text::count(blocked.locks as u64);
    let s = |count: usize| if count == 1 { "" } else { "s" };
    let text = format!(
        " blast radius: {waiters} waiter{}, {locks} lock{}; ",
        s(blocked.waiters),
        s(blocked.locks)
    );
    let mut pieces = vec![TextPiece::new(text, theme.text)];
    if blocked.cycle.is_empty() {
        pieces.push(TextPiece::new("cycle: none", theme.dim));
        return pieces;
    }
    let mut names: Vec<String> = blocked
        .cycle
        .iter()
        .map(|name| scene.label(name).to_string())
        .collect();
    names.extend(names.first().cloned());
    let text = format!("CYCLE, none will ever be free: {}", names.join(" -> "));
    pieces.push(TextPiece::new(text, theme.bad));
    pieces
}

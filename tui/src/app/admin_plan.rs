//! Actions on other clients' entries and leases: planned here from the selected row, carried out by the source.

use std::sync::Arc;

use leasehold_lock::{LeaseId, Revision};
use leasehold_records::UnixMs;

use super::admin_order::{EntryAction, EntryOrder};
use super::app_state::App;
use super::list::RowKey;
use crate::model::{QueueEntry, QueueRole};

/// Plans `deed` on the selected row. The error is the reason why it is not possible.
pub(super) fn plan_order(app: &App, deed: EntryAction, now: UnixMs) -> Result<EntryOrder, String> {
    refuse_writing(app, now)?;
    if deed == EntryAction::RevokeLease
        && let Some(RowKey::Session(lease)) = app.list().selected()
    {
        return revoke_session(app, *lease, now);
    }
    let (lock, label, role, entry) = target(app, deed, now)?;
    let whom = entry.who.label();
    let consequence = match deed {
        EntryAction::StopRun => format!("{whom} loses {label}; what it runs is stopped"),
        EntryAction::RemoveEntry => format!(
            "{whom} loses its place {} in the queue of {label}",
            role.place()
        ),
        EntryAction::RevokeLease if entry.lease.is_none() => {
            return Err(format!("{whom} has no lease: remove the entry instead"));
        }
        EntryAction::RevokeLease => {
            let sessions = app.model.sessions_of(app.shown(now), &[entry.lease]);
            let carried = sessions.iter().find(|row| row.lease == entry.lease);
            let (holds, waits) = carried.map_or((0, 0), |row| (row.holds.len(), row.waits.len()));
            format!("{whom} loses its lease: {holds} held lock(s) and {waits} place(s) in queues")
        }
    };
    Ok(EntryOrder {
        deed,
        lock: lock.to_string(),
        key: entry.key.to_string(),
        create_revision: entry.create_revision,
        lease: entry.lease,
        whom,
        confirm: label.to_string(),
        consequence,
    })
}

/// The error is the reason for which nothing may be changed now.
pub(super) fn refuse_writing(app: &App, now: UnixMs) -> Result<(), String> {
    if !app.setup.allow_write {
        return Err("nothing may be changed from here: start it with --allow-write".into());
    }
    if !app.shown(now).is_live {
        return Err("this is the past: go back to the present first (L)".into());
    }
    Ok(())
}

/// Full name and label of a lock, and the role and entry of a client in its queue.
type Target = (Arc<str>, Arc<str>, QueueRole, Arc<QueueEntry>);

/// Finds the entry of a deed: the selected one, or the holder of the selected lock.
fn target(app: &App, deed: EntryAction, now: UnixMs) -> Result<Target, String> {
    let state = app.shown(now).state;
    let nothing = || "nothing is selected that this could be done to".to_owned();
    let name = app.selected_lock(now).ok_or_else(nothing)?;
    let lock = state.locks.get(&name).ok_or_else(nothing)?;
    let (role, entry) = if let Some(RowKey::Entry(_, key)) = app.list().selected() {
        let found = lock.queue.find(key);
        found.ok_or_else(|| "this entry has been deleted".to_owned())?
    } else {
        // None of several holders may be hit unseen.
        let holders = lock.queue.holders().len();
        if holders > 1 {
            let label = &lock.label;
            return Err(format!("{holders} hold {label}: select one in its queue"));
        }
        let first = lock.queue.roles().next();
        first.ok_or_else(|| format!("{} is free", lock.label))?
    };
    match deed {
        EntryAction::StopRun if !role.is_holder() => Err(format!(
            "{} waits and runs nothing: remove its entry instead",
            entry.who.label()
        )),
        EntryAction::RemoveEntry if role.is_holder() && !entry.lease.is_none() => Err(format!(
            "{} holds the lock: stop its run instead",
            entry.who.label()
        )),
        _ => Ok((lock.name.clone(), lock.label.clone(), role, entry.clone())),
    }
}

fn revoke_session(app: &App, lease: LeaseId, now: UnixMs) -> Result<EntryOrder, String> {
    let sessions = app.model.sessions_of(app.shown(now), &[lease]);
    let row = sessions
        .into_iter()
        .find(|row| row.lease == lease)
        .ok_or_else(|| "this session has ended".to_owned())?;
    let first = row
        .holds
        .first()
        .map(|(_, entry)| entry)
        .or_else(|| row.waits.first().map(|(_, entry, _)| entry));
    let lock = row.holds.first().map(|(lock, _)| lock);
    let lock = lock.or_else(|| row.waits.first().map(|(lock, ..)| lock));
    let full = first.and_then(|entry| entry.key.rsplit_once('/').map(|(lock, _)| lock.to_owned()));
    Ok(EntryOrder {
        deed: EntryAction::RevokeLease,
        lock: full.unwrap_or_default(),
        key: first.map_or_else(String::new, |entry| entry.key.to_string()),
        create_revision: first.map_or(Revision::NONE, |entry| entry.create_revision),
        lease,
        confirm: lock.map_or_else(|| row.whose.clone(), ToString::to_string),
        consequence: format!(
            "{} loses its lease: {} held lock(s) and {} place(s) in queues",
            row.whose,
            row.holds.len(),
            row.waits.len()
        ),
        whom: row.whose,
    })
}

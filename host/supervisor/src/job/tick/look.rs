//! Looking: the state of a tick, read without the lock.

use leasehold_lock::Revision;
use leasehold_records::TickRecord;

use super::decision::{find_doubt, keep_believed, look_at};
use super::owner::filter_by_owner;
use super::request::TickRequest;
use super::store::TickReader;
use crate::job::machine::TickLook;

/// Reads the state of a tick without the lock. An unreadable record counts as open: the claim reads it again.
pub(crate) async fn look(store: &impl TickReader, own: &str, request: TickRequest) -> TickLook {
    let TickRequest {
        tick,
        now,
        settling,
        is_dropped,
        ..
    } = request;
    let Ok(found) = store.read().await else {
        return TickLook::Open;
    };
    let record = match found
        .as_ref()
        .map(|found| TickRecord::from_json(&found.json))
    {
        None => None,
        Some(Ok(record)) => Some(record),
        Some(Err(_)) => return TickLook::Open,
    };
    let record = match filter_by_owner(record, is_dropped) {
        Ok(record) => record,
        Err(lack) => return TickLook::Lacks(lack),
    };
    let revision = found.map_or(Revision::NONE, |found| found.revision);
    let living = store.hosts().await.unwrap_or_default();
    let known = record.as_ref().map(|record| (record, revision));
    if let Some(lack) = find_doubt(known, own, (now, settling), &living) {
        return TickLook::Lacks(lack);
    }
    let record = record.and_then(|record| keep_believed(record, now));
    record.map_or(TickLook::Open, |record| look_at(&record, tick))
}

//! Ticks of a configured job and of a dropped-in job with the same name: the configured job has precedence.
//!
//! Names of dropped-in jobs are in a namespace of their own, unless `names` under [plugins] allows others. That
//! policy is one host's, and the job of the name may run on another. The record of ticks shows the conflict.

use leasehold_records::TickRecord;

use crate::job::lack::RunLack;

/// Returns the record as it counts for a job of this kind.
///
/// # Errors
///
/// A lack, for a dropped-in job whose record belongs to a configured one.
pub(super) fn filter_by_owner(
    record: Option<TickRecord>,
    is_dropped: bool,
) -> Result<Option<TickRecord>, RunLack> {
    match record {
        Some(record) if record.dropped == is_dropped => Ok(Some(record)),
        Some(record) if is_dropped => Err(RunLack::Other(format!(
            "ticks of `{job}` are those of a configured job, the last one on {host}: set another `name` in the \
             manifest of the plugin here, or take `{job}` out of `names` under [plugins]",
            job = record.job,
            host = record.host,
        ))),
        Some(_) | None => Ok(None),
    }
}

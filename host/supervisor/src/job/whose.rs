//! Ticks of a configured job and of a dropped-in one that was let have its name: of the two, the first counts.
//!
//! Names of dropped-in jobs are in a namespace of their own, unless `names` under [plugins] says otherwise. That
//! policy is one host's, and the job of the name may be another's. The record of ticks shows it.

use leasehold_records::TickRecord;

use super::machine::Lack;

/// The record as it counts for a job of this kind.
///
/// # Errors
///
/// For a dropped-in job, the record is of a configured one.
pub(super) fn counting(
    record: Option<TickRecord>,
    is_dropped: bool,
) -> Result<Option<TickRecord>, Lack> {
    match record {
        Some(record) if record.dropped == is_dropped => Ok(Some(record)),
        Some(record) if is_dropped => Err(Lack::Other(format!(
            "ticks of `{job}` are those of a configured job, the last one on {host}: set another `name` in the \
             manifest of the plugin here, or take `{job}` out of `names` under [plugins]",
            job = record.job,
            host = record.host,
        ))),
        Some(_) | None => Ok(None),
    }
}

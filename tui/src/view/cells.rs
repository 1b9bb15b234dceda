//! Cells that several panels share: states, leases that count down, depths of queues, progress.

use leasehold_lock::LeaseId;
use leasehold_records::{JobState, Outcome, Progress};
use ratatui::style::Style;

use super::table::TableCell;
use crate::model::{LeaseTtl, LockState};
use crate::text;
use crate::theme::{HEAT_LEVELS, Theme};

/// Depths of a queue from free to deepest; ASCII, because not every font has blocks of one width.
const RAMP: [char; HEAT_LEVELS] = ['.', ':', '-', '=', '+', '*', '#', '%', '@'];
/// Fewest entries of each step after the first: held, then 1, 2, 3, 5, 8, 13 and 21 waiters. Equal for all locks, so
/// that they can be compared, and so that no step ever changes afterwards.
const STEPS: [u16; HEAT_LEVELS - 1] = [1, 2, 3, 4, 6, 9, 14, 22];
/// Columns of a lease's seconds and marks beside its bar: `~123s!` and a space.
const TTL_TEXT: usize = 7;

/// Step of a depth.
pub(super) fn level(depth: u16) -> usize {
    STEPS.iter().filter(|least| depth >= **least).count()
}

/// Sign of a step.
pub(super) fn sign(level: usize) -> char {
    RAMP[level.min(HEAT_LEVELS - 1)]
}

/// Fewest waiters of a step, from the second on.
pub(super) fn waiting_at(level: usize) -> Option<u16> {
    STEPS.get(level.checked_sub(1)?).map(|entries| entries - 1)
}

/// Depths as a line; unknown depths are blank.
pub(super) fn spark(depths: &[Option<u16>]) -> String {
    let sign = |depth: &Option<u16>| depth.map_or(' ', |depth| sign(level(depth)));
    depths.iter().map(sign).collect()
}

pub(super) const fn state_style(theme: &Theme, state: LockState) -> Style {
    match state {
        LockState::Expiring => theme.expiring,
        LockState::Takeover => theme.takeover,
        LockState::AdminHold => theme.admin,
        LockState::Contend => theme.contend,
        LockState::Held => theme.held,
        LockState::Free => theme.free,
    }
}

pub(super) const fn job_style(theme: &Theme, state: JobState) -> Style {
    match state {
        JobState::Running => theme.good,
        JobState::Waiting => theme.contend,
        JobState::StandingBack => theme.warn,
        JobState::Failed => theme.bad,
        JobState::Sleeping | JobState::Pausing | JobState::Finished => theme.dim,
    }
}

/// Returns true for a state in which an operator's decision is the reason that no run starts.
pub(super) const fn may_be_held(state: JobState) -> bool {
    !matches!(
        state,
        JobState::Running | JobState::Pausing | JobState::Failed
    )
}

pub(super) const fn outcome_style(theme: &Theme, outcome: Outcome) -> Style {
    match outcome {
        Outcome::Running => theme.good,
        Outcome::Done | Outcome::Again | Outcome::Stopped => theme.text,
        Outcome::Retry => theme.warn,
        _ => theme.bad,
    }
}

/// Lease of a holder or waiter, in `width` columns: a bar if there is room, `~` for a time that is counted down here,
/// seconds, and `!` for an overdue renewal.
pub(super) fn ttl(theme: &Theme, lease: LeaseId, ttl: Option<LeaseTtl>, width: usize) -> TableCell {
    let Some(ttl) = ttl else {
        let text = if lease.is_none() { "none " } else { "? " };
        return (text::fit_right(text, width), theme.dim);
    };
    let style = if ttl.is_running_out() {
        theme.expiring
    } else if ttl.is_estimate {
        theme.dim
    } else {
        theme.text
    };
    let text = text::fit_right(&ttl_text(ttl), TTL_TEXT - 1);
    if width < TTL_TEXT + 3 {
        return (text::fit_right(&text, width), style);
    }
    let bar = bar(ttl.left_ms, ttl.granted_ms, width - TTL_TEXT);
    (format!("{bar} {text}"), style)
}

/// `~22s!` or `22s `.
fn ttl_text(ttl: LeaseTtl) -> String {
    let estimate = if ttl.is_estimate { "~" } else { "" };
    let mark = if ttl.is_running_out() { "!" } else { " " };
    format!("{estimate}{}{mark}", seconds(ttl.left_ms))
}

/// Like [`ttl_text`], with the granted time: `~22s/30s!`.
pub(super) fn ttl_of(ttl: Option<LeaseTtl>) -> String {
    ttl.map_or_else(
        || "?".to_owned(),
        |ttl| {
            let estimate = if ttl.is_estimate { "~" } else { "" };
            let mark = if ttl.is_running_out() { "!" } else { "" };
            let (left, granted) = (seconds(ttl.left_ms), seconds(ttl.granted_ms));
            format!("{estimate}{left}/{granted}{mark}")
        },
    )
}

/// Seconds while they are few, then the largest unit.
fn seconds(ms: u64) -> String {
    match ms / 1000 {
        seconds @ 0..1_000 => format!("{seconds}s"),
        seconds @ 1_000..36_000 => format!("{}m", seconds / 60),
        seconds @ 36_000..864_000 => format!("{}h", seconds / 3_600),
        seconds => format!("{}d", (seconds / 86_400).min(9_999)),
    }
}

/// A bar of `width` signs: any rest shows at least one.
pub(super) fn bar(part: u64, whole: u64, width: usize) -> String {
    let full = u128::from(part.min(whole)) * width as u128;
    let full = full.div_ceil(u128::from(whole.max(1)));
    let full = usize::try_from(full).unwrap_or(width).min(width);
    format!("{}{}", "#".repeat(full), ".".repeat(width - full))
}

/// Progress of a run, in `width` columns.
pub(super) fn progress(progress: &Progress, width: usize) -> String {
    let Some(total) = progress.total.filter(|total| *total > 0) else {
        return text::count(progress.done);
    };
    let percent = u128::from(progress.done.min(total)) * 100 / u128::from(total);
    let percent = format!("{percent:>3}%");
    if width < 10 {
        return percent;
    }
    format!("{} {percent}", bar(progress.done, total, width - 5))
}

/// A span, or a dash for an unknown one.
pub(super) fn span(span: Option<u64>) -> String {
    span.map_or_else(|| "-".to_owned(), text::age)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depths_have_steps_that_never_change() {
        let text = spark(&[
            None,
            Some(0),
            Some(1),
            Some(2),
            Some(6),
            Some(22),
            Some(9_999),
        ]);
        assert_eq!(text, " .:-*@@");
        assert_eq!(
            (1..9).filter_map(waiting_at).collect::<Vec<_>>(),
            [0, 1, 2, 3, 5, 8, 13, 21]
        );
    }

    #[test]
    fn ttl_text_marks_estimates_and_overdue_renewals() {
        let lease = |left, granted, is_estimate| LeaseTtl {
            left_ms: left,
            granted_ms: granted,
            is_estimate,
            last_left_ms: left,
        };
        assert_eq!(ttl_text(lease(22_000, 30_000, false)), "22s ");
        assert_eq!(ttl_text(lease(2_900, 30_000, true)), "~2s!");
        assert_eq!(ttl_of(Some(lease(22_000, 30_000, true))), "~22s/30s");
        assert_eq!(ttl_text(lease(9_000_000, 9_000_000, false)), "150m ");
    }

    #[test]
    fn bar_is_empty_only_when_nothing_is_left() {
        assert_eq!(bar(0, 30, 4), "....");
        assert_eq!(bar(1, 30, 4), "#...");
        assert_eq!(bar(30, 30, 4), "####");
        assert_eq!(bar(9, 0, 4), "....");
    }
}

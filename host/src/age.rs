//! Times as ages: an operator at night needs the age, not the date.

use std::time::Duration;

use leasehold_records::UnixMs;

/// Time until a moment, by the reader's clock.
pub(crate) fn until(next: UnixMs, now: UnixMs) -> String {
    let left = next.since(now);
    if left.is_zero() {
        "due".into()
    } else {
        format!("in {}", age(left))
    }
}

/// Prints a time span in its two largest units.
pub(crate) fn age(span: Duration) -> String {
    let seconds = span.as_secs();
    match seconds {
        0 => format!("{}ms", span.as_millis()),
        1..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3600..86400 => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}d{:02}h", seconds / 86400, seconds / 3600 % 24),
    }
}

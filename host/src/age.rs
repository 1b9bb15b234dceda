//! Times as ages: an operator at night needs the age, not the date.

/// Time until a moment, by the reader's clock.
pub(crate) fn until(next: u64, now: u64) -> String {
    match next.checked_sub(now) {
        Some(left) if left > 0 => format!("in {}", age(left)),
        _ => "due".into(),
    }
}

/// Prints a time span in its two largest units.
pub(crate) fn age(millis: u64) -> String {
    let seconds = millis / 1000;
    match seconds {
        0 => format!("{millis}ms"),
        1..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3600..86400 => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}d{:02}h", seconds / 86400, seconds / 3600 % 24),
    }
}

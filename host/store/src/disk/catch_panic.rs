//! Panics of redb become errors: on a file that contradicts itself redb mostly returns an error, and sometimes
//! panics.
//!
//! A damaged file must not end the process that runs jobs. This file must never let a caller continue with a value
//! that was in use during a panic: that value is dropped.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::error::DiskError;
use super::location::DiskLocation;

/// Runs a closure that calls redb; a panic in it becomes an error. `work` owns all values that it may leave broken.
pub(super) fn catch_panic<T>(
    location: &DiskLocation,
    work: impl FnOnce() -> Result<T, DiskError>,
) -> Result<T, DiskError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        Err(DiskError::Corrupt {
            location: location.file(),
            damage: format!("it contradicts itself ({})", message(&*panic)),
        })
    })
}

fn message(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("for an unknown reason")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_reported_as_damage() {
        for work in [
            || -> Result<(), DiskError> { panic!("a length of {}", 7) },
            || -> Result<(), DiskError> { panic!("a length of 7") },
        ] {
            let error = catch_panic(&DiskLocation::Medium, work)
                .unwrap_err()
                .to_string();
            assert!(error.contains("(a length of 7)"), "{error}");
        }
    }
}

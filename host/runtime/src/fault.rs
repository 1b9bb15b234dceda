//! Fault injection for tests: the process aborts when a guest writes a certain text. Absent from release builds.

/// Environment variable of the host that contains the text.
#[cfg(debug_assertions)]
const VARIABLE: &str = "LEASEHOLD_TEST_ABORT_ON";

/// Aborts the process if `line` contains the text.
#[cfg(debug_assertions)]
pub(super) fn abort_on(line: &str) {
    static TEXT: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
    let text = TEXT.get_or_init(|| std::env::var(VARIABLE).ok());
    if text.as_ref().is_some_and(|text| line.contains(text)) {
        std::process::abort();
    }
}

/// Does nothing.
#[cfg(not(debug_assertions))]
pub(super) const fn abort_on(_: &str) {}

//! Versions of what runs guests, for reports of faults.

/// Version of wasmtime in this program.
pub const WASMTIME_VERSION: &str = "48.0.8";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wasmtime_version_is_the_one_in_the_lock_file() {
        let lock = include_str!("../../../Cargo.lock");
        let entry = format!("name = \"wasmtime\"\nversion = \"{WASMTIME_VERSION}\"\n");
        assert!(
            lock.contains(&entry),
            "{WASMTIME_VERSION} is not in Cargo.lock"
        );
    }
}

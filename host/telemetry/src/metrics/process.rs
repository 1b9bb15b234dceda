//! Facts that the system keeps about this process.

use std::fs;

/// Memory in use, in bytes; nothing where the system does not show it.
pub(super) fn resident_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    parse_resident(&status)
}

/// Number of open files, sockets and pipes.
pub(super) fn open_descriptors() -> Option<u64> {
    let open = fs::read_dir("/proc/self/fd").ok()?.count();
    // The directory that is being read is open too.
    u64::try_from(open).ok()?.checked_sub(1)
}

fn parse_resident(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kilobytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resident_memory_is_read_in_bytes() {
        let status = "Name:\tleasehold\nVmRSS:\t    2048 kB\nThreads:\t3\n";
        assert_eq!(parse_resident(status), Some(2 * 1024 * 1024));
        assert_eq!(parse_resident("Name:\tleasehold\n"), None);
        assert!(resident_bytes().is_some_and(|bytes| bytes > 100_000));
        assert!(open_descriptors().is_some_and(|open| open >= 3));
    }
}

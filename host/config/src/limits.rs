//! Limits of one run. Every limit has a default, a config key and a test.
//!
//! This file holds numbers only: the code that enforces a limit defines the effect of reaching it.

use std::time::Duration;

/// Bytes in one mebibyte.
pub const MIB: u64 = 1024 * 1024;
/// Bytes in one kibibyte.
pub const KIB: u64 = 1024;

/// Limits of one run, all of them always present.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Linear memory, summed over all memories of the guest, in bytes.
    ///
    /// One operation on all of it cannot be interrupted, so the stop margin grows with this number.
    pub memory_bytes: u64,
    /// Table elements, summed over all tables.
    pub table_elements: u64,
    /// Core instances, memories and tables, each.
    pub instances: u32,
    /// Guest stack, in bytes.
    pub stack_bytes: u64,
    /// Bytes of a run's standard output, standard error and log text that are held until it ends;
    /// the newest are kept. Their last 16 KiB go into its record. `log_lines_per_second` bounds the
    /// lines passed on meanwhile.
    pub output_bytes: u64,
    /// Lines per second, of output and log together, that are passed on; the rest is counted.
    pub log_lines_per_second: u32,
    /// Bytes that one host call may move between guest and host.
    pub host_call_bytes: u64,
    /// Resource handles open at once.
    pub handles: u32,
    /// Bytes of randomness that one call may ask for.
    pub random_bytes: u64,
    /// Size of one value written through `fenced-kv`, in bytes.
    pub kv_value_bytes: u64,
    /// Size of all keys below the granted prefixes together, in bytes, with 256 for each key.
    pub kv_total_bytes: u64,
    /// Bytes by which one run may make files grow in writable directories.
    pub disk_bytes: u64,
    /// Files, links and directories that one run may make in writable directories.
    pub disk_files: u32,
    /// Files and directories open at once.
    pub open_files: u32,
    /// Size of the body of one request, and of one response, in bytes.
    pub http_body_bytes: u64,
    /// Requests open at once: sent, and neither answered in full nor given up.
    pub http_requests: u32,
    /// Size of the headers of one request, and of one response, in bytes.
    pub http_field_bytes: u64,
    /// Longest time to connect, longest time until the first byte of a response, and longest time
    /// between two of its parts. No request outlasts the run or its tenure.
    pub http_timeout: Duration,
    /// Size of the plugin file, in bytes.
    pub plugin_bytes: u64,
    /// Time to compile the plugin.
    pub compile_time: Duration,
    /// Memory of the process that reads and compiles the plugin, in bytes.
    pub compile_memory_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_bytes: 64 * MIB,
            table_elements: 20_000,
            instances: 32,
            stack_bytes: 512 * KIB,
            output_bytes: MIB,
            log_lines_per_second: 200,
            host_call_bytes: 4 * MIB,
            handles: 1_000,
            random_bytes: 64 * KIB,
            kv_value_bytes: 512 * KIB,
            // etcd's default quota is 2 GiB, for the data of all jobs with its history, and for locks.
            kv_total_bytes: 64 * MIB,
            disk_bytes: 1024 * MIB,
            disk_files: 10_000,
            // Many environments give a process 1,024 descriptors.
            open_files: 128,
            http_body_bytes: 4 * MIB,
            http_requests: 16,
            http_field_bytes: 64 * KIB,
            http_timeout: Duration::from_secs(30),
            plugin_bytes: 64 * MIB,
            // A JavaScript or Python guest takes half a minute of one core, once. On a small
            // machine two may be compiled at the same time, beside other work.
            compile_time: Duration::from_mins(2),
            // The largest guests measured, JavaScript's and Python's, take half of it on two cores.
            compile_memory_bytes: 1024 * MIB,
        }
    }
}

/// Longest part of a host call between two checks of the leash. A list of 80,000 empty pairs, which
/// the limit on the bytes of a call admits, takes about 5 ms; benches/calls measures every kind.
const HOST_CALL: Duration = Duration::from_millis(10);
/// Longest operation on a guest's memory that cannot be interrupted, per MiB: copying text between
/// two parts of a component with different encodings, 1.4 ms. The first touch of a page by a fill
/// takes 0.4 ms.
const PER_MIB: Duration = Duration::from_micros(1_500);
/// Time until a worker that other tasks use too is scheduled.
const SCHEDULING: Duration = Duration::from_millis(20);

/// Interval at which the watchdog advances the epoch while guests run.
pub const EPOCH_TICK: Duration = Duration::from_millis(1);

impl Limits {
    /// Least stop margin that covers the worst stop of a guest with these limits: two ticks, one
    /// admitted host call, one operation on all of its memory, and 20 ms of scheduling.
    pub fn least_stop_margin(&self) -> Duration {
        let memory = PER_MIB * u32::try_from(self.memory_bytes.div_ceil(MIB)).unwrap_or(u32::MAX);
        (EPOCH_TICK * 2 + HOST_CALL + SCHEDULING).saturating_add(memory)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_limits_fit_the_default_stop_margin() {
        assert_eq!(
            Limits::default().least_stop_margin(),
            Duration::from_millis(128)
        );
    }
}

//! Limits of one run: one table with the key, the default, the bounds and the meaning of each.
//!
//! The table is the only list of them. [`Limits`] and its defaults follow from it, and so do the keys that a
//! configuration may set, their checks and their printed values. A new limit is a row here, an explanation in
//! `configs/reference.toml`, and the code that enforces it.
//!
//! This file holds numbers only: the code that enforces a limit defines the effect of reaching it.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

/// Bytes in one mebibyte.
pub const MIB: u64 = 1024 * 1024;
/// Bytes in one kibibyte.
pub const KIB: u64 = 1024;

/// Largest 32-bit memory, less the page that no guest can address.
const MOST_MEMORY: u64 = 4096 * MIB - 64 * KIB;

/// Makes the types and lists that follow from the table. The bounds catch a wrong unit before it makes a job
/// that cannot start, or a host that runs out of memory.
macro_rules! limit_table {
    ($(
        $(#[$doc:meta])*
        $variant:ident {
            key: $key:literal, field: $field:ident: $type:ty, unit: $unit:ident,
            default: $default:expr, bounds: $bounds:expr,
        }
    )+) => {
        /// Limits of one run, all of them always present.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct Limits {
            $($(#[$doc])* pub $field: $type,)+
        }

        impl Default for Limits {
            fn default() -> Self {
                Self { $($field: $default,)+ }
            }
        }

        impl Limits {
            /// Returns the value of one limit.
            pub fn amount(&self, key: LimitKey) -> LimitAmount {
                let number = match key {
                    $(LimitKey::$variant => self.$field.to_number(),)+
                };
                LimitAmount { unit: key.unit(), number }
            }

            /// Sets the value of one limit to a number of its unit.
            pub(crate) fn set(&mut self, key: LimitKey, number: u64) {
                match key {
                    $(LimitKey::$variant => self.$field = LimitNumber::from_number(number),)+
                }
            }
        }

        /// Key of a limit under `[jobs.NAME.limits]`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum LimitKey {
            $($(#[$doc])* $variant,)+
        }

        impl LimitKey {
            /// Number of limits.
            pub const COUNT: usize = Self::ALL.len();
            /// Every key, in the order of the reference.
            pub const ALL: [Self; [$($key),+].len()] = [$(Self::$variant),+];
            /// Every key as text, in the same order.
            pub const NAMES: [&'static str; Self::COUNT] = [$($key),+];

            /// Returns the key as text.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $key,)+
                }
            }

            /// Returns the unit of its values.
            pub const fn unit(self) -> LimitUnit {
                match self {
                    $(Self::$variant => LimitUnit::$unit,)+
                }
            }

            /// Returns the least and the greatest value that a configuration may set.
            pub fn bounds(self) -> (LimitAmount, LimitAmount) {
                match self {
                    $(Self::$variant => {
                        let bounds: RangeInclusive<$type> = $bounds;
                        let amount = |value: &$type| LimitAmount {
                            unit: self.unit(),
                            number: value.to_number(),
                        };
                        (amount(bounds.start()), amount(bounds.end()))
                    })+
                }
            }
        }
    };
}

limit_table! {
    /// Linear memory, summed over all memories of the guest, in bytes.
    ///
    /// One operation on all of it cannot be interrupted, so the stop margin grows with this number.
    Memory {
        key: "memory", field: memory_bytes: u64, unit: Bytes,
        default: 64 * MIB, bounds: 64 * KIB..=MOST_MEMORY,
    }
    /// Table elements, summed over all tables.
    Tables {
        key: "table_elements", field: table_elements: u64, unit: Count,
        default: 20_000, bounds: 1..=10_000_000,
    }
    /// Core instances, memories and tables, each.
    Instances {
        key: "instances", field: instances: u32, unit: Count,
        default: 32, bounds: 1..=1_000,
    }
    /// Guest stack, in bytes.
    Stack {
        key: "stack", field: stack_bytes: u64, unit: Bytes,
        default: 512 * KIB, bounds: 64 * KIB..=8 * MIB,
    }
    /// Bytes of a run's standard output, standard error and log text that are held until it ends;
    /// the newest are kept. `output_kept` bounds the part of them in its record.
    /// `log_lines_per_second` bounds the lines passed on meanwhile.
    Output {
        key: "output", field: output_bytes: u64, unit: Bytes,
        default: MIB, bounds: KIB..=256 * MIB,
    }
    /// Bytes of a run's output that its record keeps: the newest.
    // Records are read together, and count against the store's quota.
    OutputKept {
        key: "output_kept", field: output_kept_bytes: u64, unit: Bytes,
        default: 16 * KIB, bounds: 0..=128 * KIB,
    }
    /// Lines per second, of output and log together, that are passed on; the rest is counted.
    LogRate {
        key: "log_rate", field: log_lines_per_second: u32, unit: Count,
        default: 200, bounds: 1..=1_000_000,
    }
    /// Bytes that one host call may move between guest and host.
    HostCall {
        key: "host_call", field: host_call_bytes: u64, unit: Bytes,
        default: 4 * MIB, bounds: 4 * KIB..=256 * MIB,
    }
    /// Resource handles open at once.
    // Standard streams and clocks alone need a handful.
    Handles {
        key: "handles", field: handles: u32, unit: Count,
        default: 1_000, bounds: 16..=1_000_000,
    }
    /// Bytes of randomness that one call may ask for.
    Random {
        key: "random", field: random_bytes: u64, unit: Bytes,
        default: 64 * KIB, bounds: 64..=16 * MIB,
    }
    /// Size of one value written through `fenced-kv`, in bytes.
    // etcd refuses requests above 1.5 MiB by default, keys and comparisons included.
    KvValue {
        key: "kv_value", field: kv_value_bytes: u64, unit: Bytes,
        default: 512 * KIB, bounds: 1..=MIB,
    }
    /// Size of all keys below the granted prefixes together, in bytes, with 256 for each key.
    // etcd's default quota is 2 GiB, for the data of all jobs with its history, and for locks.
    KvTotal {
        key: "kv_total", field: kv_total_bytes: u64, unit: Bytes,
        default: 64 * MIB, bounds: 4 * KIB..=1024 * MIB,
    }
    /// Bytes by which one run may make files grow in writable directories.
    Disk {
        key: "disk", field: disk_bytes: u64, unit: Bytes,
        default: 1024 * MIB, bounds: 4 * KIB..=1024 * 1024 * MIB,
    }
    /// Files, links and directories that one run may make in writable directories.
    DiskFiles {
        key: "disk_files", field: disk_files: u32, unit: Count,
        default: 10_000, bounds: 1..=10_000_000,
    }
    /// Files and directories open at once.
    // Many environments give a process 1,024 descriptors.
    OpenFiles {
        key: "open_files", field: open_files: u32, unit: Count,
        default: 128, bounds: 1..=100_000,
    }
    /// Size of the body of one request, and of one response, in bytes.
    HttpBody {
        key: "http_body", field: http_body_bytes: u64, unit: Bytes,
        default: 4 * MIB, bounds: KIB..=1024 * MIB,
    }
    /// Requests open at once: sent, and neither answered in full nor given up.
    HttpRequests {
        key: "http_requests", field: http_requests: u32, unit: Count,
        default: 16, bounds: 1..=1_000,
    }
    /// Size of the headers of one request, and of one response, in bytes.
    HttpFields {
        key: "http_fields", field: http_field_bytes: u64, unit: Bytes,
        default: 64 * KIB, bounds: KIB..=MIB,
    }
    /// Longest time to connect, longest time until the first byte of a response, and longest time
    /// between two of its parts. No request outlasts the run or its tenure.
    HttpTimeout {
        key: "http_timeout", field: http_timeout: Duration, unit: Time,
        default: Duration::from_secs(30), bounds: Duration::from_millis(10)..=Duration::from_hours(1),
    }
    /// Size of the plugin file, in bytes.
    PluginSize {
        key: "plugin_size", field: plugin_bytes: u64, unit: Bytes,
        default: 64 * MIB, bounds: KIB..=1024 * MIB,
    }
    /// Time to compile the plugin.
    // A JavaScript or Python guest takes half a minute of one core, once. On a small machine two
    // may be compiled at the same time, beside other work.
    CompileTime {
        key: "compile_time", field: compile_time: Duration, unit: Time,
        default: Duration::from_mins(2), bounds: Duration::from_millis(100)..=Duration::from_mins(10),
    }
    /// Memory of the process that reads and compiles the plugin, in bytes.
    // The largest guests measured, JavaScript's and Python's, take half of the default on two cores.
    // The process itself takes about twenty MiB.
    CompileMemory {
        key: "compile_memory", field: compile_memory_bytes: u64, unit: Bytes,
        default: 1024 * MIB, bounds: 64 * MIB..=64 * 1024 * MIB,
    }
}

impl fmt::Display for LimitKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Unit of a limit's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
pub enum LimitUnit {
    /// Bytes.
    Bytes,
    /// A plain number.
    Count,
    /// A time, in nanoseconds.
    Time,
}

/// Value of a limit with its unit; all values of one key have the same unit. `Display` prints it as a
/// configuration has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
pub struct LimitAmount {
    /// The unit.
    pub unit: LimitUnit,
    /// The number of units.
    pub number: u64,
}

/// A field's type as a number of its unit.
trait LimitNumber: Copy {
    fn to_number(self) -> u64;
    /// A number beyond the type becomes its greatest value; no bound of the table is beyond it.
    fn from_number(number: u64) -> Self;
}

impl LimitNumber for u64 {
    fn to_number(self) -> u64 {
        self
    }

    fn from_number(number: u64) -> Self {
        number
    }
}

impl LimitNumber for u32 {
    fn to_number(self) -> u64 {
        self.into()
    }

    fn from_number(number: u64) -> Self {
        Self::try_from(number).unwrap_or(Self::MAX)
    }
}

impl LimitNumber for Duration {
    fn to_number(self) -> u64 {
        u64::try_from(self.as_nanos()).unwrap_or(u64::MAX)
    }

    fn from_number(number: u64) -> Self {
        Self::from_nanos(number)
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
    /// Returns the smaller value of each limit.
    pub(crate) fn least(&self, other: &Self) -> Self {
        let mut least = self.clone();
        for key in LimitKey::ALL {
            least.set(key, self.amount(key).number.min(other.amount(key).number));
        }
        least
    }

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
    fn every_default_is_within_its_bounds() {
        let defaults = Limits::default();
        let mut set = Limits::default();
        for key in LimitKey::ALL {
            let (least, most) = key.bounds();
            let default = defaults.amount(key);
            assert!(least <= default && default <= most, "{key}");
            set.set(key, most.number);
            assert_eq!(set.amount(key), most, "{key}");
        }
        assert_eq!(defaults.least(&set).memory_bytes, 64 * MIB);
        assert_eq!(set.least(&defaults), defaults);
    }

    #[test]
    fn the_default_limits_fit_the_default_stop_margin() {
        assert_eq!(
            Limits::default().least_stop_margin(),
            Duration::from_millis(128)
        );
    }
}

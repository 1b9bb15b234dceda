//! `limits`, in a job or in the defaults: what one run may use.
//!
//! The defaults are `crate::limits::Limits::default()`; the bounds here keep a slip of a unit from
//! becoming a job that cannot start or a host that cannot live.

use std::time::Duration;

use super::node::Node;
use super::read;
use super::schema;
use super::section::{Said, Section};
use crate::limits::{KIB, Limits, MIB};

/// A 32-bit memory, less the page that no guest can name.
const MOST_MEMORY: u64 = 4096 * MIB - 64 * KIB;

/// Limits as far as they were read.
#[derive(Clone, Debug)]
pub(super) struct SaidLimits {
    /// The values, with defaults where nothing was said or something wrong.
    limits: Limits,
    /// Whether nothing was wrong.
    sound: bool,
    /// What was said about memory, which decides how long a stop may take.
    pub(super) memory: Said<u64>,
}

impl SaidLimits {
    /// What holds when nothing is said.
    pub(super) fn none() -> Self {
        Self {
            limits: Limits::default(),
            sound: true,
            memory: Said::Nothing,
        }
    }

    /// Reads `limits` of the table over what `fallback` says.
    pub(super) fn read(section: &Section<'_>, fallback: &Self) -> Self {
        let name = format!("{}.limits", section.name());
        let table = section.table("limits", name, schema::LIMITS);
        let mut said = fallback.clone();
        said.memory = said.read_sizes(&table).or(&fallback.memory);
        said.read_counts(&table);
        said
    }

    /// Reads the sizes in bytes; returns what is said about memory.
    fn read_sizes(&mut self, table: &Section<'_>) -> Said<u64> {
        let limits = &mut self.limits;
        let mut sound = true;
        let mut bytes = |key, field: &mut u64, least, most| {
            let said = table.take(key, |node| read::size(node, least, most));
            sound &= put(said.clone(), field);
            said
        };
        let memory = bytes("memory", &mut limits.memory_bytes, 64 * KIB, MOST_MEMORY);
        bytes("stack", &mut limits.stack_bytes, 64 * KIB, 8 * MIB);
        bytes("output", &mut limits.output_bytes, KIB, 256 * MIB);
        bytes("host_call", &mut limits.host_call_bytes, 4 * KIB, 256 * MIB);
        bytes("random", &mut limits.random_bytes, 64, 16 * MIB);
        // etcd refuses requests above 1.5 MiB by default, keys and comparisons included.
        bytes("kv_value", &mut limits.kv_value_bytes, 1, MIB);
        bytes("http_body", &mut limits.http_body_bytes, KIB, 1024 * MIB);
        bytes("http_fields", &mut limits.http_field_bytes, KIB, MIB);
        bytes("plugin_size", &mut limits.plugin_bytes, KIB, 1024 * MIB);
        self.sound &= sound;
        memory
    }

    /// Reads the counts and times.
    fn read_counts(&mut self, table: &Section<'_>) {
        let limits = &mut self.limits;
        let count = |least, most| move |node: &Node<'_>| read::integer_u32(node, least, most);
        let elements = table.take("table_elements", |node| read::integer(node, 1, 10_000_000));
        let patience = table.take("http_timeout", |node| {
            read::duration(node, Duration::from_millis(10), Duration::from_hours(1))
        });
        let compile = table.take("compile_time", |node| {
            read::duration(node, Duration::from_millis(100), Duration::from_mins(10))
        });
        self.sound &= put(elements, &mut limits.table_elements)
            & put(compile, &mut limits.compile_time)
            & put(patience, &mut limits.http_timeout)
            & put(table.take("http_requests", count(1, 1_000)), &mut limits.http_requests)
            & put(table.take("instances", count(1, 1_000)), &mut limits.instances)
            & put(
                table.take("log_rate", count(1, 1_000_000)),
                &mut limits.log_lines_per_second,
            )
            // Standard streams and clocks alone need a handful.
            & put(table.take("handles", count(16, 1_000_000)), &mut limits.handles);
    }

    /// The limits; `None` if anything about them was wrong.
    pub(super) fn settle(self) -> Option<Limits> {
        self.sound.then_some(self.limits)
    }
}

/// Puts what was said into its field; `false` if it was wrong.
fn put<T>(said: Said<T>, field: &mut T) -> bool {
    match said {
        Said::Nothing => true,
        Said::Wrong => false,
        Said::This(value) => {
            *field = value.into_inner();
            true
        }
    }
}

//! `limits`, in any table that has them: limits of one run.
//!
//! The defaults are `crate::limits::Limits::default()`. The bounds here catch a wrong unit before
//! it makes a job that cannot start or a host that runs out of memory.

use std::fmt;
use std::ops::Range;
use std::time::Duration;

use super::node::Node;
use super::read;
use super::schema;
use super::section::{Said, Section};
use crate::limits::{KIB, Limits, MIB};

/// Largest 32-bit memory, less the page that no guest can address.
const MOST_MEMORY: u64 = 4096 * MIB - 64 * KIB;

/// Number of limits.
const KEYS: usize = 21;

/// Limits in one table.
#[derive(Clone, Debug)]
pub(super) struct SaidLimits {
    /// Decides the time that a stop may take.
    pub(super) memory: Said<u64>,
    table_elements: Said<u64>,
    instances: Said<u32>,
    stack: Said<u64>,
    output: Said<u64>,
    log_rate: Said<u32>,
    host_call: Said<u64>,
    handles: Said<u32>,
    random: Said<u64>,
    kv_value: Said<u64>,
    kv_total: Said<u64>,
    disk: Said<u64>,
    disk_files: Said<u32>,
    open_files: Said<u32>,
    http_body: Said<u64>,
    http_requests: Said<u32>,
    http_fields: Said<u64>,
    http_timeout: Said<Duration>,
    /// Decides how much of a plugin is read.
    pub(super) plugin_size: Said<u64>,
    compile_time: Said<Duration>,
    compile_memory: Said<u64>,
}

impl SaidLimits {
    /// Reads `limits` of the table.
    pub(super) fn read(section: &Section<'_>) -> Self {
        let table = section.table("limits", section.inner("limits"), schema::LIMITS);
        let size = |key, least, most| table.take(key, |node| read::size(node, least, most));
        let count = |least, most| move |node: &Node<'_>| read::integer_u32(node, least, most);
        Self {
            memory: size("memory", 64 * KIB, MOST_MEMORY),
            table_elements: table.take("table_elements", |node| read::integer(node, 1, 10_000_000)),
            instances: table.take("instances", count(1, 1_000)),
            stack: size("stack", 64 * KIB, 8 * MIB),
            output: size("output", KIB, 256 * MIB),
            log_rate: table.take("log_rate", count(1, 1_000_000)),
            host_call: size("host_call", 4 * KIB, 256 * MIB),
            // Standard streams and clocks alone need a handful.
            handles: table.take("handles", count(16, 1_000_000)),
            random: size("random", 64, 16 * MIB),
            // etcd refuses requests above 1.5 MiB by default, keys and comparisons included.
            kv_value: size("kv_value", 1, MIB),
            kv_total: size("kv_total", 4 * KIB, 1024 * MIB),
            disk: size("disk", 4 * KIB, 1024 * 1024 * MIB),
            disk_files: table.take("disk_files", count(1, 10_000_000)),
            open_files: table.take("open_files", count(1, 100_000)),
            http_body: size("http_body", KIB, 1024 * MIB),
            http_requests: table.take("http_requests", count(1, 1_000)),
            http_fields: size("http_fields", KIB, MIB),
            http_timeout: table.take("http_timeout", |node| {
                read::duration(node, Duration::from_millis(10), Duration::from_hours(1))
            }),
            plugin_size: size("plugin_size", KIB, 1024 * MIB),
            compile_time: table.take("compile_time", |node| {
                read::duration(node, Duration::from_millis(100), Duration::from_mins(10))
            }),
            // The process itself takes about twenty MiB.
            compile_memory: size("compile_memory", 64 * MIB, 64 * 1024 * MIB),
        }
    }

    /// Takes each limit that is absent here from `fallback`.
    pub(super) fn or(self, fallback: &Self) -> Self {
        Self {
            memory: self.memory.or(&fallback.memory),
            table_elements: self.table_elements.or(&fallback.table_elements),
            instances: self.instances.or(&fallback.instances),
            stack: self.stack.or(&fallback.stack),
            output: self.output.or(&fallback.output),
            log_rate: self.log_rate.or(&fallback.log_rate),
            host_call: self.host_call.or(&fallback.host_call),
            handles: self.handles.or(&fallback.handles),
            random: self.random.or(&fallback.random),
            kv_value: self.kv_value.or(&fallback.kv_value),
            kv_total: self.kv_total.or(&fallback.kv_total),
            disk: self.disk.or(&fallback.disk),
            disk_files: self.disk_files.or(&fallback.disk_files),
            open_files: self.open_files.or(&fallback.open_files),
            http_body: self.http_body.or(&fallback.http_body),
            http_requests: self.http_requests.or(&fallback.http_requests),
            http_fields: self.http_fields.or(&fallback.http_fields),
            http_timeout: self.http_timeout.or(&fallback.http_timeout),
            plugin_size: self.plugin_size.or(&fallback.plugin_size),
            compile_time: self.compile_time.or(&fallback.compile_time),
            compile_memory: self.compile_memory.or(&fallback.compile_memory),
        }
    }

    /// Returns each key with its value, if set.
    pub(super) fn said(&self) -> [(&'static str, Option<Told>); KEYS] {
        [
            ("memory", told(&self.memory, Amount::Bytes)),
            ("table_elements", told(&self.table_elements, Amount::Count)),
            (
                "instances",
                told(&self.instances, |n| Amount::Count(n.into())),
            ),
            ("stack", told(&self.stack, Amount::Bytes)),
            ("output", told(&self.output, Amount::Bytes)),
            (
                "log_rate",
                told(&self.log_rate, |n| Amount::Count(n.into())),
            ),
            ("host_call", told(&self.host_call, Amount::Bytes)),
            ("handles", told(&self.handles, |n| Amount::Count(n.into()))),
            ("random", told(&self.random, Amount::Bytes)),
            ("kv_value", told(&self.kv_value, Amount::Bytes)),
            ("kv_total", told(&self.kv_total, Amount::Bytes)),
            ("disk", told(&self.disk, Amount::Bytes)),
            (
                "disk_files",
                told(&self.disk_files, |n| Amount::Count(n.into())),
            ),
            (
                "open_files",
                told(&self.open_files, |n| Amount::Count(n.into())),
            ),
            ("http_body", told(&self.http_body, Amount::Bytes)),
            (
                "http_requests",
                told(&self.http_requests, |n| Amount::Count(n.into())),
            ),
            ("http_fields", told(&self.http_fields, Amount::Bytes)),
            ("http_timeout", told(&self.http_timeout, Amount::Time)),
            ("plugin_size", told(&self.plugin_size, Amount::Bytes)),
            ("compile_time", told(&self.compile_time, Amount::Time)),
            ("compile_memory", told(&self.compile_memory, Amount::Bytes)),
        ]
    }

    /// Returns the limits, with those of `else_` for absent keys; `None` if any value is invalid.
    pub(super) fn settle(self, else_: &Limits) -> Option<Limits> {
        Some(Limits {
            memory_bytes: self.memory.or_default(else_.memory_bytes)?,
            table_elements: self.table_elements.or_default(else_.table_elements)?,
            instances: self.instances.or_default(else_.instances)?,
            stack_bytes: self.stack.or_default(else_.stack_bytes)?,
            output_bytes: self.output.or_default(else_.output_bytes)?,
            log_lines_per_second: self.log_rate.or_default(else_.log_lines_per_second)?,
            host_call_bytes: self.host_call.or_default(else_.host_call_bytes)?,
            handles: self.handles.or_default(else_.handles)?,
            random_bytes: self.random.or_default(else_.random_bytes)?,
            kv_value_bytes: self.kv_value.or_default(else_.kv_value_bytes)?,
            kv_total_bytes: self.kv_total.or_default(else_.kv_total_bytes)?,
            disk_bytes: self.disk.or_default(else_.disk_bytes)?,
            disk_files: self.disk_files.or_default(else_.disk_files)?,
            open_files: self.open_files.or_default(else_.open_files)?,
            http_body_bytes: self.http_body.or_default(else_.http_body_bytes)?,
            http_requests: self.http_requests.or_default(else_.http_requests)?,
            http_field_bytes: self.http_fields.or_default(else_.http_field_bytes)?,
            http_timeout: self.http_timeout.or_default(else_.http_timeout)?,
            plugin_bytes: self.plugin_size.or_default(else_.plugin_bytes)?,
            compile_time: self.compile_time.or_default(else_.compile_time)?,
            compile_memory_bytes: self.compile_memory.or_default(else_.compile_memory_bytes)?,
        })
    }
}

/// Value of one limit and its position.
pub(super) type Told = (Range<usize>, Amount);

fn told<T: Copy>(said: &Said<T>, amount: impl FnOnce(T) -> Amount) -> Option<Told> {
    match said {
        Said::This(value) => Some((value.span(), amount(*value.get_ref()))),
        Said::Nothing | Said::Wrong => None,
    }
}

/// One limit as a number with its unit; all limits of one key have the same unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
pub(super) enum Amount {
    /// Bytes.
    Bytes(u64),
    /// A plain number.
    Count(u64),
    /// A time.
    Time(Duration),
}

impl fmt::Display for Amount {
    /// Prints the value as a configuration has it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => write!(f, "\"{}\"", read::format_size(*bytes)),
            Self::Count(count) => write!(f, "{count}"),
            Self::Time(time) => write!(f, "\"{}\"", read::format_duration(*time)),
        }
    }
}

/// Returns each limit by its key.
pub(super) fn amounts(limits: &Limits) -> [(&'static str, Amount); KEYS] {
    [
        ("memory", Amount::Bytes(limits.memory_bytes)),
        ("table_elements", Amount::Count(limits.table_elements)),
        ("instances", Amount::Count(limits.instances.into())),
        ("stack", Amount::Bytes(limits.stack_bytes)),
        ("output", Amount::Bytes(limits.output_bytes)),
        (
            "log_rate",
            Amount::Count(limits.log_lines_per_second.into()),
        ),
        ("host_call", Amount::Bytes(limits.host_call_bytes)),
        ("handles", Amount::Count(limits.handles.into())),
        ("random", Amount::Bytes(limits.random_bytes)),
        ("kv_value", Amount::Bytes(limits.kv_value_bytes)),
        ("kv_total", Amount::Bytes(limits.kv_total_bytes)),
        ("disk", Amount::Bytes(limits.disk_bytes)),
        ("disk_files", Amount::Count(limits.disk_files.into())),
        ("open_files", Amount::Count(limits.open_files.into())),
        ("http_body", Amount::Bytes(limits.http_body_bytes)),
        ("http_requests", Amount::Count(limits.http_requests.into())),
        ("http_fields", Amount::Bytes(limits.http_field_bytes)),
        ("http_timeout", Amount::Time(limits.http_timeout)),
        ("plugin_size", Amount::Bytes(limits.plugin_bytes)),
        ("compile_time", Amount::Time(limits.compile_time)),
        ("compile_memory", Amount::Bytes(limits.compile_memory_bytes)),
    ]
}

/// Returns the smaller of each pair.
pub(super) fn least(a: &Limits, b: &Limits) -> Limits {
    Limits {
        memory_bytes: a.memory_bytes.min(b.memory_bytes),
        table_elements: a.table_elements.min(b.table_elements),
        instances: a.instances.min(b.instances),
        stack_bytes: a.stack_bytes.min(b.stack_bytes),
        output_bytes: a.output_bytes.min(b.output_bytes),
        log_lines_per_second: a.log_lines_per_second.min(b.log_lines_per_second),
        host_call_bytes: a.host_call_bytes.min(b.host_call_bytes),
        handles: a.handles.min(b.handles),
        random_bytes: a.random_bytes.min(b.random_bytes),
        kv_value_bytes: a.kv_value_bytes.min(b.kv_value_bytes),
        kv_total_bytes: a.kv_total_bytes.min(b.kv_total_bytes),
        disk_bytes: a.disk_bytes.min(b.disk_bytes),
        disk_files: a.disk_files.min(b.disk_files),
        open_files: a.open_files.min(b.open_files),
        http_body_bytes: a.http_body_bytes.min(b.http_body_bytes),
        http_requests: a.http_requests.min(b.http_requests),
        http_field_bytes: a.http_field_bytes.min(b.http_field_bytes),
        http_timeout: a.http_timeout.min(b.http_timeout),
        plugin_bytes: a.plugin_bytes.min(b.plugin_bytes),
        compile_time: a.compile_time.min(b.compile_time),
        compile_memory_bytes: a.compile_memory_bytes.min(b.compile_memory_bytes),
    }
}

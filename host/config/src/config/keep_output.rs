//! `keep_output` in `[host]`: how much of the output of all jobs the host keeps in files.

use std::time::Duration;

use super::read;
use super::schema;
use super::section::Section;

/// Bounds of the size: room for several files, and a large disk.
const LEAST: u64 = 1024 * 1024;
const MOST: u64 = 1024 * 1024 * 1024 * 1024;
/// Bounds of the age.
const SHORTEST: Duration = Duration::from_hours(1);
const LONGEST: Duration = Duration::from_hours(24 * 3_660);

/// Output that a host keeps in files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeepOutput {
    /// Bytes of the files of all jobs together. Default 100 MiB, from 1 MiB to 1 TiB.
    pub size: u64,
    /// Age at which files are deleted. Default 14 days, from an hour to ten years.
    pub age: Duration,
}

/// Reads the table; `None` if it is absent or has errors, which are reported.
pub(super) fn read(host: &Section<'_>) -> Option<KeepOutput> {
    let table = host.table("keep_output", "host.keep_output", schema::KEEP_OUTPUT);
    let size = table.take("size", |node| read::size(node, LEAST, MOST));
    let age = table.take("age", |node| read::duration(node, SHORTEST, LONGEST));
    let keep = KeepOutput {
        size: size.or_default(100 * LEAST)?,
        age: age.or_default(Duration::from_hours(24 * 14))?,
    };
    host.has("keep_output").then_some(keep)
}

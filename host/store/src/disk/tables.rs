//! Layout of redb's file: its tables, and the single numbers.
//!
//! This file must never give a table or a number another meaning without a new [`FORMAT`].

use redb::TableDefinition;

/// The layout described here. A program refuses any higher number. So a later program can change everything but the
/// table [`META`] and the name [`meta::FORMAT`].
///
/// Format 1 had no log beside the file; in format 2 the two did not carry one another's generation. Both are read,
/// and become 3 at the next opening.
pub(super) const FORMAT: u64 = 3;

/// Changes by revision and position, as [`super::change_bytes`] writes them.
pub(super) const CHANGES: TableDefinition<(i64, u32), &[u8]> = TableDefinition::new("changes");

/// Leases: id and TTL in seconds.
pub(super) const LEASES: TableDefinition<i64, i64> = TableDefinition::new("leases");

/// Numbers by name. Revisions are stored as the bits of signed numbers.
pub(super) const META: TableDefinition<&str, u64> = TableDefinition::new("meta");

/// The names in [`META`].
pub(super) mod meta {
    /// The layout.
    pub(in super::super) const FORMAT: &str = "format";
    /// The cluster's id.
    pub(in super::super) const CLUSTER: &str = "cluster";
    /// The member's id.
    pub(in super::super) const MEMBER: &str = "member";
    /// The number of openings.
    pub(in super::super) const TERM: &str = "term";
    /// The last revision.
    pub(in super::super) const REVISION: &str = "revision";
    /// The last compaction.
    pub(in super::super) const COMPACTED: &str = "compacted";
    /// The mark of the generation, which the log and its records have too.
    pub(in super::super) const LOG: &str = "log";
    /// The number of the generation.
    pub(in super::super) const GENERATION: &str = "generation";
    /// The sequence of the last record of the log that is in the file.
    pub(in super::super) const LOGGED: &str = "logged";
    /// 1 while the log may hold records that are not in the file, 0 after it was closed in order.
    pub(in super::super) const OPEN: &str = "open";
}

/// Returns the bytes of a row, without its share of the tree's pages.
pub(super) const fn row_bytes(value: usize) -> u64 {
    const KEY: usize = size_of::<i64>() + size_of::<u32>();
    (KEY + value) as u64
}

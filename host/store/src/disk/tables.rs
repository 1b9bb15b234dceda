//! How the file is laid out: redb's tables, and the numbers that are kept only once.
//!
//! This file must never give a table or a number another meaning without a new [`FORMAT`].

use redb::TableDefinition;

/// The layout described here. A program refuses any higher number, and so can a later one change everything
/// but the table [`META`] and the name [`meta::FORMAT`].
///
/// Format 1 had no log beside the file; in format 2 the two did not carry one another's generation. Both are read,
/// and become 3 at the next opening.
pub(super) const FORMAT: u64 = 3;

/// Changes by revision and place, as [`super::change_bytes`] writes them.
pub(super) const CHANGES: TableDefinition<(i64, u32), &[u8]> = TableDefinition::new("changes");

/// Leases: id and TTL in seconds.
pub(super) const LEASES: TableDefinition<i64, i64> = TableDefinition::new("leases");

/// Numbers by name. Revisions are kept as the bits of the signed number they are.
pub(super) const META: TableDefinition<&str, u64> = TableDefinition::new("meta");

/// The names in [`META`].
pub(super) mod meta {
    /// The layout.
    pub(in super::super) const FORMAT: &str = "format";
    /// The cluster's id.
    pub(in super::super) const CLUSTER: &str = "cluster";
    /// The member's id.
    pub(in super::super) const MEMBER: &str = "member";
    /// How many times it was opened.
    pub(in super::super) const TERM: &str = "term";
    /// The last revision.
    pub(in super::super) const REVISION: &str = "revision";
    /// The last compaction.
    pub(in super::super) const COMPACTED: &str = "compacted";
    /// The mark of the generation, which the log and its records bear.
    pub(in super::super) const LOG: &str = "log";
    /// The number of the generation.
    pub(in super::super) const GENERATION: &str = "generation";
    /// The sequence of the last record of the log that is in here.
    pub(in super::super) const LOGGED: &str = "logged";
    /// 1 while records may be in the log that are not in here, 0 after it was closed in order.
    pub(in super::super) const OPEN: &str = "open";
}

/// The bytes that a row takes, its share of the tree's pages left out.
pub(super) const fn row_bytes(value: usize) -> u64 {
    const KEY: usize = size_of::<i64>() + size_of::<u32>();
    (KEY + value) as u64
}

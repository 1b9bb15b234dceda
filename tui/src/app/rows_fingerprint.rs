//! Fingerprint of what a view's rows are made from.

use std::sync::Arc;

use super::sort::SortOrder;
use super::view::View;

/// Inputs of the rows: while they are equal, so are the rows.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct RowsFingerprint {
    pub(super) query: RowsQuery,
    pub(super) version: u64,
    pub(super) events: u64,
    pub(super) second: u64,
}

/// View, filter and order that were chosen. A change of these changes rows at once.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct RowsQuery {
    pub(super) view: Option<View>,
    pub(super) filter: String,
    pub(super) sort: Option<SortOrder>,
    pub(super) lock: Option<Arc<str>>,
    /// The moment, if it is not the present.
    pub(super) moment: Option<u64>,
}

//! `[defaults]`: values for jobs that set none.

use super::allow::RawAllow;
use super::policy::Policy;
use super::schema;
use super::section::Section;

/// Contents of `[defaults]`.
pub(super) struct Defaults {
    pub(super) policy: Policy,
    pub(super) allow: RawAllow,
}

impl Defaults {
    /// Reads `[defaults]`.
    pub(super) fn read(root: &Section<'_>) -> Self {
        let section = root.table("defaults", "defaults", schema::DEFAULTS);
        Self {
            policy: Policy::read(&section),
            allow: RawAllow::read(&section),
        }
    }
}

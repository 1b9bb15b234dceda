//! `[defaults]`: values for jobs that set none.

use super::allow::RawAllow;
use super::raw_job::RawJob;
use super::schema;
use super::section::Section;

/// Contents of `[defaults]`.
pub(super) struct Defaults {
    pub(super) job: RawJob,
    pub(super) allow: RawAllow,
}

impl Defaults {
    /// Reads `[defaults]`.
    pub(super) fn read(root: &Section<'_>) -> Self {
        let section = root.table("defaults", "defaults", schema::DEFAULTS);
        Self {
            job: RawJob::read(&section, None),
            allow: RawAllow::read(&section),
        }
    }
}

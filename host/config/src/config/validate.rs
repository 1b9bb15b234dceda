//! Validation of the values of all layers: the result is a job whose values are valid and fit together.
//!
//! Every error is recorded; with any error there is no job. Missing grants are never filled in
//! here.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use leasehold_diagnostics::ConfigError;
use leasehold_ids::LockMode;
use toml::Spanned;

use super::drift::Drift;
use super::guest;
use super::ignored_in_eq::IgnoredInEq;
use super::job::{Job, OwnResources};
use super::job_locks::{JobLock, JobLocks};
use super::lock_value::SpannedLocks;
use super::origin::Origins;
use super::raw_job::RawJob;
use super::section::{Field, Section};
use super::timing::{self, DEFAULT_TTL, Timing};
use crate::allow::{Allow, SecretRef};
use crate::limits::{LimitKey, Limits};

/// Parts of one job.
pub(super) struct JobParts<'a> {
    /// Its name, if valid.
    pub(super) name: Option<String>,
    /// Position for errors about the job as a whole.
    pub(super) place: Option<Range<usize>>,
    /// The plugin's file, if valid.
    pub(super) plugin: Option<PathBuf>,
    /// Digest of the bytes whose manifest was read.
    pub(super) manifest_digest: Option<[u8; 32]>,
    /// A line for people.
    pub(super) description: Option<String>,
    /// True if the plugin lies in the folder for plugins.
    pub(super) is_dropped: bool,
    /// Resources that it has by its name alone.
    pub(super) own: OwnResources,
    /// Values of all layers together, the uppermost first.
    pub(super) raw: RawJob,
    /// Locations of its secrets, if valid.
    pub(super) secrets: Option<BTreeMap<String, SecretRef>>,
    /// Its grants, if valid.
    pub(super) allow: Option<Allow>,
    /// Limits for absent keys.
    pub(super) limits: Limits,
    /// Rate error of the host's clock.
    pub(super) drift: Option<Drift>,
    /// Origin of each value.
    pub(super) origins: Origins,
    /// The job's own table, which errors refer to.
    pub(super) section: &'a Section<'a>,
}

impl JobParts<'_> {
    /// Returns the job, if it has no error.
    pub(super) fn settle(self) -> Option<Job> {
        let times = self.times();
        let RawJob {
            settings,
            lock,
            schedule,
            // Judged with the other times.
            stop_margin: _,
            restart,
            history,
            env,
            config,
            limits,
        } = self.raw;
        let schedule = schedule.settle(self.section);
        let restart = restart.settle(self.section);
        let limits = limits.validate(&self.limits);
        let config = config.or_default(guest::ConfigEntries::new());
        let stop_margin = times?;
        let name = self.name?;
        Some(Job {
            plugin: self.plugin?,
            settings: settings.validate()?,
            locks: match lock.optional().ok()? {
                Some(locks) => JobLocks::new(locks.into_iter().map(Spanned::into_inner))?,
                None => JobLocks::exclusive(name.clone()),
            },
            name,
            schedule: schedule?,
            stop_margin,
            restart: restart?,
            history: history.settle()?,
            env: env.or_default(BTreeMap::new())?,
            config_json: guest::to_json(config?),
            secrets: self.secrets?,
            allow: self.allow?,
            limits: limits?,
            description: self.description,
            is_dropped: self.is_dropped,
            own: self.own,
            manifest_digest: self.manifest_digest,
            origins: IgnoredInEq(self.origins),
        })
    }

    /// Returns the stop margin, if it and the TTL are valid and fit together.
    fn times(&self) -> Option<Duration> {
        let RawJob {
            settings,
            stop_margin: raw_margin,
            limits,
            ..
        } = &self.raw;
        let raw_ttl = &settings.ttl;
        let ttl = raw_ttl.clone().or_default(DEFAULT_TTL);
        let memory = limits.field(LimitKey::Memory);
        let default = self.limits.amount(LimitKey::Memory);
        let memory_bytes = memory.clone().or_default(default);
        let memory_bytes = memory_bytes.map(|memory| memory.number);
        let default = timing::default_margin(memory_bytes.unwrap_or(self.limits.memory_bytes));
        let stop_margin = raw_margin.clone().or_default(default);
        let timing = Timing {
            ttl: ttl.unwrap_or(DEFAULT_TTL),
            stop_margin: stop_margin?,
            drift: self.drift.unwrap_or_default(),
            memory_bytes: memory_bytes.unwrap_or(self.limits.memory_bytes),
        };
        let place = |spans| {
            let nearest = self.section.nearest_place(spans);
            nearest.or(self.place.clone()).unwrap_or(0..0)
        };
        let margin_span = raw_margin.span();
        let mut sound = true;
        let mut judge = |finding: Option<ConfigError>| {
            sound &= finding.is_none();
            if let Some(finding) = finding {
                self.section.context().report(finding);
            }
        };
        if memory_bytes.is_some() {
            let spans = [margin_span.clone(), memory.span()];
            judge(timing.refuse_short_margin(place(spans)));
        }
        if ttl.is_some() && self.drift.is_some() {
            judge(timing.refuse_short_ttl(place([raw_ttl.span(), margin_span])));
        }
        (sound && ttl.is_some()).then_some(stop_margin?)
    }
}

/// Returns a job's locks and the bytes that name them; without any, the bytes of the job's name, which is its lock.
pub(super) fn locks_of(raw: &RawJob, named: Option<&Spanned<String>>) -> Option<SpannedLocks> {
    match &raw.lock {
        Field::Value(locks) => Some(locks.get_ref().clone()),
        Field::Invalid => None,
        Field::Absent => named.map(|named| {
            let lock = JobLock::new(named.get_ref().clone(), LockMode::Exclusive);
            vec![Spanned::new(named.span(), lock)]
        }),
    }
}

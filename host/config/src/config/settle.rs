//! From what all layers say together to a job whose values are valid and fit together.
//!
//! Every error is recorded, and only then is there no job. This file must never fill a gap in what was
//! granted.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use toml::Spanned;

use super::aside::Aside;
use super::context::Finding;
use super::drift::Drift;
use super::guest;
use super::job::{DEFAULT_TTL, Job, Own};
use super::origin::Origins;
use super::policy::Policy;
use super::schedule::Wait;
use super::section::{Said, Section};
use super::timing::{self, Timing};
use super::words::SaidJob;
use crate::allow::{Allow, SecretRef};
use crate::limits::Limits;

/// Everything that makes up one job.
pub(super) struct Given<'a> {
    /// Its name, if that is right.
    pub(super) name: Option<String>,
    /// What an error about the job as a whole points at.
    pub(super) place: Option<Range<usize>>,
    /// The plugin's file, if that is right.
    pub(super) plugin: Option<PathBuf>,
    /// The digest of the bytes whose manifest was read.
    pub(super) manifest_digest: Option<[u8; 32]>,
    /// A line for people.
    pub(super) description: Option<String>,
    /// Whether the plugin lies in the folder for plugins.
    pub(super) is_dropped: bool,
    /// What it has by its name alone.
    pub(super) own: Own,
    /// What all layers say together, the uppermost first.
    pub(super) said: SaidJob,
    /// Where its secrets are, if that is right.
    pub(super) secrets: Option<BTreeMap<String, SecretRef>>,
    /// What it is granted, if that is right.
    pub(super) allow: Option<Allow>,
    /// The limits where nothing is said.
    pub(super) limits: Limits,
    /// The host's clock.
    pub(super) drift: Option<Drift>,
    /// Where each value came from.
    pub(super) origins: Origins,
    /// The job's own table, where objections go.
    pub(super) section: &'a Section<'a>,
}

impl Given<'_> {
    /// The job, if nothing about it is wrong.
    pub(super) fn settle(self) -> Option<Job> {
        let times = self.times();
        let SaidJob {
            sha256,
            lock,
            schedule,
            args,
            env,
            config,
            policy,
        } = self.said;
        let schedule = schedule.settle(self.section);
        let restart = policy.restart.settle(self.section);
        let limits = policy.limits.settle(&self.limits);
        let config = config.or_default(guest::Entries::new());
        let (ttl, stop_margin) = times?;
        let name = self.name?;
        Some(Job {
            plugin: self.plugin?,
            sha256: sha256.optional().ok()?,
            lock: lock.or_default(name.clone())?,
            name,
            wait: policy.wait.or_default(Wait::Forever)?,
            schedule: schedule?,
            timeout: policy.timeout.optional().ok()?,
            ttl,
            stop_margin,
            retries: policy.retries.or_default(0)?,
            restart: restart?,
            args: args.or_default(Vec::new())?,
            env: env.or_default(BTreeMap::new())?,
            config_json: guest::to_json(config?),
            secrets: self.secrets?,
            allow: self.allow?,
            limits: limits?,
            description: self.description,
            is_dropped: self.is_dropped,
            own: self.own,
            manifest_digest: self.manifest_digest,
            origins: Aside(self.origins),
        })
    }

    /// TTL and stop margin, if each is right and they fit together.
    fn times(&self) -> Option<(Duration, Duration)> {
        let Policy {
            ttl: said_ttl,
            stop_margin: said_margin,
            limits,
            ..
        } = &self.said.policy;
        let ttl = said_ttl.clone().or_default(DEFAULT_TTL);
        let memory_bytes = limits.memory.clone().or_default(self.limits.memory_bytes);
        let default = timing::default_margin(memory_bytes.unwrap_or(self.limits.memory_bytes));
        let stop_margin = said_margin.clone().or_default(default);
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
        let margin_span = said_margin.span();
        let mut sound = true;
        let mut judge = |finding: Option<Finding>| {
            sound &= finding.is_none();
            if let Some(finding) = finding {
                self.section.context().object(finding);
            }
        };
        if memory_bytes.is_some() {
            let spans = [margin_span.clone(), limits.memory.span()];
            judge(timing.refuse_short_margin(place(spans)));
        }
        if ttl.is_some() && self.drift.is_some() {
            judge(timing.refuse_short_ttl(place([said_ttl.span(), margin_span])));
        }
        sound.then_some((ttl?, stop_margin?))
    }
}

/// A job's lock and the bytes that say so, or that name the job it is called after.
pub(super) fn lock_of(said: &SaidJob, named: Option<&Spanned<String>>) -> Option<Spanned<String>> {
    match &said.lock {
        Said::This(lock) => Some(lock.clone()),
        Said::Wrong => None,
        Said::Nothing => named.cloned(),
    }
}

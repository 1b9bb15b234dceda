//! Limits on the requests of one dropped-in plugin, and its grants within them.
//!
//! Each error comes with the line that would allow the request. A policy is never widened here.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use leasehold_diagnostics::ConfigError;
use leasehold_records::printable;

use super::allow::plain;
use super::clash::home;
use super::context::Context;
use super::job::Job;
use super::limits::RawLimits;
use super::lock_value::SpannedLocks;
use super::lockname::for_job;
use super::needs::{GivenGrants, RawNeeds};
use super::plugins::{OWN_PREFIX, Plugins};
use super::section::Field;
use super::sharing::{is_own_lock, overlap};
use crate::allow::{Allow, SecretRef};

/// Policy for one dropped-in plugin.
pub(super) struct PolicyBounds<'a> {
    pub(super) job: &'a str,
    /// The configuration file, for remedies.
    pub(super) config: &'a str,
    pub(super) plugins: &'a Plugins,
    /// The configured jobs.
    pub(super) present: &'a [Job],
    pub(super) context: &'a Context<'a>,
}

impl PolicyBounds<'_> {
    /// Reports every limit that exceeds the policy's.
    pub(super) fn judge_limits(&self, asked: &RawLimits) {
        for (key, amount) in asked.set() {
            let (place, asked) = (amount.span(), amount.get_ref());
            let most = self.plugins.limits().amount(key);
            if *asked <= most {
                continue;
            }
            let message = format!(
                "job `{}` asks for `{key} = {asked}`, and a dropped-in plugin may have {most} at most",
                self.job
            );
            let help = format!(
                "ask for less, {}",
                self.allowing(&format!("{key} = {asked}"), "limits")
            );
            self.context
                .report(ConfigError::at(place, message).help(help));
        }
    }

    /// Reports a lease that is longer than the policy's.
    pub(super) fn judge_ttl(&self, asked: &Field<Duration>) {
        let most = self.plugins.sharing().max_ttl;
        let (Field::Value(ttl), job) = (asked, self.job) else {
            return;
        };
        if *ttl.get_ref() > most {
            let shown = |time: Duration| humantime::format_duration(time).to_string();
            let (asked, most) = (shown(*ttl.get_ref()), shown(most));
            let message = format!(
                "job `{job}` asks for `ttl = \"{asked}\"`, and a dropped-in plugin may have {most} at most"
            );
            let line = format!("max_ttl = \"{asked}\"");
            let help = format!("ask for less, {}", self.allowing_here(&line));
            self.context
                .report(ConfigError::at(ttl.span(), message).help(help));
        }
    }

    /// Reports every lock that neither is the job's own nor is named by the policy. Returns the names of the job's own.
    pub(super) fn judge_locks(&self, asked: &Field<SpannedLocks>) -> Vec<String> {
        let job = self.job;
        let covers = |lock: &str| self.plugins.sharing().covers_lock(job, lock);
        let asked = match asked {
            Field::Value(locks) => locks.get_ref(),
            Field::Absent if covers(job) => return Vec::new(),
            Field::Absent => return vec![job.to_owned()],
            Field::Invalid => return Vec::new(),
        };
        let mut own = Vec::new();
        for lock in asked {
            let name = lock.get_ref().name();
            if covers(name) {
                continue;
            }
            if !is_own_lock(job, name) {
                self.context.report(self.foreign_lock(name, lock.span()));
            }
            own.push(name.to_owned());
        }
        own
    }

    /// Error for a lock that is neither the job's own nor named by the policy.
    fn foreign_lock(&self, lock: &str, place: Range<usize>) -> ConfigError {
        let job = self.job;
        let message =
            format!("job `{job}` asks for lock `{lock}`, which no dropped-in plugin may take");
        let help = format!(
            "leave `lock` out: its own is `{job}`, {}",
            self.allowing_here(&format!("locks = [{lock:?}]"))
        );
        let finding = ConfigError::at(place, message).help(help);
        let mut present = self.present.iter();
        match present.find(|job| job.locks().contains(lock)) {
            Some(job) => {
                let place = home(job, "lock");
                finding.help(format!("job `{}` has that lock, {place}", job.name()))
            }
            None => finding,
        }
    }

    /// Describes the configured job whose keys are requested at this position.
    fn owner_of_keys(&self, needs: &RawNeeds, place: &Range<usize>) -> Option<String> {
        let Field::Value(asked) = &needs.kv else {
            return None;
        };
        let asked = asked
            .get_ref()
            .iter()
            .find(|asked| asked.span() == *place)?;
        let asked = for_job(asked.get_ref(), self.job);
        self.present.iter().find_map(|job| {
            let keys = job.allow().kv.iter().find(|keys| overlap(keys, &asked))?;
            let place = home(job, "allow.kv");
            Some(format!(
                "job `{}` has keys under `{keys}`, {place}",
                job.name()
            ))
        })
    }

    /// Returns the granted keys that the policy names only through `{job}`.
    pub(super) fn own_keys(&self, granted: &Allow) -> Vec<String> {
        let named = |prefix: &String| {
            let patterns = self.plugins.allow().kv.iter();
            let mut named = patterns.filter(|pattern| for_job(pattern, "") == **pattern);
            named.any(|pattern| prefix.starts_with(pattern))
        };
        let own = granted.kv.iter().filter(|prefix| !named(prefix));
        own.cloned().collect()
    }

    /// Returns the requested grants, if the policy allows all of them.
    pub(super) fn granted(&self, needs: &RawNeeds) -> Option<(Allow, BTreeMap<String, SecretRef>)> {
        let policy = self.plugins.allow_for(self.job);
        let given = GivenGrants {
            allow: &policy,
            kv_patterns: Some(&self.plugins.allow().kv),
            secrets: self.plugins.secrets(),
        };
        for lack in needs.lacking(self.job, &given) {
            let message = format!(
                "job `{}` asks for {}, which no dropped-in plugin may use",
                self.job,
                printable::line(&lack.what)
            );
            let help = format!("ask for less, {}", self.allowing(&lack.line, lack.table));
            let mut finding = ConfigError::at(lack.place.clone(), message).help(help);
            if let Some(owner) = self.owner_of_keys(needs, &lack.place) {
                finding = finding.help(owner);
            }
            self.context.report(finding);
        }
        let own = for_job(OWN_PREFIX, self.job);
        // A plugin that lists no needs gets a prefix of its own.
        let corner = (!needs.is_set && policy.covers_kv(&own)).then_some(own);
        let kv = match needs.kv.clone().optional().ok()? {
            Some(kv) => kv
                .iter()
                .map(|pattern| for_job(pattern.get_ref(), self.job))
                .collect(),
            None => corner.into_iter().collect(),
        };
        let dirs = needs.dirs.clone().or_default(Vec::new())?;
        let secrets = needs.secrets.clone().or_default(Vec::new())?;
        let token = needs.http_token.clone().optional().ok()?;
        let mut granted = Allow {
            kv,
            kv_shared: policy.kv_shared,
            http: plain(needs.http.clone().or_default(Vec::new())?),
            http_networks: plain(needs.http_networks.clone().or_default(Vec::new())?),
            // The operator set these, and they grant no more than the operator did.
            http_token: token.or(policy.http_token.clone()),
            http_tokens_always: Vec::new(),
            http_ca: policy.http_ca.clone(),
            dirs: dirs
                .iter()
                .filter_map(|need| policy.dir_for(need.get_ref()))
                .collect(),
        };
        for header in self.plugins.token_headers() {
            granted.always_carry(Some(header));
        }
        let secrets = plain(secrets)
            .into_iter()
            .filter_map(|name| {
                let at = self.plugins.secrets().get(&name)?.clone();
                Some((name, at))
            })
            .collect();
        Some((granted, secrets))
    }

    /// The operator's remedy: a line in [plugins] itself.
    fn allowing_here(&self, line: &str) -> String {
        format!("or allow it: `{line}` under [plugins] in {}", self.config)
    }

    /// The operator's remedy: a line in a table below [plugins].
    fn allowing(&self, line: &str, table: &str) -> String {
        format!(
            "or allow it: `{line}` under [plugins.{table}] in {}",
            self.config
        )
    }
}

//! Reasons for the state of a job, as sentences.

use std::fmt::Write as _;

use leasehold_ids::Token;

use super::ordinal::ordinal;
use super::reason::{BlockedBy, NextTick, ReasonKind};
use crate::printable;
use crate::unix_ms::UnixMs;
use crate::wall_text::{ZoneOffset, age, clock, until};

/// The job that a reason is about, and the hosts that it holds on: the arguments of remedies.
#[derive(Clone, Copy)]
pub(super) struct ReasonScope<'a> {
    pub(super) job: &'a str,
    /// Empty for a reason that holds on all hosts.
    pub(super) hosts: &'a [String],
}

impl ReasonKind {
    /// Returns the reason as a sentence without a subject and an end, at this moment.
    pub(super) fn text(&self, scope: ReasonScope<'_>, now: UnixMs) -> String {
        match self {
            Self::Running {
                lock,
                token,
                since_unix_ms,
            } => {
                let since = since(*since_unix_ms, now);
                format!("runs {since}, lock `{}`{}", line(lock), token_text(*token))
            }
            Self::BetweenRuns {
                lock,
                token,
                since_unix_ms,
            } => format!(
                "pauses between two runs {} and keeps lock `{}`{}",
                since(*since_unix_ms, now),
                line(lock),
                token_text(*token)
            ),
            Self::Pending {
                sha256,
                since_unix_ms,
            } => format!(
                "a new version (plugin sha256 {}) waits {} for the end of this run",
                line(sha256.get(..12).unwrap_or(sha256)),
                since(*since_unix_ms, now)
            ),
            Self::Paused { .. } | Self::Drained { .. } => self.decision(scope, now),
            Self::NoHost { alive: 0 } => "no host is alive".into(),
            Self::NoHost { alive: 1 } => "no live host has it; 1 host is alive".into(),
            Self::NoHost { alive } => format!("no live host has it; {alive} hosts are alive"),
            Self::AdministrativeHold { lock, key, value } => {
                let quoted = if value.is_empty() {
                    String::new()
                } else {
                    format!(": \"{}\"", line(value))
                };
                let name = key.rsplit('/').next().unwrap_or(key);
                format!(
                    "lock `{}` is kept by the administrative hold `{}`{quoted}; it stays until the key {} is deleted",
                    line(lock),
                    line(name),
                    line(key)
                )
            }
            Self::Blocked(blocked) => blocked.text(now),
            Self::Granted { lock, token } => {
                format!("begins now: has lock `{}`, token {token}", line(lock))
            }
            Self::Joining {
                lock,
                since_unix_ms,
            } => format!(
                "is joining the queue of lock `{}` {}",
                line(lock),
                since(*since_unix_ms, now)
            ),
            Self::StandingBack { .. }
            | Self::Failed { .. }
            | Self::Backoff { .. }
            | Self::LastFailed { .. }
            | Self::NextTick(_)
            | Self::Sleeping { .. }
            | Self::Finished { .. }
            | Self::Unrecorded => self.sleep_text(now),
        }
    }

    /// Returns the sentence about an operator's decision.
    fn decision(&self, scope: ReasonScope<'_>, now: UnixMs) -> String {
        let (what, by, why, at, end) = match self {
            Self::Paused {
                all,
                by,
                why,
                since_unix_ms,
                until_unix_ms,
            } => {
                let what = if *all {
                    "all jobs are paused"
                } else {
                    "paused"
                };
                (what, by, why, *since_unix_ms, *until_unix_ms)
            }
            Self::Drained {
                by,
                why,
                since_unix_ms,
            } => ("the host is drained", by, why, *since_unix_ms, None),
            _ => return String::new(),
        };
        let mut text = format!("{what} by {}", line(by));
        if !why.is_empty() {
            let _ = write!(text, ": \"{}\"", line(why));
        }
        let _ = write!(text, ", {}", since(at, now));
        let _ = match end {
            Some(end) => write!(
                text,
                "; it ends at {} ({})",
                clock(end, ZoneOffset::UTC, now),
                until(end, now)
            ),
            None => write!(text, "; it lasts until {}", self.remedy(scope)),
        };
        text
    }

    /// Returns the commands that end an operator's decision.
    fn remedy(&self, scope: ReasonScope<'_>) -> String {
        let on = |host: &String| format!("`leasehold undrain {}`", line(host));
        match self {
            Self::Paused { all: true, .. } => "`leasehold resume --all`".into(),
            Self::Drained { .. } => {
                let commands: Vec<String> = scope.hosts.iter().map(on).collect();
                commands.join(" and ")
            }
            _ => format!("`leasehold resume {}`", line(scope.job)),
        }
    }

    /// Returns the sentence about a job that sleeps, stands back, or has ended.
    fn sleep_text(&self, now: UnixMs) -> String {
        match self {
            Self::StandingBack {
                lack,
                since_unix_ms,
                until_unix_ms,
            } => {
                let mut text = if lack.is_empty() {
                    String::new()
                } else {
                    format!("{}; ", line(lack))
                };
                let _ = write!(text, "stands back {}", since(*since_unix_ms, now));
                if let Some(check) = until_unix_ms {
                    let _ = write!(text, "; the next check is {}", until(*check, now));
                }
                text
            }
            Self::Failed {
                error,
                since_unix_ms,
            } => format!(
                "failed for good {} ago: {}; it starts again with its host, or when its files change",
                age(now.since(*since_unix_ms)),
                line(error)
            ),
            Self::Backoff {
                until_unix_ms,
                attempt,
                error,
            } => {
                let attempt = match attempt {
                    Some(attempt) if *attempt > 1 => format!(", then attempt {attempt}"),
                    _ => String::new(),
                };
                format!(
                    "backs off until {} ({}){attempt}, after: {}",
                    clock(*until_unix_ms, ZoneOffset::UTC, now),
                    until(*until_unix_ms, now),
                    line(error)
                )
            }
            Self::LastFailed { error } => format!("its last run here failed: {}", line(error)),
            Self::NextTick(tick) => tick.text(now),
            Self::Sleeping {
                until_unix_ms: Some(end),
            } => format!(
                "pauses until {} ({})",
                clock(*end, ZoneOffset::UTC, now),
                until(*end, now)
            ),
            Self::Sleeping {
                until_unix_ms: None,
            } => "sleeps".into(),
            Self::Finished { since_unix_ms } => format!(
                "finished {} ago, and starts again with its host",
                age(now.since(*since_unix_ms))
            ),
            Self::Unrecorded => "has the job, and has recorded no state of it yet".into(),
            _ => String::new(),
        }
    }
}

impl NextTick {
    fn text(&self, now: UnixMs) -> String {
        let at = clock(self.at_unix_ms, self.zone_offset(), now);
        let mut text = format!("next tick at {at} ({})", until(self.at_unix_ms, now));
        if !self.schedule.is_empty() {
            let _ = write!(text, ", by {}", line(&self.schedule));
        }
        text
    }
}

impl BlockedBy {
    fn text(&self, now: UnixMs) -> String {
        let holder = match &self.by {
            Some(by) => line(by),
            None => format!("another client ({})", line(&self.key)),
        };
        let mut held = match self.held_since_unix_ms {
            Some(at) => format!("holds lock `{}` {}", line(&self.lock), since(at, now)),
            None => format!("holds lock `{}`", line(&self.lock)),
        };
        match self.other_holders {
            0 => {}
            1 => held.push_str(" beside another"),
            others => {
                let _ = write!(held, " beside {others} others");
            }
        }
        let waited = age(now.since(self.since_unix_ms));
        let place = match (self.place, self.waiters) {
            (1, 1) => "alone in the queue".to_owned(),
            (1, waiters) => format!("next of {waiters} in the queue"),
            (place, waiters) => format!("{} of {waiters} in the queue", ordinal(place)),
        };
        let waits = if self.same_job {
            format!("has waited for {waited} behind {holder}")
        } else {
            format!("blocked for {waited} by {holder}")
        };
        format!("{waits}, which {held}, token {}; {place}", self.token)
    }
}

/// Returns text of the store as one printable line.
fn line(text: &str) -> String {
    printable::line(text)
}

/// Returns a beginning as a phrase: `since 02:57 UTC (3m12s)`.
fn since(at: UnixMs, now: UnixMs) -> String {
    let clock = clock(at, ZoneOffset::UTC, now);
    format!("since {clock} ({})", age(now.since(at)))
}

fn token_text(token: Option<Token>) -> String {
    token.map_or_else(String::new, |token| format!(", token {token}"))
}

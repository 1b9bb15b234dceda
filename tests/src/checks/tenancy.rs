//! Time during which each token was in use, as the hosts' logs show it.

use std::fmt;

use super::Circumstances;
use super::log::{Attempt, Log};

/// The time in which one token had, or may have had, effects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tenancy {
    /// The lock.
    pub lock: String,
    /// Its token.
    pub token: u64,
    /// The host that held it.
    pub host: String,
    /// The first start or effect, boot-time nanoseconds.
    pub from_ns: u64,
    /// The first effect; the start when there was none.
    pub first_effect_ns: u64,
    /// The last effect, or the moment the guest was seen stopped if that is later.
    pub until_ns: u64,
    /// Number of effects.
    pub effects: usize,
}

/// Every token that ran something, by lock and then by start.
///
/// # Errors
/// One token was used by two hosts.
pub fn tenancies(log: &Log, circumstances: &Circumstances) -> Result<Vec<Tenancy>, String> {
    let mut all: Vec<Tenancy> = Vec::new();
    for attempt in &log.attempts {
        let one = tenancy_of(attempt, circumstances.was_frozen(&attempt.host));
        match all
            .iter_mut()
            .find(|known| known.lock == one.lock && known.token == one.token)
        {
            None => all.push(one),
            Some(known) if known.host == one.host => known.join(&one),
            Some(known) => return Err(format!("two hosts used one token: {known} and {one}")),
        }
    }
    all.sort_by(|a, b| (&a.lock, a.from_ns, a.until_ns).cmp(&(&b.lock, b.from_ns, b.until_ns)));
    Ok(all)
}

fn tenancy_of(attempt: &Attempt, frozen: bool) -> Tenancy {
    let first = attempt.effects.iter().copied().min();
    let last = attempt.effects.iter().copied().max();
    let admitted = attempt.end.as_ref().and_then(|end| end.last_admitted_ns);
    // A frozen host sees its guest stopped only when thawed, though nothing ran meanwhile.
    let stopped = attempt
        .end
        .as_ref()
        .filter(|_| !frozen)
        .map(|end| end.stopped_ns);
    let until = [last, admitted, stopped]
        .into_iter()
        .flatten()
        .fold(attempt.started_ns, u64::max);
    Tenancy {
        lock: attempt.lock.clone(),
        token: attempt.token,
        host: attempt.host.clone(),
        from_ns: first.map_or(attempt.started_ns, |first| first.min(attempt.started_ns)),
        first_effect_ns: first.unwrap_or(attempt.started_ns),
        until_ns: until,
        effects: attempt.effects.len(),
    }
}

impl Tenancy {
    fn join(&mut self, other: &Self) {
        self.first_effect_ns = match (self.effects, other.effects) {
            (0, 1..) => other.first_effect_ns,
            (1.., 0) => self.first_effect_ns,
            _ => self.first_effect_ns.min(other.first_effect_ns),
        };
        self.from_ns = self.from_ns.min(other.from_ns);
        self.until_ns = self.until_ns.max(other.until_ns);
        self.effects += other.effects;
    }
}

impl fmt::Display for Tenancy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            lock,
            token,
            host,
            from_ns,
            until_ns,
            effects,
            ..
        } = self;
        write!(
            f,
            "token {token} of lock {lock} on {host} ({from_ns} to {until_ns}, {effects} effects)"
        )
    }
}

//! The promises, checked over the merged events of all hosts of a scenario. Pure: events in, verdict out.
//!
//! A check never passes for lack of evidence: an event without a field that it needs fails it, and [`all`] fails
//! on a log without a single guest effect. Each `Err` is a sentence that names the host, the run and the time.

pub mod history;
mod log;
mod tenancy;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub use history::StoreHistory;
pub use log::{Attempt, End, Log, Release};
pub use tenancy::{Tenancy, tenancies};

use crate::events::Event;

/// Faults that the scenario injected into its hosts, so that a check does not attribute them to the hosts.
#[derive(Debug, Clone)]
pub struct Circumstances {
    /// Hosts that were killed: their last run may lack its end.
    pub killed: Vec<String>,
    /// Hosts that were frozen: they cannot *see* a guest stopped while frozen, so their runs last until the
    /// last admitted call here, and C4 does not bind them. C3 does.
    pub frozen: Vec<String>,
    /// The longest from a deadline to the guest being stopped, with slack for a busy machine.
    pub stop_bound: Duration,
    /// The longest overlap of two holders: zero, unless an operator removed one by force.
    pub overlap: Duration,
}

impl Default for Circumstances {
    /// No host killed or frozen, one second to stop, no overlap.
    ///
    /// A second is four times the default stop margin. A machine that runs many tests at once may delay a stop by
    /// some of it; a host that does not stop guests exceeds any bound.
    fn default() -> Self {
        Self {
            killed: Vec::new(),
            frozen: Vec::new(),
            stop_bound: Duration::from_secs(1),
            overlap: Duration::ZERO,
        }
    }
}

impl Circumstances {
    /// With one more host killed.
    #[must_use]
    pub fn killed(mut self, host: &str) -> Self {
        self.killed.push(host.to_owned());
        self
    }

    /// With one more host frozen for a while.
    #[must_use]
    pub fn frozen(mut self, host: &str) -> Self {
        self.frozen.push(host.to_owned());
        self
    }

    fn was_killed(&self, host: &str) -> bool {
        self.killed.iter().any(|killed| killed == host)
    }

    fn was_frozen(&self, host: &str) -> bool {
        self.frozen.iter().any(|frozen| frozen == host)
    }
}

/// Runs every check below, and requires that there was something to check.
///
/// # Errors
/// The first violation found, or a log without guest effects.
pub fn all(events: &[Event], circumstances: &Circumstances) -> Result<(), String> {
    let log = Log::read(events)?;
    if log
        .attempts
        .iter()
        .all(|attempt| attempt.effects.is_empty())
    {
        return Err("no guest wrote anything: there is nothing to check".to_owned());
    }
    intervals_never_overlap(events, circumstances)?;
    tokens_increase(events, circumstances)?;
    nothing_after_the_end(events)?;
    lost_runs_stop_in_time(events, circumstances)?;
    released_only_after_the_run(events)?;
    every_run_ends(events, circumstances)
}

/// C1: under one lock, the effects of one token and those of another never overlap in time.
///
/// # Errors
/// The first two holders that overlap, or a token used by two hosts.
pub fn intervals_never_overlap(
    events: &[Event],
    circumstances: &Circumstances,
) -> Result<(), String> {
    let tenancies = tenancies(&Log::read(events)?, circumstances)?;
    // By lock, then by start; each is compared with the one that lasts longest so far.
    let mut longest: Option<&Tenancy> = None;
    for next in &tenancies {
        if let Some(before) = longest.filter(|before| before.lock == next.lock) {
            let overlap = Duration::from_nanos(before.until_ns.saturating_sub(next.from_ns));
            if overlap > circumstances.overlap {
                return Err(format!(
                    "C1: {next} began {overlap:?} before the end of {before}"
                ));
            }
            if before.until_ns >= next.until_ns {
                continue;
            }
        }
        longest = Some(next);
    }
    Ok(())
}

/// C2: under one lock, each new holder's token is greater than the one before.
///
/// # Errors
/// The first token that is not.
pub fn tokens_increase(events: &[Event], circumstances: &Circumstances) -> Result<(), String> {
    let mut tenancies = tenancies(&Log::read(events)?, circumstances)?;
    tenancies.sort_by(|a, b| (&a.lock, a.first_effect_ns).cmp(&(&b.lock, b.first_effect_ns)));
    for pair in tenancies.windows(2) {
        if pair[0].lock == pair[1].lock && pair[0].token >= pair[1].token {
            return Err(format!(
                "C2: the token did not increase from {} to {}",
                pair[0], pair[1]
            ));
        }
    }
    Ok(())
}

/// C3: no host call was admitted after its run's deadline, nor after the host logged the loss of the lock, nor
/// after the run's end.
///
/// # Errors
/// The first call that was.
pub fn nothing_after_the_end(events: &[Event]) -> Result<(), String> {
    let log = Log::read(events)?;
    for attempt in &log.attempts {
        for (what, limit_ns) in limits(attempt, &log) {
            let admitted = attempt.end.iter().filter_map(|end| end.last_admitted_ns);
            if let Some(late) = attempt
                .effects
                .iter()
                .copied()
                .chain(admitted)
                .find(|at| *at > limit_ns)
            {
                let late_by = Duration::from_nanos(late - limit_ns);
                return Err(format!(
                    "C3: {attempt} had a call admitted at {late}, {late_by:?} after {what} at {limit_ns}"
                ));
            }
        }
    }
    Ok(())
}

/// The moments after which nothing of this attempt may be admitted.
fn limits(attempt: &Attempt, log: &Log) -> Vec<(&'static str, u64)> {
    let ends = attempt.end.iter().flat_map(|end| {
        [
            ("its deadline", end.deadline_ns),
            ("it was stopped", end.stopped_ns),
        ]
    });
    let lost = log
        .losses
        .iter()
        .filter(|loss| loss.is_of(attempt))
        .map(|loss| ("its lock was lost", loss.at_ns));
    ends.chain(lost).collect()
}

/// C4: a run that lost its lock was stopped within the bound after its deadline.
///
/// # Errors
/// The first run that was not.
pub fn lost_runs_stop_in_time(
    events: &[Event],
    circumstances: &Circumstances,
) -> Result<(), String> {
    for attempt in Log::read(events)?.attempts {
        let Some(end) = attempt.end.as_ref().filter(|end| end.outcome == "lost") else {
            continue;
        };
        let late = Duration::from_nanos(end.stopped_ns.saturating_sub(end.deadline_ns));
        if late > circumstances.stop_bound && !circumstances.was_frozen(&attempt.host) {
            return Err(format!(
                "C4: {attempt} was stopped {late:?} after its deadline, more than {:?}",
                circumstances.stop_bound
            ));
        }
    }
    Ok(())
}

/// C6: a lock is released only after every run under its token was seen stopped.
///
/// # Errors
/// The first release that came too early.
pub fn released_only_after_the_run(events: &[Event]) -> Result<(), String> {
    let log = Log::read(events)?;
    for release in &log.releases {
        for attempt in log.attempts.iter().filter(|attempt| release.is_of(attempt)) {
            let at = release.at_ns;
            match &attempt.end {
                None => {
                    return Err(format!(
                        "C6: {attempt} never ended, yet its lock was released at {at}"
                    ));
                }
                Some(end) if end.at_ns > at || end.stopped_ns > at => {
                    let stopped = end.stopped_ns;
                    return Err(format!(
                        "C6: {attempt} was stopped at {stopped} and ended at {}, after its lock was released at {at}",
                        end.at_ns
                    ));
                }
                Some(_) => {}
            }
            if let Some(late) = attempt.effects.iter().find(|effect| **effect > at) {
                return Err(format!(
                    "C6: {attempt} had an effect at {late}, after its lock was released at {at}"
                ));
            }
        }
    }
    Ok(())
}

/// C8: every run that started has exactly one end, but for the last run of a killed host.
///
/// # Errors
/// The first run without an end, or end without a run.
pub fn every_run_ends(events: &[Event], circumstances: &Circumstances) -> Result<(), String> {
    let log = Log::read(events)?;
    if let Some(stray) = log.strays.first() {
        return Err(format!("C8: {stray}"));
    }
    match log
        .attempts
        .iter()
        .find(|attempt| attempt.end.is_none() && !circumstances.was_killed(&attempt.host))
    {
        Some(attempt) => Err(format!("C8: {attempt} started and never ended")),
        None => Ok(()),
    }
}

//! The verdict over a whole soak: how often each promise was broken, and the first cases. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use leasehold_lock::Token;
use leasehold_records::{Outcome, RunRecord, TickRecord, TickState, run_id};
use leasehold_tests::checks::history::{self, Acknowledged};
use leasehold_tests::checks::{self, Attempt, Circumstances, Log, StoreHistory, Tenancy};
use leasehold_tests::events::{Event, merge};

use crate::world::{Evidence, Life};

/// Cases of each kind that are printed.
const SHOWN: usize = 5;

/// Time for which a job that runs often may hold back the records of its runs, and a second for the noise.
const HELD_BACK_NS: u64 = 11_000_000_000;

/// Where everything lies in the store.
const ROOT: &str = "/leasehold/";

/// Counts, and broken promises.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    counts: Vec<(&'static str, String)>,
    promises: Vec<(&'static str, Vec<String>)>,
}

impl Verdict {
    /// True if nothing was broken.
    pub(crate) fn holds(&self) -> bool {
        self.promises.iter().all(|(_, broken)| broken.is_empty())
    }
}

/// Judges the hosts' logs and the store's history.
///
/// # Errors
/// The evidence cannot be read.
pub(crate) fn judge(evidence: &Evidence) -> Result<Verdict, String> {
    let Evidence { lives, history } = evidence;
    let events = merge(lives.iter().map(|life| life.events.clone()));
    let log = Log::read(&events)?;
    let circumstances = lives.iter().fold(Circumstances::default(), |all, life| {
        let all = if life.killed {
            all.killed(&life.name)
        } else {
            all
        };
        if life.frozen {
            all.frozen(&life.name)
        } else {
            all
        }
    });
    let tenancies = checks::tenancies(&log, &circumstances)?;
    let writes = Acknowledged::read(&events, &journals(&events))?;
    let locks = format!("{ROOT}locks/");
    let mut broken: Vec<(&'static str, Vec<String>)> = vec![
        ("overlaps", overlaps(&tenancies, &revoked(&events))),
        ("tokens out of order", tokens_out_of_order(&tenancies)),
        ("late calls", late_calls(&log)),
        (
            "released before the end",
            first(checks::released_only_after_the_run(&events)),
        ),
        (
            "runs without an end",
            first(checks::every_run_ends(&events, &circumstances)),
        ),
        (
            "runs without a record",
            unrecorded(&log, history, &circumstances),
        ),
        ("ticks begun after done", ticks_after_done(history)),
        (
            "ticks repeated in silence",
            repeated_in_silence(&events, &circumstances),
        ),
        (
            "grants without an entry",
            first(history::grants_have_entries(history, &locks, &log)),
        ),
        (
            "waiters overtaken",
            first(history::no_waiter_is_overtaken(history, &locks, &log)),
        ),
        (
            "acknowledged writes lost",
            first(history::acknowledged_writes_stand_once(
                history, &locks, &writes,
            )),
        ),
        ("hosts that died", died(lives)),
    ];
    let dropped = events.iter().filter(|event| event.is("lines-dropped"));
    broken.push((
        "logs with dropped lines",
        dropped.map(Event::to_string).collect(),
    ));
    Ok(Verdict {
        counts: counts(&events, &log, history, writes.len()),
        promises: broken,
    })
}

/// The journal of each ledger: its prefix is the job's name.
fn journals(events: &[Event]) -> BTreeMap<String, String> {
    let jobs: BTreeSet<&str> = events.iter().filter_map(Event::job).collect();
    let ledgers = jobs.into_iter().filter(|job| job.starts_with("ledger"));
    ledgers
        .map(|job| (job.to_owned(), format!("{ROOT}kv/ledger/{job}/journal")))
        .collect()
}

fn first(verdict: Result<(), String>) -> Vec<String> {
    verdict.err().into_iter().collect()
}

/// Longest time that a holder acts after etcd revoked its live lease: until its watch has delivered that.
const DELIVERY_MS: u64 = 2_000;

/// Text in the record of a run whose lease the server ended before its time (etcd issue 15247).
const REVOKED: &str = "the server ended its lease although";

/// Tokens of runs that lost a lease which etcd itself revoked before its time.
fn revoked(events: &[Event]) -> BTreeSet<u64> {
    let ended = events.iter().filter(|event| event.is("run-ended"));
    let revoked =
        ended.filter(|event| event.str("detail").is_some_and(|why| why.contains(REVOKED)));
    revoked.filter_map(Event::token).collect()
}

/// Every tenancy that began before an earlier one of its lock had ended. One whose lease etcd revoked before its
/// time may act until that is delivered: only fencing separates it from the next.
fn overlaps(tenancies: &[Tenancy], revoked: &BTreeSet<u64>) -> Vec<String> {
    let mut found = Vec::new();
    let mut longest: Option<&Tenancy> = None;
    for next in tenancies {
        if let Some(before) = longest.filter(|before| before.lock == next.lock) {
            if before.until_ns > next.from_ns {
                let ms = (before.until_ns - next.from_ns) / 1_000_000;
                let is_etcds = revoked.contains(&before.token) && ms <= DELIVERY_MS;
                if !is_etcds {
                    found.push(format!("{next} began {ms} ms before the end of {before}"));
                }
            }
            if before.until_ns >= next.until_ns {
                continue;
            }
        }
        longest = Some(next);
    }
    found
}

fn tokens_out_of_order(tenancies: &[Tenancy]) -> Vec<String> {
    let mut by_effect: Vec<_> = tenancies.iter().collect();
    by_effect.sort_by(|a, b| (&a.lock, a.first_effect_ns).cmp(&(&b.lock, b.first_effect_ns)));
    let pairs = by_effect.windows(2);
    let wrong = pairs.filter(|pair| pair[0].lock == pair[1].lock && pair[0].token >= pair[1].token);
    wrong
        .map(|pair| format!("{} before {}", pair[0], pair[1]))
        .collect()
}

/// Every run with a call that was admitted after its deadline, its stop or the loss of its lock.
fn late_calls(log: &Log) -> Vec<String> {
    let mut found = Vec::new();
    for attempt in &log.attempts {
        let ends = attempt
            .end
            .iter()
            .map(|end| end.deadline_ns.min(end.stopped_ns));
        let losses = log.losses.iter().filter(|loss| loss.is_of(attempt));
        let Some(limit) = ends.chain(losses.map(|loss| loss.at_ns)).min() else {
            continue;
        };
        let admitted = attempt.end.iter().filter_map(|end| end.last_admitted_ns);
        let last = attempt.effects.iter().copied().chain(admitted).max();
        if let Some(last) = last.filter(|last| *last > limit) {
            let us = (last - limit) / 1_000;
            found.push(format!("{attempt} had a call {us} µs after its end"));
        }
    }
    found
}

/// Every run that started and whose record does not name its outcome in the end.
fn unrecorded(log: &Log, history: &StoreHistory, circumstances: &Circumstances) -> Vec<String> {
    let runs = format!("{ROOT}runs/");
    let mut outcomes: BTreeMap<String, Outcome> = BTreeMap::new();
    let mut merged: Vec<RunRecord> = Vec::new();
    for change in &history.changes {
        if let (true, Some((_, json))) = (change.key.starts_with(&runs), &change.put)
            && let Ok(record) = RunRecord::from_json(json.as_bytes())
        {
            if record.merged.is_some() {
                merged.push(record.clone());
            }
            outcomes.insert(record.run_id, record.outcome);
        }
    }
    let mut found = Vec::new();
    for attempt in &log.attempts {
        let token = Token::new(attempt.token);
        let shares = |record: &RunRecord| {
            record.lock == attempt.lock
                && record.covers(token, 0)
                && attempt.run == run_id(&record.host, token, 0)
        };
        match outcomes.get(&attempt.run) {
            None if merged.iter().any(shares) || is_held_back(attempt, log, circumstances) => {}
            None => found.push(format!("{attempt} has no record")),
            Some(Outcome::Running) => found.push(format!("{attempt} is recorded as running")),
            Some(_) => {}
        }
    }
    found
}

/// True for a run whose record may have waited to be merged with others when its host was killed.
fn is_held_back(attempt: &Attempt, log: &Log, circumstances: &Circumstances) -> bool {
    let Some(end) = attempt.end.as_ref().filter(|end| end.outcome == "done") else {
        return false;
    };
    let same = log
        .attempts
        .iter()
        .filter(|other| other.host == attempt.host);
    let last = same.map(|other| other.end.as_ref().map_or(other.started_ns, |end| end.at_ns));
    let is_late = last
        .max()
        .is_some_and(|last| end.at_ns + HELD_BACK_NS > last);
    is_late && circumstances.killed.contains(&attempt.host)
}

/// Every tick that was begun, or done, after the store had taken it as done.
fn ticks_after_done(history: &StoreHistory) -> Vec<String> {
    let prefix = format!("{ROOT}ticks/");
    let mut done: BTreeMap<&str, u64> = BTreeMap::new();
    let mut found = Vec::new();
    for change in &history.changes {
        let (Some(job), Some((_, json))) = (change.key.strip_prefix(&prefix), &change.put) else {
            continue;
        };
        let Ok(record) = TickRecord::from_json(json.as_bytes()) else {
            found.push(format!(
                "{job} at revision {} cannot be read",
                change.revision
            ));
            continue;
        };
        if done
            .get(job)
            .is_some_and(|done| record.tick_unix_ms.as_u64() <= *done)
        {
            found.push(format!(
                "{job} at {}: {} on {} at revision {}, after it was done",
                record.tick_unix_ms.as_u64(),
                record.state.as_str(),
                record.host,
                change.revision
            ));
        }
        if record.state == TickState::Done {
            done.insert(job, record.tick_unix_ms.as_u64());
        }
    }
    found
}

/// Runs that ended as done and are of one tick, by job and tick, in order.
fn ticks_done_twice(events: &[Event]) -> Vec<(String, Vec<&Event>)> {
    let mut ticks: BTreeMap<(&str, &str), Vec<&Event>> = BTreeMap::new();
    let starts = events.iter().filter(|event| event.is("run-started"));
    let starts: BTreeMap<_, _> = starts
        .map(|start| ((start.host(), start.run()), start))
        .collect();
    for end in events.iter().filter(|event| event.is("run-ended")) {
        let start = starts.get(&(end.host(), end.run()));
        if let Some((job, tick)) = start.and_then(|start| Some((start.job()?, start.str("tick")?)))
            && end.outcome() == Some("done")
        {
            ticks.entry((job, tick)).or_default().push(end);
        }
    }
    let twice = ticks.into_iter().filter(|(_, runs)| runs.len() > 1);
    twice
        .map(|((job, tick), runs)| (format!("{job} at {tick}"), runs))
        .collect()
}

/// Ticks that were run again although no host knew that they might be: an end that could not be marked is logged,
/// unless its host was killed.
fn repeated_in_silence(events: &[Event], circumstances: &Circumstances) -> Vec<String> {
    let mut found = Vec::new();
    for (what, runs) in ticks_done_twice(events) {
        let (_, earlier) = runs.split_last().unwrap_or((&runs[0], &[]));
        let silent = earlier.iter().find(|end| {
            let unmarked = events.iter().any(|event| {
                event.is("tick-unmarked")
                    && (event.host(), event.token()) == (end.host(), end.token())
            });
            let host = end.host().unwrap_or_default();
            !unmarked && !circumstances.killed.iter().any(|killed| killed == host)
        });
        if let Some(silent) = silent {
            found.push(format!("{what}: run again after {silent}"));
        }
    }
    found
}

fn died(lives: &[Life]) -> Vec<String> {
    let died = lives.iter().filter_map(|life| {
        let why = life.died.as_ref()?;
        Some(format!("{}: {why}", life.name))
    });
    died.collect()
}

/// Activity of the run, since nothing broken in nothing done proves nothing.
fn counts(
    events: &[Event],
    log: &Log,
    history: &StoreHistory,
    writes: usize,
) -> Vec<(&'static str, String)> {
    let mut outcomes: BTreeMap<&str, usize> = BTreeMap::new();
    for attempt in &log.attempts {
        let outcome = attempt.end.as_ref().map_or("killed", |end| &end.outcome);
        *outcomes.entry(outcome).or_default() += 1;
    }
    let outcomes: Vec<_> = outcomes
        .iter()
        .map(|(outcome, count)| format!("{count} {outcome}"))
        .collect();
    let effects: usize = log
        .attempts
        .iter()
        .map(|attempt| attempt.effects.len())
        .sum();
    let ticks: BTreeSet<_> = events
        .iter()
        .filter(|event| event.is("run-started"))
        .filter_map(|event| Some((event.job()?, event.str("tick")?)))
        .collect();
    vec![
        ("events", events.len().to_string()),
        ("grants", log.grants.len().to_string()),
        (
            "runs",
            format!("{} ({})", log.attempts.len(), outcomes.join(", ")),
        ),
        ("effects", effects.to_string()),
        ("losses", log.losses.len().to_string()),
        ("ticks", ticks.len().to_string()),
        (
            "ticks run again, unmarked",
            ticks_done_twice(events).len().to_string(),
        ),
        ("acknowledged writes", writes.to_string()),
        ("revisions", history.until().to_string()),
    ]
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, count) in &self.counts {
            writeln!(f, "{name:<26} {count}")?;
        }
        for (name, broken) in &self.promises {
            writeln!(f, "{name:<26} {}", broken.len())?;
            for case in broken.iter().take(SHOWN) {
                writeln!(f, "    {case}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;

//! Work for ticks: looking, claiming, marking. The decisions are in `tick`; this file reads and writes the store
//! and logs the result.

use std::sync::Arc;
use std::time::Duration;

use leasehold_lock::{EndReason, Grant};
use leasehold_records::{Outcome as Word, RunRecord, TickRecord};

use super::bench::Bench;
use super::clocks;
use super::machine::{Claim, Look, Mark};
use super::tick::{self, Ask, Claimant, Ended, Held, Replaced, Stored};
use super::work::Outcome;
use crate::event::What;
use crate::host::cut_short;
use crate::record_writer::text;
use leasehold_config::Schedule;
use leasehold_config::wall::UnixMs;

/// Pause between two attempts to mark a tick, while the lock is held.
const MARK_PAUSE: Duration = Duration::from_millis(200);

/// Reads the state of a tick, without the lock.
pub(crate) async fn look(bench: Arc<Bench>, tick: UnixMs) -> Outcome {
    let (store, ask) = (stored(&bench), ask(&bench, tick, tick));
    let look = tokio::select! {
        () = bench.cancel.cancelled() => Look::Open,
        look = tick::look(&store, &bench.host, ask) => look,
    };
    Outcome::Looked(look)
}

/// Claims a tick under the lock.
pub(crate) async fn claim(
    bench: Arc<Bench>,
    grant: Box<Grant>,
    (tick, newest): (UnixMs, UnixMs),
    sequence: u32,
) -> Outcome {
    let who = Claimant {
        job: text(&bench.name),
        host: text(&bench.host),
        lock: grant.name().to_owned(),
        lock_key: grant.key().to_owned(),
        token: grant.token(),
        run_id: bench.run_id(grant.token(), sequence),
    };
    let ask = ask(&bench, tick, newest);
    let store = held(&bench, &grant);
    let (claim, over) = tokio::select! {
        biased;
        claimed = tick::claim(&store, &who, ask) => claimed,
        _ = grant.tenure().ended() => (Claim::Lost, Replaced::default()),
        () = cut_short(&bench.stop.abort) => (Claim::Lost, Replaced::default()),
    };
    if let Some(cut_off) = over.cut_off {
        bench.journal.run_cut_off(unrecorded(&bench, cut_off));
    }
    if let Some(overruled) = over.overruled {
        let disbelieved = What::TickDisbelieved {
            tick: overruled.tick.to_string(),
            by: overruled.host,
            its_clock: overruled.shown.to_string(),
            our_clock: ask.now.to_string(),
        };
        let about = bench.about_token(grant.token());
        bench.timeline.say(about, disbelieved);
    }
    if claim == Claim::Lost && !bench.stop.abort.is_cancelled() {
        // If the store refused the claim, its answer came before the watch's event.
        grant.tenure().end(EndReason::TokenStale);
        let reason = grant.tenure().end_reason();
        let reason = reason.map_or_else(String::new, |reason| reason.to_string());
        let about = bench.about_token(grant.token());
        bench.timeline.say(about, What::LockLost { reason });
    }
    Outcome::Claimed(grant, claim)
}

/// Returns the record of a run whose host died before it wrote one, as far as the claim of its tick shows.
fn unrecorded(bench: &Bench, claim: TickRecord) -> RunRecord {
    let sequence = claim.run_id.rsplit('-').next();
    RunRecord {
        detail: format!(
            "host {} claimed its tick and recorded nothing after that; it vanished or could not reach the store",
            claim.host
        ),
        job: claim.job,
        host: claim.host,
        lock: text(&bench.lock),
        lock_key: String::new(),
        token: claim.token,
        sequence: sequence.and_then(|text| text.parse().ok()).unwrap_or(0),
        run_id: claim.run_id,
        attempt: claim.attempt,
        tick_unix_ms: Some(claim.tick_unix_ms),
        plugin_sha256: String::new(),
        started_unix_ms: claim.claimed_unix_ms,
        ended_unix_ms: None,
        outcome: Word::Abandoned,
        calls_admitted: 0,
        calls_refused: 0,
        peak_memory_bytes: 0,
        output: String::new(),
        output_truncated_bytes: 0,
        merged: None,
    }
}

/// Marks the tick of a run that has ended, and gives the lock back with the same transaction. A failed attempt is
/// repeated until the deadline. A tick that stays unmarked is run again by the next holder.
pub(crate) async fn mark(
    bench: Arc<Bench>,
    grant: Box<Grant>,
    (tick, mark): (UnixMs, Mark),
    outcome: Word,
) -> Outcome {
    let ended = Ended {
        tick,
        token: grant.token(),
        mark,
        outcome,
        now: bench.now().wall,
    };
    let is_held = grant.tenure().admits();
    let until = grant.tenure().last_deadline();
    let store = Held {
        leaves: is_held.then_some(&*grant),
        ..held(&bench, &grant)
    };
    let marked = async {
        loop {
            let is_last = !is_held || bench.clock.now() >= until;
            match tick::mark(&store, ended).await {
                Err(unmarked) if unmarked.may_pass && !is_last => {
                    tokio::time::sleep(MARK_PAUSE).await;
                }
                marked => break marked.map_err(|unmarked| unmarked.reason),
            }
        }
    };
    let marked = tokio::select! {
        marked = marked => marked,
        () = cut_short(&bench.stop.abort) => Err("the host was stopped at once".into()),
    };
    if let Err(error) = marked {
        let tick = tick.to_string();
        let unmarked = What::TickUnmarked { tick, error };
        bench
            .timeline
            .say(bench.about_token(grant.token()), unmarked);
    }
    Outcome::Marked(grant)
}

fn ask(bench: &Bench, tick: UnixMs, newest: UnixMs) -> Ask {
    let now = bench.now().wall;
    let settling = match bench.job.schedule() {
        Schedule::Ticks(ticks) => clocks::settling(ticks.beat(), now),
        Schedule::KeepRunning | Schedule::Once => Duration::ZERO,
    };
    Ask {
        tick,
        newest,
        now,
        settling,
        is_dropped: bench.job.is_dropped(),
    }
}

fn stored(bench: &Bench) -> Stored {
    Stored {
        kv: bench.locks.kv(),
        key: bench.root.tick(&bench.name),
        hosts: bench.root.hosts(),
    }
}

fn held(bench: &Bench, grant: &Grant) -> Held<'static> {
    Held {
        leaves: None,
        stored: stored(bench),
        fence: grant.fence(),
    }
}

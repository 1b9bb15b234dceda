//! The pieces of work that a job consists of. Each is one task that ends in one [`Outcome`].
//!
//! A grant is owned by the piece of work that needs it and handed back at its end, so no two pieces
//! can use it and none can forget it. A panic drops it, which gives the lock back.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use leasehold_lock::{Acquire, AcquireError, BootTime, Clock, EndReason, Grant, Wait as LockWait};
use leasehold_records::{HolderRecord, RunRecord, printable};
use tokio::sync::mpsc;

use super::bench::Bench;
use super::machine::{Cause, Claim, Look, Missed, Now, Turn, Until, Verdict};
use crate::config::Wait;
use crate::event::{About, What};
use crate::fenced::FencedKv;
use crate::host::cut_short;
use crate::journal::{text, unix_ms};
use crate::runtime::{Authority, GuestEvent, RunEnd, RunReport, RunSpec, Trigger};
use crate::secrets::{self, Secrets};
use crate::wall::UnixMs;

/// Events of one guest that may wait to be logged.
const GUEST_EVENTS: usize = 512;
/// How long to ask the store why a lock was lost.
const EXPLAIN_PATIENCE: Duration = Duration::from_secs(1);
/// The longest anybody sleeps without a look at the clocks.
const NAP: Duration = Duration::from_mins(1);
/// A wall clock that moved by this much more or less than time has been set. Those that are kept right by
/// small steps take half an hour for it, and then a job plans anew what it had planned.
const SET: Duration = Duration::from_secs(1);
/// Bytes of output kept in a run's record; the rest is in the log.
const RECORD_OUTPUT: usize = 16 * 1024;

/// How a piece of work ended.
pub(crate) enum Outcome {
    Slept { cancelled: bool },
    Looked(Look),
    Acquired(Box<Grant>),
    Missed(Missed),
    Claimed(Box<Grant>, Claim),
    Ran(Box<Grant>, Verdict, Box<RunReport>),
    Paused(Box<Grant>, Paused),
    Marked(Box<Grant>),
    Released,
}

/// How a pause under a kept lock ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Paused {
    Over,
    Lost,
    Cancelled,
}

/// Sleeps until a moment, or until the wall clock it is a moment of is set.
pub(crate) async fn sleep(bench: Arc<Bench>, until: Until) -> Outcome {
    let over = async {
        match until {
            Until::Boot(until) => sleep_until(&*bench.clock, until).await,
            Until::Wall(until) => doze(&bench, until).await,
        }
    };
    tokio::select! {
        () = bench.cancel.cancelled() => Outcome::Slept { cancelled: true },
        () = over => Outcome::Slept { cancelled: false },
    }
}

/// Sleeps until the wall clock shows `until`, or is seen to have been set.
async fn doze(bench: &Bench, until: UnixMs) {
    let began = bench.now();
    while let Some(nap) = nap(began, bench.now(), until) {
        tokio::time::sleep(nap).await;
    }
}

/// How long to sleep before the clocks are looked at again; `None` when there is something to do.
fn nap(began: Now, now: Now, until: UnixMs) -> Option<Duration> {
    let left = until.since(now.wall);
    let passed = now.boot.since(began.boot);
    // What the wall clock would show if nobody had set it.
    let expected = began.wall.after(passed);
    let set = now.wall.since(expected).max(expected.since(now.wall));
    (!left.is_zero() && set < SET).then(|| left.min(NAP))
}

async fn sleep_until(clock: &dyn Clock, until: BootTime) {
    loop {
        let left = until.since(clock.now());
        if left.is_zero() {
            return;
        }
        // tokio's timers do not count suspend; looking now and then does.
        tokio::time::sleep(left.min(NAP)).await;
    }
}

/// Waits for the lock.
pub(crate) async fn acquire(bench: Arc<Bench>) -> Outcome {
    let holder = HolderRecord {
        host: text(&bench.host),
        job: text(&bench.name),
        pid: std::process::id(),
        since_unix_ms: unix_ms(SystemTime::now()),
    };
    let request = Acquire::new(bench.root.lock(&bench.lock))
        .value(holder.to_json())
        .ttl(bench.job.ttl())
        .stop_margin(bench.job.stop_margin())
        .wait(match bench.job.wait() {
            Wait::Forever => LockWait::Forever,
            Wait::AtMost(most) => LockWait::AtMost(most),
            Wait::Never => LockWait::Never,
        });
    let about = bench.about();
    let waiting = bench.locks.acquire_telling(request, |place| {
        bench.timeline.say(
            about.clone(),
            What::Waiting {
                place: place.ahead,
                holder: place.holder,
            },
        );
    });
    let acquired = tokio::select! {
        () = bench.cancel.cancelled() => return Outcome::Missed(Missed::Cancelled),
        acquired = waiting => acquired,
    };
    match acquired {
        Ok(grant) => {
            let waited = grant.waited();
            bench.timeline.say(
                bench.about_token(grant.token()),
                What::Acquired {
                    wait_ms: millis(waited),
                },
            );
            Outcome::Acquired(Box::new(grant))
        }
        Err(error @ AcquireError::Contended { .. }) => {
            Outcome::Missed(Missed::Contended(error.to_string()))
        }
        Err(AcquireError::Closed) => Outcome::Missed(Missed::Cancelled),
        Err(error) => {
            let text = match std::error::Error::source(&error) {
                Some(source) => format!("{error}: {source}"),
                None => error.to_string(),
            };
            Outcome::Missed(Missed::Trouble(text))
        }
    }
}

/// Gives the lock back.
pub(crate) async fn release(bench: Arc<Bench>, grant: Grant) -> Outcome {
    let token = grant.token();
    let lost = !grant.tenure().admits();
    let confirmed = tokio::select! {
        released = grant.release() => released.is_ok(),
        () = cut_short(&bench.stop.abort) => false,
    };
    if !lost {
        bench
            .timeline
            .say(bench.about_token(token), What::Released { confirmed });
    }
    Outcome::Released
}

/// Keeps the lock for a while without running.
pub(crate) async fn pause(bench: Arc<Bench>, grant: Box<Grant>, pause: Duration) -> Outcome {
    let until = bench.clock.now().after(pause);
    let paused = tokio::select! {
        biased;
        () = bench.cancel.cancelled() => Paused::Cancelled,
        _ = grant.tenure().ended() => Paused::Lost,
        () = sleep_until(&*bench.clock, until) => Paused::Over,
    };
    if paused == Paused::Lost {
        let reason = grant
            .tenure()
            .end_reason()
            .map_or_else(String::new, |r| r.to_string());
        bench
            .timeline
            .say(bench.about_token(grant.token()), What::LockLost { reason });
    }
    Outcome::Paused(grant, paused)
}

/// Which run this is of all runs of the host.
pub(crate) struct RunNumber {
    pub(crate) sequence: u32,
    pub(crate) turn: Turn,
    pub(crate) cause: Cause,
}

/// Runs the guest.
pub(crate) async fn run(bench: Arc<Bench>, grant: Box<Grant>, number: RunNumber) -> Outcome {
    let started = SystemTime::now();
    let run_id = bench.run_id(grant.token(), number.sequence);
    let about = About {
        run: Some(run_id.as_str().into()),
        ..bench.about_token(grant.token())
    };
    let trigger = trigger(number.cause);
    bench.timeline.say(
        about.clone(),
        What::RunStarted {
            attempt: number.turn.attempt,
            trigger: trigger_word(trigger),
            tick: number.turn.tick.map(|tick| tick.to_string()),
            plugin_sha256: bench.plugin.facts().sha256.clone(),
        },
    );
    let mut record = bench.record(&grant, &number, &run_id, started);
    let report = guest(&bench, &grant, &number, &record, &about).await;

    let mut detail = bench.job.at_home(&detail(&report.end));
    if let RunEnd::Lost(reason) = &report.end {
        detail = explain(&bench, &grant, reason).await;
    }
    bench.timeline.say(
        about,
        What::RunEnded {
            outcome: report.end.outcome(),
            detail: detail.clone(),
            admitted: report.admitted,
            refused: report.refused,
            started_ns: report.started_at.as_nanos(),
            first_admitted_ns: report.first_admitted.map(BootTime::as_nanos),
            last_admitted_ns: report.last_admitted.map(BootTime::as_nanos),
            stopped_ns: report.stopped_at.as_nanos(),
            deadline_ns: report.deadline.as_nanos(),
        },
    );
    record.ended_unix_ms = Some(unix_ms(SystemTime::now()));
    record.outcome = outcome(&report.end);
    record.detail = detail;
    record.calls_admitted = report.admitted;
    record.calls_refused = report.refused;
    record.peak_memory_bytes = report.peak_memory_bytes;
    let (output, cut) = last_bytes(&report.output, RECORD_OUTPUT);
    record.output = output.to_owned();
    record.output_truncated_bytes = report.output_truncated_bytes + cut;
    bench.journal.run_ended(record);
    let verdict = match verdict(&report.end) {
        Verdict::Failed(reason) => Verdict::Failed(bench.job.at_home(&reason)),
        verdict => verdict,
    };
    Outcome::Ran(grant, verdict, Box::new(report))
}

/// Runs the guest and passes on what it says.
async fn guest(
    bench: &Arc<Bench>,
    grant: &Grant,
    number: &RunNumber,
    record: &RunRecord,
    about: &About,
) -> RunReport {
    let kv = FencedKv::new(bench.locks.kv(), grant, bench.root.kv());
    let authority = Authority {
        lock: text(&bench.lock),
        lock_key: grant.key().to_owned(),
        token: grant.token(),
        holder: format!("{:x}", grant.lease()),
        tenure: grant.tenure().clone(),
        kv: Arc::new(kv),
    };
    let secrets = match read_secrets(bench).await {
        Ok(secrets) => secrets,
        Err(why) => {
            let now = bench.clock.now();
            let deadline = grant.tenure().last_deadline();
            return RunReport::of_nothing(RunEnd::Retry(printable::line(&why)), now, deadline);
        }
    };
    let (env, env_secrets) = secrets::environment(bench.job.env());
    let spec = RunSpec {
        job: text(&bench.name),
        run_id: record.run_id.clone(),
        attempt: number.turn.attempt,
        trigger: trigger(number.cause),
        scheduled_at_unix_ms: number.turn.tick.map(UnixMs::as_u64),
        args: bench.job.args().to_vec(),
        env,
        env_secrets,
        secrets,
        config_json: bench.job.config_json().to_owned(),
        timeout: bench.job.timeout(),
        stop: bench.stop.clone(),
    };
    let (events, mut heard) = mpsc::channel(GUEST_EVENTS);
    // Polled after the guest: a record of the start must not delay it, and need not be written at all
    // if the run has ended by then.
    let tell = async {
        bench.journal.run_started(record.clone());
        let mut told_loss = false;
        loop {
            tokio::select! {
                biased;
                event = heard.recv() => match event {
                    Some(event) => pass_on(bench, about, event),
                    None => break told_loss,
                },
                reason = grant.tenure().ended(), if !told_loss => {
                    told_loss = true;
                    tell_loss(bench, about, grant, &reason);
                }
            }
        }
    };
    let run = bench.runtime.run(&bench.plugin, authority, spec, events);
    let (report, told_loss) = tokio::join!(run, tell);
    // A guest that was stopped first has closed its events before the loss was heard here.
    if let (RunEnd::Lost(reason), false) = (&report.end, told_loss) {
        tell_loss(bench, about, grant, reason);
    }
    report
}

/// The job's secrets as they are now; the error says which one cannot be used.
async fn read_secrets(bench: &Bench) -> Result<Secrets, String> {
    let references = bench.job.secrets().clone();
    if references.is_empty() {
        return Ok(Secrets::default());
    }
    match tokio::task::spawn_blocking(move || Secrets::read(&references)).await {
        Ok(read) => read.map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    }
}

/// Says when and why the lock was lost.
fn tell_loss(bench: &Bench, about: &About, grant: &Grant, reason: &EndReason) {
    let at = grant.tenure().ended_at();
    let at = at.unwrap_or_else(|| bench.clock.now());
    let reason = reason.to_string();
    let lost = What::LockLost { reason };
    bench.timeline.say_at(at, about.clone(), lost);
}

fn pass_on(bench: &Bench, about: &About, event: GuestEvent) {
    match event {
        GuestEvent::Line(line) => bench.timeline.say_at(
            line.at,
            about.clone(),
            What::Guest {
                stream: line.stream.as_str(),
                level: line.level.map(crate::runtime::Level::as_str),
                text: line.text,
                fields: line.fields,
            },
        ),
        GuestEvent::Progress {
            done,
            total,
            message,
            at,
        } => {
            let progress = leasehold_records::Progress {
                done,
                total,
                message: message.clone(),
            };
            // The newest progress is what matters; one that finds no room is replaced by the next.
            let _ = bench.progress.try_send((bench.name.clone(), progress));
            bench.timeline.say_at(
                at,
                about.clone(),
                What::Progress {
                    done,
                    total,
                    message,
                },
            );
        }
    }
}

impl Bench {
    /// This moment, on both clocks.
    pub(crate) fn now(&self) -> Now {
        Now {
            boot: self.clock.now(),
            wall: self.wall.now(),
        }
    }

    /// The id of a run: which host, under which token, and which under that.
    pub(crate) fn run_id(&self, token: u64, sequence: u32) -> String {
        format!("{}-{token}-{sequence}", self.host)
    }

    pub(crate) fn about(&self) -> About {
        About {
            job: Some(self.name.clone()),
            lock: Some(self.lock.clone()),
            token: None,
            run: None,
        }
    }

    pub(crate) fn about_token(&self, token: u64) -> About {
        About {
            token: Some(token),
            ..self.about()
        }
    }

    fn record(
        &self,
        grant: &Grant,
        number: &RunNumber,
        run_id: &str,
        started: SystemTime,
    ) -> RunRecord {
        RunRecord {
            job: text(&self.name),
            host: text(&self.host),
            lock: text(&self.lock),
            lock_key: grant.key().to_owned(),
            token: grant.token(),
            sequence: number.sequence,
            run_id: run_id.to_owned(),
            attempt: number.turn.attempt,
            tick_unix_ms: number.turn.tick.map(UnixMs::as_u64),
            plugin_sha256: self.plugin.facts().sha256.clone(),
            started_unix_ms: unix_ms(started),
            ended_unix_ms: None,
            outcome: leasehold_records::Outcome::Running,
            detail: String::new(),
            calls_admitted: 0,
            calls_refused: 0,
            peak_memory_bytes: 0,
            output: String::new(),
            output_truncated_bytes: 0,
        }
    }
}

/// Says who or what took the lock away, as far as the store can tell.
async fn explain(bench: &Bench, grant: &Grant, reason: &EndReason) -> String {
    let entry = format!("entry {} of {}", grant.key(), bench.host);
    let asked = tokio::time::timeout(EXPLAIN_PATIENCE, bench.locks.lease_ttl(grant.lease())).await;
    let lease = match asked {
        Ok(Ok(Some(_))) => "its lease lives on, so somebody removed the entry by hand",
        Ok(Ok(None)) => "its lease is gone: revoked by somebody, or expired",
        Ok(Err(_)) | Err(_) => "the store could not be asked why",
    };
    match reason {
        EndReason::Removed { .. } | EndReason::Replaced { .. } | EndReason::TokenStale => {
            format!("{reason}: {entry}; {lease}")
        }
        _ => format!("{reason}: {entry}"),
    }
}

const fn trigger(cause: Cause) -> Trigger {
    match cause {
        Cause::Continuous => Trigger::Continuous,
        Cause::Schedule => Trigger::Schedule,
        Cause::Once => Trigger::Manual,
    }
}

const fn trigger_word(trigger: Trigger) -> &'static str {
    match trigger {
        Trigger::Schedule => "schedule",
        Trigger::Manual => "once",
        Trigger::Watch => "watch",
        Trigger::Continuous => "continuous",
    }
}

fn verdict(end: &RunEnd) -> Verdict {
    match end {
        RunEnd::Done(_) | RunEnd::Exit(0) => Verdict::Done,
        RunEnd::Again(pause) => Verdict::Again(*pause),
        RunEnd::Fatal(reason) => Verdict::Fatal(reason.clone()),
        RunEnd::Lost(_) => Verdict::Lost,
        RunEnd::Stopped => Verdict::Stopped,
        RunEnd::Retry(_)
        | RunEnd::Exit(_)
        | RunEnd::Trap { .. }
        | RunEnd::Limit { .. }
        | RunEnd::TimedOut => Verdict::Failed(detail(end)),
    }
}

fn detail(end: &RunEnd) -> String {
    match end {
        RunEnd::Done(None) | RunEnd::Stopped => String::new(),
        RunEnd::Done(Some(text)) | RunEnd::Retry(text) | RunEnd::Fatal(text) => text.clone(),
        RunEnd::Again(pause) => format!("again in {}", humantime::format_duration(*pause)),
        RunEnd::Exit(code) => format!("exit code {code}"),
        RunEnd::Trap { message, .. } | RunEnd::Limit { message, .. } => message.clone(),
        RunEnd::Lost(reason) => reason.to_string(),
        RunEnd::TimedOut => "it ran longer than its timeout".into(),
    }
}

pub(crate) const fn outcome(end: &RunEnd) -> leasehold_records::Outcome {
    use leasehold_records::Outcome as Word;
    match end {
        RunEnd::Done(_) | RunEnd::Exit(0) => Word::Done,
        RunEnd::Again(_) => Word::Again,
        RunEnd::Retry(_) => Word::Retry,
        RunEnd::Fatal(_) => Word::Fatal,
        RunEnd::Exit(_) => Word::Exit,
        RunEnd::Trap { .. } => Word::Trap,
        RunEnd::Limit { .. } => Word::Limit,
        RunEnd::Lost(_) => Word::Lost,
        RunEnd::TimedOut => Word::Timeout,
        RunEnd::Stopped => Word::Stopped,
    }
}

/// The end of `text`, at most `most` bytes, and how many bytes were cut.
fn last_bytes(text: &str, most: usize) -> (&str, u64) {
    let mut cut = text.len().saturating_sub(most);
    while !text.is_char_boundary(cut) {
        cut += 1;
    }
    (&text[cut..], cut as u64)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As long as nobody touches the clock it sleeps until it is time, and looks up once a minute.
    #[test]
    fn a_sleep_by_the_wall_clock_ends_when_it_is_time_or_the_clock_was_set() {
        let now = |boot: u64, wall: u64| Now {
            boot: BootTime::from_nanos(boot * 1_000_000_000),
            wall: UnixMs::new(wall * 1000),
        };
        let began = now(10, 1000);
        let until = UnixMs::new(1_300_000);
        assert_eq!(nap(began, began, until), Some(NAP));
        assert_eq!(
            nap(began, now(290, 1280), until),
            Some(Duration::from_secs(20))
        );
        assert_eq!(nap(began, now(310, 1300), until), None);
        // Put back or put forward: somebody must think again.
        assert_eq!(nap(began, now(70, 1000), until), None);
        assert_eq!(nap(began, now(70, 1070), until), None);
        // Suspended for an hour: the clock goes on, and so did the time.
        assert_eq!(nap(began, now(3610, 4600), until), None);
        // A clock that is corrected a little is still the same clock.
        let slewed = Now {
            wall: UnixMs::new(1_060_500),
            ..now(70, 0)
        };
        assert_eq!(nap(began, slewed, until), Some(NAP));
    }

    #[test]
    fn output_in_a_record_is_cut_between_characters() {
        assert_eq!(last_bytes("abc", 9), ("abc", 0));
        assert_eq!(last_bytes("äöü", 3), ("ü", 4));
    }
}

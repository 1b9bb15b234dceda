//! Following a requested run: from the request to the host that takes it, and to its end.

use std::time::{Duration, Instant};

use leasehold_lock::Token;
use leasehold_orders::OrderDesk;
use leasehold_records::{Outcome, RunKey, RunRecord, TriggerRecord, TriggerState};
use leasehold_supervisor::shutdown::Signals;
use tokio::time::sleep;

use super::run_output::RequestedOutput;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::show_format::print;
use crate::sink;

/// Time between two readings.
const PAUSE: Duration = Duration::from_millis(150);
/// Longest wait for a host without `--wait`, and time after which a note is printed with it.
const PATIENCE: Duration = Duration::from_secs(4);
/// Longest wait for the record of a run that has ended, or whose host is dead.
const RECORD_PATIENCE: Duration = Duration::from_secs(5);

/// The claim of a request by a host.
#[derive(Clone, Debug, PartialEq, Eq)]
struct ClaimedRun {
    host: String,
    lock_key: String,
    token: Token,
}

/// Follower of one request.
pub(super) struct RequestFollower<'a> {
    desk: &'a OrderDesk,
    key: String,
    job: &'a str,
    waits: bool,
    began: Instant,
    is_noted: bool,
    claimed: Option<ClaimedRun>,
    output: RequestedOutput,
    /// Time since when the lock entry of the run has been missing.
    missing: Option<Instant>,
}

impl<'a> RequestFollower<'a> {
    pub(super) fn new(desk: &'a OrderDesk, key: String, job: &'a str, waits: bool) -> Self {
        Self {
            desk,
            key,
            job,
            waits,
            began: Instant::now(),
            is_noted: false,
            claimed: None,
            output: RequestedOutput::new(),
            missing: None,
        }
    }

    /// Follows the request, until a host has taken it or until its end. A signal ends this, and nothing else.
    pub(super) async fn follow(&mut self) -> Result<Exit, Failure> {
        let followed = self.follow_steps().await;
        self.output.close().await;
        followed
    }

    async fn follow_steps(&mut self) -> Result<Exit, Failure> {
        let mut signals = Signals::new().map_err(|error| Failure::internal(&error))?;
        loop {
            if let Some(exit) = self.step().await? {
                return Ok(exit);
            }
            let next = sleep(PAUSE);
            tokio::pin!(next);
            loop {
                tokio::select! {
                    biased;
                    _ = signals.next() => return Ok(self.leave()),
                    () = &mut next => break,
                    printed = self.output.print_next() => printed?,
                }
            }
        }
    }

    fn leave(&self) -> Exit {
        let job = self.job;
        let text = match &self.claimed {
            Some(claimed) => format!(
                "not followed any more: the run on {} goes on (`leasehold stop {job}` would end it)\n",
                claimed.host
            ),
            None => {
                "not followed any more: the request stays until a host takes it or it expires\n"
                    .to_owned()
            }
        };
        sink::print_warning(&text);
        Exit::Aborted
    }

    /// Reads the request once. Returns the exit code at its end.
    async fn step(&mut self) -> Result<Option<Exit>, Failure> {
        let (found, _) = self.desk.read(&self.key).await?;
        let Some(found) = found else {
            return self.follow_record().await;
        };
        let record = TriggerRecord::from_json(&found.value)
            .map_err(|error| Failure::of_line(Exit::Store, &format!("{}: {error}", self.key)))?;
        match record.state {
            TriggerState::Open => self.note_open(),
            TriggerState::Claimed {
                runs_on,
                lock_key,
                token,
                ..
            } => {
                let claimed = ClaimedRun {
                    host: runs_on,
                    lock_key,
                    token,
                };
                self.take_claim(claimed).await
            }
            TriggerState::Ended {
                runs_on,
                token,
                outcome,
                detail,
                ..
            } => {
                let ended = (runs_on, token);
                self.end(ended, (outcome, &detail)).await.map(Some)
            }
            TriggerState::Refused { refused_by, reason } => Err(Failure::of_line(
                Exit::Usage,
                &format!("{refused_by} refused to run {}: {reason}", self.job),
            )),
        }
    }

    fn note_open(&mut self) -> Result<Option<Exit>, Failure> {
        if self.began.elapsed() < PATIENCE {
            return Ok(None);
        }
        let job = self.job;
        let text = format!(
            "a run of {job} is requested; no host has taken it yet (`leasehold status` shows who holds its lock)\n"
        );
        if !self.waits {
            return print(&text).map(Some);
        }
        if !std::mem::replace(&mut self.is_noted, true) {
            sink::print_warning(&text);
        }
        Ok(None)
    }

    async fn take_claim(&mut self, claimed: ClaimedRun) -> Result<Option<Exit>, Failure> {
        if self.claimed.is_none() {
            let text = format!(
                "{} runs {} now (token {})\n",
                claimed.host, self.job, claimed.token
            );
            if !self.waits {
                return print(&text).map(Some);
            }
            sink::print_warning(&text);
            let (desk, job) = (self.desk, self.job);
            self.output.open(desk, job, claimed.token).await;
            self.claimed = Some(claimed);
        }
        self.find_death().await
    }

    /// Follows the run's own record, once the request was deleted with its lease.
    async fn follow_record(&mut self) -> Result<Option<Exit>, Failure> {
        let Some(claimed) = self.claimed.clone() else {
            let text = format!(
                "no host has run {} in time; the request has expired",
                self.job
            );
            return Err(Failure::of_line(Exit::NotAcquired, &text));
        };
        let record = self.read_run(claimed.token).await?;
        if let Some(record) = record.filter(RunRecord::is_over) {
            let ended = (claimed.host, claimed.token);
            let (outcome, detail) = (record.outcome, record.detail.as_str());
            return self.end(ended, (outcome, detail)).await.map(Some);
        }
        self.find_death().await
    }

    /// Ends the wait for a run whose lock entry is gone, and whose end was not recorded.
    async fn find_death(&mut self) -> Result<Option<Exit>, Failure> {
        let Some(claimed) = &self.claimed else {
            return Ok(None);
        };
        let (entry, _) = self.desk.read(&claimed.lock_key).await?;
        let is_there =
            entry.is_some_and(|entry| Token::from(entry.create_revision) == claimed.token);
        if is_there {
            self.missing = None;
            return Ok(None);
        }
        let since = *self.missing.get_or_insert_with(Instant::now);
        if since.elapsed() < RECORD_PATIENCE {
            return Ok(None);
        }
        let text = format!(
            "the run of {} on {} (token {}) was abandoned: its lock is gone, and its end was not recorded; it is not \
             run again",
            self.job, claimed.host, claimed.token
        );
        Err(Failure::of_line(Exit::JobFailed, &text))
    }

    /// Prints the rest of the output and the end of the run.
    async fn end(
        &mut self,
        (host, token): (String, Token),
        (outcome, detail): (Outcome, &str),
    ) -> Result<Exit, Failure> {
        if self.waits {
            self.print_rest(token).await?;
        }
        let because = if detail.is_empty() {
            String::new()
        } else {
            format!(": {detail}")
        };
        let text = format!(
            "{} on {host} (token {token}) ended: {}{because}\n",
            self.job,
            outcome.as_str()
        );
        let exit = match outcome {
            Outcome::Done | Outcome::Again => Exit::Ok,
            _ if !self.waits => Exit::Ok,
            _ => Exit::JobFailed,
        };
        if !self.waits {
            print(&text)?;
        } else if exit == Exit::Ok {
            sink::print_warning(&text);
        } else {
            sink::print_error(&text);
        }
        Ok(exit)
    }

    /// Prints what the host has not sent, from the run's record, which is written a little after its end.
    async fn print_rest(&mut self, token: Token) -> Result<(), Failure> {
        if self.claimed.is_none() {
            let (desk, job) = (self.desk, self.job);
            self.output.open(desk, job, token).await;
        }
        let began = Instant::now();
        loop {
            let record = self.read_run(token).await?;
            match record.filter(RunRecord::is_over) {
                Some(record) => return self.output.finish(record).await,
                None if began.elapsed() >= RECORD_PATIENCE => {
                    sink::print_warning(&format!(
                        "the rest of its output is not recorded yet; see `leasehold logs {} --run {token}`\n",
                        self.job
                    ));
                    return Ok(());
                }
                None => {}
            }
            let next = sleep(PAUSE);
            tokio::pin!(next);
            loop {
                tokio::select! {
                    biased;
                    () = &mut next => break,
                    printed = self.output.print_next() => printed?,
                }
            }
        }
    }

    async fn read_run(&self, token: Token) -> Result<Option<RunRecord>, Failure> {
        let key = RunKey {
            job: self.job.to_owned(),
            token,
            sequence: 0,
        };
        let (found, _) = self.desk.read(&self.desk.root().run(&key)).await?;
        Ok(found.and_then(|found| RunRecord::from_json(&found.value).ok()))
    }
}

//! Following a requested run: from the request to the host that takes it, and to its end.

use std::time::{Duration, Instant};

use leasehold_lock::Token;
use leasehold_orders::OrderDesk;
use leasehold_records::{Outcome, RunKey, RunRecord, TriggerRecord, TriggerState};
use leasehold_supervisor::shutdown::Signals;

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
            missing: None,
        }
    }

    /// Follows the request, until a host has taken it or until its end. A signal ends this, and nothing else.
    pub(super) async fn follow(&mut self) -> Result<Exit, Failure> {
        let mut signals = Signals::new().map_err(|error| Failure::internal(&error))?;
        loop {
            if let Some(exit) = self.step().await? {
                return Ok(exit);
            }
            tokio::select! {
                _ = signals.next() => return Ok(self.leave()),
                () = tokio::time::sleep(PAUSE) => {}
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
        sink::print_error(&text);
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
            sink::print_error(&text);
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
            sink::print_error(&text);
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
        if let Some(record) = record.filter(|record| record.outcome != Outcome::Running) {
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

    /// Prints the end of the output and of the run.
    async fn end(
        &self,
        (host, token): (String, Token),
        (outcome, detail): (Outcome, &str),
    ) -> Result<Exit, Failure> {
        if self.waits {
            self.print_output(token).await?;
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
        if self.waits {
            sink::print_error(&text);
        } else {
            print(&text)?;
        }
        Ok(match outcome {
            Outcome::Done | Outcome::Again => Exit::Ok,
            _ if !self.waits => Exit::Ok,
            _ => Exit::JobFailed,
        })
    }

    /// Prints the output in the run's record, which is written a little after its end.
    async fn print_output(&self, token: Token) -> Result<(), Failure> {
        let began = Instant::now();
        let record = loop {
            let record = self.read_run(token).await?;
            match record.filter(|record| record.outcome != Outcome::Running) {
                Some(record) => break record,
                None if began.elapsed() >= RECORD_PATIENCE => {
                    sink::print_error("its output is not recorded yet; see `leasehold runs`\n");
                    return Ok(());
                }
                None => tokio::time::sleep(PAUSE).await,
            }
        };
        if record.output_truncated_bytes > 0 {
            let cut = record.output_truncated_bytes;
            sink::print_error(&format!(
                "(the first {cut} bytes of its output are left out)\n"
            ));
        }
        let mut output = record.output;
        if !output.is_empty() && !output.ends_with('\n') {
            output.push('\n');
        }
        print(&output).map(drop)
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

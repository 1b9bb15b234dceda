//! Output of runs under way, up to the present, to the end of one run, or for as long as it is followed.
//!
//! A run may end after the runs were selected, and before its host has received the request for its output. Such a run
//! is never published. So records are read again until every host has had the time to answer.

use std::collections::BTreeSet;
use std::time::Duration;

use leasehold_follow::{OutputItem, OutputReader, read_run};
use leasehold_lock::{Kv, StoreError, Token};
use leasehold_records::{Outcome, Root, RunKey, RunName, RunRecord};
use leasehold_supervisor::shutdown::Signals;
use tokio::time::{Instant, sleep_until};

use super::shown_runs::ShownRuns;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::record_reader::{is_denied, unread};
use crate::sink;

/// Longest wait for the host of a running run to send what it has.
const ANSWER: Duration = Duration::from_secs(5);
/// Time between two readings of records.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Readings in a row without an entry of a token, after which no run of it follows.
const LOOKS: u32 = 2;

/// End of what is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LiveEnd {
    /// The present.
    Now,
    /// The end of this run, or of all runs of one token.
    Run(RunName),
    /// A signal.
    Signal,
}

/// The job whose output is read.
#[derive(Clone)]
pub(super) struct LiveSource<'a> {
    pub(super) kv: Kv,
    pub(super) root: &'a Root,
    pub(super) job: &'a str,
    /// The only host.
    pub(super) host: Option<&'a str>,
}

/// Output of runs under way.
pub(super) struct LiveOutput<'a> {
    source: LiveSource<'a>,
    end: LiveEnd,
    /// The lock of the selected runs.
    lock: Option<String>,
    state: FollowState,
    /// Selected runs that have not been printed up to the present.
    missing: BTreeSet<RunKey>,
    /// Selected runs under way whose host has sent nothing.
    unanswered: Vec<RunRecord>,
    /// Runs that hosts have sent.
    begun: BTreeSet<RunKey>,
    /// The newest run that was selected, or printed from its record.
    newest: Option<RunKey>,
    /// Time until which hosts may answer; `None` once it has passed.
    answer_until: Option<Instant>,
    look_at: Instant,
}

/// State of the run that is followed to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FollowState {
    Open,
    /// The last run wanted to run again under its token, which so many readings have not shown.
    Again {
        looks: u32,
    },
    Over,
}

impl<'a> LiveOutput<'a> {
    /// Makes the reading of output that follows these runs, the oldest first.
    pub(super) fn new(source: LiveSource<'a>, end: LiveEnd, selected: &[RunRecord]) -> Self {
        let running = selected.iter().filter(|run| !run.is_over());
        let unanswered: Vec<RunRecord> = running.cloned().collect();
        let last = selected.last();
        let now = Instant::now();
        Self {
            source,
            end,
            lock: last.map(|run| run.lock.clone()),
            state: last.map_or(FollowState::Open, |last| state_after(end, last.outcome)),
            missing: unanswered.iter().map(RunRecord::key).collect(),
            unanswered,
            begun: BTreeSet::new(),
            newest: selected.iter().map(RunRecord::key).max(),
            answer_until: Some(now + ANSWER),
            look_at: now + LOOK_EVERY,
        }
    }

    /// Returns true if the selected runs are all that is to be printed.
    pub(super) async fn is_over(&mut self) -> Result<bool, Failure> {
        if matches!(self.state, FollowState::Again { .. }) && !self.is_held().await? {
            self.state = FollowState::Over;
        }
        Ok(self.is_complete())
    }

    fn is_complete(&self) -> bool {
        match self.end {
            LiveEnd::Now => self.missing.is_empty(),
            LiveEnd::Run(_) => self.state == FollowState::Over,
            LiveEnd::Signal => false,
        }
    }

    /// Prints until the end, a signal, or the end of standard output's reader.
    pub(super) async fn print(
        &mut self,
        reader: &mut OutputReader,
        shown: &mut ShownRuns,
    ) -> Result<Exit, Failure> {
        let mut signals = Signals::new().map_err(|error| Failure::internal(&error))?;
        while shown.is_read && !self.is_complete() {
            tokio::select! {
                _ = signals.next() => return Ok(match self.end {
                    LiveEnd::Now => Exit::Aborted,
                    LiveEnd::Run(_) | LiveEnd::Signal => Exit::Ok,
                }),
                () = sleep_until(self.look_at) => {
                    self.look(shown).await?;
                    self.look_at = Instant::now() + LOOK_EVERY;
                }
                item = reader.next() => match item {
                    Some(item) => self.take(&item, shown)?,
                    None => break,
                }
            }
        }
        Ok(Exit::Ok)
    }

    fn take(&mut self, item: &OutputItem, shown: &mut ShownRuns) -> Result<(), Failure> {
        shown.item(item)?;
        match item {
            OutputItem::Began(head) => {
                self.unanswered.retain(|run| run.key() != head.key);
                self.begun.insert(head.key.clone());
                if matches!(self.state, FollowState::Again { .. }) {
                    self.state = FollowState::Open;
                }
            }
            OutputItem::CaughtUp(run) => drop(self.missing.remove(run)),
            OutputItem::Ended(head, ending) => self.note_end(&head.key, ending.outcome()),
            _ => {}
        }
        Ok(())
    }

    fn note_end(&mut self, key: &RunKey, outcome: Option<Outcome>) {
        self.missing.remove(key);
        if let LiveEnd::Run(name) = self.end
            && name.names(key)
        {
            self.state =
                outcome.map_or(FollowState::Over, |outcome| state_after(self.end, outcome));
        }
    }

    /// Reads what hosts may not send: records of runs that are over, and the lock's entry.
    async fn look(&mut self, shown: &mut ShownRuns) -> Result<(), Failure> {
        let looked = self.look_at_records(shown).await;
        if let Err(error) = looked {
            // Following outlives a store that is away.
            if self.end == LiveEnd::Now {
                return Err(error);
            }
            tracing::debug!(message = error.message, "records are not read");
            return Ok(());
        }
        let FollowState::Again { looks } = self.state else {
            return Ok(());
        };
        self.state = match looks + 1 {
            _ if self.is_held().await? => FollowState::Again { looks: 0 },
            LOOKS.. => FollowState::Over,
            looks => FollowState::Again { looks },
        };
        Ok(())
    }

    async fn look_at_records(&mut self, shown: &mut ShownRuns) -> Result<(), Failure> {
        for run in self.unanswered.clone() {
            if let Some(record) = self.read_ended(&run.key()).await? {
                shown.record(&record)?;
                self.unanswered.retain(|other| other.key() != run.key());
                self.note_end(&run.key(), Some(record.outcome));
            }
        }
        let Some(until) = self.answer_until else {
            return Ok(());
        };
        if self.end != LiveEnd::Now {
            self.print_missed(shown).await?;
        }
        if Instant::now() >= until {
            self.answer_until = None;
            for run in &self.unanswered {
                warn_unanswered(run);
            }
            self.missing.clear();
        }
        Ok(())
    }

    /// Prints runs that began and ended before their host received the request.
    async fn print_missed(&mut self, shown: &mut ShownRuns) -> Result<(), Failure> {
        let LiveSource {
            kv,
            root,
            job,
            host,
        } = self.source.clone();
        let names = kv.keys(&root.runs_of(job)).await;
        let names = names.map_err(|error| unread(&error))?;
        let mut keys: Vec<RunKey> = names
            .iter()
            .filter_map(|name| root.parse_run(name))
            .collect();
        keys.retain(|key| {
            let is_wanted = match self.end {
                LiveEnd::Run(name) => name.names(key),
                LiveEnd::Now | LiveEnd::Signal => true,
            };
            is_wanted && Some(key) > self.newest.as_ref() && !self.begun.contains(key)
        });
        keys.sort();
        for key in keys {
            let Some(record) = self.read_ended(&key).await? else {
                continue;
            };
            if host.is_none_or(|host| record.host == host) {
                shown.record(&record)?;
                self.note_end(&key, Some(record.outcome));
            }
            self.newest = Some(key);
        }
        Ok(())
    }

    /// Reads the record of a run, if it is over.
    async fn read_ended(&self, key: &RunKey) -> Result<Option<RunRecord>, Failure> {
        let record = read_run(&self.source.kv, self.source.root, key).await;
        let record = record.map_err(|error| unread(&error))?;
        Ok(record.filter(RunRecord::is_over))
    }

    /// Returns true if the followed token is still in the queue of its lock.
    async fn is_held(&self) -> Result<bool, Failure> {
        let (Some(lock), LiveEnd::Run(name)) = (&self.lock, self.end) else {
            return Ok(false);
        };
        let prefix = format!("{}/", self.source.root.lock(lock));
        let held = find_entry(&self.source.kv, &prefix, name.token).await;
        match held {
            Err(error) if is_denied(&error) => Ok(false),
            held => held.map_err(|error| unread(&error)),
        }
    }
}

async fn find_entry(kv: &Kv, prefix: &str, token: Token) -> Result<bool, StoreError> {
    let scan = kv.scan(
        prefix,
        || false,
        |is_held, entry| {
            *is_held |= Token::from(entry.create_revision) == token;
        },
    );
    Ok(scan.await?.found)
}

/// Returns the state of what is followed after a run with this outcome.
fn state_after(end: LiveEnd, outcome: Outcome) -> FollowState {
    match (end, outcome) {
        (_, Outcome::Running) => FollowState::Open,
        // Further runs of the token follow while the lock is kept.
        (LiveEnd::Run(RunName { sequence: None, .. }), Outcome::Again) => {
            FollowState::Again { looks: 0 }
        }
        _ => FollowState::Over,
    }
}

fn warn_unanswered(run: &RunRecord) {
    sink::print_warning(&format!(
        "leasehold: host {} did not send the output of run {} within {} s: it has stopped, cannot reach the store, or \
         is of an earlier version\n",
        run.host,
        run.key().name(),
        ANSWER.as_secs()
    ));
}

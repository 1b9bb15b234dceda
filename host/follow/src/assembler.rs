//! Chunks in, lines and gaps out.
//!
//! Positions decide, so chunks may come twice, as they do when a host repeats a write or a feed reads anew.

use std::collections::{BTreeMap, BTreeSet};

use leasehold_lock::{FeedItem, KeyValue};
use leasehold_records::{OutputChunk, Root, RunKey, RunName, RunRecord};

use crate::item::{GapCause, OutputItem, RunEnding, RunHead};

/// Number of runs that are remembered. The oldest is forgotten first.
const MOST_RUNS: usize = 512;

/// Looks at a withdrawn run's record that find no end, before a later run shows that it is over.
const LOOKS: u32 = 5;

/// State of one run.
#[derive(Debug)]
struct KnownRun {
    head: RunHead,
    /// Position after the last line returned.
    next_byte: u64,
    /// Numbers of its chunks in the store.
    chunks: BTreeSet<u64>,
    state: RunState,
    /// Number of looks at its record that found no end, once it was withdrawn.
    looks: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RunState {
    Published,
    /// Its chunks were deleted before its end was published.
    Withdrawn,
    Ended,
}

impl KnownRun {
    const fn new(head: RunHead) -> Self {
        Self {
            head,
            next_byte: 0,
            chunks: BTreeSet::new(),
            state: RunState::Published,
            looks: 0,
        }
    }

    /// Goes to a position. Returns the gap before it.
    fn skip_to(&mut self, key: &RunKey, position: u64) -> Option<OutputItem> {
        let bytes = position
            .checked_sub(self.next_byte)
            .filter(|bytes| *bytes > 0)?;
        let cause = match self.next_byte {
            0 => GapCause::Earlier,
            _ => GapCause::Unsent,
        };
        self.next_byte = position;
        Some(OutputItem::Gap {
            run: key.clone(),
            bytes,
            cause,
        })
    }

    /// Ends the run by its record. Returns the recorded lines that were not published, and the end.
    fn complete(&mut self, key: &RunKey, record: RunRecord) -> Vec<OutputItem> {
        let mut items = Vec::new();
        if self.state == RunState::Ended {
            return items;
        }
        // A record that several runs share has the output of the last of them.
        if record.key() == *key {
            items.extend(self.skip_to(key, record.output_truncated_bytes));
            let next = self.next_byte;
            let lines = record.output_lines().filter(|(at, _)| *at >= next);
            items.extend(lines.map(|(_, text)| OutputItem::RecordedLine {
                run: key.clone(),
                text: text.to_owned(),
            }));
        }
        self.state = RunState::Ended;
        let ending = RunEnding::Recorded(Box::new(record));
        items.push(OutputItem::Ended(self.head.clone(), ending));
        items
    }
}

/// Assembles the output of one job's runs from chunks. It decides nothing by time.
#[derive(Debug)]
pub struct OutputAssembler {
    root: Root,
    /// The only run, or the only token.
    only: Option<RunName>,
    /// The only host.
    host: Option<String>,
    runs: BTreeMap<RunKey, KnownRun>,
    /// The newest run of the job, wanted or not.
    newest: Option<RunKey>,
    /// The newest run that was forgotten.
    forgotten: Option<RunKey>,
    is_down: bool,
}

impl OutputAssembler {
    /// Makes an assembler for the runs of all hosts, or of one, and for all runs, or those of one name.
    pub const fn new(root: Root, host: Option<String>, only: Option<RunName>) -> Self {
        Self {
            root,
            only,
            host,
            runs: BTreeMap::new(),
            newest: None,
            forgotten: None,
            is_down: false,
        }
    }

    /// Applies an item of the feed of chunks.
    pub fn apply(&mut self, item: FeedItem) -> Vec<OutputItem> {
        let mut items = Vec::new();
        match item {
            FeedItem::Reading { keys, .. } => {
                if std::mem::take(&mut self.is_down) {
                    items.push(OutputItem::Up);
                }
                self.read_anew(&keys, &mut items);
            }
            FeedItem::Changes { changes, .. } => {
                for change in changes {
                    let Some((run, number)) = self.root.parse_output(&change.key) else {
                        continue;
                    };
                    match &change.now {
                        Some(key) => self.add(run, number, key, &mut items),
                        None => self.remove(&run, number),
                    }
                }
            }
            FeedItem::Denied { .. } => {}
            FeedItem::Down { reason } => {
                self.is_down = true;
                items.push(OutputItem::Down { reason });
            }
        }
        items
    }

    /// Returns the runs whose chunks were deleted before their end was published. The caller looks for their records
    /// and passes them to [`OutputAssembler::found`].
    pub fn withdrawn(&self) -> Vec<RunKey> {
        let runs = self.runs.iter();
        let withdrawn = runs.filter(|(_, run)| run.state == RunState::Withdrawn);
        withdrawn.map(|(key, _)| key.clone()).collect()
    }

    /// Applies the record of a withdrawn run, as the store has it.
    pub fn found(&mut self, key: &RunKey, record: Option<RunRecord>) -> Vec<OutputItem> {
        let Some(run) = self.runs.get_mut(key) else {
            return Vec::new();
        };
        if run.state != RunState::Withdrawn {
            return Vec::new();
        }
        if let Some(record) = record.filter(RunRecord::is_over) {
            return run.complete(key, record);
        }
        // A later run under the job's lock shows that it is over. Its holder records the end of this one soon.
        let is_overtaken = self.newest.as_ref().is_some_and(|newest| newest > key);
        if is_overtaken && run.looks >= LOOKS {
            run.state = RunState::Ended;
            return vec![OutputItem::Ended(run.head.clone(), RunEnding::Unknown)];
        }
        run.looks += 1;
        Vec::new()
    }

    /// Applies the record of any run that is over. Returns what of its output, and of its end, was not returned yet.
    pub fn complete(&mut self, record: RunRecord) -> Vec<OutputItem> {
        let key = record.key();
        let mut items = Vec::new();
        let run = self.runs.entry(key.clone()).or_insert_with(|| {
            let head = RunHead::of_record(&record);
            items.push(OutputItem::Began(head.clone()));
            KnownRun::new(head)
        });
        items.extend(run.complete(&key, record));
        self.forget();
        items
    }

    /// Returns the head of a run.
    pub fn head(&self, key: &RunKey) -> Option<&RunHead> {
        self.runs.get(key).map(|run| &run.head)
    }

    fn read_anew(&mut self, keys: &[KeyValue], items: &mut Vec<OutputItem>) {
        for run in self.runs.values_mut() {
            run.chunks.clear();
        }
        let parsed = keys.iter().filter_map(|key| {
            let (run, number) = self.root.parse_output(&key.key)?;
            Some((run, number, key))
        });
        let mut parsed: Vec<_> = parsed.collect();
        // Keys sort differently: a run's number comes after its token.
        parsed.sort_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
        for (run, number, key) in parsed {
            self.add(run, number, key, items);
        }
        for run in self.runs.values_mut() {
            if run.chunks.is_empty() && run.state == RunState::Published {
                run.state = RunState::Withdrawn;
            }
        }
    }

    fn add(&mut self, key: RunKey, number: u64, stored: &KeyValue, items: &mut Vec<OutputItem>) {
        let Ok(chunk) = OutputChunk::from_json(&stored.value) else {
            return;
        };
        self.newest = self.newest.take().max(Some(key.clone()));
        if self.only.is_some_and(|only| !only.names(&key))
            || self.host.as_ref().is_some_and(|host| *host != chunk.host)
            || self.forgotten.as_ref() >= Some(&key)
        {
            return;
        }
        let run = self.runs.entry(key.clone()).or_insert_with(|| {
            let head = RunHead {
                key: key.clone(),
                host: chunk.host.clone(),
                attempt: chunk.attempt,
                started_unix_ms: chunk.started_unix_ms,
            };
            items.push(OutputItem::Began(head.clone()));
            KnownRun::new(head)
        });
        run.chunks.insert(number);
        if run.state == RunState::Ended {
            return;
        }
        run.state = RunState::Published;
        run.looks = 0;
        items.extend(run.skip_to(&key, chunk.from_byte));
        let mut at = chunk.from_byte;
        for line in chunk.lines {
            let length = line.length();
            if at >= run.next_byte {
                run.next_byte = at.saturating_add(length);
                let run = key.clone();
                items.push(OutputItem::Line { run, line });
            }
            at = at.saturating_add(length);
        }
        match chunk.end {
            Some(end) => {
                run.state = RunState::Ended;
                let ending = RunEnding::Published(end);
                items.push(OutputItem::Ended(run.head.clone(), ending));
            }
            None if !chunk.more => items.push(OutputItem::CaughtUp(key)),
            None => {}
        }
        self.forget();
    }

    /// Forgets the oldest runs beyond the bound. Their chunks count no more.
    fn forget(&mut self) {
        while self.runs.len() > MOST_RUNS
            && let Some((oldest, _)) = self.runs.pop_first()
        {
            self.forgotten = self.forgotten.take().max(Some(oldest));
        }
    }

    fn remove(&mut self, key: &RunKey, number: u64) {
        if let Some(run) = self.runs.get_mut(key) {
            run.chunks.remove(&number);
            if run.chunks.is_empty() && run.state == RunState::Published {
                run.state = RunState::Withdrawn;
            }
        }
    }
}

#[cfg(test)]
mod tests;

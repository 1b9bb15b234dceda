//! Recordings: facts as lines of JSON, for showing an incident later on any machine.
//!
//! The first line is a header; each further line is one fact. A recording may be cut off anywhere: an incomplete last
//! line is ignored, and an invalid line before it is an error.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, BufWriter, Write as _};
use std::path::Path;
use std::time::Duration;

use leasehold_lock::{FeedItem, KeyChange, KeyValue, LeaseId, Revision, StoreHealth};
use leasehold_records::{Root, RootError, UnixMs};
use serde::{Deserialize, Serialize};

use crate::fact::{Fact, FactKind};
use crate::model::KeyScope;

/// Version of the format. Other versions are refused.
const VERSION: u32 = 1;
/// Most changes of a recording that can be shown.
const MOST_CHANGES: usize = 2_000_000;
/// Longest line that is read, in bytes: a reading of a large store is one line.
const LONGEST_LINE: u64 = 1 << 30;

/// Error using a recording.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// It cannot be read or written.
    #[error("cannot use the recording {file}: {source}")]
    File {
        /// The file.
        file: String,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// It is not a recording, or has an unknown version.
    #[error("{file} is not a recording that can be shown: {reason}")]
    Unknown {
        /// The file.
        file: String,
        /// The reason.
        reason: String,
    },
    /// A line of it cannot be read.
    #[error("line {line} of {file} cannot be read: {reason}")]
    Line {
        /// The file.
        file: String,
        /// The number of the line, from 1.
        line: usize,
        /// The reason.
        reason: String,
    },
    /// It has more changes than can be shown.
    #[error(
        "{file} has more than {MOST_CHANGES} changes: cut it into parts, each with its first line"
    )]
    TooLong {
        /// The file.
        file: String,
    },
}

#[derive(Serialize, Deserialize)]
struct RecordingHead {
    recording: String,
    version: u32,
    root: String,
    prefixes: Vec<String>,
    store: String,
}

#[derive(Serialize, Deserialize)]
struct RecordedFact {
    #[serde(rename = "at")]
    at_unix_ms: UnixMs,
    #[serde(flatten)]
    what: RecordedKind,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum RecordedKind {
    Reading {
        revision: Revision,
        keys: Vec<RecordedKey>,
    },
    Changes {
        revision: Revision,
        changes: Vec<RecordedChange>,
    },
    Denied(Vec<String>),
    Down(String),
    Health(RecordedHealth),
    Unhealthy(String),
    Ttl(LeaseId, Option<(u64, u64)>),
}

#[derive(Serialize, Deserialize)]
struct RecordedHealth {
    version: String,
    members: usize,
    leader: String,
    revision: Revision,
    data_bytes: u64,
    round_trip_us: u64,
}

#[derive(Serialize, Deserialize)]
struct RecordedChange {
    key: String,
    revision: Revision,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    now: Option<RecordedKey>,
}

#[derive(Serialize, Deserialize)]
struct RecordedKey {
    key: String,
    /// The value, if it is text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    /// The value, if it is not text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bytes: Option<Vec<u8>>,
    create: Revision,
    changed: Revision,
    lease: LeaseId,
}

impl From<&KeyValue> for RecordedKey {
    fn from(key: &KeyValue) -> Self {
        let (text, bytes) = match String::from_utf8(key.value.clone()) {
            Ok(text) => (Some(text), None),
            Err(error) => (None, Some(error.into_bytes())),
        };
        Self {
            key: key.key.clone(),
            text,
            bytes,
            create: key.create_revision,
            changed: key.mod_revision,
            lease: key.lease,
        }
    }
}

impl From<RecordedKey> for KeyValue {
    fn from(key: RecordedKey) -> Self {
        let text = key.text.map(String::into_bytes);
        Self {
            key: key.key,
            value: text.or(key.bytes).unwrap_or_default(),
            create_revision: key.create,
            mod_revision: key.changed,
            lease: key.lease,
        }
    }
}

impl RecordedFact {
    /// Converts a fact; `None` for one that is not about the store.
    fn from_fact(fact: &Fact) -> Option<Self> {
        let what = match &fact.kind {
            FactKind::Keys(FeedItem::Reading { revision, keys }) => RecordedKind::Reading {
                revision: *revision,
                keys: keys.iter().map(RecordedKey::from).collect(),
            },
            FactKind::Keys(FeedItem::Changes { revision, changes }) => RecordedKind::Changes {
                revision: *revision,
                changes: changes
                    .iter()
                    .map(|change| RecordedChange {
                        key: change.key.clone(),
                        revision: change.revision,
                        now: change.now.as_ref().map(RecordedKey::from),
                    })
                    .collect(),
            },
            FactKind::Keys(FeedItem::Denied { prefixes }) => RecordedKind::Denied(prefixes.clone()),
            FactKind::Keys(FeedItem::Down { reason }) => RecordedKind::Down(reason.clone()),
            FactKind::Health(Ok(health)) => RecordedKind::Health(RecordedHealth {
                version: health.version.clone(),
                members: health.members,
                leader: health.leader.clone(),
                revision: health.revision,
                data_bytes: health.data_bytes,
                round_trip_us: u64::try_from(health.round_trip.as_micros()).unwrap_or(u64::MAX),
            }),
            FactKind::Health(Err(why)) => RecordedKind::Unhealthy(why.clone()),
            FactKind::Ttl(lease, answer) => RecordedKind::Ttl(*lease, *answer),
            FactKind::Answer(_) | FactKind::Output(..) => return None,
        };
        Some(Self {
            at_unix_ms: fact.at_unix_ms,
            what,
        })
    }

    fn into_fact(self) -> Fact {
        let kind = match self.what {
            RecordedKind::Reading { revision, keys } => FactKind::Keys(FeedItem::Reading {
                revision,
                keys: keys.into_iter().map(KeyValue::from).collect(),
            }),
            RecordedKind::Changes { revision, changes } => FactKind::Keys(FeedItem::Changes {
                revision,
                changes: changes
                    .into_iter()
                    .map(|change| KeyChange {
                        key: change.key,
                        revision: change.revision,
                        now: change.now.map(KeyValue::from),
                    })
                    .collect(),
            }),
            RecordedKind::Denied(prefixes) => FactKind::Keys(FeedItem::Denied { prefixes }),
            RecordedKind::Down(reason) => FactKind::Keys(FeedItem::Down { reason }),
            RecordedKind::Health(state) => FactKind::Health(Ok(StoreHealth {
                version: state.version,
                members: state.members,
                leader: state.leader,
                revision: state.revision,
                data_bytes: state.data_bytes,
                round_trip: Duration::from_micros(state.round_trip_us),
            })),
            RecordedKind::Unhealthy(why) => FactKind::Health(Err(why)),
            RecordedKind::Ttl(lease, answer) => FactKind::Ttl(lease, answer),
        };
        Fact {
            at_unix_ms: self.at_unix_ms,
            kind,
        }
    }
}

/// Writer of a recording.
#[derive(Debug)]
pub(crate) struct Recorder {
    file: String,
    out: BufWriter<File>,
}

impl Recorder {
    /// Creates a recording; an existing file is left alone.
    pub(crate) fn create(
        path: &Path,
        scope: &KeyScope,
        store: &str,
    ) -> Result<Self, RecordingError> {
        let file = path.display().to_string();
        let file_error = |source| RecordingError::File {
            file: file.clone(),
            source,
        };
        let opened = File::create_new(path).map_err(&file_error)?;
        let mut out = BufWriter::new(opened);
        let head = RecordingHead {
            recording: "leasehold".into(),
            version: VERSION,
            root: scope.root().as_str().to_owned(),
            prefixes: scope.prefixes().to_vec(),
            store: store.to_owned(),
        };
        write_line(&mut out, &head).map_err(&file_error)?;
        out.flush().map_err(&file_error)?;
        Ok(Self { file, out })
    }

    /// Writes a fact.
    pub(crate) fn write(&mut self, fact: &Fact) -> Result<(), RecordingError> {
        let written = match RecordedFact::from_fact(fact) {
            Some(line) => write_line(&mut self.out, &line),
            None => Ok(()),
        };
        written.map_err(|source| self.failed(source))
    }

    /// Flushes buffered facts to the file.
    pub(crate) fn flush(&mut self) -> Result<(), RecordingError> {
        self.out.flush().map_err(|source| self.failed(source))
    }

    fn failed(&self, source: io::Error) -> RecordingError {
        RecordingError::File {
            file: self.file.clone(),
            source,
        }
    }
}

fn write_line(out: &mut impl io::Write, line: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, line)?;
    out.write_all(b"\n")
}

/// A recording in memory.
#[derive(Debug)]
pub(crate) struct Recording {
    pub(crate) scope: KeyScope,
    pub(crate) facts: Vec<Fact>,
    /// Number of changed keys.
    pub(crate) changes: usize,
}

/// Reads a recording.
pub(crate) fn read_recording(path: &Path) -> Result<Recording, RecordingError> {
    let file = path.display().to_string();
    let file_error = |source| RecordingError::File {
        file: file.clone(),
        source,
    };
    let mut lines = BufReader::new(File::open(path).map_err(file_error)?);
    let mut next = || -> Result<Option<Vec<u8>>, RecordingError> {
        let mut line = Vec::new();
        let mut bounded = io::Read::take(&mut lines, LONGEST_LINE);
        let read = bounded.read_until(b'\n', &mut line).map_err(file_error)?;
        Ok((read > 0).then_some(line))
    };
    let scope = read_head(&file, &next()?.unwrap_or_default())?;
    let (mut facts, mut changes, mut number) = (Vec::new(), 0, 1);
    while let Some(line) = next()? {
        number += 1;
        let is_whole = line.ends_with(b"\n");
        match serde_json::from_slice::<RecordedFact>(&line) {
            Ok(line) => {
                changes += match &line.what {
                    RecordedKind::Changes { changes, .. } => changes.len(),
                    RecordedKind::Reading { keys, .. } => keys.len(),
                    _ => 1,
                };
                facts.push(line.into_fact());
            }
            // The line was cut off while it was written.
            Err(_) if !is_whole => break,
            Err(error) => {
                return Err(RecordingError::Line {
                    file,
                    line: number,
                    reason: error.to_string(),
                });
            }
        }
        if changes > MOST_CHANGES {
            return Err(RecordingError::TooLong { file });
        }
    }
    if facts.is_empty() {
        let reason = "nothing was recorded in it".into();
        return Err(RecordingError::Unknown { file, reason });
    }
    Ok(Recording {
        scope,
        facts,
        changes,
    })
}

fn read_head(file: &str, line: &[u8]) -> Result<KeyScope, RecordingError> {
    let unknown = |reason: String| RecordingError::Unknown {
        file: file.to_owned(),
        reason,
    };
    let head: RecordingHead = serde_json::from_slice(line)
        .map_err(|_| unknown("its first line is not that of a recording".into()))?;
    if head.recording != "leasehold" || head.version != VERSION {
        let reason = format!("its version is {}, and {VERSION} is known", head.version);
        return Err(unknown(reason));
    }
    let root = Root::new(head.root).map_err(|error: RootError| unknown(error.to_string()))?;
    Ok(KeyScope::new(root, head.prefixes))
}

#[cfg(test)]
mod tests;

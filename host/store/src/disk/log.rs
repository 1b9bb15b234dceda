//! The log before the file: what was committed and redb has not been given yet.
//!
//! A commit of redb's writes some seven pages in as many places, and a disk takes two to three times as long
//! for that as for one piece after the last. So a batch is made durable here, and given to redb together with
//! many others, when the log is full or the store closes. It is written from its beginning again and again, over
//! bytes that are there already, so that no write needs space or changes the file system.
//!
//! # Form
//!
//! Records follow one another, each from the next multiple of [`SECTOR`], so that writing one never writes to a
//! sector with another in it. All numbers are little-endian:
//!
//! ```text
//! log u64  sequence u64  length u32  checksum u32  payload
//! ```
//!
//! - `log` is drawn at random when the log is made, and kept in redb's file. Records of another store are none,
//!   and neither are bytes that a client put into a value.
//! - `sequence` is one more than that of the record before, over all laps: what an earlier lap left behind is
//!   never taken for the next record.
//! - `checksum` is CRC-32 over all the rest. A record that a crash cut off does not have it.
//!
//! One record is synced before the next is written, so only the last can be cut off. A good one after a bad one
//! means that something acknowledged is gone, which is damage and not a crash.
//!
//! This file must never know what a payload means.

use std::io;

use redb::StorageBackend;

/// The log's length in bytes. A thousand small commits fit; giving those to redb takes some milliseconds.
pub(super) const LENGTH: u64 = 512 << 10;

/// What a disk writes at once.
pub(super) const SECTOR: usize = 512;

const HEADER: usize = 24;

/// What was found in a log.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// These payloads, in order, follow what redb has.
    Records(Vec<Vec<u8>>),
    /// It does not have its length: it is another file, or none.
    Missing,
    /// Records are gone that were acknowledged.
    Damaged(String),
}

/// The log, open to be written to.
#[derive(Debug)]
pub(super) struct Log {
    medium: Box<dyn StorageBackend>,
    id: u64,
    /// The sequence of the last record.
    last: u64,
    /// Where the next record goes.
    at: u64,
    buffer: Vec<u8>,
}

impl Log {
    /// Makes an empty log durable, whatever was there.
    pub(super) fn lay_out(medium: &dyn StorageBackend) -> io::Result<()> {
        medium.set_len(LENGTH)?;
        let zeros = vec![0; 64 * 1024];
        for at in (0..LENGTH).step_by(zeros.len()) {
            medium.write(at, &zeros)?;
        }
        medium.sync_data()
    }

    /// Reads what follows the record `after`, the last that redb was given.
    pub(super) fn read(medium: &dyn StorageBackend, id: u64, after: u64) -> io::Result<Found> {
        if medium.len()? != LENGTH {
            return Ok(Found::Missing);
        }
        let mut bytes = vec![0; usize::try_from(LENGTH).map_err(io::Error::other)?];
        medium.read(0, &mut bytes)?;
        let mut records = Vec::new();
        let (mut at, mut last) = (0, None);
        while let Some((sequence, payload)) = record(&bytes, at, id)
            && last.is_none_or(|last: u64| last.checked_add(1) == Some(sequence))
        {
            at += padded(payload.len());
            last = Some(sequence);
            if sequence > after {
                records.push((sequence, payload.to_vec()));
            }
        }
        if let Some((first, _)) = records.first()
            && *first != after + 1
        {
            return Ok(Found::Damaged(format!(
                "its first record is {first}, and the file beside it ends with record {after}"
            )));
        }
        let last = last.unwrap_or(0).max(after);
        while at < bytes.len() {
            if let Some((sequence, _)) = record(&bytes, at, id)
                && sequence > last
            {
                return Ok(Found::Damaged(format!(
                    "record {sequence} is whole, and record {} before it is not",
                    last + 1
                )));
            }
            at += SECTOR;
        }
        Ok(Found::Records(
            records.into_iter().map(|(_, payload)| payload).collect(),
        ))
    }

    /// Goes on after the record `last`, from the beginning: redb has all that is in there.
    pub(super) const fn new(medium: Box<dyn StorageBackend>, id: u64, last: u64) -> Self {
        Self {
            medium,
            id,
            last,
            at: 0,
            buffer: Vec::new(),
        }
    }

    pub(super) const fn id(&self) -> u64 {
        self.id
    }

    /// The sequence of the last record.
    pub(super) const fn last(&self) -> u64 {
        self.last
    }

    /// Whether a payload fits into an empty log.
    pub(super) const fn could_take(length: usize) -> bool {
        padded(length) as u64 <= LENGTH
    }

    /// Whether a payload fits into what is left of it.
    pub(super) const fn has_room(&self, length: usize) -> bool {
        self.at + padded(length) as u64 <= LENGTH
    }

    /// Makes a payload durable. There must be room for it.
    pub(super) fn append(&mut self, payload: &[u8]) -> io::Result<()> {
        let sequence = self.last + 1;
        let length = u32::try_from(payload.len()).map_err(io::Error::other)?;
        self.buffer.clear();
        self.buffer.extend_from_slice(&self.id.to_le_bytes());
        self.buffer.extend_from_slice(&sequence.to_le_bytes());
        self.buffer.extend_from_slice(&length.to_le_bytes());
        let sum = checksum(&self.buffer, payload);
        self.buffer.extend_from_slice(&sum.to_le_bytes());
        self.buffer.extend_from_slice(payload);
        self.buffer.resize(padded(payload.len()), 0);
        self.medium.write(self.at, &self.buffer)?;
        self.medium.sync_data()?;
        self.at += self.buffer.len() as u64;
        self.last = sequence;
        Ok(())
    }

    /// Begins a new lap: redb has everything.
    pub(super) const fn rewind(&mut self) {
        self.at = 0;
    }
}

/// The room that a payload takes with its header.
const fn padded(payload: usize) -> usize {
    (HEADER + payload).next_multiple_of(SECTOR)
}

fn checksum(head: &[u8], payload: &[u8]) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    sum.update(head);
    sum.update(payload);
    sum.finalize()
}

/// The record that begins there, if a whole one of this log does.
fn record(bytes: &[u8], at: usize, id: u64) -> Option<(u64, &[u8])> {
    let rest = bytes.get(at..)?;
    let (found, rest) = rest.split_first_chunk()?;
    if u64::from_le_bytes(*found) != id {
        return None;
    }
    let (sequence, rest) = rest.split_first_chunk()?;
    let (length, rest) = rest.split_first_chunk()?;
    let (sum, rest) = rest.split_first_chunk()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    let payload = rest.get(..length)?;
    let head = &bytes[at..at + HEADER - size_of::<u32>()];
    (checksum(head, payload) == u32::from_le_bytes(*sum))
        .then(|| (u64::from_le_bytes(*sequence), payload))
}

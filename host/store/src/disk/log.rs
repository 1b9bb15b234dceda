//! The log before the file: commits that are not in redb yet.
//!
//! A redb commit writes some seven pages in as many places, and a disk takes two to three times as long for that as
//! for one piece after the last. So a batch is made durable here, and written to redb together with many others,
//! when the log is full or the store closes. The log is rewritten from its beginning each time, over bytes that
//! exist already, so that no write needs space or changes the file system.
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
//! - `log` is the mark of the generation, drawn at random and kept in redb's file. Bytes of another store or
//!   generation, or in a client's value, are not records.
//! - `sequence` is one more than that of the record before, over all laps: a record of an earlier lap is never taken
//!   for the next one.
//! - `checksum` is CRC-32 over all the rest. A record that a crash cut off does not have it.
//!
//! One record is synced before the next is written, so only the last can be cut off. A good record after a bad one
//! means that an acknowledged record is lost, which is damage and not a crash.
//!
//! # Generations
//!
//! Every transaction that writes new data to redb begins a generation, with a mark that both files carry. Behind the
//! records are two sectors with stamps, written in turn so that a crash leaves one of them whole:
//!
//! ```text
//! magic u64  turn u64  mark u64  generation u64  before u64  confirmed u64  checksum u32
//! ```
//!
//! The mark is announced before the transaction and confirmed after it; records of the generation follow only
//! then. So the file beside a log has the stamp's mark, or, while the stamp is unconfirmed, the mark `before` it.
//! Any other pair was put together from different times, and part of what was acknowledged is missing.
//!
//! A log of format 2 of the file ends with the records and has no stamps.
//!
//! This file must never depend on the meaning of a payload.

use std::io;

use redb::StorageBackend;

/// Room for records in bytes. A thousand small commits fit; writing those to redb takes some milliseconds.
const RECORDS: u64 = 512 << 10;

/// The log's length in bytes: records, and two stamps.
pub(super) const LENGTH: u64 = RECORDS + 2 * SECTOR as u64;

/// The unit of a disk's writes, in bytes.
pub(super) const SECTOR: usize = 512;

const HEADER: usize = 24;

/// The first bytes of a stamp.
const MAGIC: u64 = u64::from_le_bytes(*b"lh-stamp");

/// A generation of the two files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct GenerationMark {
    /// Drawn at random: two histories that began with one backup never share it.
    pub(super) id: u64,
    /// Counts up; for messages.
    pub(super) generation: u64,
}

impl GenerationMark {
    /// The mark that precedes the first.
    pub(super) const NONE: Self = Self {
        id: 0,
        generation: 0,
    };

    fn next(self) -> Self {
        Self {
            id: fastrand::u64(1..),
            generation: self.generation.saturating_add(1),
        }
    }
}

/// The newest generation in a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct GenerationStamp {
    turn: u64,
    pub(super) mark: GenerationMark,
    /// The mark of the generation before.
    pub(super) before: u64,
    /// True if the file is known to have the mark.
    pub(super) confirmed: bool,
}

impl GenerationStamp {
    /// True if a file with this mark belongs beside the log.
    pub(super) const fn fits(&self, mark: u64) -> bool {
        self.mark.id == mark || (!self.confirmed && self.before == mark)
    }

    /// True if the log may be that of a store whose file was never written.
    pub(super) const fn is_first(&self) -> bool {
        !self.confirmed && self.before == GenerationMark::NONE.id
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(SECTOR);
        for number in [
            MAGIC,
            self.turn,
            self.mark.id,
            self.mark.generation,
            self.before,
            u64::from(self.confirmed),
        ] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        let sum = crc32fast::hash(&bytes);
        bytes.extend_from_slice(&sum.to_le_bytes());
        bytes.resize(SECTOR, 0);
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (numbers, rest) = bytes.split_at_checked(6 * size_of::<u64>())?;
        let (sum, _) = rest.split_first_chunk()?;
        if crc32fast::hash(numbers) != u32::from_le_bytes(*sum) {
            return None;
        }
        let (numbers, _) = numbers.as_chunks();
        let numbers = numbers.iter().map(|number| u64::from_le_bytes(*number));
        let [magic, turn, id, generation, before, confirmed] =
            numbers.collect::<Vec<u64>>().try_into().ok()?;
        (magic == MAGIC).then_some(Self {
            turn,
            mark: GenerationMark { id, generation },
            before,
            confirmed: confirmed != 0,
        })
    }
}

/// Content of a log.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum LogContent {
    /// These payloads, in order, follow the last record in redb.
    Records(Vec<Vec<u8>>),
    /// The length is wrong: it is another file, or missing.
    Missing,
    /// Acknowledged records are lost.
    Damaged(String),
}

/// The log, open for writing.
#[derive(Debug)]
pub(super) struct CommitLog {
    medium: Box<dyn StorageBackend>,
    stamp: GenerationStamp,
    /// The sequence of the last record.
    last: u64,
    /// Offset of the next record.
    at: u64,
    buffer: Vec<u8>,
}

impl CommitLog {
    /// Makes an empty log durable, over any content.
    pub(super) fn lay_out(medium: &dyn StorageBackend) -> io::Result<()> {
        medium.set_len(LENGTH)?;
        let zeros = vec![0; 64 * 1024];
        for at in (0..RECORDS).step_by(zeros.len()) {
            medium.write(at, &zeros)?;
        }
        medium.write(RECORDS, &zeros[..2 * SECTOR])?;
        medium.sync_data()
    }

    /// Reads the newest whole stamp. Returns `None` for a log of format 2, or a file that is not a log.
    pub(super) fn stamp_of(medium: &dyn StorageBackend) -> io::Result<Option<GenerationStamp>> {
        if medium.len()? != LENGTH {
            return Ok(None);
        }
        let mut bytes = [0; 2 * SECTOR];
        medium.read(RECORDS, &mut bytes)?;
        let stamps = bytes.chunks(SECTOR).filter_map(GenerationStamp::decode);
        Ok(stamps.max_by_key(|stamp| stamp.turn))
    }

    /// Reads the records after `after`, the last that is in redb.
    pub(super) fn read(medium: &dyn StorageBackend, id: u64, after: u64) -> io::Result<LogContent> {
        if ![RECORDS, LENGTH].contains(&medium.len()?) {
            return Ok(LogContent::Missing);
        }
        let mut bytes = vec![0; usize::try_from(RECORDS).map_err(io::Error::other)?];
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
            return Ok(LogContent::Damaged(format!(
                "its first record is {first}, and the file beside it ends with record {after}"
            )));
        }
        let last = last.unwrap_or(0).max(after);
        while at < bytes.len() {
            if let Some((sequence, _)) = record(&bytes, at, id)
                && sequence > last
            {
                return Ok(LogContent::Damaged(format!(
                    "record {sequence} is whole, and record {} before it is not",
                    last + 1
                )));
            }
            at += SECTOR;
        }
        Ok(LogContent::Records(
            records.into_iter().map(|(_, payload)| payload).collect(),
        ))
    }

    /// Continues after the record `last` of the generation `mark`, with the stamp that the medium has.
    pub(super) fn new(
        medium: Box<dyn StorageBackend>,
        mark: GenerationMark,
        stamp: Option<GenerationStamp>,
        last: u64,
    ) -> Self {
        Self {
            medium,
            stamp: GenerationStamp {
                turn: stamp.map_or(0, |stamp| stamp.turn),
                mark,
                before: GenerationMark::NONE.id,
                confirmed: true,
            },
            last,
            at: 0,
            buffer: Vec::new(),
        }
    }

    /// Makes the next generation's mark durable here, before it is in redb. The records stay.
    pub(super) fn announce(&mut self) -> io::Result<GenerationMark> {
        // A log of format 2 has no room for stamps yet.
        if self.medium.len()? < LENGTH {
            self.medium.set_len(LENGTH)?;
        }
        let before = self.stamp.mark;
        self.put_stamp(before.next(), before.id, false)?;
        Ok(self.stamp.mark)
    }

    /// Begins the announced generation at the log's beginning: redb has all records, and the mark.
    pub(super) fn confirm(&mut self) -> io::Result<()> {
        self.put_stamp(self.stamp.mark, self.stamp.before, true)?;
        self.at = 0;
        Ok(())
    }

    fn put_stamp(&mut self, mark: GenerationMark, before: u64, confirmed: bool) -> io::Result<()> {
        self.stamp = GenerationStamp {
            turn: self.stamp.turn + 1,
            mark,
            before,
            confirmed,
        };
        let at = RECORDS + (self.stamp.turn % 2) * SECTOR as u64;
        self.medium.write(at, &self.stamp.encode())?;
        self.medium.sync_data()
    }

    /// Returns the sequence of the last record.
    pub(super) const fn last(&self) -> u64 {
        self.last
    }

    /// Returns true if a payload fits into an empty log.
    pub(super) const fn could_take(length: usize) -> bool {
        padded(length) as u64 <= RECORDS
    }

    /// Returns true if a payload fits into the rest of the log.
    pub(super) const fn has_room(&self, length: usize) -> bool {
        self.at + padded(length) as u64 <= RECORDS
    }

    /// Makes a payload durable. The caller has checked that it fits.
    pub(super) fn append(&mut self, payload: &[u8]) -> io::Result<()> {
        let sequence = self.last + 1;
        let length = u32::try_from(payload.len()).map_err(io::Error::other)?;
        self.buffer.clear();
        self.buffer
            .extend_from_slice(&self.stamp.mark.id.to_le_bytes());
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
}

/// Returns the bytes that a payload takes with its header.
const fn padded(payload: usize) -> usize {
    (HEADER + payload).next_multiple_of(SECTOR)
}

fn checksum(head: &[u8], payload: &[u8]) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    sum.update(head);
    sum.update(payload);
    sum.finalize()
}

/// Returns the record that begins there, if it is whole and of this log.
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

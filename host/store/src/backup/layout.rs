//! Layout of a backup.
//!
//! All numbers are little-endian; changes are as the store's file has them:
//!
//! ```text
//! magic 16 bytes  format u64  cluster u64  member u64  term u64  revision i64  taken u64  leases u64  keys u64
//! ( lease i64  ttl i64 )*   ( revision i64  sub u32  length u32  change )*
//! zeros up to a multiple of 512   SHA-256 of all before it, 32 bytes
//! ```
//!
//! The time is in Unix milliseconds. The end is that of etcd's own snapshots: `etcdctl snapshot save` refuses a
//! stream whose length has no room for a checksum. This file must never give these bytes another meaning without a
//! new [`FORMAT`].

/// The first bytes.
const MAGIC: [u8; 16] = *b"leasehold backup";

/// The layout described here. A program refuses any higher number.
pub(super) const FORMAT: u64 = 1;

/// The unit of the length, without the checksum.
pub(super) const BLOCK: u64 = 512;

/// Bytes of the checksum.
pub(super) const SUM_BYTES: usize = 32;

/// Bytes of the header.
pub(super) const HEADER_BYTES: usize = MAGIC.len() + size_of::<[u64; 8]>();

/// Bytes of a lease.
pub(super) const LEASE_BYTES: usize = 2 * size_of::<i64>();

/// Bytes before a change: its revision, position and length.
pub(super) const CHANGE_HEAD_BYTES: usize = size_of::<i64>() + 2 * size_of::<u32>();

/// Returns true if a file or stream that begins with these bytes is a backup of an embedded store.
pub fn is_backup(first_bytes: &[u8]) -> bool {
    first_bytes.starts_with(&MAGIC)
}

/// Header of a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BackupHeader {
    pub(super) cluster: u64,
    pub(super) member: u64,
    pub(super) term: u64,
    pub(super) revision: i64,
    /// The time of the backup, in Unix milliseconds.
    pub(super) taken_unix_ms: u64,
    pub(super) leases: u64,
    pub(super) keys: u64,
}

impl BackupHeader {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        for number in [
            FORMAT,
            self.cluster,
            self.member,
            self.term,
            self.revision.cast_unsigned(),
            self.taken_unix_ms,
            self.leases,
            self.keys,
        ] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes
    }

    /// Returns the format and, if it is known, the header. The magic was checked before.
    pub(super) fn decode(bytes: &[u8; HEADER_BYTES]) -> (u64, Option<Self>) {
        let (_, numbers) = bytes.split_at(MAGIC.len());
        let mut numbers = numbers.chunks_exact(size_of::<u64>()).map(|number| {
            let number = number.first_chunk().copied().unwrap_or_default();
            u64::from_le_bytes(number)
        });
        let mut next = || numbers.next().unwrap_or_default();
        let format = next();
        let header = (format == FORMAT).then(|| Self {
            cluster: next(),
            member: next(),
            term: next(),
            revision: next().cast_signed(),
            taken_unix_ms: next(),
            leases: next(),
            keys: next(),
        });
        (format, header)
    }
}

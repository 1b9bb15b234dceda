//! Encoding of a change.
//!
//! It is written by hand rather than as a protobuf message. etcd's own message has no form for a delete, and would
//! be copied field by field in both directions. It would also tie the data on disks to a crate that generates code.
//! Revision and position are the row's key and not repeated. All numbers are little-endian:
//!
//! ```text
//! put     1  lease i64  create i64  version i64  length of the key u32  key  value
//! delete  2  key
//! ```
//!
//! The first byte is the form. A new form gets a new number and a new format of the file, so that an older program
//! refuses the file as a whole. This file must never give a number another meaning.

use crate::change::{ChangeKind, KeyChange, SharedKey};

const PUT: u8 = 1;
const DELETE: u8 = 2;

/// Appends a change's bytes.
pub(crate) fn encode(change: &KeyChange, into: &mut Vec<u8>) {
    match &change.kind {
        ChangeKind::Put {
            create_revision,
            version,
            lease,
            value,
        } => {
            into.push(PUT);
            for number in [lease, create_revision, version] {
                into.extend_from_slice(&number.to_le_bytes());
            }
            // No request comes near 4 GiB; with such a key, reading its row would fail.
            let length = u32::try_from(change.key.len()).unwrap_or(u32::MAX);
            into.extend_from_slice(&length.to_le_bytes());
            into.extend_from_slice(&change.key);
            into.extend_from_slice(value);
        }
        ChangeKind::Delete => {
            into.push(DELETE);
            into.extend_from_slice(&change.key);
        }
    }
}

/// Returns the number of bytes that [`encode`] appends.
pub(crate) fn encoded_length(change: &KeyChange) -> usize {
    let head = match &change.kind {
        ChangeKind::Put { value, .. } => 3 * size_of::<i64>() + size_of::<u32>() + value.len(),
        ChangeKind::Delete => 0,
    };
    1 + head + change.key.len()
}

/// Reads the change of a row; `key` turns bytes into a key that other changes may share. Returns `None` when the
/// bytes are not a change.
pub(crate) fn decode(
    (revision, sub): (i64, u32),
    bytes: &[u8],
    key: impl FnOnce(&[u8]) -> SharedKey,
) -> Option<KeyChange> {
    let (&form, rest) = bytes.split_first()?;
    let (name, kind) = match form {
        PUT => {
            let (lease, rest) = number(rest)?;
            let (create_revision, rest) = number(rest)?;
            let (version, rest) = number(rest)?;
            let (length, rest) = rest.split_first_chunk()?;
            let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
            let (name, value) = rest.split_at_checked(length)?;
            let kind = ChangeKind::Put {
                create_revision,
                version,
                lease,
                value: value.into(),
            };
            (name, kind)
        }
        DELETE => (rest, ChangeKind::Delete),
        _ => return None,
    };
    Some(KeyChange {
        key: key(name),
        revision,
        sub,
        kind,
    })
}

fn number(bytes: &[u8]) -> Option<(i64, &[u8])> {
    let (number, rest) = bytes.split_first_chunk()?;
    Some((i64::from_le_bytes(*number), rest))
}

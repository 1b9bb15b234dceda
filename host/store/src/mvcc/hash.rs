//! Hash of keys and their history, to compare the content of two stores.
//!
//! It is not etcd's hash, which covers etcd's storage format. This file must never change with a release: an
//! operator may compare across two.

use super::state::MvccState;
use crate::change::{ChangeKind, KeyChange};
use crate::error::StoreError;

impl MvccState {
    /// Returns the hash, which is the same for the same keys and history up to a revision.
    pub(crate) fn hash(&self, revision: i64) -> Result<(u32, i64, i64), StoreError> {
        let revision = self.view().resolve(revision)?;
        let mut hash = Fnv::default();
        for (key, versions) in &self.index {
            for change in versions.all() {
                if change.revision <= revision {
                    hash.change(key, change);
                }
            }
        }
        Ok((hash.0, self.compacted, revision))
    }
}

/// The 32-bit FNV-1a hash: stable over releases, which the standard library's is not.
struct Fnv(u32);

impl Default for Fnv {
    fn default() -> Self {
        Self(0x811c_9dc5)
    }
}

impl Fnv {
    fn change(&mut self, key: &[u8], change: &KeyChange) {
        self.bytes(key);
        self.number(change.revision);
        match &change.kind {
            ChangeKind::Put {
                create_revision,
                version,
                lease,
                value,
            } => {
                for number in [create_revision, version, lease] {
                    self.number(*number);
                }
                self.bytes(value);
            }
            ChangeKind::Delete => self.number(-1),
        }
    }

    fn number(&mut self, number: i64) {
        self.bytes(&number.to_be_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
        }
    }
}

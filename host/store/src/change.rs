//! Changes of one revision: the unit of history, of the disk and of watches.
//!
//! A change is never altered once made; every holder of one shares it.

use std::sync::Arc;

use etcd_client::proto::PbKeyValue;

/// A key, shared by all values that name it.
pub(crate) type SharedKey = Arc<[u8]>;

/// A put or delete of one key at one revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyChange {
    /// The key.
    pub(crate) key: SharedKey,
    /// The store's revision of the change: the key's modification revision.
    pub(crate) revision: i64,
    /// Its position among the changes of that revision, from 0.
    pub(crate) sub: u32,
    /// A put or a delete.
    pub(crate) kind: ChangeKind,
}

/// Kind of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ChangeKind {
    /// The key has this value now.
    Put {
        /// The revision that created the key.
        create_revision: i64,
        /// The number of puts since then, this one included: 1 on a new key.
        version: i64,
        /// The lease that the key is attached to, or 0.
        lease: i64,
        /// The value.
        value: Box<[u8]>,
    },
    /// The key is deleted.
    Delete,
}

impl KeyChange {
    /// Returns the key and value as clients see them; of a deleted key, its name and the revision that deleted it.
    pub(crate) fn key_value(&self, keys_only: bool) -> PbKeyValue {
        let mut shown = PbKeyValue {
            key: self.key.to_vec(),
            mod_revision: self.revision,
            ..PbKeyValue::default()
        };
        if let ChangeKind::Put {
            create_revision,
            version,
            lease,
            value,
        } = &self.kind
        {
            shown.create_revision = *create_revision;
            shown.version = *version;
            shown.lease = *lease;
            if !keys_only {
                shown.value = value.to_vec();
            }
        }
        shown
    }

    /// Returns true if the key exists after this change.
    pub(crate) const fn is_put(&self) -> bool {
        matches!(self.kind, ChangeKind::Put { .. })
    }

    /// Returns the lease that the key is attached to after this change, or 0.
    pub(crate) const fn lease(&self) -> i64 {
        match &self.kind {
            ChangeKind::Put { lease, .. } => *lease,
            ChangeKind::Delete => 0,
        }
    }
}

/// All changes of one revision, in order. A revision without changes does not exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RevisionChanges {
    /// Its number. The first one that a client can make is 2: an empty store is at revision 1, as etcd's is.
    pub(crate) number: i64,
    /// Its changes by [`KeyChange::sub`]. A key has at most one. The exception, which etcd allows, is a transaction
    /// that deletes to the end of the keyspace and puts the key as well: then the last change counts.
    pub(crate) changes: Box<[Arc<KeyChange>]>,
}

//! What one revision did: the unit of history, of the disk and of watches.
//!
//! A change is never altered once made; everything that keeps one shares it.

use std::sync::Arc;

use etcd_client::proto::PbKeyValue;

/// A key, shared by everything that names it.
pub(crate) type SharedKey = Arc<[u8]>;

/// One key put or deleted at one revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyChange {
    /// Which key.
    pub(crate) key: SharedKey,
    /// The store's revision it happened at: the key's modification revision.
    pub(crate) revision: i64,
    /// Its place among the changes of that revision, from 0.
    pub(crate) sub: u32,
    /// What happened.
    pub(crate) kind: ChangeKind,
}

/// What happened to a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ChangeKind {
    /// It has this value now.
    Put {
        /// The revision that brought the key into being.
        create_revision: i64,
        /// How many puts there were since then, this one included: 1 on a new key.
        version: i64,
        /// The lease that it goes with, or 0.
        lease: i64,
        /// Its value.
        value: Box<[u8]>,
    },
    /// It is no more.
    Delete,
}

impl KeyChange {
    /// The key and value as clients see them; of a deleted key, its name and the revision that deleted it.
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

    /// Whether the key is there after this change.
    pub(crate) const fn is_put(&self) -> bool {
        matches!(self.kind, ChangeKind::Put { .. })
    }

    /// The lease that the key goes with after this change, or 0.
    pub(crate) const fn lease(&self) -> i64 {
        match &self.kind {
            ChangeKind::Put { lease, .. } => *lease,
            ChangeKind::Delete => 0,
        }
    }
}

/// Every change of one revision, in order. A revision without changes does not exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RevisionChanges {
    /// Its number. The first one a client can make is 2: an empty store stands at 1, as etcd's does.
    pub(crate) number: i64,
    /// Its changes by [`KeyChange::sub`]. A key has at most one, unless a transaction deletes to the end of the
    /// keyspace and puts the key as well, which etcd allows: then the last one counts.
    pub(crate) changes: Box<[Arc<KeyChange>]>,
}

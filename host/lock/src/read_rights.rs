//! Prefixes that this user may read, found by reading one key name of each.
//!
//! A watch of a prefix without the right is cancelled again and again, so a feed checks the right before it opens
//! one.

use crate::error::{RefusalKind, StoreError};
use crate::kv::Kv;

/// A prefix of a feed, and the narrower ones to follow where the whole may not be read.
#[derive(Clone, Debug)]
pub(crate) struct WantedPrefix {
    pub(crate) prefix: String,
    pub(crate) parts: Vec<String>,
}

/// Prefixes by the user's rights.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ReadRights {
    pub(crate) permitted: Vec<String>,
    pub(crate) denied: Vec<String>,
}

/// Sorts prefixes by the right of this user to read them.
pub(crate) async fn rights(kv: &Kv, wanted: &[WantedPrefix]) -> Result<ReadRights, StoreError> {
    let mut rights = ReadRights::default();
    for WantedPrefix { prefix, parts } in wanted {
        if may_read(kv, prefix).await? {
            rights.permitted.push(prefix.clone());
            continue;
        }
        let (mut permitted, mut denied) = (Vec::new(), Vec::new());
        for part in parts {
            if may_read(kv, part).await? {
                permitted.push(part.clone());
            } else {
                denied.push(part.clone());
            }
        }
        if permitted.is_empty() {
            denied = vec![prefix.clone()];
        }
        rights.permitted.append(&mut permitted);
        rights.denied.append(&mut denied);
    }
    Ok(rights)
}

async fn may_read(kv: &Kv, prefix: &str) -> Result<bool, StoreError> {
    match kv.first_key(prefix).await {
        Ok(_) => Ok(true),
        Err(StoreError::Refused {
            kind: RefusalKind::Denied,
            ..
        }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// The message for prefixes without the right to read them.
pub(crate) fn not_permitted(denied: &[String]) -> String {
    format!("not permitted to read {}", denied.join(", "))
}

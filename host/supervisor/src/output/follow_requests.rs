//! Jobs whose output readers request from this host.

use std::collections::{BTreeMap, HashSet};

use leasehold_lock::{FeedItem, KeyValue, LeaseId};
use leasehold_records::{FollowRecord, Root};

/// Number of requests that count; further ones are left out.
const MOST: usize = 1_024;

/// The requests that exist.
#[derive(Debug)]
pub(super) struct FollowRequests {
    root: Root,
    host: String,
    /// Jobs by the request's key.
    requests: BTreeMap<String, String>,
}

impl FollowRequests {
    pub(super) const fn new(root: Root, host: String) -> Self {
        Self {
            root,
            host,
            requests: BTreeMap::new(),
        }
    }

    /// Applies an item of the feed of requests. While the feed is down, what was read last counts.
    pub(super) fn apply(&mut self, item: FeedItem) {
        match item {
            FeedItem::Reading { keys, .. } => {
                self.requests.clear();
                for key in &keys {
                    self.add(key);
                }
            }
            FeedItem::Changes { changes, .. } => {
                for change in changes {
                    match &change.now {
                        Some(key) => self.add(key),
                        None => drop(self.requests.remove(&change.key)),
                    }
                }
            }
            FeedItem::Denied { .. } | FeedItem::Down { .. } => {}
        }
    }

    fn add(&mut self, key: &KeyValue) {
        let Some((job, _)) = self.root.parse_follow(&key.key) else {
            return;
        };
        // A request without a lease would never end.
        let is_wanted = key.lease != LeaseId::NONE
            && FollowRecord::from_json(&key.value).is_ok_and(|record| record.wants(&self.host));
        if is_wanted && self.requests.len() < MOST {
            self.requests.insert(key.key.clone(), job.to_owned());
        } else {
            self.requests.remove(&key.key);
        }
    }

    /// Returns the jobs that are followed.
    pub(super) fn jobs(&self) -> HashSet<String> {
        self.requests.values().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use leasehold_lock::{KeyChange, Revision};
    use leasehold_records::UnixMs;

    use super::*;

    fn request(reader: &str, host: Option<&str>, lease: i64) -> KeyValue {
        let record = FollowRecord {
            job: "j".into(),
            by: "ann@vm".into(),
            host: host.map(Into::into),
            since_unix_ms: UnixMs::new(1),
        };
        KeyValue {
            key: Root::default().follow("j", reader),
            value: record.to_json(),
            create_revision: Revision::new(1),
            mod_revision: Revision::new(1),
            lease: LeaseId::new(lease),
        }
    }

    #[test]
    fn job_is_followed_until_its_last_request_goes() {
        let mut requests = FollowRequests::new(Root::default(), "web1".into());
        let keys = vec![
            request("a", None, 7),
            request("b", Some("web1"), 8),
            request("c", Some("web2"), 9),
            request("d", None, 0),
        ];
        requests.apply(FeedItem::Reading {
            revision: Revision::new(1),
            keys,
        });
        assert_eq!(requests.requests.len(), 2);
        for reader in ["a", "b"] {
            assert!(requests.jobs().contains("j"));
            requests.apply(FeedItem::Down {
                reason: "away".into(),
            });
            let key = Root::default().follow("j", reader);
            let changes = vec![KeyChange {
                key,
                revision: Revision::new(2),
                now: None,
            }];
            requests.apply(FeedItem::Changes {
                revision: Revision::new(2),
                changes,
            });
        }
        assert!(requests.jobs().is_empty());
    }
}

//! Reasons for which an order was not written.

use leasehold_lock::{RefusalKind, StoreError};
use leasehold_records::Root;

/// Reason for which an order was not written, or may not have been.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// The state of the job or of the host does not permit it: the reason, and the remedy.
    #[error("{0}")]
    Refused(String),
    /// The store did not take it, or could not be read.
    #[error("{0}")]
    Store(String),
}

impl OrderError {
    /// The error of an order that another operator overtook.
    pub(crate) fn overtaken(what: &str) -> Self {
        Self::Store(format!(
            "{what} was changed by another operator at the same time; try again"
        ))
    }

    /// The error of an order that was written, and whose effect could not be read.
    pub(crate) fn after_writing(self) -> Self {
        Self::Store(format!(
            "the order was written, and it is not known whether the hosts have seen it: {self}"
        ))
    }

    /// The error of orders or records under a key or prefix that could not be read; names what to grant where permission
    /// is missing.
    pub(crate) fn unread(root: &Root, key: &str, error: &StoreError) -> Self {
        if is_denied(error) {
            let prefixes = [root.control(), root.triggers(), root.locks(), root.jobs()];
            let prefix = prefixes.iter().find(|prefix| key.starts_with(*prefix));
            let prefix = prefix.map_or(key, String::as_str);
            Self::Store(format!(
                "the store refused to show {prefix}: its user may not read it; grant it read there"
            ))
        } else {
            Self::Store(format!("cannot read the records: {error}"))
        }
    }

    /// The error of an order that was not written, or may not have been.
    pub(crate) fn unwritten(root: &Root, error: &StoreError) -> Self {
        if is_denied(error) {
            return denied(root, "its user may not write it");
        }
        Self::Store(if error.is_unknown() {
            format!("the order may or may not have been written: {error}")
        } else {
            format!("the order was not written: {error}")
        })
    }
}

fn denied(root: &Root, denial: &str) -> OrderError {
    OrderError::Store(format!(
        "the store refused the order: {denial}; grant it readwrite on {}, {} and {}",
        root.control(),
        root.triggers(),
        root.admin_actions()
    ))
}

const fn is_denied(error: &StoreError) -> bool {
    matches!(
        error,
        StoreError::Refused {
            kind: RefusalKind::Denied,
            ..
        }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusal_of_the_store_names_the_prefixes_to_grant() {
        let denied = StoreError::Refused {
            kind: RefusalKind::Denied,
            message: "permission denied".into(),
        };
        let root = Root::default();
        insta::assert_snapshot!(
            OrderError::unwritten(&root, &denied),
            @"the store refused the order: its user may not write it; grant it readwrite on /leasehold/control/, /leasehold/triggers/ and /leasehold/deeds/"
        );
        insta::assert_snapshot!(
            OrderError::unread(&root, "/leasehold/locks/", &denied),
            @"the store refused to show /leasehold/locks/: its user may not read it; grant it read there"
        );
        insta::assert_snapshot!(
            OrderError::unread(&root, "/leasehold/control/jobs/a", &denied).after_writing(),
            @"the order was written, and it is not known whether the hosts have seen it: the store refused to show /leasehold/control/: its user may not read it; grant it read there"
        );
        let lost = StoreError::Unknown("connection lost".into());
        let text = OrderError::unwritten(&root, &lost).to_string();
        assert!(
            text.starts_with("the order may or may not have been written: "),
            "{text}"
        );
    }
}

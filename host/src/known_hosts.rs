//! Error for an unknown host's name: no record in the store has it.

use std::collections::BTreeSet;

use leasehold_lock::{Kv, StoreError};
use leasehold_records::{Root, RunRecord};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::known_names::{KnownNames, describe};
use crate::record_reader::is_denied;

/// Returns the failure to report if the store has no trace of a host of this name: it lives, is drained, has claimed
/// its id, or has run a job. Records that this user may not read are left out.
///
/// # Errors
///
/// The store cannot be read.
pub(crate) async fn unknown_host(
    kv: &Kv,
    root: &Root,
    host: &str,
) -> Result<Option<Failure>, StoreError> {
    let mut known = BTreeSet::new();
    for prefix in [root.hosts(), root.ids(), root.host_control("")] {
        let keys: Vec<String> = permitted(kv.keys(&prefix).await)?;
        let names = keys.iter().filter_map(|key| key.strip_prefix(&prefix));
        known.extend(names.map(str::to_owned));
    }
    if !known.contains(host) {
        let prefix = root.runs();
        let runs = kv.scan(&prefix, BTreeSet::new, |hosts, key| {
            hosts.extend(RunRecord::from_json(&key.value).map(|run| run.host));
        });
        known.extend(permitted(runs.await.map(|runs| runs.found))?);
    }
    Ok((!known.contains(host)).then(|| Failure::new(Exit::Usage, describe_unknown(host, &known))))
}

/// Returns nothing for records that this user may not read.
fn permitted<T: Default>(read: Result<T, StoreError>) -> Result<T, StoreError> {
    match read {
        Err(error) if is_denied(&error) => Ok(T::default()),
        read => read,
    }
}

fn describe_unknown(host: &str, known: &BTreeSet<String>) -> String {
    let names = KnownNames {
        noun: "host",
        none: "the store has no trace of any host",
        known,
    };
    describe(host, &names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_host_is_refused_with_near_names() {
        let known: BTreeSet<String> = ["web1", "web2"].map(Into::into).into();
        insta::assert_snapshot!(describe_unknown("wbe1", &known), @r"
        there is no host `wbe1`
          = help: did you mean `web1`?
          = help: the hosts are: web1, web2
        ");
        insta::assert_snapshot!(describe_unknown("x", &BTreeSet::new()), @r"
        there is no host `x`
          = help: the store has no trace of any host
        ");
    }
}

//! Audit of the ledger plugin's accounts. Reads one revision of the store; never writes.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::etcd::Etcd;

/// Prefix of the plugin's keys: the host's `<root>kv/` and the plugin's default prefix.
const PREFIX: &str = "/leasehold/kv/ledger/";

/// Five accounts of a hundred, the plugin's defaults.
const TOTAL: u64 = 500;

/// Adds up the accounts, taking the two of a pending transfer from the journal, as the plugin's docs require.
/// Returns the number of completed transfers.
///
/// # Errors
/// The sum differs from the ledger's founding total, or no ledger exists.
pub fn audit(etcd: &Etcd) -> Result<u64> {
    // One request, and so one revision: a snapshot that no transfer can run through.
    let text = etcd.etcdctl(&["get", PREFIX, "--prefix"])?;
    let lines: Vec<_> = text.lines().collect();
    let pairs: Vec<_> = lines
        .chunks_exact(2)
        .map(|pair| (pair[0], pair[1]))
        .collect();
    let journal = pairs.iter().find(|(key, _)| key.ends_with("/journal"));
    let (_, journal) = journal.with_context(|| format!("there is no journal in {text:?}"))?;
    let journal: Value = serde_json::from_str(journal).context("reading the journal")?;
    let mut sum = 0;
    let mut accounts = 0;
    for (key, balance) in &pairs {
        let Some(number) = key
            .strip_prefix(PREFIX)
            .and_then(|key| key.strip_prefix("account/"))
        else {
            continue;
        };
        let number: u64 = number.parse().context("reading an account's number")?;
        let stored: u64 = balance.parse().context("reading a balance")?;
        sum += intended(&journal, number).unwrap_or(stored);
        accounts += 1;
    }
    ensure!(
        sum == TOTAL && journal["accounts"] == accounts && journal["total"] == TOTAL,
        "{accounts} accounts hold {sum}, not {TOTAL}: {text}"
    );
    journal["transfers"]
        .as_u64()
        .context("the journal counts no transfers")
}

/// Balance of an account once the pending transfer is complete, if that changes it.
fn intended(journal: &Value, account: u64) -> Option<u64> {
    let pending = &journal["pending"];
    [&pending["from"], &pending["to"]]
        .into_iter()
        .find(|change| change["account"] == account)?["balance"]
        .as_u64()
}

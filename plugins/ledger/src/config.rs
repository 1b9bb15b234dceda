//! The job's configuration, and the plan for a ledger made from it.
//!
//! Numbers with which a ledger cannot work are refused.

use serde::Deserialize;

/// The table `[jobs.<name>.config]`.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    prefix: String,
    accounts: u32,
    initial: u64,
    /// Transfers in one run.
    pub(crate) transfers: u64,
    /// Milliseconds between the two writes of a transfer.
    pub(crate) pause_ms: u64,
    /// Go on until asked to stop, whatever `transfers` says.
    pub(crate) forever: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            prefix: "ledger/".to_owned(),
            accounts: 5,
            initial: 100,
            transfers: 20,
            pause_ms: 0,
            forever: false,
        }
    }
}

/// Prefix of a ledger, and its accounts and balances if there is none yet.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) prefix: String,
    pub(crate) accounts: u32,
    pub(crate) initial: u64,
    pub(crate) total: u64,
}

/// All accounts are read in one list at the start of a run; this keeps it small.
const MOST_ACCOUNTS: u32 = 1_000;

impl Config {
    /// Checks the numbers; the error names the wrong one and its range.
    pub(crate) fn plan(&self) -> Result<Plan, String> {
        let &Self {
            accounts, initial, ..
        } = self;
        if !(2..=MOST_ACCOUNTS).contains(&accounts) {
            return Err(format!(
                "accounts = {accounts}: must be 2 to {MOST_ACCOUNTS}"
            ));
        }
        if initial == 0 {
            return Err("initial = 0: must be at least 1, or there is nothing to move".to_owned());
        }
        let total = u64::from(accounts).checked_mul(initial).ok_or_else(|| {
            format!("initial = {initial}: {accounts} accounts of it do not fit 64 bits")
        })?;
        Ok(Plan {
            prefix: self.prefix.clone(),
            accounts,
            initial,
            total,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_a_ledger_cannot_work_with_are_refused() {
        for (accounts, initial) in [(1, 100), (1_001, 100), (2, 0), (3, u64::MAX / 2)] {
            let config = Config {
                accounts,
                initial,
                ..Config::default()
            };
            assert!(config.plan().is_err(), "{accounts} accounts of {initial}");
        }
        assert_eq!(Config::default().plan().map(|plan| plan.total), Ok(500));
    }

    #[test]
    fn a_misspelt_key_is_refused() {
        assert!(serde_json::from_str::<Config>(r#"{"transfer": 3}"#).is_err());
        assert!(serde_json::from_str::<Config>("{}").is_ok());
    }
}

//! Recorded runs to show: one by its token, or the last ones.

use std::fmt;
use std::str::FromStr;

use leasehold_lock::{Kv, StoreError, Token};
use leasehold_records::{Root, RunKey, RunRecord};

/// A run's token, and its number under the token if given, as `leasehold runs` shows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RunName {
    pub(super) token: Token,
    sequence: Option<u32>,
}

/// Runs to show.
#[derive(Clone, Copy, Debug)]
pub(super) enum RunSelection {
    Run(RunName),
    /// So many of the last runs.
    Last(usize),
}

impl FromStr for RunName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (token, sequence) = match text.split_once('.') {
            Some((token, sequence)) => (token, Some(sequence)),
            None => (text, None),
        };
        let wrong =
            || "a token is a number, as in 1204, or 1204.2 for a later run under it".to_owned();
        Ok(Self {
            token: token.parse().map(Token::new).map_err(|_| wrong())?,
            sequence: sequence.map(str::parse).transpose().map_err(|_| wrong())?,
        })
    }
}

impl fmt::Display for RunName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.token)?;
        match self.sequence {
            Some(sequence) => write!(f, ".{sequence}"),
            None => Ok(()),
        }
    }
}

impl RunName {
    fn names(&self, key: &RunKey) -> bool {
        key.token == self.token && self.sequence.is_none_or(|wanted| wanted == key.sequence)
    }

    /// True if the record is of this run, alone or among others that share it.
    fn is_covered(&self, run: &RunRecord) -> bool {
        run.covers(self.token, self.sequence.unwrap_or(0))
    }
}

/// Reads the selected runs of a job, on one host if given, oldest first.
pub(super) async fn select(
    kv: &Kv,
    root: &Root,
    job: &str,
    selection: RunSelection,
    host: Option<&str>,
) -> Result<Vec<RunRecord>, StoreError> {
    let names = kv.keys(&root.runs_of(job)).await?;
    let mut keys: Vec<RunKey> = names.iter().filter_map(|key| root.parse_run(key)).collect();
    keys.sort();
    let mut runs = Vec::new();
    match selection {
        RunSelection::Run(run) => {
            for key in keys.iter().filter(|key| run.names(key)) {
                runs.extend(read(kv, root, key, host).await?);
            }
            if runs.is_empty() {
                // Quick runs share the record of the last of them.
                for key in keys.iter().filter(|key| key.token >= run.token) {
                    if let Some(found) = read(kv, root, key, host).await?
                        && run.is_covered(&found)
                    {
                        runs.push(found);
                        break;
                    }
                }
            }
        }
        RunSelection::Last(count) => {
            for key in keys.iter().rev() {
                if runs.len() == count {
                    break;
                }
                runs.extend(read(kv, root, key, host).await?);
            }
            runs.reverse();
        }
    }
    Ok(runs)
}

/// Reads one run, if it is on that host. A record that cannot be read is left out.
async fn read(
    kv: &Kv,
    root: &Root,
    key: &RunKey,
    host: Option<&str>,
) -> Result<Option<RunRecord>, StoreError> {
    let stored = kv.get(&root.run(key)).await?;
    let run = stored.and_then(|stored| RunRecord::from_json(&stored.value).ok());
    Ok(run.filter(|run| host.is_none_or(|host| run.host == host)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_is_named_as_the_table_of_runs_names_it() {
        for text in ["1204", "1204.2"] {
            assert_eq!(text.parse::<RunName>().unwrap().to_string(), text);
        }
        for wrong in ["", "x", "1.x", "1.2.3", "-1"] {
            let error = wrong.parse::<RunName>().unwrap_err();
            assert!(error.contains("as in 1204"), "{wrong}");
        }
        let key = |sequence| RunKey {
            job: "j".into(),
            token: Token::new(7),
            sequence,
        };
        let (all, second): (RunName, RunName) = ("7".parse().unwrap(), "7.1".parse().unwrap());
        assert!(all.names(&key(0)) && all.names(&key(1)));
        assert!(!second.names(&key(0)) && second.names(&key(1)));
    }
}

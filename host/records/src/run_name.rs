//! Names of runs, as people write and read them.

use std::fmt;
use std::str::FromStr;

use leasehold_ids::Token;

use crate::keys::RunKey;
use crate::run::RunRecord;

/// A run of a job, or all runs under one grant: `1204.2`, or `1204`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunName {
    /// The fencing token.
    pub token: Token,
    /// The number under the token; every run under it if `None`.
    pub sequence: Option<u32>,
}

/// Error for a text that names no run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a token is a number, as in 1204, or 1204.2 for a later run under it")]
pub struct RunNameError;

impl FromStr for RunName {
    type Err = RunNameError;

    fn from_str(text: &str) -> Result<Self, RunNameError> {
        let (token, sequence) = match text.split_once('.') {
            Some((token, sequence)) => (token, Some(sequence)),
            None => (text, None),
        };
        Ok(Self {
            token: token.parse().map(Token::new).map_err(|_| RunNameError)?,
            sequence: sequence
                .map(str::parse)
                .transpose()
                .map_err(|_| RunNameError)?,
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
    /// Returns true if this names the run.
    pub fn names(&self, key: &RunKey) -> bool {
        key.token == self.token && self.sequence.is_none_or(|wanted| wanted == key.sequence)
    }

    /// Returns true if the record is of this run, alone or among others that share it.
    pub fn is_covered(&self, run: &RunRecord) -> bool {
        run.covers(self.token, self.sequence.unwrap_or(0))
    }
}

impl RunKey {
    /// Returns the run's name for people. The first run under a grant has the name of the grant.
    pub fn name(&self) -> RunName {
        RunName {
            token: self.token,
            sequence: (self.sequence > 0).then_some(self.sequence),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(sequence: u32) -> RunKey {
        RunKey {
            job: "j".into(),
            token: Token::new(7),
            sequence,
        }
    }

    #[test]
    fn name_reads_back_and_others_are_refused() {
        for text in ["1204", "1204.2"] {
            assert_eq!(text.parse::<RunName>().unwrap().to_string(), text);
        }
        for wrong in ["", "x", "1.x", "1.2.3", "-1"] {
            let error = wrong.parse::<RunName>().unwrap_err();
            assert!(error.to_string().contains("as in 1204"), "{wrong}");
        }
        assert_eq!(key(0).name().to_string(), "7");
        assert_eq!(key(2).name().to_string(), "7.2");
    }

    #[test]
    fn name_without_a_number_names_every_run_under_the_token() {
        let (all, second): (RunName, RunName) = ("7".parse().unwrap(), "7.1".parse().unwrap());
        assert!(all.names(&key(0)) && all.names(&key(1)));
        assert!(!second.names(&key(0)) && second.names(&key(1)));
    }
}

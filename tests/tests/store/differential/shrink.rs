//! From a sequence that differs to a short one that a person can read.
//!
//! No difference is lost: one that cannot be reproduced is reported as it was.

use std::fmt::Write;
use std::time::Duration;

use tokio::time::Instant;

use super::op::Op;
use super::play::{Mismatch, play};
use super::server::Server;

/// A difference, and the fewest steps found that show one.
pub(super) struct Found {
    pub(super) seed: u64,
    pub(super) steps: Vec<Op>,
    pub(super) mismatch: Mismatch,
    /// False when the same steps agreed the second time: then the first time was a race.
    pub(super) again: bool,
}

/// Leaves out steps while the servers still differ, until no single one can go or time is up.
pub(super) async fn shrink(
    servers: &mut [Server],
    seed: u64,
    ops: &[Op],
    first: Mismatch,
    patience: Duration,
) -> Found {
    let deadline = Instant::now() + patience;
    let end = ops.len().min(first.step + 1);
    let mut found = Found {
        seed,
        steps: ops[..end].to_vec(),
        mismatch: first,
        again: false,
    };
    let steps = found.steps.clone();
    if !found.try_fewer(servers, steps).await {
        return found;
    }
    found.again = true;
    let mut block = (found.steps.len() / 2).max(1);
    loop {
        let (mut at, mut gone) = (0, false);
        while at < found.steps.len() && Instant::now() < deadline {
            let mut fewer = found.steps.clone();
            fewer.drain(at..(at + block).min(fewer.len()));
            if found.try_fewer(servers, fewer).await {
                gone = true;
            } else {
                at += block;
            }
        }
        if Instant::now() >= deadline || (block == 1 && !gone) {
            return found;
        }
        block = (block / 2).max(1);
    }
}

impl Found {
    /// Takes these steps instead when the servers differ about them too. An ended server cannot differ.
    async fn try_fewer(&mut self, servers: &mut [Server], steps: Vec<Op>) -> bool {
        let Ok(Some(mismatch)) = play(servers, &steps).await else {
            return false;
        };
        self.steps = steps;
        self.steps.truncate(mismatch.step + 1);
        self.mismatch = mismatch;
        true
    }
}

/// Report of a difference, for people.
impl std::fmt::Display for Found {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "the servers differ; LEASEHOLD_SEEDS={}\n", self.seed)?;
        f.write_str(if self.again {
            "the fewest steps found that show it:\n"
        } else {
            "it was not there when the same steps were played again:\n"
        })?;
        for (number, op) in self.steps.iter().enumerate() {
            writeln!(f, "{number:4}  {op}")?;
        }
        let Mismatch {
            step,
            what,
            answers,
        } = &self.mismatch;
        writeln!(f, "\nat step {step}: {what}")?;
        for (name, answer) in answers {
            writeln!(f, "--- {name}\n{answer}")?;
        }
        f.write_char('\n')
    }
}

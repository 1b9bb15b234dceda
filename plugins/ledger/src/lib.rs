//! A ledger: moves money between accounts under the job's lock, and never loses any.
//!
//! Shows how to change two keys together where the store offers no transaction over several.
//! Before a transfer touches an account, its *intent* goes into the journal, one key: which
//! accounts, at which revisions they were read, and their absolute new balances. A holder stopped
//! anywhere in between leaves an intent behind, and the next one completes it. Doing so twice is
//! harmless: balances are absolute, and each write goes through only at the revision
//! the intent names. That also disarms a write whose answer was lost and which arrives late.
//!
//! ```text
//! <prefix>account/0000 …   the balance, a decimal number
//! <prefix>journal          {"accounts":5,"total":500,"transfers":7,"pending":null}
//! ```
//!
//! An observer who adds up the accounts while `pending` holds an intent takes the balances of its two
//! accounts from there; then the sum is `total` at every moment.
//!
//! ```toml
//! [jobs.ledger.allow]
//! kv = ["ledger/"]
//! [jobs.ledger.config]    # all optional; these are the defaults
//! prefix = "ledger/"
//! accounts = 5            # accounts and initial matter only when the ledger is first opened
//! initial = 100
//! transfers = 20          # in one run
//! pause_ms = 0            # between the two writes of a transfer
//! forever = false         # true: until asked to stop
//! ```
//!
//! Every balance is in the journal before it is written, and a wrong total is never repaired.

mod book;
mod config;
mod dice;
mod error;
mod journal;
mod pages;

#[cfg(test)]
mod crash_tests;

use std::time::Duration;

use leasehold_job::{Context, Failure, Outcome, job, log};

use crate::book::Book;
use crate::config::Config;
use crate::error::BookError;

job!(run, manifest = "job.toml");

fn run(ctx: &Context) -> Result<Outcome, Failure> {
    let config: Config = ctx.config()?;
    let plan = config.plan().map_err(Failure::fatal)?;
    let (lock, store) = (ctx.lock(), ctx.kv());
    let token = lock.token();

    let (mut book, recovered) = Book::open(store, &plan).map_err(verdict)?;
    if let Some(transfer) = recovered {
        log::warn!("completed what was left behind: {transfer}"; "token" => token);
    }
    log::info!("opened with total {}", book.total(); "token" => token);

    let total_transfers = (!config.forever).then_some(config.transfers);
    let pause = Duration::from_millis(config.pause_ms);
    let mut done = 0;
    while total_transfers.is_none_or(|total| done < total) {
        if lock.stop_requested(Duration::ZERO) {
            break;
        }
        // A request to stop cuts the pause short; the transfer at hand is still completed.
        let between = || {
            lock.stop_requested(pause);
        };
        let (next, transfer) = book.transfer(store, between).map_err(verdict)?;
        book = next;
        done += 1;
        log::info!("{transfer}"; "token" => token);
        ctx.progress(done, total_transfers, "transferring");
    }
    Ok(Outcome::done_with(format!(
        "{done} transfers, total {}",
        book.total()
    )))
}

/// A store that failed may work again; a ledger that does not add up must wait for a person.
fn verdict(error: BookError) -> Failure {
    match error {
        BookError::Store { .. } => error.into(),
        BookError::Corrupt(_) => Failure::fatal(error.to_string()),
    }
}

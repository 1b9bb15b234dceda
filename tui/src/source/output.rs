//! Live output of the job whose pane is open.
//!
//! The request is a key of the dashboard's own, under a lease of its own. It changes no lock, so it needs no permission
//! to write to those of others.

use leasehold_follow::{OutputReader, ReadRequest};
use leasehold_lock::{Locks, RefusalKind, StoreError};
use leasehold_records::Root;
use tokio::sync::{mpsc, watch};

use super::clock::now;
use crate::fact::{Fact, FactKind, OutputFact};

/// Reads the output of the wanted job until the receiver of facts has gone.
pub(super) async fn follow(
    locks: Locks,
    root: Root,
    by: String,
    mut wanted: watch::Receiver<Option<String>>,
    out: mpsc::Sender<Fact>,
) {
    loop {
        let job = wanted.borrow_and_update().clone();
        if let Some(job) = job {
            let request = ReadRequest {
                job: job.clone(),
                host: None,
                run: None,
                by: by.clone(),
            };
            match OutputReader::open(locks.clone(), root.clone(), request).await {
                Ok(mut reader) => {
                    let began = send(&out, &job, OutputFact::Began).await;
                    let goes_on = began && pass_on(&mut reader, &job, &mut wanted, &out).await;
                    reader.close().await;
                    if !goes_on {
                        return;
                    }
                    continue;
                }
                Err(error) => {
                    if !send(&out, &job, OutputFact::Refused(describe(&error))).await {
                        return;
                    }
                }
            }
        }
        if wanted.changed().await.is_err() {
            return;
        }
    }
}

/// Passes output on until another job is wanted. Returns false when the receiver of facts, or the store, has gone.
async fn pass_on(
    reader: &mut OutputReader,
    job: &str,
    wanted: &mut watch::Receiver<Option<String>>,
    out: &mpsc::Sender<Fact>,
) -> bool {
    loop {
        tokio::select! {
            changed = wanted.changed() => return changed.is_ok(),
            item = reader.next() => {
                let Some(item) = item else {
                    return false;
                };
                if !send(out, job, OutputFact::Item(item)).await {
                    return false;
                }
            }
        }
    }
}

async fn send(out: &mpsc::Sender<Fact>, job: &str, fact: OutputFact) -> bool {
    let fact = Fact {
        at_unix_ms: now(),
        kind: FactKind::Output(job.to_owned(), Box::new(fact)),
    };
    out.send(fact).await.is_ok()
}

fn describe(error: &StoreError) -> String {
    match error {
        StoreError::Refused {
            kind: RefusalKind::Denied,
            ..
        } => "no live output: this user may not write under follow/; what is recorded is shown"
            .into(),
        error => format!("no live output: {error}"),
    }
}

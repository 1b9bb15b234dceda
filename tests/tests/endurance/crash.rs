//! Sudden death under load, again and again on the same data: everything that was acknowledged is there.
//!
//! Half of the time it comes at any moment (SIGKILL), half of the time in the middle of writing a commit: the process
//! may suddenly not write beyond some place in its file, and the system ends it when it does (SIGXFSZ).
//!
//! A killed process leaves what it handed to the system, synced or not: that syncing is not forgotten is shown
//! where the disk itself is ours, in the store's own tests. What only a process can show is that nothing is
//! acknowledged, shown or watched before it was handed over, and that what a kill leaves can be opened.

mod follower;
mod history;
mod ledger;
mod writers;

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use fastrand::Rng;

use self::follower::Follower;
use self::history::History;
use self::ledger::Ledger;
use self::writers::Crew;
use crate::server::Server;
use crate::setting;

/// Time that writers have before a kill, in milliseconds. Short, since starts are the risk; long enough for every
/// kind of write to be under way.
const LIFE_MS: std::ops::Range<u64> = 20..400;

/// Half of the restarts are killed too, within this many milliseconds: opening is reading, repairing, writing.
const BIRTH_MS: std::ops::Range<u64> = 1..60;

/// Shell line that ends the process at the signal of a write that is too large, as by default, without a core file.
const MORTAL: &str = r#"ulimit -c 0; exec "$@""#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_read_and_watched_data_survives_every_kill() -> Result<()> {
    let seed = setting("LEASEHOLD_SEED", 1);
    let kills = setting("LEASEHOLD_KILLS", 16);
    let mut random = Rng::with_seed(seed);
    let mut server = Server::on_disk()?.launched_by(&[], MORTAL).started()?;
    let follower = Follower::start(server.endpoint());
    let mut history = History::begin(&server).await?;
    let mut deaths_at_write = 0;
    for kill in 1..=kills {
        let ledger = Arc::new(Ledger::new(history.last(), history.leases()));
        let crew = Crew::start(&server, &ledger, history.state(), &mut random).await?;
        tokio::time::sleep(Duration::from_millis(random.u64(LIFE_MS))).await;
        ledger.may_fail();
        if random.bool() {
            server.kill()?;
        } else {
            let length = fs::metadata(server.file()?)?.len();
            server.die_at_write(random.u64(..length))?;
            deaths_at_write += 1;
        }
        crew.end().await?;
        if random.bool() {
            server.spawn()?;
            tokio::time::sleep(Duration::from_millis(random.u64(BIRTH_MS))).await;
            server.kill()?;
        }
        let restarted = Instant::now();
        server.start()?;
        history
            .verify(&server, &ledger, &follower, restarted)
            .await
            .with_context(|| format!("after kill {kill} of seed {seed}; {}", server.said()))?;
    }
    server.is_well()?;
    println!(
        "{kills} kills, {deaths_at_write} of them at a write: {history}, peak {} MiB",
        server.peak_mib()?
    );
    // A test in which little was written has shown little.
    history.was_worth_it(kills)?;
    follower.end().await
}

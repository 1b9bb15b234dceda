//! Takes a lock, writes under its fence for a few seconds, and gives it back.
//!
//! ```sh
//! cargo run -p leasehold-lock --example hold -- http://127.0.0.1:2379 /demo/lock
//! ```
//!
//! Start it twice: the second one waits its turn. Delete its entry with `etcdctl del --prefix /demo/lock/` while it
//! works: it stops at once, and prints the reason.

use std::time::Duration;

use leasehold_lock::{Acquire, ConnectOptions, Locks};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let endpoint = args
        .next()
        .unwrap_or_else(|| "http://127.0.0.1:2379".into());
    let name = args.next().unwrap_or_else(|| "/demo/lock".into());

    let locks = Locks::connect(ConnectOptions::new([endpoint])).await?;
    let grant = locks
        .acquire_reporting(Acquire::new(&name), |place| {
            println!("waiting, {} ahead", place.ahead);
        })
        .await?;
    println!("holding {name} with token {}", grant.token());

    let fence = grant.fence();
    for step in 1..=5 {
        // Checked before every effect. It costs a clock read, and is right even after a freeze.
        if !grant.tenure().admits() {
            break;
        }
        // The store refuses this write once our entry is deleted, whatever this program assumes.
        let value = format!("step {step}");
        locks
            .kv()
            .put_fenced(&fence, "/demo/progress", value.as_bytes())
            .await?;
        println!("{value}, {:?} left", grant.tenure().remaining());
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
            reason = grant.tenure().ended() => println!("stopped: {reason}"),
        }
    }
    grant.release().await?;
    locks.close().await;
    Ok(())
}

//! One directory, one process: a second process is refused with the reason, in any state of the first.

use anyhow::{Result, ensure};

use crate::client::connect;
use crate::server::{REFUSED, Server};

/// Checks the refusal of the second process.
fn is_refused(server: &Server) -> Result<()> {
    let (code, said) = server.rival(server.data())?;
    ensure!(code == Some(REFUSED), "it ended with {code:?}: {said}");
    let place = format!("the store in {} is in use", server.data().display());
    for part in [
        place.as_str(),
        "stop that process, or choose another directory",
    ] {
        ensure!(said.contains(part), "{part} in {said}");
    }
    Ok(())
}

// With a disk that has failed: in `full_disk.rs`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_process_is_refused_without_disturbing_the_first() -> Result<()> {
    let mut server = Server::on_disk()?.started()?;
    let mut client = connect(&server).await?;
    for round in 0..3 {
        client.put("k", round.to_string(), None).await?;
        is_refused(&server)?;
    }
    // A stopped process has not ended.
    server.stop()?;
    is_refused(&server)?;
    server.cont()?;
    client.put("k", "last", None).await?;
    server.kill()?;
    // The dead hold nothing.
    server.start()?;
    let reply = connect(&server).await?.get("k", None).await?;
    ensure!(reply.kvs().first().is_some_and(|kv| kv.value() == b"last"));
    server.is_well()
}

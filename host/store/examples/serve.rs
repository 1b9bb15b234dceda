//! The embedded store as a program: `cargo run -p leasehold-store --example serve -- DIRECTORY [SOCKET]`.
//!
//! It prints the endpoints it listens on, one a line, and serves until it is interrupted. It must
//! never do more than that: it is for trying things out.

use leasehold_store::{ListenAddress, Store, StoreOptions};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let options = match arguments.next() {
        Some(directory) if directory != "memory" => StoreOptions::directory(directory),
        _ => StoreOptions::memory(),
    };
    let store = Store::open(options).await?;
    println!(
        "{}",
        store
            .listen(ListenAddress::Tcp("127.0.0.1:0".parse()?))
            .await?
    );
    if let Some(path) = arguments.next() {
        println!("{}", store.listen(ListenAddress::Unix(path.into())).await?);
    }
    tokio::signal::ctrl_c().await?;
    store.close().await;
    Ok(())
}

//! Clients that know no manners: the store answers others all the same.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use leasehold_tests::etcd::Version;
use leasehold_tests::etcdctl::Etcdctl;

use crate::embedded::Embedded;

/// What begins as HTTP/2 begins like this.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

fn address(store: &Embedded) -> Result<&str> {
    store
        .endpoint()
        .strip_prefix("http://")
        .context("no address")
}

/// The store still serves somebody else.
fn is_well(ctl: &Etcdctl) -> Result<()> {
    ctl.run(&["put", "well", "yes"])?;
    ensure!(ctl.run(&["get", "well", "--print-value-only"])? == "yes");
    Ok(())
}

#[test]
fn bytes_that_mean_nothing_cost_their_sender_the_connection_and_nobody_else_anything() -> Result<()>
{
    let store = Embedded::start()?;
    let ctl = store.ctl(Version::V3_5)?;
    let mut rng = fastrand::Rng::with_seed(1);
    let mut idle = Vec::new();
    for round in 0..300 {
        let mut stream = TcpStream::connect(address(&store)?)?;
        stream.set_read_timeout(Some(Duration::from_millis(1)))?;
        let mut noise: Vec<u8> = (0..rng.usize(0..5000)).map(|_| rng.u8(..)).collect();
        match round % 3 {
            0 => {}
            1 => noise.splice(..0, PREFACE.iter().copied()).for_each(drop),
            _ => noise = b"POST /v3/kv/range HTTP/1.1\r\nContent-Length: 100\r\n\r\n{".to_vec(),
        }
        // It may hang up before it has heard all.
        let _ = stream.write_all(&noise);
        let _ = stream.read(&mut [0; 100]);
        if round % 10 == 0 {
            idle.push(stream);
        }
    }
    is_well(&ctl)?;
    drop(idle);
    is_well(&ctl)
}

#[test]
fn connections_that_say_nothing_keep_nobody_out() -> Result<()> {
    let store = Embedded::start()?;
    let quiet: Vec<_> = (0..500)
        .map(|_| Ok(TcpStream::connect(address(&store)?)?))
        .collect::<Result<_>>()?;
    is_well(&store.ctl(Version::V3_5)?)?;
    drop(quiet);
    Ok(())
}

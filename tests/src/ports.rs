//! Ports for servers that are given their port and must get it back after a restart.
//!
//! A port is claimed by locking a file named after it, so that two tests, in one process or in two,
//! never hold the same one; the kernel drops the lock with the process. Ports lie below the range
//! that the kernel hands to outgoing connections, which would otherwise take one during a restart.

use std::fs::{File, OpenOptions};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

/// Below Linux's default range for outgoing connections (32768 on), above what services use.
const RANGE: std::ops::Range<u16> = 15_000..32_000;

/// Claims tried before giving up; even with a thousand ports taken, the chance to fail is negligible.
const TRIES: usize = 200;

/// A loopback port that is ours until this is dropped.
#[derive(Debug)]
pub struct Port {
    number: u16,
    _claim: File,
}

impl Port {
    /// Claims a free port.
    ///
    /// # Errors
    /// The directory of claims cannot be written, or no port is free.
    pub fn claim() -> Result<Self> {
        let claims = claims_dir();
        std::fs::create_dir_all(&claims)
            .with_context(|| format!("creating {}", claims.display()))?;
        for _ in 0..TRIES {
            let number = fastrand::u16(RANGE);
            let path = claims.join(number.to_string());
            let claim = OpenOptions::new().create(true).append(true).open(&path);
            let claim = claim.with_context(|| format!("opening {}", path.display()))?;
            if claim.try_lock().is_ok() && is_free(number) {
                return Ok(Self {
                    number,
                    _claim: claim,
                });
            }
        }
        bail!(
            "no free port between {} and {} after {TRIES} tries",
            RANGE.start,
            RANGE.end
        )
    }

    /// The port's number.
    pub fn number(&self) -> u16 {
        self.number
    }

    /// The port on 127.0.0.1.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.number).into()
    }
}

/// One directory per user, since another user's files cannot be opened.
fn claims_dir() -> PathBuf {
    let user = rustix::process::getuid().as_raw();
    std::env::temp_dir().join(format!("leasehold-test-ports-{user}"))
}

/// True if no process outside these tests listens on the port.
fn is_free(number: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, number)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wait::eventually;
    use std::time::Duration;

    #[test]
    fn a_claimed_port_can_be_bound_again_and_again() {
        let port = Port::claim().unwrap();
        for _ in 0..2 {
            TcpListener::bind(port.address()).unwrap();
        }
    }

    #[test]
    fn a_claim_is_exclusive_until_its_owner_ends() {
        let port = Port::claim().unwrap();
        let second = File::open(claims_dir().join(port.number().to_string())).unwrap();
        assert!(second.try_lock().is_err());
        drop(port);
        // A child being started by another test can hold a copy of the claim for a moment.
        eventually(Duration::from_secs(20), "the claim to be free", || {
            Ok(second.try_lock()?)
        })
        .unwrap();
    }
}

//! The proxy that comes with etcd: one member's API, at a beat of its own.
//!
//! It answers renewals every third of a TTL, shares watches between clients and leaves some requests for
//! progress without an answer.

use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::etcd::Etcd;
use crate::ports::Port;
use crate::process::Process;
use crate::wait::eventually;

/// Bound of the proxy's start.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running `etcd grpc-proxy` of the same version as its etcd.
#[derive(Debug)]
pub struct GrpcProxy {
    _process: Process,
    port: Port,
}

impl GrpcProxy {
    /// Starts a proxy to all members and waits until it accepts connections.
    ///
    /// # Errors
    /// The binary is missing, or the proxy did not start in time.
    pub fn start(etcd: &Etcd) -> Result<Self> {
        let port = Port::claim()?;
        let mut command = Command::new(etcd.version().etcd()?);
        command
            .env_clear()
            .args(["grpc-proxy", "start"])
            .arg(format!("--endpoints={}", etcd.endpoints().join(",")))
            .arg(format!("--listen-addr={}", port.address()))
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        if cfg!(target_arch = "aarch64") {
            command.env("ETCD_UNSUPPORTED_ARCH", "arm64");
        }
        let process = Process::spawn("etcd grpc-proxy", &mut command)?;
        eventually(PATIENCE, "etcd grpc-proxy to listen", || {
            TcpStream::connect_timeout(&port.address(), PATIENCE).context("connecting")
        })?;
        Ok(Self {
            _process: process,
            port,
        })
    }

    /// The URL for clients.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.port.address())
    }
}

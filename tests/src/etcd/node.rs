//! One server process: its ports, its data, its log, and whether it is ready.
//!
//! etcd's readiness is asked on a plain port of its own, so that users and certificates do not stand in the way;
//! the embedded store is ready when it listens.
//! It never gives up its ports or its data before it is dropped, however often it dies.

use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::binaries::Version;
use crate::ports::Port;
use crate::process::Process;
use crate::wait::eventually;

/// How long one question on the plain port may take; a paused node never answers.
const HTTP_TIMEOUT: Duration = Duration::from_secs(2);

/// The end of a log that goes into an error.
const LOG_LINES: usize = 30;

/// The three ports of a node, kept over restarts.
#[derive(Debug)]
pub(super) struct NodePorts {
    client: Port,
    peer: Port,
    plain: Port,
}

impl NodePorts {
    pub(super) fn claim() -> Result<Self> {
        Ok(Self {
            client: Port::claim()?,
            peer: Port::claim()?,
            plain: Port::claim()?,
        })
    }

    pub(super) fn peer_url(&self) -> String {
        format!("http://{}", self.peer.address())
    }
}

/// One etcd server process.
#[derive(Debug)]
pub struct Node {
    process: Option<Process>,
    binary: PathBuf,
    flags: Vec<String>,
    scratch: PathBuf,
    name: String,
    ports: NodePorts,
    tls: bool,
    version: Version,
}

impl Node {
    pub(super) fn new(
        (version, binary): (Version, &Path),
        scratch: &Path,
        index: usize,
        ports: NodePorts,
        tls: bool,
        common: &[String],
    ) -> Self {
        let name = format!("n{index}");
        let (scratch, binary) = (scratch.to_owned(), binary.to_owned());
        let mut node = Self {
            process: None,
            binary,
            flags: common.to_vec(),
            scratch,
            name,
            ports,
            tls,
            version,
        };
        if version == Version::Embedded {
            node.flags.extend([
                format!("--dir={}", node.data_dir().display()),
                format!("--listen={}", node.ports.client.address()),
            ]);
            return node;
        }
        node.flags.extend([
            format!("--name={}", node.name),
            format!("--data-dir={}", node.data_dir().display()),
            format!("--listen-client-urls={}", node.client_url()),
            format!("--advertise-client-urls={}", node.client_url()),
            format!("--listen-peer-urls={}", node.ports.peer_url()),
            format!("--initial-advertise-peer-urls={}", node.ports.peer_url()),
            format!(
                "--listen-metrics-urls=http://{}",
                node.ports.plain.address()
            ),
        ]);
        node
    }

    /// The URL for clients.
    pub fn client_url(&self) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        format!("{scheme}://{}", self.ports.client.address())
    }

    /// The running process, to pause it, continue it or learn its pid.
    ///
    /// # Errors
    /// The node was killed.
    pub fn process(&self) -> Result<&Process> {
        self.process
            .as_ref()
            .with_context(|| format!("etcd {} does not run", self.name))
    }

    /// Whether it was started, has not ended, and is not paused.
    pub(super) fn runs(&mut self) -> bool {
        let process = self.process.as_mut();
        process
            .is_some_and(|process| matches!(process.try_exit(), Ok(None)) && !process.is_stopped())
    }

    /// Kills the node without notice; data and ports stay.
    ///
    /// # Errors
    /// It could not be waited for.
    pub fn kill(&mut self) -> Result<()> {
        match self.process.take() {
            Some(mut process) => process.kill().map(drop),
            None => Ok(()),
        }
    }

    /// Starts the node with the data it has, without waiting for it.
    ///
    /// # Errors
    /// It could not be started.
    pub fn spawn(&mut self) -> Result<()> {
        let path = self.log_path();
        let log = File::options().create(true).append(true).open(&path);
        let log = log.with_context(|| format!("opening {}", path.display()))?;
        let mut command = Command::new(&self.binary);
        // Nothing of the caller's ETCD_* may steer a test.
        command
            .env_clear()
            .args(&self.flags)
            .stdout(Stdio::null())
            .stderr(log);
        if cfg!(target_arch = "aarch64") {
            // 3.4 asks for this on the architecture that it calls untested.
            command.env("ETCD_UNSUPPORTED_ARCH", "arm64");
        }
        let name = format!("etcd {}", self.name);
        self.process = Some(Process::start(
            name,
            &mut command,
            Stdio::null(),
            Some(&self.scratch),
        )?);
        Ok(())
    }

    /// Waits until the node answers a linearisable read.
    ///
    /// # Errors
    /// It ended or is not ready in time; the error holds the end of its log.
    pub fn wait_ready(&mut self, timeout: Duration) -> Result<()> {
        let name = self.name.clone();
        let what = format!("etcd {name} to be ready");
        let ready = eventually(timeout, &what, || {
            let process = self
                .process
                .as_mut()
                .with_context(|| format!("etcd {name} does not run"))?;
            if let Some(status) = process.try_exit()? {
                // Nothing to wait for: out of the loop, as an outer success that holds the failure.
                return Ok(Err(status));
            }
            if self.version == Version::Embedded {
                let address = self.ports.client.address();
                TcpStream::connect_timeout(&address, HTTP_TIMEOUT).context("connecting")?;
            } else {
                let health = self.http_get("/health")?;
                ensure!(health.contains(r#""health":"true""#), "it says {health}");
            }
            Ok(Ok(()))
        });
        match ready {
            Ok(Ok(())) => Ok(()),
            Ok(Err(status)) => bail!(
                "etcd {} ended with {status}; its log ends with\n{}",
                self.name,
                self.log_end()
            ),
            Err(error) => Err(error.context(format!("its log ends with\n{}", self.log_end()))),
        }
    }

    /// The last lines of the log.
    pub fn log_end(&self) -> String {
        let log = std::fs::read_to_string(self.log_path()).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
    }

    /// The log from where the server gave up, or its last lines: a Go panic is longer than these.
    fn log_since_panic(&self) -> String {
        let log = std::fs::read_to_string(self.log_path()).unwrap_or_default();
        let gave_up = [
            r#"{"level":"panic""#,
            r#"{"level":"fatal""#,
            "panic: ",
            "fatal error: ",
        ];
        let from = log
            .lines()
            .skip_while(|line| !gave_up.iter().any(|words| line.starts_with(words)));
        let lines: Vec<_> = from.take(LOG_LINES).collect();
        if lines.is_empty() {
            self.log_end()
        } else {
            lines.join("\n")
        }
    }

    /// What the cluster's id is made from, besides addresses; read when the node starts without data.
    ///
    /// The embedded store draws its id by itself.
    pub(super) fn set_cluster_token(&mut self, token: &str) {
        const FLAG: &str = "--initial-cluster-token=";
        if self.version == Version::Embedded {
            return;
        }
        self.flags.retain(|flag| !flag.starts_with(FLAG));
        self.flags.push(format!("{FLAG}{token}"));
    }

    pub(super) fn wipe(&self) -> Result<()> {
        let dir = self.data_dir();
        std::fs::remove_dir_all(&dir).with_context(|| format!("removing {}", dir.display()))
    }

    /// The body of an answer on the plain port. HTTP 1.0, so that the answer ends with the connection.
    pub(super) fn http_get(&self, path: &str) -> Result<String> {
        let address = self.ports.plain.address();
        let mut stream =
            TcpStream::connect_timeout(&address, HTTP_TIMEOUT).context("connecting")?;
        stream
            .set_read_timeout(Some(HTTP_TIMEOUT))
            .context("setting a timeout")?;
        write!(stream, "GET {path} HTTP/1.0\r\n\r\n").context("asking")?;
        let mut answer = String::new();
        stream
            .read_to_string(&mut answer)
            .context("reading an answer")?;
        let (_, body) = answer
            .split_once("\r\n\r\n")
            .context("an answer without a body")?;
        Ok(body.to_owned())
    }

    fn data_dir(&self) -> PathBuf {
        self.scratch.join(&self.name)
    }

    fn log_path(&self) -> PathBuf {
        self.scratch.join(format!("{}.log", self.name))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let process = self.process.as_mut();
        let ended = process.and_then(|process| process.try_exit().ok().flatten());
        // A failed test's reader wants the server's side too; the test runner shows this only then.
        if let Some(status) = ended {
            let log = self.log_since_panic();
            eprintln!("etcd {} had ended with {status}:\n{log}", self.name);
        } else if std::thread::panicking() {
            eprintln!("etcd {} logged last:\n{}", self.name, self.log_end());
        }
    }
}

//! One server process: its ports, its data, its log, and whether it is ready.
//!
//! etcd's readiness is requested on a plain port of its own, which needs no users and certificates; the embedded
//! store is ready when it listens. A node keeps its ports and its data until it is dropped, over any number of
//! kills.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;

use crate::binaries::Version;
use crate::ports::Port;
use crate::process::Process;
use crate::proxy::peers::MemberPid;
use crate::suite;
use crate::wait::eventually;

/// Bound of one request on the plain port; a paused node never answers.
const HTTP_TIMEOUT: Duration = Duration::from_secs(2);

/// Lines at the end of a log that an error shows.
const LOG_LINES: usize = 30;

/// The three ports of a node, kept over restarts.
#[derive(Debug)]
pub(super) struct NodePorts {
    client: Port,
    peer: Port,
    plain: Port,
    /// Address that other members connect to, when it is not the peer port itself.
    front: Option<SocketAddr>,
    pid: MemberPid,
}

impl NodePorts {
    pub(super) fn claim() -> Result<Self> {
        Ok(Self {
            client: Port::claim()?,
            peer: Port::claim()?,
            plain: Port::claim()?,
            front: None,
            pid: MemberPid::default(),
        })
    }

    /// The URL that other members connect to.
    pub(super) fn peer_url(&self) -> String {
        let address = self.front.unwrap_or(self.peer.address());
        format!("http://{address}")
    }

    /// The member's own port for peers, and its pid, for the network between members.
    pub(super) fn member(&self) -> (SocketAddr, MemberPid) {
        (self.peer.address(), self.pid.clone())
    }

    /// Makes other members connect to `front`.
    pub(super) fn behind(&mut self, front: SocketAddr) {
        self.front = Some(front);
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
            format!("--listen-peer-urls=http://{}", node.ports.peer.address()),
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

    /// The running process, to pause it, continue it or read its pid.
    ///
    /// # Errors
    /// The node was killed.
    pub fn process(&self) -> Result<&Process> {
        self.process
            .as_ref()
            .with_context(|| format!("etcd {} does not run", self.name))
    }

    /// True if it was started, has not ended, and is not paused.
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
        self.ports.pid.store(0, Ordering::SeqCst);
        match self.process.take() {
            Some(mut process) => process.kill().map(drop),
            None => Ok(()),
        }
    }

    /// Stops the node in order (SIGTERM) and waits until it has ended; data and ports stay.
    ///
    /// # Errors
    /// It does not run, or does not end in time.
    pub fn terminate(&mut self, timeout: Duration) -> Result<()> {
        self.process()?.signal(Signal::TERM)?;
        if let Some(process) = &mut self.process {
            process.wait_exit(timeout)?;
        }
        self.kill()
    }

    /// Copies the data of a node that is down into an empty folder.
    pub(crate) fn copy_data(&self, to: &Path) -> Result<()> {
        ensure!(
            self.process.is_none(),
            "etcd {} runs: a copy of its data now would be torn",
            self.name
        );
        copy_folder(&self.data_dir(), to)
    }

    /// Puts a copy in place of the data of a node that is down.
    pub(crate) fn restore_data(&self, from: &Path) -> Result<()> {
        ensure!(
            self.process.is_none(),
            "etcd {} runs: stop it before its data is replaced",
            self.name
        );
        suite::store_may_forget();
        self.wipe()?;
        copy_folder(from, &self.data_dir())
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
            // 3.4 requires this on an architecture that it does not support officially.
            command.env("ETCD_UNSUPPORTED_ARCH", "arm64");
        }
        let name = format!("etcd {}", self.name);
        let process = Process::start(name, &mut command, Stdio::null(), Some(&self.scratch))?;
        self.ports.pid.store(process.pid(), Ordering::SeqCst);
        self.process = Some(process);
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
                // Waiting is over: an outer success that holds the failure ends the loop.
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

    /// The log from the server's panic or fatal error on, or its last lines: a Go panic is longer than these.
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

    /// Sets the token from which, besides addresses, the cluster's id is made when the node starts without data.
    ///
    /// The embedded store draws its id by itself, and ignores the token.
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

/// Copies a folder with everything in it, its mode included. Sockets are left out: they end with their server.
fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    let copying = || format!("copying {} to {}", from.display(), to.display());
    std::fs::create_dir_all(to).with_context(copying)?;
    let mode = std::fs::metadata(from).with_context(copying)?.permissions();
    std::fs::set_permissions(to, mode).with_context(copying)?;
    for entry in std::fs::read_dir(from).with_context(copying)? {
        let entry = entry.with_context(copying)?;
        let (kind, target) = (
            entry.file_type().with_context(copying)?,
            to.join(entry.file_name()),
        );
        if kind.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else if kind.is_file() {
            std::fs::copy(entry.path(), &target).with_context(copying)?;
        }
    }
    Ok(())
}

impl Drop for Node {
    fn drop(&mut self) {
        let process = self.process.as_mut();
        let ended = process.and_then(|process| process.try_exit().ok().flatten());
        // The server's log helps to read a failed test; the test runner shows this only then.
        if let Some(status) = ended {
            let log = self.log_since_panic();
            eprintln!("etcd {} had ended with {status}:\n{log}", self.name);
        } else if std::thread::panicking() {
            eprintln!("etcd {} logged last:\n{}", self.name, self.log_end());
        }
    }
}

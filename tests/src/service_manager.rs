//! The socket of a service manager, at which hosts report their stages as they do to systemd.

use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;

/// Bound of a wait for a stage.
const PATIENCE: Duration = Duration::from_mins(1);

/// A service manager: its socket, and what hosts sent to it.
#[derive(Debug)]
pub struct ServiceManager {
    dir: TempDir,
    socket: UnixDatagram,
    /// The messages so far, each as its lines.
    messages: Vec<Vec<String>>,
}

impl ServiceManager {
    /// Makes a socket that hosts of any user can write to.
    ///
    /// # Errors
    /// No socket can be made.
    pub fn new() -> Result<Self> {
        let dir = tempfile::tempdir().context("making a folder for a socket")?;
        let path = dir.path().join("notify");
        let socket = UnixDatagram::bind(&path)?;
        fs::set_permissions(dir.path(), Permissions::from_mode(0o755))?;
        fs::set_permissions(&path, Permissions::from_mode(0o666))?;
        socket.set_read_timeout(Some(Duration::from_millis(100)))?;
        Ok(Self {
            dir,
            socket,
            messages: Vec::new(),
        })
    }

    /// The variables by which a process finds it. It wants a sign of life three times in `watchdog`.
    pub fn environment(&self, watchdog: Duration) -> [(&'static str, OsString); 2] {
        let socket = self.dir.path().join("notify");
        [
            ("NOTIFY_SOCKET", socket.into()),
            ("WATCHDOG_USEC", watchdog.as_micros().to_string().into()),
        ]
    }

    /// The messages so far, each as its lines.
    pub fn messages(&self) -> &[Vec<String>] {
        &self.messages
    }

    /// Receives one message, if one comes soon.
    pub fn receive(&mut self) -> Option<&[String]> {
        let mut buffer = [0; 1024];
        let length = self.socket.recv(&mut buffer).ok()?;
        let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
        self.messages
            .push(text.lines().map(str::to_owned).collect());
        self.messages.last().map(Vec::as_slice)
    }

    /// Receives until a message with this line.
    ///
    /// # Errors
    /// None comes in a minute; the error has the messages so far.
    pub fn wait_for(&mut self, line: &str) -> Result<Vec<String>> {
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            if let Some(message) = self.receive()
                && message.iter().any(|own| own == line)
            {
                return Ok(message.to_vec());
            }
        }
        bail!("no {line} in {:?}", self.messages);
    }

    /// The stages so far, without signs of life and texts.
    pub fn stages(&self) -> Vec<&str> {
        let first = self.messages.iter().filter_map(|lines| lines.first());
        first
            .map(String::as_str)
            .filter(|line| !line.starts_with("STATUS=") && *line != "WATCHDOG=1")
            .collect()
    }
}

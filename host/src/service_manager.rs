//! The service manager that started this process, such as systemd: its socket for notifications and its watchdog.
//!
//! The protocol is that of `sd_notify(3)`: datagrams of `NAME=VALUE` lines, sent to the socket in `NOTIFY_SOCKET`. A
//! socket in the abstract namespace begins with `@`. A datagram that does not fit is dropped, never waited for.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use leasehold_supervisor::stage::{HostStage, StageSink};
use rustix::time::{ClockId, clock_gettime};

/// Signs of life in the time after which the manager takes the process for dead.
const BEATS: u32 = 3;

/// The service manager, or none.
pub(crate) struct ServiceManager {
    socket: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Duration>,
    last: Mutex<Option<HostStage>>,
}

impl ServiceManager {
    /// Finds the manager of this process in its environment.
    pub(crate) fn of_this_process() -> Self {
        let number = |name| std::env::var(name).ok().and_then(|text| text.parse().ok());
        // The variables may come from the manager of a parent, which watches that.
        let is_ours = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
        let watchdog = number("WATCHDOG_USEC").filter(|micros| *micros > 0 && is_ours);
        let socket = std::env::var_os("NOTIFY_SOCKET").filter(|path| !path.is_empty());
        Self::at(socket.as_deref(), watchdog.map(Duration::from_micros))
    }

    fn at(socket: Option<&OsStr>, watchdog: Option<Duration>) -> Self {
        let opened = socket.map(open).transpose().unwrap_or_else(|error| {
            tracing::warn!(%error, "the service manager cannot be notified: NOTIFY_SOCKET is not usable");
            None
        });
        Self {
            watchdog: watchdog.filter(|_| opened.is_some()),
            socket: opened,
            last: Mutex::new(None),
        }
    }

    /// Sets the line that the manager shows, as in `systemctl status`.
    pub(crate) fn show(&self, status: &str) {
        self.send(&format!("STATUS={status}\n"));
    }

    fn send(&self, message: &str) {
        let Some((socket, address)) = &self.socket else {
            return;
        };
        if let Err(error) = socket.send_to_addr(message.as_bytes(), address) {
            tracing::warn!(%error, "a notification for the service manager is lost");
        }
    }
}

impl StageSink for ServiceManager {
    fn enter(&self, stage: HostStage) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if *last == Some(stage) || *last == Some(HostStage::Stopping) {
            return;
        }
        *last = Some(stage);
        self.send(&message(stage));
    }

    fn beat_interval(&self) -> Option<Duration> {
        Some(self.watchdog? / BEATS)
    }

    fn beat(&self) {
        self.send("WATCHDOG=1\n");
    }
}

/// Opens a socket to send from. It never waits for a full queue.
fn open(path: &OsStr) -> io::Result<(UnixDatagram, SocketAddr)> {
    let address = match path.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(path)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    Ok((socket, address))
}

/// The message about a stage.
fn message(stage: HostStage) -> String {
    match stage {
        HostStage::Connecting => "STATUS=connecting to the store\n".to_owned(),
        HostStage::Ready => "READY=1\nSTATUS=running\n".to_owned(),
        HostStage::Reloading => {
            let now = clock_gettime(ClockId::Monotonic);
            let micros = now.tv_sec.saturating_mul(1_000_000) + now.tv_nsec / 1_000;
            let mut text = "RELOADING=1\n".to_owned();
            // Writing to a string cannot fail.
            let _ = write!(text, "MONOTONIC_USEC={micros}\nSTATUS=reloading\n");
            text
        }
        HostStage::Stopping => {
            "STOPPING=1\nSTATUS=stopping: guests end, locks are given back\n".to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(socket: &UnixDatagram) -> Vec<String> {
        let mut buffer = [0; 512];
        let mut messages = Vec::new();
        while let Ok(length) = socket.recv(&mut buffer) {
            messages.push(String::from_utf8_lossy(&buffer[..length]).replace('\n', " "));
        }
        messages
    }

    #[test]
    fn each_stage_is_sent_once_and_none_after_the_last() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_nonblocking(true).unwrap();
        let manager = ServiceManager::at(Some(path.as_os_str()), None);
        for stage in [
            HostStage::Connecting,
            HostStage::Ready,
            HostStage::Ready,
            HostStage::Stopping,
            HostStage::Ready,
        ] {
            manager.enter(stage);
        }
        let messages = received(&socket);
        let starts: Vec<&str> = messages
            .iter()
            .map(|text| text.split(' ').next().unwrap())
            .collect();
        assert_eq!(starts, ["STATUS=connecting", "READY=1", "STOPPING=1"]);
        assert_eq!(manager.beat_interval(), None);
    }

    #[test]
    fn abstract_socket_is_reached_and_beats_are_a_third_of_the_watchdog() {
        let name = format!("leasehold-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let socket = UnixDatagram::bind_addr(&address).unwrap();
        socket.set_nonblocking(true).unwrap();
        let at = format!("@{name}");
        let manager = ServiceManager::at(Some(OsStr::new(&at)), Some(Duration::from_secs(30)));
        assert_eq!(manager.beat_interval(), Some(Duration::from_secs(10)));
        manager.beat();
        manager.enter(HostStage::Reloading);
        let messages = received(&socket);
        assert_eq!(messages[0], "WATCHDOG=1 ");
        assert!(
            messages[1].starts_with("RELOADING=1 MONOTONIC_USEC="),
            "{messages:?}"
        );
    }

    #[test]
    fn full_socket_loses_messages_and_does_not_wait() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let _unread = UnixDatagram::bind(&path).unwrap();
        let manager = ServiceManager::at(Some(path.as_os_str()), Some(Duration::from_secs(3)));
        for _ in 0..10_000 {
            manager.beat();
        }
    }

    #[test]
    fn process_without_a_manager_sends_nothing() {
        let manager = ServiceManager::at(None, Some(Duration::from_secs(3)));
        manager.enter(HostStage::Ready);
        assert_eq!(manager.beat_interval(), None);
    }
}

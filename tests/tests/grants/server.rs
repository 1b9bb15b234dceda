//! A web server that answers every request alike, or never, and keeps the requests.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use leasehold_tests::wait::boot_ns;

/// A connection on which nothing comes for so long is given up, so that no thread stays for ever.
const IDLE: Duration = Duration::from_mins(1);

/// One request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// When its head was complete.
    pub(crate) at_ns: u64,
    /// Its first line and headers, in lower case.
    pub(crate) head: String,
}

/// A server on a port of its own. It lives as long as the test's process.
pub(crate) struct Server {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    /// Answers with `answer`, or never when there is none.
    pub(crate) fn start(answer: Option<&str>) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").context("binding a server")?;
        let server = Self {
            address: listener.local_addr()?,
            asked: Arc::default(),
        };
        let (asked, answer) = (server.asked.clone(), answer.map(str::to_owned));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (asked, answer) = (asked.clone(), answer.clone());
                thread::spawn(move || serve(&stream, answer.as_deref(), &asked));
            }
        });
        Ok(server)
    }

    /// `http://` with its address.
    pub(crate) fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// All requests so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        let asked = self.asked.lock();
        asked.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Errors end the connection; the client sees them.
fn serve(stream: &TcpStream, answer: Option<&str>, asked: &Mutex<Vec<Asked>>) -> Option<()> {
    stream.set_read_timeout(Some(IDLE)).ok()?;
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let request = Asked {
        at_ns: boot_ns(),
        head: head.to_lowercase(),
    };
    let mut all = asked.lock().unwrap_or_else(PoisonError::into_inner);
    all.push(request);
    drop(all);
    if let Some(answer) = answer {
        let mut writer = stream;
        writer.write_all(answer.as_bytes()).ok()?;
    }
    // Until the client disconnects.
    reader.read_to_end(&mut Vec::new()).ok()?;
    Some(())
}

/// An answer without a body.
pub(crate) const OK: &str = "HTTP/1.1 204 No Content\r\n\r\n";

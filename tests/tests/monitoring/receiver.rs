//! A server for messages: it keeps each request, and answers as the test says, or never.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use anyhow::{Context as _, Result};
use serde_json::Value;

/// One request.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    /// Request line and headers.
    pub(crate) head: String,
    /// The message.
    pub(crate) message: Value,
}

/// Requests so far, and connections that are kept without an answer.
#[derive(Debug, Default)]
struct State {
    received: Vec<Received>,
    kept: Vec<TcpStream>,
}

/// The server. Its thread ends with the test's process.
#[derive(Debug)]
pub(crate) struct Receiver {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl Receiver {
    /// Answers the first requests with these statuses and all others with the last of them; without one, never.
    pub(crate) fn start(statuses: &'static [u16]) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let state = Arc::new(Mutex::new(State::default()));
        let shared = state.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A request that is broken off is not one.
                let _ = take(stream, &shared, statuses);
            }
        });
        Ok(Self { address, state })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.received.clone()
    }
}

fn take(mut stream: TcpStream, state: &Mutex<State>, statuses: &[u16]) -> Result<()> {
    let mut bytes = Vec::new();
    let (head, body) = loop {
        let mut chunk = [0; 4096];
        let count = stream.read(&mut chunk)?;
        anyhow::ensure!(count > 0, "it ended");
        bytes.extend_from_slice(&chunk[..count]);
        let text = String::from_utf8_lossy(&bytes);
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            let is_length = name.eq_ignore_ascii_case("content-length");
            is_length.then(|| value.trim().parse::<usize>().ok())?
        });
        if body.len() >= length.context("a length")? {
            break (head.to_owned(), body.to_owned());
        }
    };
    let message = serde_json::from_str(&body)?;
    let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
    state.received.push(Received { head, message });
    let at = state.received.len() - 1;
    match statuses.get(at).or(statuses.last()) {
        Some(status) => write!(stream, "HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n")?,
        None => state.kept.push(stream),
    }
    Ok(())
}

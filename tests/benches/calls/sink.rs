//! A web server that takes any body and answers with one that does not end.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use anyhow::{Context as _, Result};

/// The server. It lives as long as the bench.
pub(crate) struct Sink(SocketAddr);

impl Sink {
    pub(crate) fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").context("binding a server")?;
        let address = listener.local_addr()?;
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                thread::spawn(move || serve(&stream));
            }
        });
        Ok(Self(address))
    }

    pub(crate) fn authority(&self) -> String {
        self.0.to_string()
    }

    pub(crate) fn origin(&self) -> String {
        format!("http://{}", self.0)
    }
}

/// Reads all that comes, and for a GET writes until the client goes away.
fn serve(stream: &TcpStream) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let mut bytes = vec![b'x'; 1 << 20];
    if !head.starts_with("GET") {
        while reader.read(&mut bytes).ok()? > 0 {}
        return None;
    }
    let mut writer = stream;
    writer
        .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n")
        .ok()?;
    loop {
        writer.write_all(&bytes).ok()?;
    }
}

//! WASI for guests: clocks, random numbers, captured output, arguments and environment.
//!
//! The filesystem and socket interfaces are linked because standard libraries import them even if they
//! do not use them. They give access to granted directories only: every address is refused, and name
//! lookup is off. No `inherit_*` function is called here.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p1::WasiP1Ctx;
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError, StreamResult};
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiView};

use super::authority::Authority;
use super::event::Stream;
use super::files;
use super::leash::{Leash, RunStopped};
use super::output::Output;
use super::spec::RunSpec;
use leasehold_config::allow::Allow;
use leasehold_config::limits::Limits;

/// Largest number of bytes in one write. It bounds the memory that the host allocates for `write-zeroes`.
const WRITE_AT_ONCE: usize = 64 * 1024;
/// Bytes of output between two checks of the leash. Each byte may be a line of its own, which costs about a
/// microsecond.
const PIECE: usize = 4 * 1024;

/// Builds the WASI state of one run. The preview-1 context contains a preview-2 one, so it serves
/// every form of plugin. The error names the directory that cannot be opened.
pub(crate) fn context(
    spec: &RunSpec,
    authority: &Authority,
    limits: &Limits,
    grants: &Allow,
    output: &Arc<Output>,
    leash: &Arc<Leash>,
) -> Result<WasiP1Ctx, String> {
    let mut builder = WasiCtx::builder();
    builder
        .arg(&spec.job)
        .args(&spec.args)
        .stderr(Captured::new(output, leash, Stream::Stderr))
        .max_random_size(limits.random_bytes)
        .allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false)
        .allow_blocking_current_thread(false);
    match &spec.raw_stdout {
        Some(reader) => builder.stdout(reader.clone()),
        None => builder.stdout(Captured::new(output, leash, Stream::Stdout)),
    };
    environment(&mut builder, spec, authority);
    for dir in &grants.dirs {
        files::grant(&mut builder, dir)?;
    }
    let mut wasi = builder.build_p1();
    wasi.ctx().table.set_max_capacity(limits.handles as usize);
    Ok(wasi)
}

/// Sets the configured variables and those with the facts of the lock and the trace. A configured variable cannot
/// replace one of the latter: of two with the same name, a guest would see the first.
fn environment(builder: &mut WasiCtxBuilder, spec: &RunSpec, authority: &Authority) {
    let token = authority.token().to_string();
    let mut ours = vec![
        ("LEASEHOLD_JOB", spec.job.as_str()),
        ("LEASEHOLD_LOCK", authority.lock()),
        ("LEASEHOLD_TOKEN", &token),
        ("LEASEHOLD_RUN_ID", &spec.run_id),
        ("LEASEHOLD_CONFIG", &spec.config_json),
        ("ETCD_LOCK_KEY", authority.lock_key()),
        ("ETCD_LOCK_REV", &token),
    ];
    if let Some(trace) = &spec.trace {
        ours.push(("TRACEPARENT", &trace.traceparent));
    }
    let texts = spec.env.iter().map(|(name, text)| (name, text.as_str()));
    let secrets = spec.env_secrets.iter();
    let secrets = secrets.filter_map(|(name, secret)| Some((name, spec.secrets.get(secret)?)));
    for (name, value) in texts.chain(secrets) {
        if ours.iter().all(|(taken, _)| name != taken) {
            builder.env(name, value);
        }
    }
    for (name, value) in ours {
        builder.env(name, value);
    }
}

/// A standard stream that writes to [`Output`].
#[derive(Clone)]
struct Captured {
    output: Arc<Output>,
    leash: Arc<Leash>,
    stream: Stream,
    /// Bytes taken since the run last yielded its worker.
    at_once: usize,
}

impl Captured {
    fn new(output: &Arc<Output>, leash: &Arc<Leash>, stream: Stream) -> Self {
        Self {
            output: output.clone(),
            leash: leash.clone(),
            stream,
            at_once: 0,
        }
    }

    /// Takes the bytes in pieces, for as long as the run may continue.
    fn take(&self, raw: &[u8]) -> Result<(), RunStopped> {
        raw.chunks(PIECE).try_for_each(|piece| {
            self.leash.holds()?;
            self.output.write(self.stream, piece);
            Ok(())
        })
    }
}

impl IsTerminal for Captured {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Captured {
    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }

    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Captured {
    /// Called before each part of a write. A long write yields the worker to other runs in between.
    async fn ready(&mut self) {
        if self.at_once >= PIECE {
            self.at_once = 0;
            tokio::task::yield_now().await;
        }
    }
}

impl OutputStream for Captured {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.at_once += bytes.len();
        let taken = self.take(&bytes);
        taken.map_err(|pulled| StreamError::Trap(pulled.into()))
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE_AT_ONCE)
    }
}

impl AsyncWrite for Captured {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        raw: &[u8],
    ) -> Poll<io::Result<usize>> {
        let taken = self.take(raw).map_err(io::Error::other);
        Poll::Ready(taken.map(|()| raw.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

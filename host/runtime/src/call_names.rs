//! Names of WASI's calls, for the observer of a run: the interfaces of 0.2 and the functions of preview 1 that may wait.
//!
//! The engine's library borrows the state for each call through one function, which has one name for all of them. These
//! links go over the library's own and differ in the name alone. Without an observer a name costs one comparison.

use wasmtime::component::{HasData, Linker as ComponentLinker, ResourceTable};
use wasmtime::{Caller, Linker};
use wasmtime_wasi::WasiView as _;
use wasmtime_wasi::filesystem::{WasiFilesystem, WasiFilesystemView as _};
use wasmtime_wasi::p1::wasi_snapshot_preview1 as preview1;
use wasmtime_wasi::p2::bindings::filesystem::types;
use wasmtime_wasi::p2::bindings::io::{poll, streams};

use super::disk_preview1::parts;
use super::host_state::HostState;

const MODULE: &str = "wasi_snapshot_preview1";

/// State of the interfaces for streams and polling.
struct IoTable;

impl HasData for IoTable {
    type Data<'a> = &'a mut ResourceTable;
}

/// Links the interfaces whose functions wait or use files. The library's own must already be linked.
pub(crate) fn link(linker: &mut ComponentLinker<HostState>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    poll::add_to_linker::<_, IoTable>(linker, |host: &mut HostState| {
        named(host, "wasi:io/poll").ctx().table
    })?;
    streams::add_to_linker::<_, IoTable>(linker, |host: &mut HostState| {
        named(host, "wasi:io/streams").ctx().table
    })?;
    types::add_to_linker::<_, WasiFilesystem>(linker, |host: &mut HostState| {
        named(host, "wasi:filesystem/types").filesystem()
    })?;
    linker.allow_shadowing(false);
    Ok(())
}

/// Links the functions of preview 1 that wait. The library's own must already be linked.
pub(crate) fn link_preview1(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    linker.func_wrap_async(
        MODULE,
        "poll_oneoff",
        |mut caller: Caller<'_, HostState>, (from, to, count, made): (i32, i32, i32, i32)| {
            Box::new(async move {
                let (mut memory, host) = parts(&mut caller)?;
                host.gate.set_name("wasi_snapshot_preview1.poll_oneoff");
                preview1::poll_oneoff(&mut host.wasi, &mut memory, from, to, count, made).await
            })
        },
    )?;
    linker.func_wrap_async(
        MODULE,
        "fd_read",
        |mut caller: Caller<'_, HostState>, (fd, list, count, read): (i32, i32, i32, i32)| {
            Box::new(async move {
                let (mut memory, host) = parts(&mut caller)?;
                host.gate.set_name("wasi_snapshot_preview1.fd_read");
                preview1::fd_read(&mut host.wasi, &mut memory, fd, list, count, read).await
            })
        },
    )?;
    linker.allow_shadowing(false);
    Ok(())
}

/// Names the call whose state is about to be borrowed and counted.
fn named<'a>(host: &'a mut HostState, name: &'static str) -> &'a mut HostState {
    host.gate.set_name(name);
    host
}

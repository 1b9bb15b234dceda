//! `proc_exit` of preview 1, with every code.
//!
//! WASI's own reports a code of 126 and more as a broken call. Such codes are common (a shell's 127, -1 in C),
//! and the record of a run must name the one that the guest chose.

use wasmtime::{Caller, Linker};
use wasmtime_wasi::I32Exit;

use super::host::Host;

/// Puts it over the library's own, which must be linked already.
pub(crate) fn link_preview1(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    linker.func_wrap(
        "wasi_snapshot_preview1",
        "proc_exit",
        |mut caller: Caller<'_, Host>, status: i32| -> wasmtime::Result<()> {
            caller.data_mut().called_preview1();
            Err(I32Exit(status).into())
        },
    )?;
    linker.allow_shadowing(false);
    Ok(())
}

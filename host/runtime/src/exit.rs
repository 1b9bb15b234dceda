//! `proc_exit` of preview 1, which accepts every exit code.
//!
//! The library's own function reports a code of 126 and more as an invalid call. Such codes are common (a shell's
//! 127, -1 in C), and the record of a run contains the code that the guest chose.

use wasmtime::{Caller, Linker};
use wasmtime_wasi::I32Exit;

use super::host_state::HostState;

/// Replaces the library's function, which must already be linked.
pub(crate) fn link_preview1(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    linker.func_wrap(
        "wasi_snapshot_preview1",
        "proc_exit",
        |mut caller: Caller<'_, HostState>, status: i32| -> wasmtime::Result<()> {
            caller.data_mut().called_preview1();
            Err(I32Exit(status).into())
        },
    )?;
    linker.allow_shadowing(false);
    Ok(())
}

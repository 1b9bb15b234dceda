//! Plugins of the day that no example has.

use anyhow::Result;
use leasehold_tests::wat_plugins::printer_with_manifest;

/// Prints how the variable `API_KEY` ends, which is less than the secret that the host hides. Without it, it traps.
pub(crate) fn billing() -> Result<Vec<u8>> {
    let name = u64::from_le_bytes(*b"API_KEY=");
    let text = format!(
        r#"(module
            (import "wasi_snapshot_preview1" "environ_get" (func $get (param i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "fd_write"
                (func $write (param i32 i32 i32 i32) (result i32)))
            (memory (export "memory") 2)
            (data (i32.const 16) "the key ends in ??\n")
            (func (export "_start") (local $at i32)
                (drop (call $get (i32.const 1024) (i32.const 65536)))
                (local.set $at (i32.const 65535))
                (loop $search
                    (local.set $at (i32.add (local.get $at) (i32.const 1)))
                    (br_if $search (i64.ne (i64.load (local.get $at)) (i64.const {name}))))
                (loop $rest
                    (local.set $at (i32.add (local.get $at) (i32.const 1)))
                    (br_if $rest (i32.load8_u (local.get $at))))
                (i32.store16 (i32.const 32) (i32.load16_u (i32.sub (local.get $at) (i32.const 2))))
                (i32.store (i32.const 0) (i32.const 16))
                (i32.store (i32.const 4) (i32.const 19))
                (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))"#
    );
    Ok(wat::parse_str(text)?)
}

/// A plugin to drop in, which brings its schedule along.
pub(crate) fn greeter() -> Result<Vec<u8>> {
    printer_with_manifest("good morning", "every = \"2s\"\n[needs]\n")
}

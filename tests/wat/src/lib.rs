//! Minimal plugins in WebAssembly's text format, for tests of the runtime and for scenarios.

use std::fmt::Write as _;

use anyhow::Result;

/// Types of `leasehold:job/guest`.
const TYPES: &str = r#"
    (type $outcome' (variant (case "done" (option string)) (case "again-in" u64)))
    (type $failure' (variant (case "retry" string) (case "fatal" string)))"#;

/// A plain command that prints `words`; with other words or another padding its digest differs.
///
/// # Errors
/// The words cannot be written in the text format.
pub fn printer(words: &str, padding: usize) -> Result<Vec<u8>> {
    let text = format!(
        r#"(module
            (import "wasi_snapshot_preview1" "fd_write"
                (func $write (param i32 i32 i32 i32) (result i32)))
            (memory (export "memory") 1)
            (data (i32.const 16) "{words}\n")
            (func (export "_start")
                (i32.store (i32.const 0) (i32.const 16))
                (i32.store (i32.const 4) (i32.const {}))
                (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))"#,
        words.len() + 1
    );
    let mut module = wat::parse_str(text)?;
    if padding > 0 {
        section(&mut module, "padding", &vec![7; padding]);
    }
    Ok(module)
}

/// A plain command that writes `bytes` to a descriptor, 1 or 2, so many times.
///
/// # Errors
/// The text format refuses the module.
pub fn writer(bytes: &[u8], descriptor: u32, times: u32) -> Result<Vec<u8>> {
    let mut data = String::new();
    for byte in bytes {
        let _ = write!(data, "\\{byte:02x}");
    }
    let text = format!(
        r#"(module
            (import "wasi_snapshot_preview1" "fd_write"
                (func $write (param i32 i32 i32 i32) (result i32)))
            (memory (export "memory") 2)
            (data (i32.const 16) "{data}")
            (func (export "_start") (local $left i32)
                (i32.store (i32.const 0) (i32.const 16))
                (i32.store (i32.const 4) (i32.const {}))
                (local.set $left (i32.const {times}))
                (loop $again
                    (drop (call $write (i32.const {descriptor}) (i32.const 0) (i32.const 1) (i32.const 8)))
                    (local.set $left (i32.sub (local.get $left) (i32.const 1)))
                    (br_if $again (local.get $left)))))"#,
        bytes.len()
    );
    Ok(wat::parse_str(text)?)
}

/// The same with a manifest in it.
///
/// # Errors
/// As [`printer`].
pub fn printer_with_manifest(words: &str, manifest: &str) -> Result<Vec<u8>> {
    let mut module = printer(words, 0)?;
    section(&mut module, "leasehold:manifest", manifest.as_bytes());
    Ok(module)
}

/// A typed job: `core` in a component of the contract's first version, as [`typed_job_text`] has it.
///
/// # Errors
/// The core is not in the text format.
pub fn typed_job(core: &str, memory: &str) -> Result<Vec<u8>> {
    Ok(wat::parse_str(typed_job_text("1.0.0", core, memory))?)
}

/// The text of a typed job of this version of the contract. `core` makes `$i`, whose `run` returns the place of an outcome
/// in the exported memory of the core instance `memory`. Zeros there are `done(none)`.
pub fn typed_job_text(version: &str, core: &str, memory: &str) -> String {
    format!(
        r#"(component
    {core}
    {TYPES}
    (type $result' (result $outcome' (error $failure')))
    (func $run (result $result') (canon lift (core func $i "run") (memory {memory} "memory")))
    (component $shape
        {TYPES}
        (import "t-outcome" (type $outcome (eq $outcome')))
        (import "t-failure" (type $failure (eq $failure')))
        (type $result (result $outcome (error $failure)))
        (import "f-run" (func $run (result $result)))
        (export $o "outcome" (type $outcome))
        (export $f "failure" (type $failure))
        (type $named (result $o (error $f)))
        (export "run" (func $run) (func (result $named))))
    (instance $guest (instantiate $shape
        (with "t-outcome" (type $outcome')) (with "t-failure" (type $failure')) (with "f-run" (func $run))))
    (export "leasehold:job/guest@{version}" (instance $guest)))"#
    )
}

/// Appends a custom section.
pub fn section(module: &mut Vec<u8>, name: &str, content: &[u8]) {
    let mut body = Vec::new();
    number(&mut body, name.len());
    body.extend(name.as_bytes());
    body.extend(content);
    module.push(0);
    number(module, body.len());
    module.extend(body);
}

/// A length, as WebAssembly writes them.
fn number(into: &mut Vec<u8>, mut value: usize) {
    loop {
        let byte = u8::try_from(value & 0x7f).unwrap_or_default();
        value >>= 7;
        if value == 0 {
            return into.push(byte);
        }
        into.push(byte | 0x80);
    }
}

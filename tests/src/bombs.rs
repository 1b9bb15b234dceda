//! Plugins that cost their compiler far more than their size.

use anyhow::Result;

/// The beginning of a component.
const HEAD: &[u8] = b"\0asm\x0d\0\x01\0";

/// A command component with a nest of empty components, so many deep, before all else.
///
/// # Errors
/// The command is not in the text format.
pub fn nested_components(depth: usize) -> Result<Vec<u8>> {
    let command = wat::parse_str(
        r#"(component
            (core module $m (func (export "run") (result i32) (i32.const 0)))
            (core instance $i (instantiate $m))
            (func $run (result (result)) (canon lift (core func $i "run")))
            (instance $cli (export "run" (func $run)))
            (export "wasi:cli/run@0.2.0" (instance $cli)))"#,
    )?;
    // The lengths from the inside out, then the heads from the outside in.
    let mut lengths = vec![HEAD.len()];
    for _ in 0..depth {
        let inner = lengths.last().copied().unwrap_or_default();
        lengths.push(HEAD.len() + 1 + leb(inner).len() + inner);
    }
    let mut bytes = HEAD.to_vec();
    for length in lengths.iter().rev() {
        bytes.push(4);
        bytes.extend(leb(*length));
        bytes.extend(HEAD);
    }
    bytes.extend(&command[HEAD.len()..]);
    Ok(bytes)
}

/// A plain command with one loop in which every local changes, and so many branches back to its head.
pub fn many_branches(locals: usize, branches: usize) -> Vec<u8> {
    let mut body = leb(1);
    body.extend(leb(locals));
    body.extend(b"\x7f\x03\x40");
    for local in 0..locals {
        // local.get, i32.const 1, i32.add, local.set
        body.push(0x20);
        body.extend(leb(local));
        body.extend(b"\x41\x01\x6a\x21");
        body.extend(leb(local));
    }
    body.extend(b"\x20\x00\x0d\x00".repeat(branches));
    body.extend(b"\x0b\x0b");
    let code = [leb(1), leb(body.len()), body].concat();
    let mut module = b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x03\x02\x01\0".to_vec();
    module.extend(b"\x07\x0a\x01\x06_start\0\0\x0a");
    module.extend(leb(code.len()));
    module.extend(code);
    module
}

/// A number as WebAssembly writes lengths.
fn leb(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let byte = u8::try_from(value & 0x7f).unwrap_or_default();
        value >>= 7;
        if value == 0 {
            bytes.push(byte);
            return bytes;
        }
        bytes.push(byte | 0x80);
    }
}

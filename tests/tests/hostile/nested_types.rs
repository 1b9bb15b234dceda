//! Types in types, as deep as the file is long: the parser reads each by calling itself.

use anyhow::{Context, Result, ensure};

use crate::SLACK;
use crate::neighbour::Neighbour;

/// A component that exports a command and begins with instance types in one another.
pub(crate) fn bomb() -> Result<Vec<u8>> {
    let mut section = vec![1];
    for _ in 0..100_000 {
        section.extend(b"\x42\x01\x01");
    }
    section.extend(b"\x42\0");
    let command = wat::parse_str(COMMAND).context("translating the command")?;
    let (header, rest) = command.split_at(8);
    let mut bytes = header.to_vec();
    bytes.push(7);
    let mut length = section.len();
    while length > 0x7f {
        bytes.push(u8::try_from(length & 0x7f)? | 0x80);
        length >>= 7;
    }
    bytes.push(u8::try_from(length)?);
    bytes.extend(section);
    bytes.extend(rest);
    Ok(bytes)
}

const COMMAND: &str = r#"(component
    (core module $m (func (export "run") (result i32) (i32.const 0)))
    (core instance $i (instantiate $m))
    (func $run (result (result)) (canon lift (core func $i "run")))
    (instance $cli (export "run" (func $run)))
    (export "wasi:cli/run@0.2.0" (instance $cli)))"#;

#[test]
fn types_in_types_beyond_any_stack_are_a_refused_plugin() -> Result<()> {
    let beside = Neighbour::start(|config| config)?;
    let mark = beside.host.mark();
    beside.drop_in("types.wasm", &bomb()?)?;
    let refused = beside
        .host
        .wait_after(mark, SLACK, |event| event.is("plugin-refused"))?;
    let why = refused.str("error").context("without a reason")?;
    ensure!(why.contains("has 33 levels of types in types"), "{refused}");
    beside.untouched().map(drop)
}

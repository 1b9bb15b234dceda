//! Files of an absurd shape: scanned in one pass, and refused above the cap.

use std::time::Instant;

use super::super::survey::survey;
use super::*;

/// Makes a section of a module.
fn section(id: u8, body: &[u8]) -> Vec<u8> {
    [&[id][..], &leb(body.len()), body].concat()
}

fn leb(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let [low, ..] = number.to_le_bytes();
        number >>= 7;
        if number == 0 {
            bytes.push(low & 0x7f);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

fn name(text: &str) -> Vec<u8> {
    [leb(text.len()), text.as_bytes().to_vec()].concat()
}

fn module(sections: &[Vec<u8>]) -> Vec<u8> {
    [b"\0asm\x01\0\0\0".to_vec(), sections.concat()].concat()
}

fn component(sections: &[Vec<u8>]) -> Vec<u8> {
    [b"\0asm\x0d\0\x01\0".to_vec(), sections.concat()].concat()
}

fn items(id: u8, count: usize, item: impl Fn(usize) -> Vec<u8>) -> Vec<u8> {
    let items: Vec<u8> = (0..count).flat_map(item).collect();
    section(id, &[leb(count), items].concat())
}

/// Makes a module that exports distinct functions, all of one type.
fn exports(count: usize) -> Vec<u8> {
    let export = |n| [name(&format!("f{n}")), vec![0, 0]].concat();
    module(&[items(7, count, export)])
}

/// Makes a module that imports functions from distinct modules.
fn imports(count: usize) -> Vec<u8> {
    let import = |n| [name(&format!("m{n}")), name("f"), vec![0, 0]].concat();
    module(&[items(2, count, import)])
}

fn nested(depth: usize) -> Vec<u8> {
    (0..depth).fold(component(&[]), |inner, _| component(&[section(4, &inner)]))
}

fn custom(name_bytes: usize) -> Vec<u8> {
    section(0, &name(&"n".repeat(name_bytes)))
}

/// Makes a component whose types lie inside one another, in a section of their own.
fn nested_types(depth: usize) -> Vec<u8> {
    let levels = b"\x42\x01\x01".repeat(depth - 1);
    component(&[section(7, &[&[1][..], &levels, &[0x42, 0]].concat())])
}

#[test]
fn a_file_past_a_cap_is_refused_with_the_cap_and_the_value() {
    let empty = component(&[]);
    let cases = [
        ("100001 imports", "at most 100000", imports(100_001)),
        ("300000 imports", "at most 100000", imports(300_000)),
        ("100001 exports", "at most 100000", exports(100_001)),
        (
            "4097 bytes in one name",
            "at most 4096",
            module(&[custom(4_097)]),
        ),
        (
            "8391402 bytes of names",
            "at most 8388608",
            module(&[items(7, 3_000, |_| {
                [name(&"e".repeat(2_799)), vec![0, 0]].concat()
            })]),
        ),
        ("17 levels of nesting", "at most 16", nested(17)),
        ("17 levels of nesting", "at most 16", nested(3_000)),
        (
            "1001 modules and components inside",
            "at most 1000",
            component(&vec![section(4, &empty); 1_001]),
        ),
        (
            "33 levels of types in types",
            "at most 32",
            nested_types(100_000),
        ),
        (
            "33 levels of types in types",
            "at most 32",
            module(&[section(
                0,
                &[name("component-type:job"), nested_types(100_000)].concat(),
            )]),
        ),
        (
            "20001 sections",
            "at most 20000",
            component(&vec![section(3, &[0]); 30_000]),
        ),
        (
            "2001 custom sections",
            "at most 2000",
            module(&vec![custom(1); 2_001]),
        ),
    ];
    for (found, most, bytes) in cases {
        let Err(error) = survey(&bytes) else {
            panic!("{found}: accepted")
        };
        let text = error.to_string();
        assert!(text.contains(&format!("has {found},")), "{found}: {text}");
        assert!(text.contains(most), "{found}: {text}");
    }
}

#[test]
fn files_at_the_caps_are_looked_at_in_one_pass() {
    let began = Instant::now();
    for bytes in [imports(100_000), exports(100_000)] {
        let found = survey(&bytes).unwrap();
        assert_eq!(found.imports.len() + found.exports.len(), 100_000);
    }
    assert!(survey(&nested(16)).is_ok());
    assert!(survey(&nested_types(32)).is_ok());
    // Comparing every name with every other one took half a minute.
    assert!(
        began.elapsed() < Duration::from_secs(15),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test]
async fn an_entry_that_cannot_be_called_is_refused_at_load() {
    let rig = Rig::new();
    let exit = r#"(import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))"#;
    for (wat, refusal) in [
        (
            r#"(module (func (export "_start") (param i32)))"#.to_owned(),
            "exports `_start` as a function with 1 parameters and 0 results",
        ),
        (
            r#"(module (func) (func (export "_start") (result i64) (i64.const 0)))"#.to_owned(),
            "exports `_start` as a function with 0 parameters and 1 results",
        ),
        (
            format!(
                r#"(module {exit} (memory (export "memory") 1) (export "_start" (func $exit)))"#
            ),
            "exports `_start` as a function with 1 parameters and 0 results",
        ),
        (
            r#"(module (memory (export "_start") 1))"#.to_owned(),
            "exports `_start` as a memory",
        ),
        (
            format!(r#"(module {exit} (func (export "_start") (call $exit (i32.const 3))))"#),
            "exports no memory of the name `memory`",
        ),
        (
            format!(
                r#"(module {exit} (memory 1) (func (export "memory")) (func (export "_start") (call $exit (i32.const 3))))"#
            ),
            "exports no memory of the name `memory`",
        ),
    ] {
        let error = rig
            .load_bytes(&wat::parse_str(&wat).unwrap())
            .await
            .unwrap_err();
        let text = error.problem.to_string();
        assert!(text.contains(refusal), "{wat}: {text}");
    }
    // A module without calls to the host needs no memory.
    let ran = rig.run(r#"(module (func) (func (export "_start")))"#).await;
    assert_eq!(ran.report.end, RunEnd::Done(None));
}

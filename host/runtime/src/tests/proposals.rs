//! Plugins for every proposal that is turned off: each is refused with the name of a proposal.

use super::super::proposals::{LEFT_OFF, validate};
use super::*;

/// A proposal, a plugin that uses it, and the proposal that it builds upon, if that one is found first.
struct User(&'static str, &'static str, Option<&'static str>);

const fn user(proposal: &'static str, text: &'static str) -> User {
    User(proposal, text, None)
}

const GC: &str = "garbage collection";
const FUNCTIONS: &str = "typed function references";
const ASYNC: &str = "async of the component model";

/// Users of every proposal. `START` is replaced by an entry point.
const USERS: &[User] = &[
    user(GC, "(module (type (struct (field i32))) START)"),
    user(
        GC,
        "(module (type $f (sub (func))) (type $g (sub $f (func))) (table 1 funcref) START
            (func (type $g)) (func (call_indirect (type $f) (i32.const 0))))",
    ),
    user(
        GC,
        "(module (func $f) (elem declare func $f) START
            (func (drop (ref.test (ref func) (ref.func $f)))))",
    ),
    user(
        GC,
        "(module (func $f) (elem declare func $f) START
            (func (drop (ref.cast (ref func) (ref.func $f)))))",
    ),
    user(
        GC,
        "(module (func $f) (elem declare func $f) START
            (func (result funcref) (br_on_cast 0 funcref (ref func) (ref.func $f))))",
    ),
    user(
        FUNCTIONS,
        "(module (type $f (func)) (func (param (ref $f))) START)",
    ),
    user(
        "references to host objects (externref)",
        "(module (func (param externref)) START)",
    ),
    user(
        "legacy exception handling",
        "(module (func try catch_all end) START)",
    ),
    user(
        "exception handling",
        "(module (tag) (func (throw 0)) START)",
    ),
    user(
        "threads",
        "(module (memory 1) (func (drop (i32.atomic.load (i32.const 0)))) START)",
    ),
    user("shared memory", "(module (memory 1 2 shared) START)"),
    user(
        "shared-everything threads",
        "(module (global (shared i32) (i32.const 0)) START)",
    ),
    user("tail calls", "(module (func $f (return_call $f)) START)"),
    user("64-bit memory", "(module (memory i64 1) START)"),
    user(
        "64-bit memories and tables",
        "(module (table i64 1 funcref) START)",
    ),
    user(
        "memory control",
        "(module (memory 1) (func (memory.discard (i32.const 0) (i32.const 0))) START)",
    ),
    user(
        "custom page sizes",
        "(module (memory 1 (pagesize 1)) START)",
    ),
    user(
        "wide arithmetic",
        "(module (func (param i64 i64 i64 i64) (result i64 i64)
            (i64.add128 (local.get 0) (local.get 1) (local.get 2) (local.get 3))) START)",
    ),
    user(
        "relaxed SIMD",
        "(module (func (param v128 v128) (result v128)
            (i8x16.relaxed_swizzle (local.get 0) (local.get 1))) START)",
    ),
    user(
        "stack switching",
        "(module (type $f (func)) (type (cont $f)) START)",
    ),
    User(
        "custom descriptors",
        "(module (rec (type $a (descriptor $b) (struct)) (type $b (describes $a) (struct))) START)",
        Some(GC),
    ),
    user(
        "compact imports",
        r#"(module (import "wasi_snapshot_preview1" (item "a" (func)) (item "b" (func)))
            (memory (export "memory") 1) START)"#,
    ),
    user(ASYNC, "(component (type (future u8)))"),
    user(ASYNC, "(component (core func (canon task.cancel)))"),
    User(
        "stackful async of the component model",
        r#"(component (core module $m (func (export "f"))) (core instance $i (instantiate $m))
            (func async (canon lift (core func $i "f") async)))"#,
        Some(ASYNC),
    ),
    User(
        "further async built-ins of the component model",
        "(component (core func (canon subtask.cancel async)))",
        Some(ASYNC),
    ),
    User(
        "threads of the component model",
        "(component (core func (canon thread.yield cancellable)))",
        Some(ASYNC),
    ),
    user(
        "error contexts of the component model",
        "(component (type error-context))",
    ),
    user(
        "fixed-length lists of the component model",
        "(component (type (list u8 4)))",
    ),
    user(
        "garbage collection of the component model",
        r#"(component (import "f" (func $f)) (core type $t (func))
            (core func (canon lower (func $f) gc (core-type $t))))"#,
    ),
    user(
        "maps of the component model",
        "(component (type (map string u8)))",
    ),
    User(
        "64-bit memories of the component model",
        r#"(component (import "f" (func $f (param "s" string)))
            (core module $m (memory (export "m") i64 1)) (core instance $i (instantiate $m))
            (core func (canon lower (func $f) (memory $i "m"))))"#,
        Some("64-bit memories and tables"),
    ),
    user(
        "`implements` of the component model",
        r#"(component (import "a" (implements "b:c/d") (instance)))"#,
    ),
    user(
        "version suffixes of the component model",
        r#"(component (import "a:b/c@1" (versionsuffix ".2.3") (instance)))"#,
    ),
    user(
        "values of the component model",
        r#"(component (import "v" (value u8)))"#,
    ),
    user(
        "nested names of the component model",
        r#"(component (import "a:b:c/d/e" (instance)))"#,
    ),
];

#[tokio::test]
async fn plugin_with_a_disabled_proposal_is_refused_by_name() {
    let rig = Rig::new();
    let mut wrong = Vec::new();
    for User(proposal, text, base) in USERS {
        let text = text.replace("START", r#"(func (export "_start"))"#);
        let refusal = match wat::parse_str(&text) {
            Err(error) => format!("not parsed: {error}"),
            Ok(bytes) if text.starts_with("(component") => match validate(&bytes) {
                Ok(()) => "valid".to_owned(),
                Err(problem) => problem.to_string(),
            },
            Ok(bytes) => match rig.load_bytes(&bytes).await {
                Ok(_) => "loaded".to_owned(),
                Err(error) => error.problem.to_string(),
            },
        };
        if !refusal.contains(base.unwrap_or(proposal)) {
            wrong.push(format!("{proposal}: {refusal}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    rig.still_works().await;
}

#[test]
fn every_proposal_left_off_has_a_plugin_that_uses_it() {
    let without: Vec<_> = LEFT_OFF
        .iter()
        .map(|proposal| proposal.name)
        .filter(|name| !USERS.iter().any(|User(used, ..)| used == name))
        .collect();
    assert_eq!(without, Vec::<&str>::new());
}

#[test]
fn what_toolchains_emit_is_valid() {
    for text in [
        "(module (memory 1) (func (param i32) (memory.fill (local.get 0) (i32.const 0) (i32.const 1))))",
        "(module (func (param f32) (result i32) (i32.trunc_sat_f32_s (local.get 0))))",
        "(module (func (param i32) (result i32 i32) (local.get 0) (i32.extend8_s (local.get 0))))",
        "(module (import \"a\" \"b\" (global i32)) (global i32 (i32.add (global.get 0) (i32.const 4))))",
        "(module (table 1 funcref) (func (table.set (i32.const 0) (ref.null func))))",
        "(module (func (param v128) (result v128) (i32x4.add (local.get 0) (local.get 0))))",
    ] {
        let bytes = wat::parse_str(text).unwrap();
        assert!(validate(&bytes).is_ok(), "{text}");
    }
}

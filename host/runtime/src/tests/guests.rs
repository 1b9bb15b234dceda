//! Small guests in the text format.

use leasehold_wat::typed_job_text;

/// A preview-1 command that exits with 3.
pub(super) const EXIT_3: &str = r#"(module
    (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
    (memory (export "memory") 1)
    (func (export "_start") (call $exit (i32.const 3))))"#;

/// Makes a preview-1 command whose `_start` is `body`. `$say` writes `len` bytes at 1024, which contain
/// `text`, to `fd`.
pub(super) fn command(text: &str, body: &str) -> String {
    format!(
        r#"(module
    (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "environ_sizes_get" (func $environ_sizes (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "environ_get" (func $environ (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "args_get" (func $args (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "path_open" (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
    (memory (export "memory") 2)
    (data (i32.const 1024) "{text}")
    (func $say (param $fd i32) (param $len i32)
        (i32.store (i32.const 0) (i32.const 1024))
        (i32.store (i32.const 4) (local.get $len))
        (drop (call $fd_write (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 8))))
    (func (export "_start") {body}))"#
    )
}

/// Makes a core module without imports whose `_start` is `body`, with `more` beside it.
pub(super) fn bare(more: &str, body: &str) -> String {
    format!(r#"(module {more} (func (export "_start") {body}))"#)
}

/// Makes a component that exports `wasi:cli/run@0.2.0`. `body` returns 0 for success.
pub(super) fn cli_run(more: &str, body: &str) -> String {
    format!(
        r#"(component
    (core module $m {more} (func (export "run") (result i32) {body}))
    (core instance $i (instantiate $m))
    (func $run (result (result)) (canon lift (core func $i "run")))
    (instance $cli (export "run" (func $run)))
    (export "wasi:cli/run@0.2.0" (instance $cli)))"#
    )
}

/// Imports of the contract's lock, lowered as `$stop` and `$check`, and of progress, lowered as `$progress`.
const IMPORTS: &str = r#"
    (import "leasehold:job/lock@1.0.0" (instance $lock
        (type $guard' (variant (case "lost") (case "denied" string) (case "conflict") (case "too-large") (case "unavailable" string)))
        (export "guard-error" (type $guard (eq $guard')))
        (export "token" (func (result u64)))
        (export "stop-requested" (func (param "at-most-ms" u32) (result bool)))
        (export "check" (func (result (result (error $guard)))))))
    (import "leasehold:job/progress@1.0.0" (instance $progress
        (export "report" (func (param "done" u64) (param "total" (option u64)) (param "message" string)))))
    (import "leasehold:job/log@1.0.0" (instance $log
        (type $level' (enum "trace" "debug" "info" "warn" "error"))
        (export "level" (type $level (eq $level')))
        (export "emit" (func (param "level" $level) (param "message" string) (param "fields" (list (tuple string string)))))))
    (import "wasi:io/streams@0.2.0" (instance $streams (export "output-stream" (type (sub resource)))))
    (alias export $streams "output-stream" (type $output))
    (import "wasi:cli/stdout@0.2.0" (instance $stdout
        (alias outer 1 $output (type $stream'))
        (export "output-stream" (type $stream (eq $stream')))
        (export "get-stdout" (func (result (own $stream))))))"#;

/// Imports of fenced storage.
const KV: &str = r#"
    (import "leasehold:job/fenced-kv@1.0.0" (instance $kv
        (type $guard' (variant (case "lost") (case "denied" string) (case "conflict") (case "too-large") (case "unavailable" string)))
        (export "guard-error" (type $guard (eq $guard')))
        (type $entry' (record (field "key" string) (field "value" (list u8)) (field "mod-revision" u64)))
        (export "entry" (type $entry (eq $entry')))
        (export "list-prefix" (func (param "prefix" string) (param "limit" u32) (result (result (list $entry) (error $guard)))))
        (export "put" (func (param "key" string) (param "value" (list u8)) (result (result u64 (error $guard)))))))"#;

/// Makes a typed job whose `run` is `body`. It returns an address: 512 contains `done(none)`. `data` is at
/// 1024. Functions: `$token`, `$stop`, `$check`, `$progress`, `$log`, `$stdout`.
pub(super) fn job(data: &str, body: &str) -> String {
    job_of("1.0.0", "", "", "", data, body)
}

/// Makes a typed job like [`job`], with `$put` and `$list` of fenced storage.
pub(super) fn kv_job(data: &str, body: &str) -> String {
    job_of(
        "1.0.0",
        KV,
        r#"(core func $put (canon lower (func $kv "put") (memory $libc "memory") (realloc (func $libc "realloc"))))
    (core func $list (canon lower (func $kv "list-prefix") (memory $libc "memory") (realloc (func $libc "realloc"))))"#,
        r#"(export "put" (func $put)) (export "list" (func $list))"#,
        data,
        body,
    )
}

/// Makes a typed job built for version `version` of the contract.
pub(super) fn job_for(version: &str) -> String {
    job_of(version, "", "", "", "", "(i32.const 512)")
}

fn job_of(version: &str, import: &str, lower: &str, with: &str, data: &str, body: &str) -> String {
    let put = if with.is_empty() {
        ""
    } else {
        r#"(import "host" "put" (func $put (param i32 i32 i32 i32 i32)))
        (import "host" "list" (func $list (param i32 i32 i32 i32)))"#
    };
    let core = format!(
        r#"{IMPORTS} {import}
    (core module $libc
        (memory (export "memory") 2)
        (global $top (mut i32) (i32.const 65536))
        (func (export "realloc") (param i32 i32 i32 i32) (result i32)
            (global.set $top (i32.and (i32.add (global.get $top) (i32.const 7)) (i32.const -8)))
            (global.get $top)
            (global.set $top (i32.add (global.get $top) (local.get 3)))))
    (core instance $libc (instantiate $libc))
    (core func $token (canon lower (func $lock "token")))
    (core func $stop (canon lower (func $lock "stop-requested")))
    (core func $check (canon lower (func $lock "check") (memory $libc "memory") (realloc (func $libc "realloc"))))
    (core func $progress (canon lower (func $progress "report") (memory $libc "memory")))
    (core func $log (canon lower (func $log "emit") (memory $libc "memory")))
    (core func $stdout (canon lower (func $stdout "get-stdout")))
    {lower}
    (core module $m
        (import "libc" "memory" (memory 2))
        (import "host" "token" (func $token (result i64)))
        (import "host" "stop" (func $stop (param i32) (result i32)))
        (import "host" "check" (func $check (param i32)))
        (import "host" "progress" (func $progress (param i64 i32 i64 i32 i32)))
        (import "host" "log" (func $log (param i32 i32 i32 i32 i32)))
        (import "host" "stdout" (func $stdout (result i32)))
        {put}
        (data (i32.const 1024) "{data}")
        (func (export "run") (result i32) {body}))
    (core instance $i (instantiate $m (with "libc" (instance $libc)) (with "host" (instance
        (export "token" (func $token)) (export "stop" (func $stop)) (export "check" (func $check))
        (export "progress" (func $progress)) (export "log" (func $log)) (export "stdout" (func $stdout)) {with}))))"#
    );
    typed_job_text(version, &core, "$libc")
}

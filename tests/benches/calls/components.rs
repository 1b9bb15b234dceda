//! Components that repeat one call for ever.

use anyhow::{Context as _, Result};
use leasehold_tests::wat_plugins::typed_job;

/// A memory with an allocator that starts again at 4 MiB on request.
const LIBC: &str = r#"(core module $libc
        (memory (export "memory") 200)
        (global $top (mut i32) (i32.const 4194304))
        (func (export "reset") (global.set $top (i32.const 4194304)))
        (func (export "realloc") (param i32 i32 i32 i32) (result i32)
            (global.set $top (i32.and (i32.add (global.get $top) (i32.const 7)) (i32.const -8)))
            (global.get $top)
            (global.set $top (i32.add (global.get $top) (local.get 3)))))
    (core instance $libc (instantiate $libc))"#;

/// Writes three values of 1 MiB, and repeats `body`.
fn kv(body: &str) -> Result<Vec<u8>> {
    let text = format!(
        r#"(import "leasehold:job/fenced-kv@1.0.0" (instance $kv
        (type $guard' (variant (case "lost") (case "denied" string) (case "conflict") (case "too-large") (case "unavailable" string)))
        (export "guard-error" (type $guard (eq $guard')))
        (type $entry' (record (field "key" string) (field "value" (list u8)) (field "mod-revision" u64)))
        (export "entry" (type $entry (eq $entry')))
        (export "get" (func (param "key" string) (result (result (option $entry) (error $guard)))))
        (export "list-prefix" (func (param "prefix" string) (param "limit" u32) (result (result (list $entry) (error $guard)))))
        (export "put" (func (param "key" string) (param "value" (list u8)) (result (result u64 (error $guard)))))))
    {LIBC}
    (core func $get (canon lower (func $kv "get") (memory $libc "memory") (realloc (func $libc "realloc"))))
    (core func $list (canon lower (func $kv "list-prefix") (memory $libc "memory") (realloc (func $libc "realloc"))))
    (core func $put (canon lower (func $kv "put") (memory $libc "memory") (realloc (func $libc "realloc"))))
    (core module $m
        (import "libc" "memory" (memory 200)) (import "libc" "reset" (func $reset))
        (import "host" "get" (func $get (param i32 i32 i32)))
        (import "host" "list" (func $list (param i32 i32 i32 i32)))
        (import "host" "put" (func $put (param i32 i32 i32 i32 i32)))
        (data (i32.const 1024) "calls/1calls/2calls/3")
        (func $write (param i32)
            (call $put (local.get 0) (i32.const 7) (i32.const 65536) (i32.const 1048576) (i32.const 256))
            (if (i32.load8_u (i32.const 256)) (then unreachable)))
        (func (export "run") (result i32)
            (call $write (i32.const 1024)) (call $write (i32.const 1031)) (call $write (i32.const 1038))
            (loop (call $reset) {body} (if (i32.load8_u (i32.const 256)) (then unreachable)) (br 0))
            (i32.const 512)))
    (core instance $i (instantiate $m (with "libc" (instance $libc)) (with "host" (instance
        (export "get" (func $get)) (export "list" (func $list)) (export "put" (func $put))))))"#
    );
    typed_job(&text, "$libc")
}

pub(crate) fn put(_: &str) -> Result<Vec<u8>> {
    kv("(call $write (i32.const 1024))")
}

pub(crate) fn get(_: &str) -> Result<Vec<u8>> {
    kv("(call $get (i32.const 1024) (i32.const 7) (i32.const 256))")
}

pub(crate) fn list(_: &str) -> Result<Vec<u8>> {
    kv("(call $list (i32.const 1024) (i32.const 6) (i32.const 1000) (i32.const 256))")
}

/// The imports of a request: `wasi:io` and `wasi:http`.
const HTTP: &str = r#"(import "wasi:io/error@0.2.0" (instance $error (export "error" (type (sub resource)))))
    (alias export $error "error" (type $io-error))
    (import "wasi:io/poll@0.2.0" (instance $poll
        (export "pollable" (type $p (sub resource)))
        (export "[method]pollable.block" (func (param "self" (borrow $p))))))
    (alias export $poll "pollable" (type $pollable))
    (import "wasi:io/streams@0.2.0" (instance $streams
        (alias outer 1 $io-error (type $e'))
        (export "error" (type $e (eq $e')))
        (alias outer 1 $pollable (type $p'))
        (export "pollable" (type $p (eq $p')))
        (export "input-stream" (type $in (sub resource)))
        (export "output-stream" (type $out (sub resource)))
        (type $failed' (variant (case "last-operation-failed" (own $e)) (case "closed")))
        (export "stream-error" (type $failed (eq $failed')))
        (export "[method]input-stream.blocking-read" (func (param "self" (borrow $in)) (param "len" u64) (result (result (list u8) (error $failed)))))
        (export "[method]output-stream.subscribe" (func (param "self" (borrow $out)) (result (own $p))))
        (export "[method]output-stream.check-write" (func (param "self" (borrow $out)) (result (result u64 (error $failed)))))
        (export "[method]output-stream.write" (func (param "self" (borrow $out)) (param "contents" (list u8)) (result (result (error $failed)))))))
    (alias export $streams "input-stream" (type $input))
    (alias export $streams "output-stream" (type $output))
    (import "wasi:http/types@0.2.0" (instance $http
        (alias outer 1 $input (type $in'))
        (export "input-stream" (type $in (eq $in')))
        (alias outer 1 $output (type $out'))
        (export "output-stream" (type $out (eq $out')))
        (alias outer 1 $pollable (type $p'))
        (export "pollable" (type $p (eq $p')))
        (export "fields" (type $fields (sub resource)))
        (export "outgoing-request" (type $request (sub resource)))
        (export "outgoing-body" (type $body (sub resource)))
        (export "request-options" (type $options (sub resource)))
        (export "incoming-response" (type $response (sub resource)))
        (export "incoming-body" (type $received (sub resource)))
        (export "future-incoming-response" (type $future (sub resource)))
        (type $method' (variant (case "get") (case "head") (case "post") (case "put") (case "delete") (case "connect")
            (case "options") (case "trace") (case "patch") (case "other" string)))
        (export "method" (type $method (eq $method')))
        (type $scheme' (variant (case "HTTP") (case "HTTPS") (case "other" string)))
        (export "scheme" (type $scheme (eq $scheme')))
        (type $dns' (record (field "rcode" (option string)) (field "info-code" (option u16))))
        (export "DNS-error-payload" (type $dns (eq $dns')))
        (type $tls' (record (field "alert-id" (option u8)) (field "alert-message" (option string))))
        (export "TLS-alert-received-payload" (type $tls (eq $tls')))
        (type $size' (record (field "field-name" (option string)) (field "field-size" (option u32))))
        (export "field-size-payload" (type $size (eq $size')))
        (type $code' (variant (case "DNS-timeout") (case "DNS-error" $dns) (case "destination-not-found") (case "destination-unavailable")
        (case "destination-IP-prohibited") (case "destination-IP-unroutable") (case "connection-refused")
        (case "connection-terminated") (case "connection-timeout") (case "connection-read-timeout")
        (case "connection-write-timeout") (case "connection-limit-reached") (case "TLS-protocol-error")
        (case "TLS-certificate-error") (case "TLS-alert-received" $tls) (case "HTTP-request-denied")
        (case "HTTP-request-length-required") (case "HTTP-request-body-size" (option u64))
        (case "HTTP-request-method-invalid") (case "HTTP-request-URI-invalid") (case "HTTP-request-URI-too-long")
        (case "HTTP-request-header-section-size" (option u32)) (case "HTTP-request-header-size" (option $size))
        (case "HTTP-request-trailer-section-size" (option u32)) (case "HTTP-request-trailer-size" $size)
        (case "HTTP-response-incomplete") (case "HTTP-response-header-section-size" (option u32))
        (case "HTTP-response-header-size" $size) (case "HTTP-response-body-size" (option u64))
        (case "HTTP-response-trailer-section-size" (option u32)) (case "HTTP-response-trailer-size" $size)
        (case "HTTP-response-transfer-coding" (option string)) (case "HTTP-response-content-coding" (option string))
        (case "HTTP-response-timeout") (case "HTTP-upgrade-failed") (case "HTTP-protocol-error")
        (case "loop-detected") (case "configuration-error") (case "internal-error" (option string))))
        (export "error-code" (type $code (eq $code')))
        (export "[constructor]fields" (func (result (own $fields))))
        (export "[constructor]outgoing-request" (func (param "headers" (own $fields)) (result (own $request))))
        (export "[method]outgoing-request.set-method" (func (param "self" (borrow $request)) (param "method" $method) (result (result))))
        (export "[method]outgoing-request.set-scheme" (func (param "self" (borrow $request)) (param "scheme" (option $scheme)) (result (result))))
        (export "[method]outgoing-request.set-authority" (func (param "self" (borrow $request)) (param "authority" (option string)) (result (result))))
        (export "[method]outgoing-request.set-path-with-query" (func (param "self" (borrow $request)) (param "path-with-query" (option string)) (result (result))))
        (export "[method]outgoing-request.body" (func (param "self" (borrow $request)) (result (result (own $body)))))
        (export "[method]outgoing-body.write" (func (param "self" (borrow $body)) (result (result (own $out)))))
        (export "[method]future-incoming-response.subscribe" (func (param "self" (borrow $future)) (result (own $p))))
        (export "[method]future-incoming-response.get" (func (param "self" (borrow $future)) (result (option (result (result (own $response) (error $code)))))))
        (export "[method]incoming-response.consume" (func (param "self" (borrow $response)) (result (result (own $received)))))
        (export "[method]incoming-body.stream" (func (param "self" (borrow $received)) (result (result (own $in)))))))
    (alias export $http "outgoing-request" (type $request))
    (alias export $http "request-options" (type $options))
    (alias export $http "future-incoming-response" (type $future))
    (alias export $http "error-code" (type $code))
    (import "wasi:http/outgoing-handler@0.2.0" (instance $handler
        (alias outer 1 $request (type $request'))
        (export "outgoing-request" (type $r (eq $request')))
        (alias outer 1 $options (type $options'))
        (export "request-options" (type $o (eq $options')))
        (alias outer 1 $future (type $future'))
        (export "future-incoming-response" (type $f (eq $future')))
        (alias outer 1 $code (type $code'))
        (export "error-code" (type $c (eq $code')))
        (export "handle" (func (param "request" (own $r)) (param "options" (option (own $o))) (result (result (own $f) (error $c)))))))"#;

/// The functions of [`HTTP`] as a core module imports them: name, instance, export, and core type.
const LOWERED: &[(&str, &str, &str, &str)] = &[
    ("block", "$poll", "[method]pollable.block", "(param i32)"),
    (
        "read",
        "$streams",
        "[method]input-stream.blocking-read",
        "(param i32 i64 i32)",
    ),
    (
        "ready",
        "$streams",
        "[method]output-stream.subscribe",
        "(param i32) (result i32)",
    ),
    (
        "room",
        "$streams",
        "[method]output-stream.check-write",
        "(param i32 i32)",
    ),
    (
        "write",
        "$streams",
        "[method]output-stream.write",
        "(param i32 i32 i32 i32)",
    ),
    ("fields", "$http", "[constructor]fields", "(result i32)"),
    (
        "request",
        "$http",
        "[constructor]outgoing-request",
        "(param i32) (result i32)",
    ),
    (
        "method",
        "$http",
        "[method]outgoing-request.set-method",
        "(param i32 i32 i32 i32) (result i32)",
    ),
    (
        "scheme",
        "$http",
        "[method]outgoing-request.set-scheme",
        "(param i32 i32 i32 i32 i32) (result i32)",
    ),
    (
        "path",
        "$http",
        "[method]outgoing-request.set-path-with-query",
        "(param i32 i32 i32 i32) (result i32)",
    ),
    (
        "authority",
        "$http",
        "[method]outgoing-request.set-authority",
        "(param i32 i32 i32 i32) (result i32)",
    ),
    (
        "body",
        "$http",
        "[method]outgoing-request.body",
        "(param i32 i32)",
    ),
    (
        "body-stream",
        "$http",
        "[method]outgoing-body.write",
        "(param i32 i32)",
    ),
    (
        "subscribe",
        "$http",
        "[method]future-incoming-response.subscribe",
        "(param i32) (result i32)",
    ),
    (
        "get",
        "$http",
        "[method]future-incoming-response.get",
        "(param i32 i32)",
    ),
    (
        "consume",
        "$http",
        "[method]incoming-response.consume",
        "(param i32 i32)",
    ),
    (
        "stream",
        "$http",
        "[method]incoming-body.stream",
        "(param i32 i32)",
    ),
    ("handle", "$handler", "handle", "(param i32 i32 i32 i32)"),
];

/// Prepares a request with this method to `authority`, and goes on with `then`. Answers are read from 256, and one that is
/// an error is a trap.
fn http(authority: &str, method: u32, then: &str) -> Result<Vec<u8>> {
    let length = authority.len();
    let each = |line: fn(&(&str, &str, &str, &str)) -> String| -> String {
        LOWERED.iter().map(line).collect()
    };
    let lowered = each(|(name, instance, export, _)| {
        format!(
            r#"(core func ${name} (canon lower (func {instance} "{export}") (memory $libc "memory") (realloc (func $libc "realloc"))))
    "#
        )
    });
    let imports =
        each(|(name, _, _, shape)| format!(r#"(import "host" "{name}" (func ${name} {shape}))"#));
    let exports = each(|(name, ..)| format!(r#"(export "{name}" (func ${name}))"#));
    let text = format!(
        r#"{HTTP}
    {LIBC}
    {lowered}
    (core module $m
        (import "libc" "memory" (memory 200)) (import "libc" "reset" (func $reset))
        {imports}
        (data (i32.const 1016) "/") (data (i32.const 1024) "{authority}")
        (func $good (param i32) (result i32)
            (if (i32.load8_u (i32.const 256)) (then unreachable))
            (i32.load (local.get 0)))
        (func (export "run") (result i32)
            (local $request i32) (local $body i32) (local $stream i32) (local $future i32) (local $ready i32)
            (local.set $request (call $request (call $fields)))
            (drop (call $method (local.get $request) (i32.const {method}) (i32.const 0) (i32.const 0)))
            (drop (call $scheme (local.get $request) (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 0)))
            (drop (call $authority (local.get $request) (i32.const 1) (i32.const 1024) (i32.const {length})))
            (drop (call $path (local.get $request) (i32.const 1) (i32.const 1016) (i32.const 1)))
            {then}
            (i32.const 512)))
    (core instance $i (instantiate $m (with "libc" (instance $libc)) (with "host" (instance {exports}))))"#
    );
    typed_job(&text, "$libc").context("assembling a client of HTTP")
}

/// Writes as much as there is room for, repeatedly.
pub(crate) fn upload(authority: &str) -> Result<Vec<u8>> {
    http(
        authority,
        2,
        "(call $body (local.get $request) (i32.const 256))
        (local.set $body (call $good (i32.const 260)))
        (call $body-stream (local.get $body) (i32.const 256))
        (local.set $stream (call $good (i32.const 260)))
        (call $handle (local.get $request) (i32.const 0) (i32.const 0) (i32.const 256))
        (drop (call $good (i32.const 264)))
        (local.set $ready (call $ready (local.get $stream)))
        (loop
            (call $block (local.get $ready))
            (call $room (local.get $stream) (i32.const 256))
            (br_if 0 (i32.eqz (call $good (i32.const 264))))
            (call $write (local.get $stream) (i32.const 65536) (i32.load (i32.const 264)) (i32.const 256))
            (drop (call $good (i32.const 260)))
            (br 0))",
    )
}

/// Reads as much as one call may move, repeatedly.
pub(crate) fn download(authority: &str) -> Result<Vec<u8>> {
    http(
        authority,
        0,
        "(call $handle (local.get $request) (i32.const 0) (i32.const 0) (i32.const 256))
        (local.set $future (call $good (i32.const 264)))
        (call $block (call $subscribe (local.get $future)))
        (call $get (local.get $future) (i32.const 256))
        ;; An option of a result of a result.
        (if (i32.or (i32.load8_u (i32.const 264)) (i32.load8_u (i32.const 272))) (then unreachable))
        (call $consume (i32.load (i32.const 280)) (i32.const 256))
        (call $stream (call $good (i32.const 260)) (i32.const 256))
        (local.set $stream (call $good (i32.const 260)))
        (loop
            (call $reset)
            (call $read (local.get $stream) (i64.const 4100000) (i32.const 256))
            (drop (call $good (i32.const 260)))
            (br 0))",
    )
}

/// A text: so many MiB of eight bytes again and again, with two others at its end.
pub(crate) struct Text {
    pub(crate) mib: usize,
    pub(crate) eight: u64,
    pub(crate) last: u16,
}

/// A component whose inner parts pass a text from one encoding to another.
pub(crate) fn text(from: &str, to: &str, text: &Text) -> Result<Vec<u8>> {
    let Text { mib, eight, last } = text;
    let bytes = mib << 20;
    let end = bytes - 2;
    // A text in UTF-16 counts units of two bytes.
    let (units, most) = match (from, to) {
        ("utf8", "utf8") => (bytes, bytes),
        ("utf8", _) => (bytes, bytes * 2),
        (_, "utf8") => (bytes / 2, bytes / 2 * 3),
        _ => (bytes / 2, bytes),
    };
    let (ours, theirs) = (bytes / 65_536 + 1, most / 65_536 + 1);
    let text = format!(
        r#"(component
    (component $inner
        (core module $m (memory (export "memory") {theirs})
            (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 8))
            (func (export "take") (param i32 i32)))
        (core instance $i (instantiate $m))
        (func (export "take") (param "text" string)
            (canon lift (core func $i "take") (memory $i "memory") (realloc (func $i "realloc")) string-encoding={to})))
    (component $outer
        (import "take" (func $take (param "text" string)))
        (core module $libc (memory (export "memory") {ours}))
        (core instance $libc (instantiate $libc))
        (core func $lowered (canon lower (func $take) (memory $libc "memory") string-encoding={from}))
        (core module $m (import "libc" "memory" (memory 0)) (import "inner" "take" (func $take (param i32 i32)))
            (func (export "run") (result i32) (local $at i32)
                (loop $fill
                    (i64.store (local.get $at) (i64.const {eight}))
                    (local.set $at (i32.add (local.get $at) (i32.const 8)))
                    (br_if $fill (i32.lt_u (local.get $at) (i32.const {bytes}))))
                (i32.store16 (i32.const {end}) (i32.const {last}))
                (loop (call $take (i32.const 0) (i32.const {units})) (br 0)) (i32.const 0)))
        (core instance $i (instantiate $m (with "libc" (instance $libc))
            (with "inner" (instance (export "take" (func $lowered))))))
        (func (export "run") (result (result)) (canon lift (core func $i "run"))))
    (instance $inner (instantiate $inner))
    (instance $outer (instantiate $outer (with "take" (func $inner "take"))))
    (alias export $outer "run" (func $run))
    (instance $cli (export "run" (func $run)))
    (export "wasi:cli/run@0.2.0" (instance $cli)))"#
    );
    Ok(wat::parse_str(text)?)
}

//! Users, tokens and certificates are really asked for.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use leasehold_tests::certs::Certs;
use leasehold_tests::etcd::{Etcd, RUNNER, Version};
use leasehold_tests::etcdctl::Etcdctl;
use leasehold_tests::proxy::FaultProxy;
use leasehold_tests::wait::eventually;

use crate::{SHORT, SLACK, is_refused};

fn users_are_limited(version: Version) -> Result<()> {
    let etcd = Etcd::builder(version).users().start()?;
    let runner = etcd.ctl()?.login(RUNNER.0, RUNNER.1);
    runner.run(&["put", "/leasehold/k", "v"])?;
    is_refused(runner.run(&["put", "/elsewhere", "v"]), "permission denied")?;
    is_refused(
        etcd.ctl()?.anonymous().run(&["get", "/leasehold/k"]),
        "user name is empty",
    )?;
    is_refused(
        etcd.ctl()?
            .login(RUNNER.0, "wrong")
            .run(&["get", "/leasehold/k"]),
        "invalid user ID or password",
    )?;

    let file = etcd
        .password_file()
        .context("a server with users has a password file")?;
    assert_eq!(std::fs::read_to_string(&file)?, RUNNER.1);
    assert_eq!(std::fs::metadata(&file)?.permissions().mode() & 0o077, 0);

    // etcdctl logs in for every command; expiry concerns clients that keep their token.
    let token = log_in(&etcd)?;
    ensure!(read_with(&etcd, &token)?.contains(FOUND));
    etcd.expire_tokens()?;
    let answer = read_with(&etcd, &token)?;
    ensure!(answer.contains("invalid auth token"), "{answer}");
    ensure!(read_with(&etcd, &log_in(&etcd)?)?.contains(FOUND));
    Ok(())
}

/// Part of the answer to an allowed read.
const FOUND: &str = r#""count":"1""#;

/// Logs in as the runner through etcd's JSON gateway and gives the token.
fn log_in(etcd: &Etcd) -> Result<String> {
    let body = format!(r#"{{"name":"{}","password":"{}"}}"#, RUNNER.0, RUNNER.1);
    let answer = post(etcd, "/v3/auth/authenticate", "", &body)?;
    let (_, token) = answer
        .split_once(r#""token":""#)
        .with_context(|| format!("no token in {answer}"))?;
    token
        .split('"')
        .next()
        .map(str::to_owned)
        .context("a token that never ends")
}

/// The server's answer to a read of `/leasehold/k` with this token.
fn read_with(etcd: &Etcd, token: &str) -> Result<String> {
    post(etcd, "/v3/kv/range", token, r#"{"key":"L2xlYXNlaG9sZC9r"}"#)
}

/// The body of an answer. HTTP 1.0, so that it ends with the connection.
fn post(etcd: &Etcd, path: &str, token: &str, body: &str) -> Result<String> {
    let mut stream = TcpStream::connect(etcd.endpoint().trim_start_matches("http://"))?;
    stream.set_read_timeout(Some(SLACK))?;
    let length = body.len();
    // Etcd 3.4 takes an empty token for a wrong one.
    let login = if token.is_empty() {
        String::new()
    } else {
        format!("Authorization: {token}\r\n")
    };
    write!(
        stream,
        "POST {path} HTTP/1.0\r\n{login}Content-Length: {length}\r\n\r\n{body}"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (_, body) = answer
        .split_once("\r\n\r\n")
        .context("an answer without a body")?;
    Ok(body.to_owned())
}

fn tokens_end(version: Version) -> Result<()> {
    let etcd = Etcd::builder(version)
        .token_ttl(Duration::from_secs(2))
        .start()?;
    etcd.etcdctl(&["put", "/leasehold/k", "v"])?;
    let token = log_in(&etcd)?;
    ensure!(read_with(&etcd, &token)?.contains(FOUND));
    eventually(SLACK, "the token to end", || {
        let answer = read_with(&etcd, &token)?;
        ensure!(answer.contains("invalid auth token"), "{answer}");
        Ok(())
    })?;
    ensure!(read_with(&etcd, &log_in(&etcd)?)?.contains(FOUND));

    // A change of users makes the token stale before its time, with words of its own.
    let token = log_in(&etcd)?;
    etcd.expire_tokens()?;
    let answer = read_with(&etcd, &token)?;
    let words = match version {
        Version::V3_4 => "revision of auth store is old",
        Version::V3_5 => "revision in header is old",
        Version::Embedded => bail!("the embedded store has no users"),
    };
    ensure!(answer.contains(words), "{answer}");
    Ok(())
}

#[test]
fn a_token_with_a_lifetime_ends_on_etcd_3_4_although_it_is_used() -> Result<()> {
    tokens_end(Version::V3_4)
}

#[test]
fn a_token_with_a_lifetime_ends_on_etcd_3_5_although_it_is_used() -> Result<()> {
    tokens_end(Version::V3_5)
}

#[test]
fn a_wiped_server_gets_its_users_back() -> Result<()> {
    let mut etcd = Etcd::builder(Version::V3_5).users().start()?;
    etcd.restart_wiped()?;
    is_refused(
        etcd.ctl()?.anonymous().run(&["get", "/leasehold/k"]),
        "user name is empty",
    )?;
    etcd.ctl()?
        .login(RUNNER.0, RUNNER.1)
        .run(&["put", "/leasehold/k", "v"])
        .map(drop)
}

#[test]
fn etcd_3_4_with_users_lets_each_do_only_what_its_role_allows() -> Result<()> {
    users_are_limited(Version::V3_4)
}

#[test]
fn etcd_3_5_with_users_lets_each_do_only_what_its_role_allows() -> Result<()> {
    users_are_limited(Version::V3_5)
}

/// Mutual TLS admits the right client, and refuses an unknown one, an expired one and one without TLS.
fn certificates_decide(version: Version) -> Result<()> {
    let certs = Certs::make()?;
    let mut etcd = Etcd::builder(version).tls(&certs).start()?;
    assert!(etcd.endpoint().starts_with("https://127.0.0.1:"));
    etcd.etcdctl(&["put", "k", "v"])?;

    let stranger = etcd.ctl()?.tls(certs.stranger());
    turns_away(
        &mut etcd,
        stranger,
        "certificate signed by unknown authority",
    )?;
    let expired = certs.client_valid_for("expired", Duration::ZERO)?;
    let expired = etcd.ctl()?.tls(expired);
    turns_away(&mut etcd, expired, "certificate has expired")?;
    let plain = etcd.ctl()?.via(etcd.endpoint().replace("https", "http"));
    turns_away(&mut etcd, plain, "does not look like a TLS handshake")?;

    // The proxy carries TLS as it carries anything.
    let proxy = FaultProxy::start(&etcd.endpoint())?;
    let through = etcd.ctl()?.via(proxy.endpoint());
    assert_eq!(through.run(&["get", "k", "--print-value-only"])?, "v");
    Ok(())
}

/// The client fails, and the server logged why it is to blame.
fn turns_away(etcd: &mut Etcd, client: Etcdctl, why: &str) -> Result<()> {
    is_refused(client.timeout(SHORT).run(&["get", "k"]), "etcdctl get k")?;
    eventually(SLACK, "the server to say why", || {
        let log = etcd.node(0)?.log_end();
        ensure!(log.contains(why), "it says {log}");
        Ok(())
    })
}

#[test]
fn etcd_3_4_with_tls_accepts_the_right_certificate_only() -> Result<()> {
    certificates_decide(Version::V3_4)
}

#[test]
fn etcd_3_5_with_tls_accepts_the_right_certificate_only() -> Result<()> {
    certificates_decide(Version::V3_5)
}

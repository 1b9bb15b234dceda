//! Addresses and defaults of `[otlp]`, and reports of mistakes in it.

use super::*;
use crate::{Config, Report};

fn parse(table: &str) -> Result<Config, Report> {
    let text = format!(
        "[host]\nid = \"a\"\n[store]\nendpoints = [\"http://127.0.0.1:1\"]\n[jobs.a]\nplugin = \"a.wasm\"\n{table}"
    );
    Config::parse(&text, Path::new("a.toml"))
}

fn refusal(table: &str) -> String {
    parse(table).expect_err("a refusal").to_string()
}

fn otlp(keys: &str) -> Otlp {
    let config = parse(&format!("[otlp]\n{keys}\n")).expect(keys);
    config.otlp().expect("it is there").clone()
}

#[test]
fn absent_table_sends_no_traces() {
    assert_eq!(parse("").expect("a valid file").otlp(), None);
}

#[test]
fn endpoint_alone_means_grpc_for_every_run() {
    let otlp = otlp("endpoint = \"http://127.0.0.1:4317\"");
    assert_eq!(otlp.endpoint().to_string(), "http://127.0.0.1:4317");
    assert_eq!(otlp.protocol(), OtlpProtocol::Grpc);
    assert!((otlp.ratio() - 1.0).abs() < f64::EPSILON);
    assert_eq!(otlp.timeout(), TIMEOUT);
    assert_eq!((otlp.headers_file(), otlp.ca()), (None, None));
}

#[test]
fn protocol_follows_the_key_and_the_path() {
    for (keys, protocol, target) in [
        (
            "endpoint = \"https://c.example.com:443\"",
            OtlpProtocol::Grpc,
            "/v1/traces",
        ),
        (
            "endpoint = \"http://[::1]:4317/\"",
            OtlpProtocol::Grpc,
            "/v1/traces",
        ),
        (
            "endpoint = \"http://127.0.0.1:4318\"\nprotocol = \"http\"",
            OtlpProtocol::Http,
            "/v1/traces",
        ),
        (
            "endpoint = \"https://c.example.com:443/otlp/v1/traces?x=1\"",
            OtlpProtocol::Http,
            "/otlp/v1/traces?x=1",
        ),
    ] {
        let otlp = otlp(keys);
        assert_eq!(
            (otlp.protocol(), otlp.target()),
            (protocol, target),
            "{keys}"
        );
    }
}

#[test]
fn ratio_is_a_number_from_zero_to_one() {
    for (text, ratio) in [("0", 0.0), ("1", 1.0), ("0.25", 0.25)] {
        let keys = format!("endpoint = \"http://127.0.0.1:4317\"\nratio = {text}");
        assert!((otlp(&keys).ratio() - ratio).abs() < f64::EPSILON, "{text}");
    }
    for text in ["-0.1", "1.01", "nan", "inf", "2"] {
        let keys = format!("[otlp]\nendpoint = \"http://127.0.0.1:4317\"\nratio = {text}");
        assert!(
            refusal(&keys).contains("`ratio` in [otlp] is out of range"),
            "{text}"
        );
    }
}

#[test]
fn addresses_that_are_none_of_a_collector_are_refused() {
    for text in [
        "127.0.0.1:4317",
        "grpc://127.0.0.1:4317",
        "http://127.0.0.1",
        "http://[::1]",
        "http://me:pw@127.0.0.1:4317",
        "http://127.0.0.1:4317/#x",
        "http://127.0.0.1:4317/ x",
        "http://:4317",
        "http://127.0.0.1:0",
    ] {
        assert!(parse_url(text).is_err(), "{text}");
    }
}

#[test]
fn plaintext_to_another_machine_needs_permission() {
    let keys = "endpoint = \"http://collector.example.com:4317\"\nallow_plaintext = true";
    assert!(!otlp(keys).endpoint().is_secure());
    insta::assert_snapshot!(refusal(
        "[otlp]\nendpoint = \"http://collector.example.com:4317\"\n"
    ));
}

#[test]
fn mistakes_are_reported_together() {
    insta::assert_snapshot!(refusal(
        "[otlp]\nendpoint = \"http://127.0.0.1\"\nprotocol = \"json\"\nratio = \"10%\"\ntimeout = \"1h\"\n\
         allow_plaintext = 1\nheaders = { a = 1 }\n"
    ));
}

#[test]
fn keys_that_do_not_fit_the_endpoint_are_refused() {
    insta::assert_snapshot!(refusal("[otlp]\nratio = 0.5\n"));
    insta::assert_snapshot!(refusal(
        "[otlp]\nendpoint = \"http://127.0.0.1:4317/v1/traces\"\nprotocol = \"grpc\"\nca = \"ca.pem\"\n"
    ));
}

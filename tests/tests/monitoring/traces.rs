//! Traces of real runs, at collectors that take them, come late, and are encrypted.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use leasehold_tests::binaries::plugin;
use leasehold_tests::certs::Certs;
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::guests::{self, Job};
use leasehold_tests::host::HostProcess;
use leasehold_tests::http::get;
use leasehold_tests::ports::Port;
use leasehold_tests::wait::eventually;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use prost::Message as _;

use crate::collector::{Collector, HttpServer, Trace, hex};

const PATIENCE: Duration = Duration::from_mins(1);
/// Pause of the server that guests send requests to.
const PAUSE: Duration = Duration::from_millis(30);

/// A job that posts once to this server.
fn report(job: Job, server: &HttpServer) -> Result<Job> {
    let origin = format!("http://{}", server.address());
    let mut allow = toml::Table::new();
    allow.insert("http".to_owned(), vec![origin.clone()].into());
    let job = job.plugin(&plugin("fetch")?).key("allow", allow);
    Ok(job.config("url", origin).config("times", 1).once())
}

fn otlp(collector: &Collector) -> String {
    format!("[otlp]\nendpoint = \"http://{}\"\n", collector.address())
}

/// Starts a collector at a free port.
fn collector() -> Result<Collector> {
    Collector::start("127.0.0.1:0".parse()?, None)
}

fn is_child(child: &Span, parent: &Span) -> bool {
    child.parent_span_id == parent.span_id
}

fn error_of(span: &Span) -> Option<&str> {
    let status = span.status.as_ref()?;
    (status.code == i32::from(StatusCode::Error)).then_some(status.message.as_str())
}

#[test]
fn run_is_one_trace_and_its_request_names_it() -> Result<()> {
    let (etcd, collector, server) = (
        Etcd::start(Version::V3_5)?,
        collector()?,
        HttpServer::start(PAUSE)?,
    );
    let job = report(Job::default(), &server)?;
    let config = guests::config_for("web1", &etcd)
        .job("report", |_| job)
        .raw(&otlp(&collector));
    let mut host = HostProcess::start(&config)?;
    // The host ends with its only job, and sends the trace before.
    host.wait_exit(PATIENCE)?;
    let traces = collector.traces();
    let [trace] = traces.as_slice() else {
        anyhow::bail!("{traces:?}");
    };
    println!("{trace}");
    trace.check_tree()?;
    let ended = host.wait_for(PATIENCE, |event| event.is("run-ended"))?;
    ensure!(trace.instance == "web1", "{trace}");
    for (key, value) in [
        ("leasehold.job", "report"),
        ("leasehold.lock", "report"),
        ("leasehold.host", "web1"),
        ("leasehold.trigger", "once"),
        ("leasehold.attempt", "1"),
        ("leasehold.outcome", "done"),
        ("leasehold.detail", "1 reports"),
        (
            "leasehold.token",
            &ended.token().context("a token")?.to_string(),
        ),
        ("leasehold.run", ended.run().context("a run")?),
    ] {
        ensure!(
            trace.attribute(key) == value,
            "{key} is not {value}: {trace}"
        );
    }
    let [run, wait, hold, guest, release] = [
        trace.span("run")?,
        trace.span("wait")?,
        trace.span("hold")?,
        trace.span("guest")?,
        trace.span("release")?,
    ];
    ensure!(is_child(wait, run) && is_child(hold, run), "{trace}");
    ensure!(is_child(guest, hold) && is_child(release, hold), "{trace}");
    let sent = trace.span(&format!("http POST http://{}", server.address()))?;
    ensure!(is_child(sent, guest), "{trace}");
    ensure!(sent.kind == i32::from(SpanKind::Client), "{trace}");
    let took = Duration::from_nanos(sent.end_time_unix_nano - sent.start_time_unix_nano);
    ensure!(took >= PAUSE, "{trace}");
    ensure!(
        trace.spans.iter().all(|span| error_of(span).is_none()),
        "{trace}"
    );
    let requests = server.requests();
    let header = format!("traceparent: 00-{}-{}-01", trace.id, hex(&guest.span_id));
    ensure!(
        requests[0].head.contains(&header),
        "no {header}: {requests:?}"
    );
    Ok(())
}

#[test]
fn run_that_loses_its_lock_is_a_trace_with_an_error() -> Result<()> {
    let (etcd, collector) = (Etcd::start(Version::V3_5)?, collector()?);
    let heartbeat = guests::heartbeat()?;
    let config = guests::config_for("web1", &etcd)
        .grace("300ms")
        .job("pulse", |job| job.plugin(&heartbeat).args(&["0", "50"]))
        .raw(&otlp(&collector));
    let mut host = HostProcess::start(&config)?;
    host.wait_for(PATIENCE, |event| event.is("guest"))?;
    etcd.etcdctl(&["del", "--prefix", "/leasehold/locks/pulse/"])?;
    let ended = host.wait_for(PATIENCE, |event| event.is("run-ended"))?;
    ensure!(ended.outcome() == Some("lost"), "{ended}");
    let run_id = ended.run().context("a run")?;
    let trace = eventually(PATIENCE, "the trace", || {
        let mut traces = collector.traces().into_iter();
        traces
            .find(|trace| trace.attribute("leasehold.run") == run_id)
            .context("none yet")
    })?;
    println!("{trace}");
    trace.check_tree()?;
    // The text that the record has.
    let detail = ended.str("detail").context("a detail")?;
    ensure!(error_of(trace.span("run")?) == Some(detail), "{trace}");
    ensure!(error_of(trace.span("guest")?) == Some(detail), "{trace}");
    ensure!(error_of(trace.span("hold")?).is_some(), "{trace}");
    ensure!(trace.span("release").is_err(), "{trace}");
    // The guest sleeps between its lines.
    ensure!(
        trace
            .spans
            .iter()
            .any(|span| span.name == "wasi_snapshot_preview1.poll_oneoff"),
        "{trace}"
    );
    host.term()?;
    host.wait_exit(PATIENCE)?;
    Ok(())
}

/// Fails when a collector that is absent holds a run up, or is not noticed when it comes.
#[test]
fn absent_collector_costs_spans_and_no_run() -> Result<()> {
    let (etcd, port, listen) = (Etcd::start(Version::V3_5)?, Port::claim()?, Port::claim()?);
    let heartbeat = guests::heartbeat()?;
    let config = guests::config_for("web1", &etcd)
        .host("listen", listen.address().to_string())
        .job("tick", |job| {
            job.plugin(&heartbeat).args(&["1", "1"]).every("200ms")
        })
        .raw(&format!(
            "[otlp]\nendpoint = \"http://{}\"\n",
            port.address()
        ));
    let mut host = HostProcess::start(&config)?;
    let failed = host.wait_for(PATIENCE, |event| event.is("traces-failed"))?;
    let endpoint = format!("http://{}", port.address());
    ensure!(failed.str("endpoint") == Some(&*endpoint), "{failed}");
    let error = failed.str("error").context("an error")?;
    ensure!(error.contains("Connection refused"), "{failed}");
    for _ in 0..3 {
        host.wait_after(host.mark(), PATIENCE, |event| {
            event.is("run-ended") && event.outcome() == Some("done")
        })?;
    }
    let dropped = |name: &str| -> Result<f64> {
        let metrics = get(listen.address(), "/metrics")?.body;
        let mut lines = metrics.lines();
        let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        Ok(value.with_context(|| format!("no {name}"))?.parse()?)
    };
    eventually(PATIENCE, "dropped spans", || {
        ensure!(dropped("leasehold_trace_spans_dropped_total")? >= 4.0);
        Ok(())
    })?;
    ensure!(dropped("leasehold_trace_spans_sent_total")? < 1.0);
    let collector = Collector::start(port.address(), None)?;
    let back = host.wait_for(PATIENCE, |event| event.is("traces-back"))?;
    ensure!(back.u64("dropped") >= Some(4), "{back}");
    eventually(PATIENCE, "a trace", || {
        ensure!(!collector.traces().is_empty());
        ensure!(dropped("leasehold_trace_spans_sent_total")? >= 4.0);
        Ok(())
    })?;
    let outages = host
        .events()
        .into_iter()
        .filter(|one| one.is("traces-failed"));
    ensure!(outages.count() == 1, "an outage is logged once");
    host.term()?;
    host.wait_exit(PATIENCE)?;
    Ok(())
}

#[test]
fn traces_go_over_tls_with_headers_of_a_file() -> Result<()> {
    let (etcd, certs) = (Etcd::start(Version::V3_5)?, Certs::make()?);
    let files = certs.server();
    let collector = Collector::start("127.0.0.1:0".parse()?, Some(&files))?;
    let heartbeat = guests::heartbeat()?;
    let dir = tempfile::tempdir()?;
    let headers = dir.path().join("headers");
    fs::write(&headers, "Authorization: Bearer hunter2\n")?;
    fs::set_permissions(&headers, fs::Permissions::from_mode(0o600))?;
    let config = guests::config_for("web1", &etcd)
        .job("once", |job| {
            job.plugin(&heartbeat).args(&["1", "1"]).once()
        })
        .raw(&format!(
            "[otlp]\nendpoint = \"https://{}\"\nca = {:?}\nheaders_file = {headers:?}\n",
            collector.address(),
            files.ca
        ));
    let mut host = HostProcess::start(&config)?;
    host.wait_exit(PATIENCE)?;
    ensure!(
        collector.traces().len() == 1,
        "{:?}{}",
        host.events(),
        host.stderr()
    );
    ensure!(
        collector.headers() == ["Bearer hunter2"],
        "{:?}",
        collector.headers()
    );
    Ok(())
}

#[test]
fn traces_go_over_http_and_unchosen_runs_only_have_a_header() -> Result<()> {
    let (etcd, server) = (Etcd::start(Version::V3_5)?, HttpServer::start(PAUSE)?);
    let collector = HttpServer::start(Duration::ZERO)?;
    let run = |ratio: f64| -> Result<()> {
        let job = report(Job::default(), &server)?;
        let config = guests::config_for("web1", &etcd)
            .job("report", |_| job)
            .raw(&format!(
                "[otlp]\nendpoint = \"http://{}\"\nprotocol = \"http\"\nratio = {ratio:?}\n",
                collector.address()
            ));
        HostProcess::start(&config)?.wait_exit(PATIENCE)?;
        Ok(())
    };
    run(0.0)?;
    let head = server.requests()[0].head.clone();
    let header = head.lines().find(|line| line.starts_with("traceparent: "));
    ensure!(header.is_some_and(|line| line.ends_with("-00")), "{head}");
    ensure!(
        collector.requests().is_empty(),
        "{:?}",
        collector.requests()
    );
    run(1.0)?;
    let requests = collector.requests();
    let [request] = requests.as_slice() else {
        anyhow::bail!("{requests:?}");
    };
    ensure!(
        request.head.starts_with("post /v1/traces http/1.1"),
        "{request:?}"
    );
    ensure!(
        request
            .head
            .contains("content-type: application/x-protobuf"),
        "{request:?}"
    );
    let message = ExportTraceServiceRequest::decode(request.body.as_slice())?;
    let traces = Trace::all_of([&message].into_iter());
    ensure!(
        traces.len() == 1 && traces[0].spans.len() >= 6,
        "{traces:?}"
    );
    traces[0].check_tree()
}

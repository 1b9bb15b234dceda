//! Spans as messages of OTLP.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};

use super::ids::TraceId;
use super::span::{FinishedTrace, SpanRole, SpanValue, TraceSpan};

/// Flag of a span whose trace is sampled.
const SAMPLED: u32 = 1;

/// Makes one request of these traces. The spans of each host have a resource of their own.
pub(super) fn make_request(traces: Vec<FinishedTrace>) -> ExportTraceServiceRequest {
    let mut hosts: BTreeMap<Arc<str>, Vec<Span>> = BTreeMap::new();
    for trace in traces {
        let spans = hosts.entry(trace.host).or_default();
        spans.extend(trace.spans.into_iter().map(|span| message(trace.id, span)));
    }
    let resource_spans = hosts.into_iter().map(|(host, spans)| ResourceSpans {
        resource: Some(Resource {
            attributes: vec![
                text("service.name", "leasehold"),
                text("service.version", env!("CARGO_PKG_VERSION")),
                text("service.instance.id", &host),
            ],
            ..Resource::default()
        }),
        scope_spans: vec![ScopeSpans {
            scope: Some(InstrumentationScope {
                name: "leasehold".to_owned(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                ..InstrumentationScope::default()
            }),
            spans,
            schema_url: String::new(),
        }],
        schema_url: String::new(),
    });
    ExportTraceServiceRequest {
        resource_spans: resource_spans.collect(),
    }
}

fn message(trace: TraceId, span: TraceSpan) -> Span {
    let kind = match span.role {
        SpanRole::Internal => SpanKind::Internal,
        SpanRole::Client => SpanKind::Client,
    };
    let status = span.error.map(|message| Status {
        message,
        code: StatusCode::Error.into(),
    });
    let attributes = span.attributes.into_iter();
    Span {
        trace_id: trace.0.to_vec(),
        span_id: span.id.0.to_vec(),
        parent_span_id: span.parent.map(|id| id.0.to_vec()).unwrap_or_default(),
        flags: SAMPLED,
        name: span.name.into_owned(),
        kind: kind.into(),
        start_time_unix_nano: nanos(span.start),
        end_time_unix_nano: nanos(span.end),
        attributes: attributes
            .map(|(key, value)| attribute(key, value))
            .collect(),
        status,
        ..Span::default()
    }
}

fn attribute(key: &str, value: SpanValue) -> KeyValue {
    let value = match value {
        SpanValue::Text(text) => Value::StringValue(text),
        SpanValue::Number(number) => Value::IntValue(i64::try_from(number).unwrap_or(i64::MAX)),
    };
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

fn text(key: &str, text: &str) -> KeyValue {
    attribute(key, SpanValue::Text(text.to_owned()))
}

fn nanos(at: SystemTime) -> u64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

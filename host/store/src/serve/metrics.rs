//! Metrics of the store, as `/metrics` answers them.
//!
//! A number that etcd publishes too has etcd's name, so that boards and alerts made for etcd work. The others begin
//! with `leasehold_store_`. Labels have values of this program only, so no client can add series.

use super::connection_slots::ConnectionSlots;
use crate::budget::MemoryBudget;
use crate::core::StoreCore;
use crate::exposition::{Exposition, MetricKind};
use crate::grpc::{API_VERSION, MethodCounts, RequestCounts};

/// Sources of the metrics.
pub(super) struct MetricSources<'a> {
    pub(super) core: &'a StoreCore,
    pub(super) counts: &'a RequestCounts,
    pub(super) budget: &'a MemoryBudget,
    pub(super) tcp_slots: &'a ConnectionSlots,
    pub(super) socket_slots: &'a ConnectionSlots,
}

/// Returns all metrics as text.
pub(super) fn render(sources: &MetricSources<'_>) -> String {
    let mut out = Exposition::default();
    write_build(&mut out);
    write_data(&mut out, sources.core);
    write_disk(&mut out, sources.core);
    write_connections(&mut out, sources);
    write_requests(&mut out, sources.counts);
    out.into_text()
}

fn write_build(out: &mut Exposition) {
    let name = "leasehold_store_build_info";
    out.family(name, MetricKind::Gauge, "The program's version.");
    out.sample(name, &[("version", env!("CARGO_PKG_VERSION"))], 1);
    let name = "etcd_server_version";
    let help = "The version of etcd's API that is served.";
    out.family(name, MetricKind::Gauge, help);
    out.sample(name, &[("server_version", API_VERSION)], 1);
    let help = "Whether or not a leader exists. The one member always leads.";
    out.gauge("etcd_server_has_leader", help, 1);
}

fn write_data(out: &mut Exposition, core: &StoreCore) {
    let health = core.health();
    let (all, used) = health.bytes;
    for (name, help, value) in [
        (
            "etcd_mvcc_db_total_size_in_bytes",
            "Bytes of the store's files, or of its memory without a disk.",
            all,
        ),
        (
            "etcd_mvcc_db_total_size_in_use_in_bytes",
            "Bytes of rows in the files, or of the memory without a disk.",
            used,
        ),
        (
            "etcd_server_quota_backend_bytes",
            "The most bytes of data, history included.",
            health.quota,
        ),
        (
            "etcd_debugging_mvcc_keys_total",
            "Keys, with those that are deleted and have history still.",
            health.keys as u64,
        ),
        (
            "etcd_debugging_mvcc_watcher_total",
            "Watched ranges.",
            health.watches as u64,
        ),
        ("leasehold_store_leases", "Leases.", health.leases as u64),
        (
            "leasehold_store_no_space",
            "1 while the NOSPACE alarm is raised.",
            health.no_space.into(),
        ),
        (
            "leasehold_store_read_only",
            "1 while writes are refused because the disk failed.",
            health.read_only.is_some().into(),
        ),
    ] {
        out.gauge(name, help, value);
    }
    for (name, help, revision) in [
        (
            "etcd_debugging_mvcc_current_revision",
            "The last durable revision.",
            health.revision,
        ),
        (
            "etcd_debugging_mvcc_compact_revision",
            "The last compaction, 0 without one.",
            health.compacted,
        ),
    ] {
        out.gauge(name, help, revision);
    }
}

fn write_disk(out: &mut Exposition, core: &StoreCore) {
    let times = core.disk_times();
    out.histogram(
        "etcd_disk_wal_fsync_duration_seconds",
        "Durations of writing one record to the log and syncing it. One record holds the writes that came together.",
        &times.log_record.counts(),
    );
    out.histogram(
        "etcd_disk_backend_commit_duration_seconds",
        "Durations of one transaction in the file behind the log, its sync included.",
        &times.file_transaction.counts(),
    );
}

fn write_connections(out: &mut Exposition, sources: &MetricSources<'_>) {
    let name = "leasehold_store_connections";
    let help = "Slots of connections that are taken, by the way in. Each listener holds one for the next connection.";
    out.family(name, MetricKind::Gauge, help);
    let by_way = [
        ("address", sources.tcp_slots),
        ("socket", sources.socket_slots),
    ];
    for (way, slots) in by_way {
        out.sample(name, &[("way", way)], slots.taken());
    }
    let name = "leasehold_store_connections_limit";
    let help = "All slots, by the way in.";
    out.family(name, MetricKind::Gauge, help);
    for (way, slots) in by_way {
        out.sample(name, &[("way", way)], slots.most());
    }
    let name = "leasehold_store_connections_refused_total";
    let help = "Connections that were turned away for lack of a slot, by the way in.";
    out.family(name, MetricKind::Counter, help);
    for (way, slots) in by_way {
        out.sample(name, &[("way", way)], slots.refused());
    }
    out.gauge(
        "leasehold_store_client_memory_bytes",
        "Bytes of requests, watches and unread answers that count against the limit of all connections together.",
        sources.budget.used(),
    );
    out.gauge(
        "leasehold_store_client_memory_limit_bytes",
        "That limit.",
        sources.budget.limit(),
    );
}

fn write_requests(out: &mut Exposition, counts: &RequestCounts) {
    let streams = counts.methods().iter();
    let watches = streams.filter(|method| method.service == "etcdserverpb.Watch");
    out.gauge(
        "etcd_debugging_mvcc_watch_stream_total",
        "Open streams of watches.",
        watches.map(MethodCounts::open).sum::<u64>(),
    );
    let (started, handled) = ("grpc_server_started_total", "grpc_server_handled_total");
    let help = "Requests that began, by method. Those of clients in the same process count too.";
    out.family(started, MetricKind::Counter, help);
    for method in counts.methods() {
        let labels = [
            ("grpc_method", method.method),
            ("grpc_service", method.service),
            ("grpc_type", method.kind()),
        ];
        out.sample(started, &labels, method.started());
    }
    let help = "Requests that ended, by method and status.";
    out.family(handled, MetricKind::Counter, help);
    for method in counts.methods() {
        for (code, count) in method.ended() {
            let labels = [
                ("grpc_code", code),
                ("grpc_method", method.method),
                ("grpc_service", method.service),
                ("grpc_type", method.kind()),
            ];
            out.sample(handled, &labels, count);
        }
    }
}

//! Tasks of a running host beside its jobs: records, orders of operators, output.

use std::sync::Arc;
use std::time::Duration;

use leasehold_config::Config;
use leasehold_config::wall::SystemWall;
use leasehold_lock::Locks;
use leasehold_records::{HostRecord, Root, RunRecord};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use crate::control::{self, ControlHandle, ControlState};
use crate::event_log::EventLog;
use crate::output::{
    CutOffOutput, FileQueue, OutputFiles, OutputPublisher, OutputRegistry, RecordStore, recover,
};
use crate::record_writer::{RecordWriter, RecordWriterTask};

/// The store that a host has reached, and what its tasks need to use it.
pub(super) struct HostStore {
    pub(super) locks: Locks,
    pub(super) root: Root,
    pub(super) records_ttl: Duration,
    /// Name of this process in its data directory.
    pub(super) life: Option<String>,
}

/// Handles of the tasks, for jobs.
pub(super) struct ServiceHandles {
    pub(super) record_writer: RecordWriter,
    pub(super) outputs: OutputRegistry,
    pub(super) control: ControlHandle,
}

/// The tasks, from the start of a host's work to its end.
pub(super) struct HostServices {
    writer: RecordWriterTask,
    publisher: OutputPublisher,
    files: Option<OutputFiles>,
    following: AbortOnDropHandle<()>,
    recovering: Option<AbortOnDropHandle<()>>,
}

impl HostServices {
    /// Starts the tasks, and writes the host's record.
    pub(super) fn start(
        config: &Config,
        store: &HostStore,
        record: &HostRecord,
        event_log: &EventLog,
    ) -> (Self, ServiceHandles) {
        let (locks, root, ttl) = (&store.locks, &store.root, store.records_ttl);
        let (record_writer, writer) =
            RecordWriter::start(locks.clone(), root.clone(), ttl, event_log.clone());
        record_writer.host(record.clone());
        let (outputs, files) = start_files(config, store);
        let publisher = OutputPublisher::start(locks, root, ttl, &record.host, outputs.clone());
        let (orders, seen_orders) = watch::channel(ControlState::default());
        let control = ControlHandle::new(seen_orders, Arc::new(SystemWall));
        let following = AbortOnDropHandle::new(tokio::spawn(control::follow(
            locks.clone(),
            root.clone(),
            record.host.as_str().into(),
            event_log.clone(),
            orders,
        )));
        let services = Self {
            writer,
            publisher,
            files,
            following,
            recovering: None,
        };
        let handles = ServiceHandles {
            record_writer,
            outputs,
            control,
        };
        (services, handles)
    }

    /// Adds the output of runs that an earlier process left without an end to their records.
    pub(super) fn recover(
        &mut self,
        store: &HostStore,
        event_log: &EventLog,
        cut_off: Vec<CutOffOutput>,
    ) {
        let (kv, root) = (store.locks.kv(), store.root.clone());
        let recovering = recover(kv, root, event_log.clone(), cut_off);
        self.recovering = Some(AbortOnDropHandle::new(tokio::spawn(recovering)));
    }

    /// Ends the tasks that follow the store, and waits for that.
    pub(super) async fn stop_following(&mut self) {
        let following = [Some(&mut self.following), self.recovering.as_mut()];
        for task in following.into_iter().flatten() {
            task.abort();
            let _ = task.await;
        }
    }

    /// Writes what is left, unless the end `is_cut_off`, and closes the client of the store.
    pub(super) async fn finish(self, locks: Locks, is_cut_off: bool) {
        if is_cut_off {
            self.writer.abandon();
        } else {
            tokio::join!(self.writer.finish(), self.publisher.finish());
        }
        locks.close().await;
        if let Some(files) = self.files {
            let _ = tokio::task::spawn_blocking(move || files.finish()).await;
        }
    }
}

/// Starts the thread that writes output to files, unless the data directory cannot be written.
fn start_files(config: &Config, store: &HostStore) -> (OutputRegistry, Option<OutputFiles>) {
    let (data_dir, keep) = (config.host().data_dir(), config.host().keep_output());
    let Some(life) = store.life.as_deref() else {
        return (OutputRegistry::default(), None);
    };
    let place = record_store(&store.locks, &store.root);
    let queue = FileQueue::default();
    let registry = OutputRegistry::new(keep.map(|_| (queue.clone(), data_dir)));
    match OutputFiles::start(data_dir, (life, place), keep, queue, registry.clone()) {
        Ok(files) => (registry, Some(files)),
        Err(error) => {
            tracing::warn!(%error, "output is not written to files");
            (OutputRegistry::default(), None)
        }
    }
}

/// Returns the identity of the store that records are written to.
pub(super) fn record_store(locks: &Locks, root: &Root) -> RecordStore {
    RecordStore {
        cluster: format!("{:x}", locks.cluster_id()),
        root: root.as_str().to_owned(),
    }
}

/// Moves the output that was written down of this run into its record.
pub(super) fn take_output(record: &mut RunRecord, cut_off: &mut Vec<CutOffOutput>) {
    if let Some(at) = cut_off
        .iter()
        .position(|found| found.record.key() == record.key())
    {
        let found = cut_off.swap_remove(at);
        record.output.clone_from(&found.record.output);
        record.output_truncated_bytes = found.record.output_truncated_bytes;
        found.forget();
    }
}

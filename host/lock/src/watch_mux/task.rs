//! The task behind a [`WatchMux`](super::WatchMux). Runs on the lease thread.

use std::collections::HashMap;
use std::time::Duration;

use etcd_client::{
    EventType, WatchFilterType, WatchOptions, WatchRequestSender, WatchResponse,
    WatchResponseStream,
};
use leasehold_ids::{LeaseId, Revision};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use crate::backoff::Backoff;
use crate::error::StoreError;
use crate::observer::StreamKind;
use crate::requests::StoreRequests;
use crate::watch_mux::silence::StreamSilence;
use crate::watch_mux::stream::{BrokenStream, STREAM_PATIENCE, push};
use crate::watch_mux::subscription::{
    MuxCommand, WatchEvent, WatchEventKind, WatchItem, WatchRange,
};
use crate::watch_mux::watch_ids::{WatchCreation, WatchIds};

/// Pause between two checks of a stream. See [`StreamSilence`].
const PROBE_EVERY: Duration = Duration::from_secs(1);

struct OpenWatch {
    range: WatchRange,
    items: mpsc::Sender<WatchItem>,
    /// When the server accepted it. The end of a young watch is a refusal.
    opened: Option<Instant>,
}

pub(crate) struct MuxTask {
    requests: StoreRequests,
    inbox: mpsc::Receiver<MuxCommand>,
    watches: HashMap<u64, OpenWatch>,
    ids: WatchIds,
}

impl MuxTask {
    pub(crate) fn new(requests: StoreRequests, inbox: mpsc::Receiver<MuxCommand>) -> Self {
        Self {
            requests,
            inbox,
            watches: HashMap::new(),
            ids: WatchIds::new(),
        }
    }

    pub(crate) async fn run(mut self) {
        let mut backoff = Backoff::reconnect();
        loop {
            // The first stream opens for the first subscriber and then stays: opening one takes a round trip, which
            // would delay a hand-off.
            while self.watches.is_empty() {
                match self.inbox.recv().await {
                    Some(command) => self.record(command),
                    None => return,
                }
            }
            let began = Instant::now();
            let at = self.requests.link().at();
            let BrokenStream(reason) = match self.open().await {
                Ok((sender, stream)) => self.serve(sender, stream).await,
                Err(broken) => broken,
            };
            if self.inbox.is_closed() {
                return;
            }
            tracing::debug!(%reason, "watch stream down");
            self.requests
                .observer()
                .notify(|observer| observer.stream_broken(StreamKind::Watches, &reason));
            self.report_down(&reason);
            self.requests.link().move_to_other(at).await;
            if began.elapsed() > Duration::from_secs(10) {
                backoff.reset();
            }
            self.pause_for(backoff.next()).await;
        }
    }

    /// Takes a command while there is no stream.
    fn record(&mut self, command: MuxCommand) {
        match command {
            MuxCommand::Subscribe { id, range, items } => {
                let watch = OpenWatch {
                    range,
                    items,
                    opened: None,
                };
                self.watches.insert(id, watch);
            }
            MuxCommand::Unsubscribe(id) => {
                self.watches.remove(&id);
            }
        }
    }

    async fn pause_for(&mut self, pause: Duration) {
        let pause = tokio::time::sleep(pause);
        tokio::pin!(pause);
        loop {
            tokio::select! {
                () = &mut pause => return,
                command = self.inbox.recv() => match command {
                    Some(command) => self.record(command),
                    None => return,
                },
            }
        }
    }

    fn report_down(&mut self, reason: &str) {
        self.watches.retain(|_, watch| {
            let was_open = watch.opened.take().is_some();
            let delivered = !was_open
                || watch
                    .items
                    .try_send(WatchItem::Down {
                        reason: reason.to_owned(),
                    })
                    .is_ok();
            delivered && !watch.items.is_closed()
        });
    }

    fn options(&mut self, create: WatchCreation) -> Option<(String, WatchOptions)> {
        let watch = self.watches.get_mut(&create.watch)?;
        watch.opened = None;
        let mut options = WatchOptions::new().with_watch_id(create.id);
        if watch.range.prefix {
            options = options.with_prefix();
        }
        if !watch.range.puts {
            options = options.with_filters([WatchFilterType::NoPut]);
        }
        Some((watch.range.key.clone(), options))
    }

    /// Opens a stream with the first watch in it and requests the others.
    async fn open(&mut self) -> Result<(WatchRequestSender, WatchResponseStream), BrokenStream> {
        self.ids.reopened();
        let mut ids: Vec<u64> = self.watches.keys().copied().collect();
        ids.sort_unstable();
        let mut ids = ids.into_iter();
        let create = ids.next().and_then(|id| self.ids.create(id));
        let Some((key, options)) = create.and_then(|create| self.options(create)) else {
            return Err(BrokenStream("nothing to watch".into()));
        };
        let mut client = self.requests.client().watch_client();
        let opening = timeout(STREAM_PATIENCE, client.watch(key, Some(options))).await;
        let stream = match opening {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                let error = StoreError::from(error);
                if error.is_wrong_password() {
                    let _ = timeout(STREAM_PATIENCE, self.requests.link().log_in()).await;
                }
                return Err(BrokenStream(error.to_string()));
            }
            Err(_) => return Err(BrokenStream("the store did not open a watch stream".into())),
        };
        let (mut sender, stream) = stream.split();
        for id in ids {
            self.create(&mut sender, id).await?;
        }
        Ok((sender, stream))
    }

    async fn create(
        &mut self,
        sender: &mut WatchRequestSender,
        id: u64,
    ) -> Result<(), BrokenStream> {
        match self.ids.create(id) {
            Some(create) => self.send_create(sender, create).await,
            None => Ok(()),
        }
    }

    async fn send_create(
        &mut self,
        sender: &mut WatchRequestSender,
        create: WatchCreation,
    ) -> Result<(), BrokenStream> {
        match self.options(create) {
            Some((key, options)) => push(sender.watch(key, Some(options))).await,
            None => Ok(()),
        }
    }

    async fn serve(
        &mut self,
        mut sender: WatchRequestSender,
        mut stream: WatchResponseStream,
    ) -> BrokenStream {
        let at = self.requests.link().at();
        let mut probe = interval(PROBE_EVERY);
        probe.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut silence = StreamSilence::default();
        loop {
            let step = tokio::select! {
                biased;
                message = stream.message() => match message {
                    Ok(Some(response)) => {
                        silence.message(&response);
                        self.response(&mut sender, &response).await
                    }
                    Ok(None) => Err(BrokenStream("the store closed the watch stream".into())),
                    Err(error) => Err(BrokenStream(StoreError::from(error).to_string())),
                },
                command = self.inbox.recv() => match command {
                    Some(command) => self.command(&mut sender, command).await,
                    None => return BrokenStream("closed".into()),
                },
                read = silence.read() => silence.was_read(read),
                _ = probe.tick() => {
                    if self.requests.link().at() == at {
                        silence.tick(&mut sender, &self.requests).await
                    } else {
                        Err(BrokenStream("the client has moved to another endpoint".into()))
                    }
                }
            };
            if let Err(broken) = step {
                return broken;
            }
        }
    }

    async fn command(
        &mut self,
        sender: &mut WatchRequestSender,
        command: MuxCommand,
    ) -> Result<(), BrokenStream> {
        match command {
            MuxCommand::Subscribe { id, .. } => {
                self.record(command);
                self.create(sender, id).await
            }
            MuxCommand::Unsubscribe(id) => self.cancel(sender, id).await,
        }
    }

    async fn cancel(
        &mut self,
        sender: &mut WatchRequestSender,
        id: u64,
    ) -> Result<(), BrokenStream> {
        self.watches.remove(&id);
        match self.ids.remove(id) {
            Some(id) => push(sender.cancel(id)).await,
            None => Ok(()),
        }
    }

    async fn response(
        &mut self,
        sender: &mut WatchRequestSender,
        response: &WatchResponse,
    ) -> Result<(), BrokenStream> {
        if !self.requests.identity().is_same_cluster(response.header()) {
            return Err(BrokenStream(
                "another cluster answered at this address".into(),
            ));
        }
        if response.canceled() {
            return self.handle_cancel(sender, response).await;
        }
        let id = if response.created() {
            let (id, creates) = self.ids.created(response.watch_id());
            for create in creates {
                self.send_create(sender, create).await?;
            }
            id
        } else {
            self.ids.watch(response.watch_id())
        };
        let Some(id) = id else {
            // Progress of the whole stream, or a watch that was cancelled a moment ago.
            return Ok(());
        };
        let revision = response
            .header()
            .map_or(0, etcd_client::ResponseHeader::revision);
        let revision = Revision::new(revision);
        let item = if response.created() {
            WatchItem::Open { revision }
        } else {
            WatchItem::Events {
                revision,
                events: response.events().iter().filter_map(event).collect(),
            }
        };
        let Some(watch) = self.watches.get_mut(&id) else {
            // Cancelled while it was created.
            return self.cancel(sender, id).await;
        };
        if response.created() {
            watch.opened = Some(Instant::now());
        }
        if watch.items.try_send(item).is_ok() {
            Ok(())
        } else {
            // Too slow, or closed. A slow subscriber learns it from the end of its queue.
            self.cancel(sender, id).await
        }
    }

    /// The server ended a watch: compacted away, too slow, or not permitted.
    async fn handle_cancel(
        &mut self,
        sender: &mut WatchRequestSender,
        response: &WatchResponse,
    ) -> Result<(), BrokenStream> {
        let reason = response.cancel_reason();
        if response.created() {
            // Refused at creation. A token that has expired since the stream opened shows this way, and only a new
            // login on a new stream helps.
            if reason.to_ascii_lowercase().contains("permission") || reason.contains("token") {
                let login = self.requests.link().log_in();
                let _ = timeout(STREAM_PATIENCE, login).await;
            }
            return Err(BrokenStream(format!(
                "the store handle_cancel a watch: {reason}"
            )));
        }
        let Some(id) = self.ids.ended(response.watch_id()) else {
            return Ok(()); // The answer to our own cancel.
        };
        let Some(watch) = self.watches.get_mut(&id) else {
            return Ok(());
        };
        let young = watch
            .opened
            .take()
            .is_none_or(|at| at.elapsed() < Duration::from_millis(100));
        if young {
            return Err(BrokenStream(format!("the store ended a watch: {reason}")));
        }
        let down = WatchItem::Down {
            reason: format!("the store ended the watch: {reason}"),
        };
        if watch.items.try_send(down).is_err() {
            self.watches.remove(&id);
            return Ok(());
        }
        self.create(sender, id).await
    }
}

fn event(event: &etcd_client::Event) -> Option<WatchEvent> {
    let kv = event.kv()?;
    let kind = match event.event_type() {
        EventType::Put => WatchEventKind::Put {
            create_revision: Revision::new(kv.create_revision()),
            lease: LeaseId::new(kv.lease()),
            value: kv.value().to_vec(),
        },
        EventType::Delete => WatchEventKind::Delete,
    };
    Some(WatchEvent {
        key: kv.key().to_vec(),
        revision: Revision::new(kv.mod_revision()),
        kind,
    })
}

//! [`Courier`]: the task that delivers messages, one after the other.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use hyper::header::HeaderMap;
use leasehold_config::{Notify, NotifyUrl};
use leasehold_supervisor::event::{EventContext, EventKind, NotifyFailure};
use leasehold_supervisor::event_log::EventLog;
use tokio::sync::mpsc;
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;

use super::draft::NoticeDraft;
use super::notice::Notice;
use super::program;
use crate::post::{PostTarget, post};
use crate::{request_headers, tls};

/// Pauses before a request is repeated.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(5)];

/// State of one recipient: its last error, if the last message did not reach it.
#[derive(Debug, Default)]
struct RecipientState {
    failure: Option<String>,
}

/// The task and its state.
pub(super) struct Courier {
    notify: Notify,
    event_log: Arc<OnceLock<EventLog>>,
    closing: CancellationToken,
    program: RecipientState,
    server: RecipientState,
    tls: Option<TlsConnector>,
}

impl Courier {
    pub(super) fn new(
        notify: Notify,
        event_log: Arc<OnceLock<EventLog>>,
        closing: CancellationToken,
    ) -> Self {
        Self {
            notify,
            event_log,
            closing,
            program: RecipientState::default(),
            server: RecipientState::default(),
            tls: None,
        }
    }

    /// Delivers until the end is requested and nothing waits.
    pub(super) async fn run(mut self, mut messages: mpsc::Receiver<NoticeDraft>) {
        loop {
            let draft = tokio::select! {
                biased;
                draft = messages.recv() => draft,
                () = self.closing.cancelled() => None,
            };
            let Some(draft) = draft else {
                return;
            };
            self.deliver(&draft.write()).await;
        }
    }

    /// Sends a message to each recipient, at the same time.
    async fn deliver(&mut self, notice: &Notice) {
        let json = notice.to_json();
        let opened = self.open_tls().await;
        let (notify, timeout) = (&self.notify, self.notify.timeout());
        let to_program = async {
            let command = notify.command()?;
            let sent = program::run(command, notice, &json, timeout).await;
            Some((command.program().display().to_string(), sent))
        };
        let to_server = async {
            let url = notify.http()?;
            let body = Bytes::copy_from_slice(&json);
            let sent = match opened {
                Ok(()) => self.post_patiently(url, &body).await,
                Err(error) => Err(error),
            };
            Some((url.to_string(), sent))
        };
        let (to_program, to_server) = tokio::join!(to_program, to_server);
        report(&mut self.program, to_program, &self.event_log);
        report(&mut self.server, to_server, &self.event_log);
    }

    /// Reads the machine's certificates before the first request.
    async fn open_tls(&mut self) -> Result<(), String> {
        let is_secure = self
            .notify
            .http()
            .is_some_and(|url| url.endpoint().is_secure());
        if is_secure && self.tls.is_none() {
            let opened = tokio::task::spawn_blocking(|| tls::connector(None)).await;
            self.tls = Some(opened.map_err(|error| error.to_string())??);
        }
        Ok(())
    }

    /// Posts a message, again after a while if that may help.
    async fn post_patiently(&self, url: &NotifyUrl, body: &Bytes) -> Result<(), String> {
        let mut pauses = PAUSES.into_iter();
        loop {
            let (headers, timeout) = (self.read_headers(), self.notify.timeout());
            let target = PostTarget {
                endpoint: url.endpoint(),
                path: url.target(),
                content_type: "application/json",
            };
            let posted = post(target, self.tls.as_ref(), headers, body.clone(), timeout).await;
            let Err(error) = posted else {
                return Ok(());
            };
            let pause = pauses.next().filter(|_| error.may_pass());
            let Some(pause) = pause else {
                return Err(error.to_string());
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                // The last words are tried once.
                () = self.closing.cancelled() => return Err(error.to_string()),
            }
        }
    }

    async fn read_headers(&self) -> Result<HeaderMap, String> {
        request_headers::read_aside(self.notify.headers_file()).await
    }
}

/// Logs an error that is another than the one before.
fn report(
    state: &mut RecipientState,
    sent: Option<(String, Result<(), String>)>,
    event_log: &OnceLock<EventLog>,
) {
    let Some((recipient, sent)) = sent else {
        return;
    };
    let failure = sent.err();
    if let Some(error) = &failure
        && state.failure.as_ref() != Some(error)
        && let Some(event_log) = event_log.get()
    {
        let error = error.clone();
        let failed = EventKind::NotifyFailed(NotifyFailure { recipient, error });
        event_log.emit(EventContext::default(), failed);
    }
    state.failure = failure;
}

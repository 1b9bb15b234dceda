//! Silence of a watch stream: harmless, or the sign that the stream is dead.
//!
//! A silent stream is asked for its progress. When the stream does not answer either, a linearizable read decides:
//!
//! - It fails: the store does not answer us, and the stream is abandoned.
//! - It comes back, and the stream has answered such requests before: the stream is dead.
//! - It comes back, and the stream has never answered: a proxy that does not support progress. The stream continues,
//!   and readings confirm its events once per TTL; see the `queue_verifier` module.

use std::time::Duration;

use etcd_client::{WatchRequestSender, WatchResponse};
use futures_util::future::BoxFuture;

use crate::error::StoreError;
use crate::requests::StoreRequests;
use crate::watch_mux::stream::{BrokenStream, push};

/// Ticks of silence before progress is requested.
const QUIET: u32 = 1;
/// Ticks of silence before a read decides.
const SILENT: u32 = 4;
/// Limit for that read. Replies that are seconds late are still replies.
const PATIENCE: Duration = Duration::from_secs(10);

/// Silence of one stream.
#[derive(Default)]
pub(crate) struct StreamSilence {
    ticks: u32,
    /// True if this stream has answered a request for its progress.
    answers: bool,
    read: Option<BoxFuture<'static, Result<(), StoreError>>>,
}

impl StreamSilence {
    /// Takes in a message.
    pub(crate) fn message(&mut self, response: &WatchResponse) {
        self.ticks = 0;
        self.read = None;
        self.answers |= !response.created() && !response.canceled() && response.events().is_empty();
    }

    /// Takes in that another tick has passed.
    pub(crate) async fn tick(
        &mut self,
        sender: &mut WatchRequestSender,
        requests: &StoreRequests,
    ) -> Result<(), BrokenStream> {
        self.ticks = self.ticks.saturating_add(1);
        if self.ticks >= SILENT && self.read.is_none() {
            let (requests, key) = (requests.clone(), requests.probe_key().to_owned());
            self.read = Some(Box::pin(async move {
                match requests.read_patiently(key, PATIENCE).await {
                    // A store that refuses has answered.
                    Ok(_) | Err(StoreError::Refused { .. }) => Ok(()),
                    Err(error) => Err(error),
                }
            }));
        }
        if self.ticks > QUIET && self.ticks <= SILENT {
            push(sender.request_progress()).await
        } else {
            Ok(())
        }
    }

    /// Waits for the read under way, if there is one.
    pub(crate) async fn read(&mut self) -> Result<(), StoreError> {
        match self.read.as_mut() {
            Some(read) => read.await,
            None => std::future::pending().await,
        }
    }

    /// Takes in the answer to the read.
    pub(crate) fn was_read(&mut self, read: Result<(), StoreError>) -> Result<(), BrokenStream> {
        self.read = None;
        match read {
            Err(error) => Err(BrokenStream(format!(
                "the watch stream is silent, and {error}"
            ))),
            Ok(()) if self.answers => {
                let silent = self.ticks;
                Err(BrokenStream(format!(
                    "the watch stream was silent for {silent} s"
                )))
            }
            Ok(()) => {
                self.ticks = 0;
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silent_stream_that_never_answered_continues_if_reads_return() {
        let mut silence = StreamSilence {
            ticks: SILENT,
            ..StreamSilence::default()
        };
        assert!(silence.was_read(Ok(())).is_ok());
        assert_eq!(silence.ticks, 0);
    }

    #[test]
    fn silent_stream_that_answered_before_is_dead_if_reads_return() {
        let mut silence = StreamSilence {
            ticks: SILENT,
            answers: true,
            read: None,
        };
        assert!(silence.was_read(Ok(())).is_err());
    }

    #[test]
    fn silent_stream_is_abandoned_when_reads_fail() {
        let mut silence = StreamSilence::default();
        let silent = StoreError::timed_out(PATIENCE);
        assert!(silence.was_read(Err(silent)).is_err());
    }
}

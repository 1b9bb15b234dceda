//! Budget of requests through sockets: each has a ticket of its connection's account, from its headers to the last
//! byte of its answer.
//!
//! Messages are measured by their announced length: the transport allocates all of it at once. This file must never
//! inspect a message.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::FutureExt;
use http::{HeaderMap, Request};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tonic::Status;
use tonic::body::Body;

use super::layer::{AnswerFuture, InnerService, RequestLayer};
use crate::budget::{STREAM_BYTES, TICKET};
use crate::peer::ClientPeer;

/// Counts the bytes of requests through sockets.
#[derive(Clone, Copy)]
pub(crate) struct MeterLayer;

impl RequestLayer for MeterLayer {
    fn call<S: InnerService>(&self, inner: &mut S, request: Request<Body>) -> AnswerFuture {
        let Some(peer) = request.extensions().get::<ClientPeer>() else {
            return inner.call(request).boxed();
        };
        let cost = STREAM_BYTES + weight(request.headers());
        let ticket = match peer.account.open(cost) {
            Ok(ticket) => ticket,
            Err(full) => return std::future::ready(Ok(Status::from(full).into_http())).boxed(),
        };
        let (arriving, mut messages) = (ticket.clone(), Messages::default());
        // The ticket grows with the bytes that arrive.
        let count = move |data: &[u8]| {
            arriving
                .set_message(messages.feed(data))
                .map_err(Status::from)
        };
        let answering = inner.call(request.map(|body| Body::new(Weighed { body, count })));
        TICKET
            .scope(ticket.clone(), async move {
                // It ends with the answer. The transport requests more when there is room for it on the way, so one
                // piece waits at a time.
                let count = move |data: &[u8]| {
                    ticket.set_answer(data.len() as u64);
                    Ok(())
                };
                let answer = answering.await?;
                Ok(answer.map(|body| Body::new(Weighed { body, count })))
            })
            .boxed()
    }
}

fn weight(headers: &HeaderMap) -> u64 {
    let bytes: usize = headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len())
        .sum();
    bytes as u64
}

/// A body whose bytes are counted. It ends early where the count is refused.
struct Weighed<F> {
    body: Body,
    count: F,
}

impl<F: FnMut(&[u8]) -> Result<(), Status> + Unpin> HttpBody for Weighed<F> {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        let frame = ready!(Pin::new(&mut this.body).poll_frame(context));
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
            && let Err(full) = (this.count)(data)
        {
            return Poll::Ready(Some(Err(full)));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The messages of a body: each has a flag, its length in four bytes, and as many bytes.
#[derive(Default)]
struct Messages {
    /// The bytes that have arrived of the flag and the length.
    header: Vec<u8>,
    /// Bytes of the message that have not arrived.
    missing: usize,
    /// The length of the current message, or of the last one.
    length: u64,
}

/// Bytes of a flag and a length.
const HEADER_BYTES: usize = 5;

impl Messages {
    /// Takes the arrived bytes, and returns the length of the message that they belong to.
    fn feed(&mut self, mut data: &[u8]) -> u64 {
        while !data.is_empty() {
            let wanted = match self.missing {
                0 => HEADER_BYTES - self.header.len(),
                missing => missing,
            };
            let (some, rest) = data.split_at(wanted.min(data.len()));
            data = rest;
            if self.missing > 0 {
                self.missing -= some.len();
                continue;
            }
            self.header.extend_from_slice(some);
            if let [_, l0, l1, l2, l3] = *self.header.as_slice() {
                let length = u32::from_be_bytes([l0, l1, l2, l3]);
                self.header.clear();
                // A message that is too long is refused by its length, and never arrives.
                self.length = u64::from(length).min(super::limits::MAX_MESSAGE_BYTES as u64);
                self.missing = length as usize;
            }
        }
        self.length
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_counts_from_its_length_until_the_next_one() {
        let mut messages = Messages::default();
        assert_eq!(messages.feed(&[0, 0, 0, 1]), 0);
        assert_eq!(messages.feed(&[0]), 256);
        assert_eq!(messages.feed(&[7; 255]), 256);
        assert_eq!(messages.feed(&[7]), 256);
        assert_eq!(messages.feed(&[0, 0, 0, 0, 2, 7, 7, 0, 0, 0, 0, 0]), 0);
        assert_eq!(messages.feed(&[0, 0xff, 0xff, 0xff, 0xff]), 2 << 20);
    }
}

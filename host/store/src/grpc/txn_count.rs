//! Transactions are counted before they are decoded: two bytes on the wire become hundreds in memory.
//!
//! A request of two MiB could hold a million empty operations. This file reads the wire format of a transaction, and
//! must never check anything but its number of parts.

use std::sync::Arc;

use bytes::Buf as _;
use etcd_client::proto::{PbTxnRequest, PbTxnResponse};
use futures_util::FutureExt as _;
use http::Request;
use tonic::Status;
use tonic::body::Body;
use tonic::codec::{Codec, DecodeBuf, Decoder};
use tonic::server::Grpc;
use tonic_prost::ProstCodec;

use super::kv::KvService;
use super::layer::{AnswerFuture, InnerService, RequestLayer};
use super::limits::MAX_MESSAGE_BYTES;
use crate::error::StoreError;

/// The most comparisons and operations of one transaction, those of nested ones included. One level may have 128 of
/// each kind; the limit is more than forty such levels.
const MOST: usize = 128 * 128;

/// The deepest nesting of transactions; the decoder goes no deeper.
const DEEPEST: usize = 50;

/// Answers transactions itself, and passes all other requests on.
#[derive(Clone)]
pub(crate) struct TxnCountLayer {
    kv: Arc<KvService>,
}

impl TxnCountLayer {
    pub(super) const fn new(kv: Arc<KvService>) -> Self {
        Self { kv }
    }
}

impl RequestLayer for TxnCountLayer {
    fn call<S: InnerService>(&self, inner: &mut S, request: Request<Body>) -> AnswerFuture {
        if request.uri().path() != "/etcdserverpb.KV/Txn" {
            return inner.call(request).boxed();
        }
        let kv = Arc::clone(&self.kv);
        let answer = tower::service_fn(move |request: tonic::Request<PbTxnRequest>| {
            let kv = Arc::clone(&kv);
            async move {
                kv.transact(request.into_inner())
                    .await
                    .map(tonic::Response::new)
            }
        });
        async move {
            let mut grpc = Grpc::new(CountedCodec)
                .apply_max_message_size_config(Some(MAX_MESSAGE_BYTES), Some(usize::MAX));
            Ok(grpc.unary(answer, request).await)
        }
        .boxed()
    }
}

struct CountedCodec;

type Inner = ProstCodec<PbTxnResponse, PbTxnRequest>;

impl Codec for CountedCodec {
    type Encode = PbTxnResponse;
    type Decode = PbTxnRequest;
    type Encoder = <Inner as Codec>::Encoder;
    type Decoder = CountedDecoder;

    fn encoder(&mut self) -> Self::Encoder {
        Inner::default().encoder()
    }

    fn decoder(&mut self) -> Self::Decoder {
        CountedDecoder(Inner::default().decoder())
    }
}

struct CountedDecoder(<Inner as Codec>::Decoder);

impl Decoder for CountedDecoder {
    type Item = PbTxnRequest;
    type Error = Status;

    fn decode(&mut self, source: &mut DecodeBuf<'_>) -> Result<Option<PbTxnRequest>, Status> {
        // A message is contiguous: the transport gathers it in one buffer.
        if parts(source.chunk(), DEEPEST) > MOST {
            return Err(StoreError::TooManyOps.into());
        }
        self.0.decode(source)
    }
}

/// Counts the comparisons and operations of a transaction; of a malformed one, those before the error.
fn parts(mut message: &[u8], deeper: usize) -> usize {
    let mut count = 0;
    while let Some((field, content)) = next(&mut message) {
        if !(1..=3).contains(&field) {
            continue;
        }
        count += 1;
        // Field 4 of an operation is a transaction; comparisons contain no transaction.
        let mut operation = if field > 1 && deeper > 0 {
            content
        } else {
            &[]
        };
        while let Some((field, content)) = next(&mut operation) {
            if field == 4 {
                count += parts(content, deeper - 1);
            }
        }
        if count > MOST {
            break;
        }
    }
    count
}

/// Takes the next field off a message: its number and, if it has a length, its content.
fn next<'a>(message: &mut &'a [u8]) -> Option<(u64, &'a [u8])> {
    let tag = varint(message)?;
    let length = match tag & 7 {
        0 => {
            varint(message)?;
            return Some((tag >> 3, &[]));
        }
        1 => 8,
        2 => usize::try_from(varint(message)?).ok()?,
        5 => 4,
        // etcd's messages contain no groups.
        _ => return None,
    };
    let (content, rest) = message.split_at_checked(length)?;
    *message = rest;
    Some((tag >> 3, content))
}

fn varint(message: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = message.split_first()?;
        *message = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if *byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use etcd_client::proto::{PbCompare, PbPutRequest, PbTxnOpRequest, PbTxnRequestOp};
    use prost::Message as _;

    use super::*;

    fn nested(depth: usize) -> PbTxnRequest {
        let put = PbTxnOpRequest::RequestPut(PbPutRequest {
            key: b"\x22\x02\x0a\x00".to_vec(),
            ..PbPutRequest::default()
        });
        let inner = if depth == 0 {
            put.clone()
        } else {
            PbTxnOpRequest::RequestTxn(nested(depth - 1))
        };
        let op = |request| PbTxnRequestOp {
            request: Some(request),
        };
        PbTxnRequest {
            compare: vec![PbCompare::default()],
            success: vec![op(put), op(inner)],
            failure: Vec::new(),
        }
    }

    #[test]
    fn parts_are_counted_at_every_depth() {
        for (depth, count) in [(0, 3), (1, 6), (10, 33)] {
            let bytes = nested(depth).encode_to_vec();
            assert_eq!(parts(&bytes, DEEPEST), count, "{depth}");
        }
    }

    #[test]
    fn empty_parts_are_counted_and_nothing_is_read_past_the_end() {
        let bytes = [0x0a, 0].repeat(MOST + 10);
        assert!(parts(&bytes, DEEPEST) > MOST);
        assert_eq!(parts(&[0x0a, 5, 1], DEEPEST), 0);
        assert_eq!(parts(&[0xff; 40], DEEPEST), 0);
        assert_eq!(parts(&[0x0a, 0, 0x0b], DEEPEST), 1);
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..1000 {
            let mut bytes = vec![0; random.usize(0..200)];
            random.fill(&mut bytes);
            assert!(parts(&bytes, DEEPEST) <= bytes.len());
        }
    }
}

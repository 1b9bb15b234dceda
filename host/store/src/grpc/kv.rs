//! etcd's `KV` service: keys and values.
//!
//! It refuses writes that are too large, and must never make any other decision about a request.

use std::pin::Pin;
use std::sync::Arc;

use etcd_client::proto::{
    PbCompactionRequest, PbCompactionResponse, PbDeleteRequest, PbDeleteResponse, PbKeyValue,
    PbKvService, PbPutRequest, PbPutResponse, PbRangeRequest, PbRangeResponse,
    PbRangeStreamResponse, PbTxnOpRequest, PbTxnRequest, PbTxnRequestOp, PbTxnResponse,
};
use futures_util::stream;
use prost::Message;
use tokio_stream::Stream;
use tonic::{Request, Response, Status};

use super::limits::MAX_REQUEST_BYTES;
use crate::core::StoreCore;
use crate::error::StoreError;

/// Approximate bytes of the pieces that a streamed range is cut into.
const PIECE_BYTES: usize = 512 * 1024;

/// The service.
pub(crate) struct KvService {
    core: Arc<StoreCore>,
}

impl KvService {
    pub(crate) const fn new(core: Arc<StoreCore>) -> Self {
        Self { core }
    }

    /// Runs a transaction.
    pub(super) async fn transact(&self, request: PbTxnRequest) -> Result<PbTxnResponse, Status> {
        if !only_reads(&request) {
            check_size(&request)?;
        }
        Ok(self.core.txn(request).await?)
    }
}

#[tonic::async_trait]
impl PbKvService for KvService {
    type RangeStreamStream =
        Pin<Box<dyn Stream<Item = Result<PbRangeStreamResponse, Status>> + Send>>;

    async fn range(
        &self,
        request: Request<PbRangeRequest>,
    ) -> Result<Response<PbRangeResponse>, Status> {
        Ok(Response::new(self.core.range(request.get_ref())?))
    }

    async fn range_stream(
        &self,
        request: Request<PbRangeRequest>,
    ) -> Result<Response<Self::RangeStreamStream>, Status> {
        let pieces = pieces(self.core.range(request.get_ref())?, PIECE_BYTES);
        let pieces = pieces.into_iter().map(|piece| {
            Ok(PbRangeStreamResponse {
                range_response: Some(piece),
            })
        });
        Ok(Response::new(Box::pin(stream::iter(pieces))))
    }

    async fn put(&self, request: Request<PbPutRequest>) -> Result<Response<PbPutResponse>, Status> {
        let request = request.into_inner();
        check_size(&request)?;
        Ok(Response::new(self.core.put(request).await?))
    }

    async fn delete_range(
        &self,
        request: Request<PbDeleteRequest>,
    ) -> Result<Response<PbDeleteResponse>, Status> {
        let request = request.into_inner();
        check_size(&request)?;
        Ok(Response::new(self.core.delete_range(request).await?))
    }

    async fn txn(&self, request: Request<PbTxnRequest>) -> Result<Response<PbTxnResponse>, Status> {
        Ok(Response::new(self.transact(request.into_inner()).await?))
    }

    async fn compact(
        &self,
        request: Request<PbCompactionRequest>,
    ) -> Result<Response<PbCompactionResponse>, Status> {
        Ok(Response::new(
            self.core.compact(request.into_inner()).await?,
        ))
    }
}

/// Refuses a request that etcd would not pass through its log.
fn check_size(request: &impl Message) -> Result<(), StoreError> {
    if request.encoded_len() > MAX_REQUEST_BYTES {
        return Err(StoreError::TooLarge);
    }
    Ok(())
}

/// Returns true if a transaction writes on neither of its branches. Nested ones count as writing; that only affects
/// reads with more than a megabyte of compares.
fn only_reads(txn: &PbTxnRequest) -> bool {
    let is_read = |op: &PbTxnRequestOp| matches!(op.request, Some(PbTxnOpRequest::RequestRange(_)));
    txn.success.iter().chain(&txn.failure).all(is_read)
}

/// Cuts up a reply. Merged in order the pieces are the reply; only the last one has its header and counts.
fn pieces(mut reply: PbRangeResponse, most_bytes: usize) -> Vec<PbRangeResponse> {
    let mut pieces = Vec::new();
    let mut piece: Vec<PbKeyValue> = Vec::new();
    let mut bytes = 0;
    for kv in std::mem::take(&mut reply.kvs) {
        let more = kv.encoded_len();
        if !piece.is_empty() && bytes + more > most_bytes {
            pieces.push(PbRangeResponse {
                kvs: std::mem::take(&mut piece),
                ..PbRangeResponse::default()
            });
            bytes = 0;
        }
        bytes += more;
        piece.push(kv);
    }
    reply.kvs = piece;
    pieces.push(reply);
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pieces_of_a_range_merge_into_the_range() {
        let kvs: Vec<PbKeyValue> = (0..10_u8)
            .map(|at| PbKeyValue {
                key: vec![at],
                value: vec![at; 40],
                ..PbKeyValue::default()
            })
            .collect();
        let reply = PbRangeResponse {
            kvs: kvs.clone(),
            count: 12,
            more: true,
            ..PbRangeResponse::default()
        };
        for most in [1, 100, 10_000] {
            let pieces = pieces(reply.clone(), most);
            let (last, others) = pieces.split_last().unwrap();
            assert!(others.iter().all(|piece| piece.count == 0 && !piece.more));
            assert_eq!((last.count, last.more), (12, true));
            let merged: Vec<PbKeyValue> =
                pieces.iter().flat_map(|piece| piece.kvs.clone()).collect();
            assert_eq!(merged, kvs, "in pieces of {most}");
        }
    }

    #[test]
    fn an_empty_range_is_one_piece() {
        assert_eq!(pieces(PbRangeResponse::default(), 1).len(), 1);
    }

    #[test]
    fn only_a_write_can_be_too_large() {
        let put = PbPutRequest {
            key: b"k".to_vec(),
            value: vec![0; MAX_REQUEST_BYTES],
            ..PbPutRequest::default()
        };
        assert_eq!(check_size(&put), Err(StoreError::TooLarge));
        let put = PbPutRequest {
            value: vec![0; MAX_REQUEST_BYTES - 64],
            ..put
        };
        assert_eq!(check_size(&put), Ok(()));
        assert!(only_reads(&PbTxnRequest::default()));
        let writes = PbTxnRequest {
            failure: vec![PbTxnRequestOp {
                request: Some(PbTxnOpRequest::RequestPut(put)),
            }],
            ..PbTxnRequest::default()
        };
        assert!(!only_reads(&writes));
    }
}

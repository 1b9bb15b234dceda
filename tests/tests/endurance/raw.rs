//! gRPC with any bytes as the message, as a broken client sends them and no client library does.
//!
//! Messages are not parsed.

use anyhow::Result;
use http::uri::PathAndQuery;
use prost::bytes::{Buf, BufMut};
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

/// A connection that carries bytes.
#[derive(Debug, Clone)]
pub(crate) struct Raw(Grpc<Channel>);

impl Raw {
    pub(crate) async fn connect(endpoint: String) -> Result<Self> {
        let channel = Endpoint::from_shared(endpoint)?.connect().await?;
        Ok(Self(
            Grpc::new(channel).max_encoding_message_size(usize::MAX),
        ))
    }

    /// One message, and the answer to it. `path` is such as `/etcdserverpb.KV/Put`.
    pub(crate) async fn send(
        &mut self,
        path: &'static str,
        message: Vec<u8>,
    ) -> Result<Vec<u8>, Status> {
        let ready = self.0.ready().await;
        ready.map_err(|error| Status::unavailable(error.to_string()))?;
        let path = PathAndQuery::from_static(path);
        let answer = self.0.unary(Request::new(message), path, Bytes).await?;
        Ok(answer.into_inner())
    }
}

#[derive(Debug, Clone, Copy)]
struct Bytes;

impl Codec for Bytes {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Bytes {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put_slice(&item);
        Ok(())
    }
}

impl Decoder for Bytes {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining()).to_vec()))
    }
}

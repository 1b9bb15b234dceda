//! Servers and clients for tests; the tests of sockets are in the modules.

use std::time::Duration;

use etcd_client::Client;
use hyper_util::rt::TokioIo;
use leasehold_lock::Connector;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::UnixStream;
use tonic::transport::Endpoint;

use super::{InProcessConnector, ListenAddress, Server, ServerLimits};
use crate::core::StoreCore;
use crate::options::StoreOptions;

mod bounds;
mod closing;
mod hostile;
mod inside;
mod methods;
mod pages;
mod reach;

/// Longer than anything here takes, on a machine that is busy with other things.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A store in memory and its server.
pub(crate) async fn server(limits: ServerLimits) -> Server {
    let core = StoreCore::open(StoreOptions::memory()).await.unwrap();
    Server::with_limits(core, limits)
}

/// A server on a port, and its address.
pub(crate) async fn on_tcp(limits: ServerLimits) -> (Server, String) {
    let server = server(limits).await;
    let any = "127.0.0.1:0".parse().unwrap();
    let endpoint = server.listen(ListenAddress::Tcp(any)).await.unwrap();
    let address = endpoint.strip_prefix("http://").unwrap().to_owned();
    (server, address)
}

/// A client without a socket.
pub(crate) async fn in_process(way: &InProcessConnector) -> Client {
    Client::from_channel(etcd_client::Channel::Custom(way.service()), None)
        .await
        .unwrap()
}

/// A client over a socket in the file system.
pub(crate) async fn over_unix(endpoint: &str) -> Client {
    let path = endpoint.strip_prefix("unix://").unwrap().to_owned();
    over(move || UnixStream::connect(path.clone())).await
}

async fn over<F, Fut, IO>(mut open: F) -> Client
where
    F: FnMut() -> Fut + Send + 'static,
    Fut: Future<Output = std::io::Result<IO>> + Send + 'static,
    IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let connector = tower::service_fn(move |_| {
        let opening = open();
        async move { opening.await.map(TokioIo::new) }
    });
    let channel = Endpoint::from_static("http://localhost").connect_with_connector_lazy(connector);
    Client::from_channel(etcd_client::Channel::Tonic(channel), None)
        .await
        .unwrap()
}

/// Returns true if a put and a get succeed.
pub(crate) async fn answers(client: &mut Client) -> bool {
    let work = async {
        client.put("alive", "yes", None).await?;
        client.get("alive", None).await
    };
    let reply = tokio::time::timeout(PATIENCE, work).await;
    matches!(reply, Ok(Ok(reply)) if reply.count() == 1)
}

/// Waits until a condition holds.
pub(crate) async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let looking = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(
        tokio::time::timeout(PATIENCE, looking).await.is_ok(),
        "waited in vain: {what}"
    );
}

/// The first bytes of a client's connection.
const OPENING: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// A request for the list of members on this stream, with this authority: headers, and an empty message.
fn members_request(stream: u16, authority: &str) -> Vec<u8> {
    let mut block = vec![0x83, 0x86];
    for (name, value) in [
        (&[0x04][..], "/etcdserverpb.Cluster/MemberList"),
        (&[0x01], authority),
        (&[0x0f, 0x10], "application/grpc"),
    ] {
        block.extend_from_slice(name);
        block.push(u8::try_from(value.len()).unwrap());
        block.extend_from_slice(value.as_bytes());
    }
    let headers = frame(stream, 1, 4, &block);
    [headers, frame(stream, 0, 1, &[0; 5])].concat()
}

fn frame(stream: u16, kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).unwrap();
    let [s0, s1] = stream.to_be_bytes();
    [&[0, 0, length, kind, flags, 0, 0, s0, s1], payload].concat()
}

/// Returns the kind of the first frame that answers on this stream: 1 is an answer, 3 a reset. `None` when the
/// connection ends before.
async fn kind_of_answer(
    io: &mut (impl AsyncRead + AsyncWrite + Unpin),
    stream: u16,
    request: &[u8],
) -> Option<u8> {
    io.write_all(request).await.ok()?;
    loop {
        let mut header = [0; 9];
        io.read_exact(&mut header).await.ok()?;
        let [l0, l1, l2, kind, .., s0, s1] = header;
        let mut payload = vec![0; u32::from_be_bytes([0, l0, l1, l2]) as usize];
        io.read_exact(&mut payload).await.ok()?;
        // 8 only permits to send more; 7 announces the end of the connection.
        if u16::from_be_bytes([s0, s1]) == stream && kind != 8 {
            return Some(kind);
        }
        if kind == 7 {
            return None;
        }
    }
}

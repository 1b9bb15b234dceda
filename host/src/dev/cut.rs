//! A way to the store that can be cut for good, as a dead machine's is.
//!
//! Bytes pass as they are, or not at all. Nothing is told to the store when the way is cut: it sees its
//! connections end, and leases go on until they expire.

use std::io;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use leasehold_lock::Connector;
use tokio::io::{DuplexStream, copy_bidirectional, duplex};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Bytes under way in each direction; more only costs memory, less costs turns.
const ROOM: usize = 64 * 1024;

/// The way of one host.
pub(super) struct Cuttable {
    inner: Arc<dyn Connector>,
    cut: CancellationToken,
    relays: TaskTracker,
}

impl Cuttable {
    pub(super) fn new(inner: Arc<dyn Connector>) -> Self {
        Self {
            inner,
            cut: CancellationToken::new(),
            relays: TaskTracker::new(),
        }
    }

    /// From here on nothing passes, on streams that are open and on those to come.
    pub(super) fn cut(&self) {
        self.cut.cancel();
    }
}

impl Drop for Cuttable {
    /// The relays end with the way they belong to.
    fn drop(&mut self) {
        self.cut.cancel();
    }
}

impl Connector for Cuttable {
    fn connect(&self) -> BoxFuture<'static, io::Result<DuplexStream>> {
        let connecting = self.inner.connect();
        let (cut, relays) = (self.cut.clone(), self.relays.clone());
        Box::pin(async move {
            if cut.is_cancelled() {
                return Err(io::Error::new(
                    io::ErrorKind::NotConnected,
                    "this host is cut off",
                ));
            }
            let mut far = connecting.await?;
            let (near, mut middle) = duplex(ROOM);
            // The tracker owns it, and the token ends it.
            drop(relays.spawn(async move {
                tokio::select! {
                    () = cut.cancelled() => {}
                    _ = copy_bidirectional(&mut middle, &mut far) => {}
                }
            }));
            Ok(near)
        })
    }

    fn describe(&self) -> String {
        self.inner.describe()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    /// Hands its other ends to the test.
    #[derive(Default)]
    struct Ends(Mutex<Vec<DuplexStream>>);

    impl Connector for Ends {
        fn connect(&self) -> BoxFuture<'static, io::Result<DuplexStream>> {
            let (ours, theirs) = duplex(64);
            self.0.lock().expect("no test panicked").push(theirs);
            Box::pin(std::future::ready(Ok(ours)))
        }

        fn describe(&self) -> String {
            "ends".into()
        }
    }

    #[tokio::test]
    async fn bytes_pass_until_the_cut_and_no_stream_opens_after_it() {
        let ends = Arc::new(Ends::default());
        let way = Cuttable::new(ends.clone());
        let mut near = way.connect().await.expect("it opens");
        let mut far = ends.0.lock().expect("no test panicked").remove(0);
        near.write_all(b"there").await.expect("it is open");
        let mut read = [0; 5];
        far.read_exact(&mut read).await.expect("it arrives");
        far.write_all(b"back!").await.expect("it is open");
        near.read_exact(&mut read).await.expect("it arrives");
        assert_eq!(&read, b"back!");

        way.cut();
        assert_eq!(near.read(&mut read).await.expect("an end, no error"), 0);
        assert_eq!(far.read(&mut read).await.expect("an end, no error"), 0);
        assert!(way.connect().await.is_err());
    }
}

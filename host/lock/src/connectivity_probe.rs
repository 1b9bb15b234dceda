//! The task that reads from the store when nothing else shows whether it answers. Runs on the lease thread.

use std::time::Duration;

use etcd_client::GetOptions;
use tokio_util::sync::CancellationToken;

use crate::requests::StoreRequests;

/// Pause between two checks for unanswered requests.
const CHECK_EVERY: Duration = Duration::from_millis(500);

/// Checks at intervals, and sends a read when no other request shows whether the store answers. Runs until the
/// client closes.
pub(crate) async fn observe(requests: StoreRequests, key: String, cancel: CancellationToken) {
    let connectivity = requests.connectivity().clone();
    let work = async {
        loop {
            // Many hosts lose a store at once, and should not return to it in step.
            tokio::time::sleep(CHECK_EVERY.mul_f64(0.75 + fastrand::f64() / 2.0)).await;
            if connectivity.check() {
                let count = GetOptions::new().with_count_only();
                if let Err(error) = requests.read(key.as_str(), Some(count)).await {
                    tracing::debug!(%error, "the probe of the store has failed");
                }
            }
        }
    };
    tokio::select! {
        () = cancel.cancelled() => {}
        () = work => {}
    }
}

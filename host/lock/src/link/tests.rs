//! Moving between endpoints, over services in this process that answer or keep silent.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::*;
use crate::connect::ConnectOptions;
use crate::connector::{Connector, EndpointRoute, StoreService};
use crate::observer::RecordingObserver;

/// An endpoint that answers every request with an empty message, or never.
#[derive(Default)]
pub(crate) struct Endpoint {
    is_silent: AtomicBool,
    asked: AtomicUsize,
}

impl Endpoint {
    fn fall_silent(&self) {
        self.is_silent.store(true, Ordering::SeqCst);
    }
}

struct Way(Arc<Endpoint>);

impl Connector for Way {
    fn service(&self) -> StoreService {
        let endpoint = self.0.clone();
        StoreService::new(tower::service_fn(move |_| {
            endpoint.asked.fetch_add(1, Ordering::SeqCst);
            let is_silent = endpoint.is_silent.load(Ordering::SeqCst);
            async move {
                if is_silent {
                    std::future::pending::<()>().await;
                }
                let message = tonic::body::Body::new(http_body_util::Full::from(&[0; 5][..]));
                let mut answer = http::Response::new(message);
                for (name, value) in [("content-type", "application/grpc"), ("grpc-status", "0")] {
                    let value = http::HeaderValue::from_static(value);
                    answer.headers_mut().insert(name, value);
                }
                Ok(answer)
            }
        }))
    }

    fn describe(&self) -> String {
        "an endpoint".into()
    }
}

/// A link on the first of three endpoints.
async fn link() -> (StoreLink, [Arc<Endpoint>; 3]) {
    link_with(ConnectOptions::new(["a", "b", "c"])).await
}

pub(crate) async fn link_with(options: ConnectOptions) -> (StoreLink, [Arc<Endpoint>; 3]) {
    let endpoints: [Arc<Endpoint>; 3] = std::array::from_fn(|_| Arc::default());
    let dials = endpoints
        .each_ref()
        .map(|endpoint| EndpointRoute::InProcess(Arc::new(Way(endpoint.clone()))));
    let dialer = EndpointDialer::over(options, dials.to_vec());
    let (at, client) = dialer.race(&[0, 1, 2], RaceOrder::InOrder).await.unwrap();
    assert_eq!(at, 0);
    (StoreLink::new(dialer, client, at), endpoints)
}

fn endpoint_in_use(link: &StoreLink) -> usize {
    link.read(|current| current.endpoint)
}

/// Fails when endpoints are tried one after the other.
#[tokio::test]
async fn link_moves_to_the_endpoint_that_answers() {
    let (link, endpoints) = link().await;
    endpoints[0].fall_silent();
    endpoints[1].fall_silent();
    let began = Instant::now();
    let from = link.at();
    assert!(link.seek_other(from).await);
    assert!(began.elapsed() < RACE_PATIENCE);
    assert_eq!(endpoint_in_use(&link), 2);
    assert!(link.at() != from);
    // A second caller that saw the same failure finds the move made.
    let asked = endpoints[2].asked.load(Ordering::SeqCst);
    assert!(link.move_to_other(from).await);
    assert_eq!(endpoint_in_use(&link), 2);
    assert_eq!(endpoints[2].asked.load(Ordering::SeqCst), asked);
}

/// Fails when each caller runs a race of its own: the last of many would wait for all of them.
#[tokio::test]
async fn callers_share_a_race_that_no_endpoint_wins() {
    let (link, endpoints) = link().await;
    for endpoint in &endpoints {
        endpoint.fall_silent();
    }
    let (began, from) = (Instant::now(), link.at());
    let callers = (0..20).map(|_| link.move_to_other(from));
    let moved = futures_util::future::join_all(callers).await;
    assert!(moved.iter().all(|moved| !moved));
    assert!(began.elapsed() < RACE_PATIENCE * 3);
    assert_eq!(endpoints[1].asked.load(Ordering::SeqCst), 1);
    assert_eq!((link.at(), endpoint_in_use(&link)), (from, 0));
}

/// Fails when an abandoned search leaves the link locked or moved.
#[tokio::test]
async fn abandoned_search_changes_nothing() {
    let (link, endpoints) = link().await;
    endpoints[1].fall_silent();
    endpoints[2].fall_silent();
    let from = link.at();
    let looked = timeout(Duration::from_millis(50), link.seek_other(from)).await;
    assert!(looked.is_err());
    assert_eq!((link.at(), endpoint_in_use(&link)), (from, 0));
    endpoints[1].is_silent.store(false, Ordering::SeqCst);
    assert!(link.move_to_other(from).await);
    assert_eq!(endpoint_in_use(&link), 1);
}

#[tokio::test]
async fn observer_is_called_at_a_move_and_not_at_a_lost_race() {
    let (recorder, _) = RecordingObserver::new();
    let options = ConnectOptions::new(["a", "b", "c"]).observer(recorder.clone());
    let (link, endpoints) = link_with(options).await;
    assert!(link.move_to_other(link.at()).await);
    assert_eq!(
        recorder.take(),
        ["endpoint_changed an endpoint an endpoint"]
    );
    for endpoint in &endpoints {
        endpoint.fall_silent();
    }
    assert!(!link.move_to_other(link.at()).await);
    assert!(recorder.take().is_empty());
}

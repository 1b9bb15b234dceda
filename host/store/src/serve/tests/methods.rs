//! Every method of etcd's API is answered as `DIFFERENCES.md` declares.

use std::collections::BTreeMap;

use http::Request;
use leasehold_lock::Connector as _;
use tonic::body::Body;
use tonic::{Code, Status};
use tower::ServiceExt as _;

use super::*;
use crate::grpc::method_table::METHODS;

/// The declared answer to each method.
fn declared() -> BTreeMap<String, String> {
    let rows = include_str!("../../../DIFFERENCES.md").lines();
    let rows = rows.filter_map(|row| row.strip_prefix("| `")?.strip_suffix(" |"));
    rows.filter_map(|row| row.split_once("` | "))
        .map(|(method, here)| (method.to_owned(), here.to_owned()))
        .collect()
}

/// The refusal of an empty message to a method; `None` when it is not refused at once.
async fn refusal(server: &Server, method: &str) -> Option<Status> {
    let request = Request::builder()
        .method("POST")
        .uri(format!("http://store/{method}"))
        .header("content-type", "application/grpc")
        .body(Body::new(http_body_util::Full::new(
            bytes::Bytes::from_static(&[0; 5]),
        )))
        .unwrap();
    let answering = server.connector().service().oneshot(request);
    // Some methods wait for ever: an election without a leader.
    let answer = tokio::time::timeout(Duration::from_millis(500), answering).await;
    let answer = answer.ok()?.unwrap();
    Status::from_header_map(answer.headers()).filter(|status| status.code() != Code::Ok)
}

#[tokio::test]
async fn every_method_of_etcd_is_declared_and_answered_as_declared() {
    let server = server(ServerLimits::default()).await;
    let mut declared = declared();
    for (service, methods) in METHODS {
        for method in methods.split_whitespace() {
            let method = format!("{service}/{method}");
            let here = declared.remove(&method);
            let here = here.unwrap_or_else(|| panic!("{method} is not declared"));
            let refused = refusal(&server, &method).await;
            let unimplemented = refused
                .as_ref()
                .filter(|status| status.code() == Code::Unimplemented)
                .map(Status::message);
            match here.as_str() {
                "as etcd" | "differently" => assert_eq!(unimplemented, None, "{method}"),
                "not done" => assert!(
                    unimplemented
                        .is_some_and(|why| why.starts_with("leasehold: the embedded store")),
                    "{method}: {refused:?}"
                ),
                "unknown" => assert!(
                    unimplemented.is_some_and(|why| why.starts_with("unknown")),
                    "{method}: {refused:?}"
                ),
                other => panic!("{method}: {other}"),
            }
        }
    }
    assert!(declared.is_empty(), "etcd has no {declared:?}");
    server.close().await;
}

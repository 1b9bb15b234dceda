//! All endpoints serve the same store, and only this machine's addresses are opened.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use etcd_client::Client;

use super::*;
use crate::serve::ListenError;

fn mode(path: &Path) -> u32 {
    std::fs::symlink_metadata(path)
        .unwrap()
        .permissions()
        .mode()
        & 0o777
}

#[tokio::test]
async fn every_endpoint_serves_the_same_store() {
    let directory = tempfile::tempdir().unwrap();
    let (server, address) = on_tcp(ServerLimits::default()).await;
    let path = directory.path().join("store.sock");
    let socket = server.listen(ListenAddress::Unix(path)).await.unwrap();

    let mut inside = in_process(&server.connector()).await;
    let mut by_socket = over_unix(&socket).await;
    let mut by_tcp = Client::connect([&address], None).await.unwrap();
    inside.put("a", "1", None).await.unwrap();
    by_socket.put("b", "2", None).await.unwrap();
    by_tcp.put("c", "3", None).await.unwrap();
    let all = etcd_client::GetOptions::new().with_all_keys();
    for client in [&mut inside, &mut by_socket, &mut by_tcp] {
        let reply = client.get("", Some(all.clone())).await.unwrap();
        assert_eq!(reply.count(), 3);
        assert_eq!(reply.header().unwrap().revision(), 4);
    }
    server.close().await;
}

#[tokio::test]
async fn the_member_lists_exactly_the_addresses_it_listens_on() {
    let (server, address) = on_tcp(ServerLimits::default()).await;
    let mut client = in_process(&server.connector()).await;
    let members = client.member_list().await.unwrap();
    let [member] = members.members() else {
        panic!("one member");
    };
    assert_eq!(member.client_urls(), [format!("http://{address}")]);
    assert_eq!(member.id(), members.header().unwrap().member_id());
    server.close().await;
}

#[tokio::test]
async fn a_private_socket_is_listed_only_for_its_owner() {
    let directory = tempfile::tempdir().unwrap();
    let (server, address) = on_tcp(ServerLimits::default()).await;
    let path = directory.path().join("store.sock");
    let socket = server.listen(ListenAddress::Unix(path)).await.unwrap();
    let address = format!("http://{address}");
    let members = async |mut client: Client| {
        let members = client.member_list().await.unwrap();
        members.members()[0].client_urls().to_vec()
    };
    let by_tcp = Client::connect([&address], None).await.unwrap();
    assert_eq!(
        members(by_tcp).await.as_slice(),
        std::slice::from_ref(&address)
    );
    let all = [address, socket.clone()];
    assert_eq!(members(over_unix(&socket).await).await, all);
    assert_eq!(members(in_process(&server.connector()).await).await, all);
    server.close().await;
}

#[tokio::test]
async fn an_address_of_another_machine_is_refused() {
    let server = server(ServerLimits::default()).await;
    for address in ["0.0.0.0:0", "192.0.2.1:2379", "[::]:0"] {
        let refused = server
            .listen(ListenAddress::Tcp(address.parse().unwrap()))
            .await
            .unwrap_err();
        assert!(matches!(refused, ListenError::NotThisMachine(_)));
    }
    let refused = server
        .listen(ListenAddress::Tcp("0.0.0.0:2379".parse().unwrap()))
        .await
        .unwrap_err();
    insta::assert_snapshot!(refused.to_string(), @"the embedded store does not listen on 0.0.0.0:2379: it serves this machine only (127.0.0.1 or [::1]), without users or TLS; for more machines run a real etcd");
    server.close().await;
}

#[tokio::test]
async fn the_error_for_a_taken_address_names_it() {
    let (server, address) = on_tcp(ServerLimits::default()).await;
    let refused = server
        .listen(ListenAddress::Tcp(address.parse().unwrap()))
        .await
        .unwrap_err()
        .to_string();
    assert!(
        refused.starts_with(&format!("the embedded store cannot listen on {address}: ")),
        "{refused}"
    );
    server.close().await;
}

#[tokio::test]
async fn a_socket_is_private_and_removed_with_its_server() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("made/for/it/store.sock");
    let server = server(ServerLimits::default()).await;
    let endpoint = server
        .listen(ListenAddress::Unix(path.clone()))
        .await
        .unwrap();
    assert_eq!(endpoint, format!("unix://{}", path.display()));
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(path.parent().unwrap()), 0o700);
    server.close().await;
    assert!(!path.exists());
}

#[tokio::test]
async fn the_socket_of_a_dead_server_only_is_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.sock");
    // Closing a listener does not remove its file: a killed process leaves the same.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists());

    let first = server(ServerLimits::default()).await;
    let endpoint = first
        .listen(ListenAddress::Unix(path.clone()))
        .await
        .unwrap();
    let second = server(ServerLimits::default()).await;
    let refused = second
        .listen(ListenAddress::Unix(path.clone()))
        .await
        .unwrap_err();
    assert!(matches!(refused, ListenError::InUse(_)), "{refused}");
    assert!(answers(&mut over_unix(&endpoint).await).await);
    first.close().await;
    second.close().await;
}

#[tokio::test]
async fn a_file_that_is_not_a_socket_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("precious");
    std::fs::write(&path, "data").unwrap();
    let server = server(ServerLimits::default()).await;
    let refused = server
        .listen(ListenAddress::Unix(path.clone()))
        .await
        .unwrap_err();
    assert!(matches!(refused, ListenError::NotASocket(_)), "{refused}");
    assert_eq!(std::fs::read(&path).unwrap(), b"data");
    server.close().await;
}

#[tokio::test]
async fn a_socket_that_another_server_put_there_since_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.sock");
    let server = server(ServerLimits::default()).await;
    server
        .listen(ListenAddress::Unix(path.clone()))
        .await
        .unwrap();
    std::fs::remove_file(&path).unwrap();
    let _theirs = std::os::unix::net::UnixListener::bind(&path).unwrap();
    server.close().await;
    assert!(path.exists());
}

/// Go's client of etcd sends this: the whole path on a socket, the whole address when it asks for a status.
#[tokio::test]
async fn clients_that_address_a_path_or_a_url_are_served() {
    let directory = tempfile::tempdir().unwrap();
    let (server, address) = on_tcp(ServerLimits::default()).await;
    let path = directory.path().join("store.sock");
    server
        .listen(ListenAddress::Unix(path.clone()))
        .await
        .unwrap();
    for authority in ["/run/store.sock", "http://127.0.0.1:2379", "a%2fb", "x"] {
        let request = [OPENING, &members_request(1, authority)].concat();
        let mut by_socket = UnixStream::connect(&path).await.unwrap();
        let answer = kind_of_answer(&mut by_socket, 1, &request).await;
        assert_eq!(answer, Some(1), "{authority}");
        let mut by_tcp = tokio::net::TcpStream::connect(&address).await.unwrap();
        let answer = kind_of_answer(&mut by_tcp, 1, &request).await;
        assert_eq!(answer, Some(1), "{authority}");
    }
    server.close().await;
}

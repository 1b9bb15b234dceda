//! Requests that must be refused: to forged, numeric, private and rebound addresses.

use super::*;

#[tokio::test]
async fn what_was_not_granted_is_refused_before_any_name_is_asked_for() {
    let names = Names::saying(&[&["127.0.0.1"]]);
    let mut rig = Rig::new(&allow(&["http://api.example.com"]), &names);
    for url in [
        "https://api.example.com/",
        "http://api.example.com:81/",
        "http://api.example.com./",
        "http://API.example.com.evil.example/",
        "http://evil.example/",
        "http://me:pw@api.example.com/",
        "http://api.example.com@evil.example/",
        "http://api.example.com:80@evil.example/",
        "http://127.0.0.1/",
        "http://169.254.169.254/latest/meta-data/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0x7f.1/",
        "http://127.1/",
        "http://0177.0.0.1/",
        "http://0/",
        "http://[::1]/",
        "http://[::]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[::ffff:a9fe:a9fe]/",
        "http://[64:ff9b::a9fe:a9fe]/",
        "http://[fd00:ec2::254]/",
        "http://localhost/",
    ] {
        let refused = rig.get(url).await.map(|_| ());
        assert!(
            matches!(refused, Err(Error::HttpRequestDenied)),
            "{url}: {refused:?}"
        );
        let told = rig.told();
        assert!(
            told.len() == 1 && !told[0].contains("pw"),
            "{url}: {told:?}"
        );
    }
    assert_eq!(names.asked(), 0);
}

#[tokio::test]
async fn name_with_an_address_that_is_not_public_is_refused() {
    for addresses in [
        &["127.0.0.1"][..],
        &["10.0.0.1"],
        &["100.64.0.1"],
        &["169.254.169.254"],
        &["172.16.0.1"],
        &["192.168.0.1"],
        &["198.18.0.1"],
        &["0.0.0.0"],
        &["224.0.0.1"],
        &["::1"],
        &["::ffff:127.0.0.1"],
        &["::127.0.0.1"],
        &["64:ff9b::7f00:1"],
        &["2002:7f00:1::1"],
        &["fe80::1"],
        &["fc00::1"],
        &["fd00:ec2::254"],
        // A permitted address does not make a forbidden one permitted.
        &["1.1.1.1", "127.0.0.1"],
        &["2606:4700::1111", "::1"],
    ] {
        let names = Names::saying(&[addresses]);
        let mut rig = Rig::new(&allow(&["http://api.example.com"]), &names);
        let refused = rig.get("http://api.example.com/").await.map(|_| ());
        let prohibited = matches!(refused, Err(Error::DestinationIpProhibited));
        assert!(prohibited, "{addresses:?}: {refused:?}");
    }
}

#[tokio::test]
async fn name_rebound_between_two_requests_is_checked_each_time() {
    let server = Server::answering(ok("hello")).await;
    let origin = format!("http://api.example.com:{}", server.port());
    let names = Names::saying(&[&["127.0.0.1"], &["127.0.0.2"]]);
    let allow = networks(allow(&[&origin]), &["127.0.0.1"]);
    let mut rig = Rig::new(&allow, &names);
    let (status, body) = read(rig.get(&origin).await.unwrap()).await.unwrap();
    assert_eq!((status.as_u16(), &body[..]), (200, &b"hello"[..]));
    // One lookup for one request: the checked address is the one connected to.
    assert_eq!((names.asked(), server.connections()), (1, 1));
    let refused = rig.get(&origin).await.map(|_| ());
    assert!(
        matches!(refused, Err(Error::DestinationIpProhibited)),
        "{refused:?}"
    );
    assert_eq!((names.asked(), server.connections()), (2, 1));
}

#[tokio::test]
async fn redirect_is_not_followed_and_its_target_is_checked() {
    let inside = Server::answering(ok("inside")).await;
    let target = format!("http://127.0.0.1:{}/", inside.port());
    let redirect = format!("HTTP/1.1 302 Found\r\nlocation: {target}\r\ncontent-length: 0\r\n\r\n");
    let server = Server::answering(redirect).await;
    let origin = format!("http://127.0.0.1:{}", server.port());
    let mut rig = Rig::new(&allow(&[&origin]), &Names::saying(&[]));
    let answered = rig.get(&origin).await.unwrap();
    assert_eq!(answered.0.status().as_u16(), 302);
    let next = answered.0.headers()["location"]
        .to_str()
        .unwrap()
        .to_owned();
    let refused = rig.get(&next).await.map(|_| ());
    assert!(
        matches!(refused, Err(Error::HttpRequestDenied)),
        "{refused:?}"
    );
    assert_eq!((server.connections(), inside.connections()), (1, 0));
}

#[tokio::test]
async fn a_tunnel_is_refused() {
    let mut rig = Rig::new(&allow(&["http://127.0.0.1:1"]), &Names::saying(&[]));
    let request = Request::builder()
        .method("CONNECT")
        .uri("http://127.0.0.1:1/");
    let refused = rig.send(request.body(body(Bytes::new())).unwrap()).await;
    assert!(matches!(
        refused.map(|_| ()),
        Err(Error::HttpRequestMethodInvalid)
    ));
}

#[tokio::test]
async fn refusal_names_the_line_to_add_and_only_the_origin() {
    let names = Names::saying(&[&["10.1.2.3"], &[]]);
    let mut rig = Rig::new(&allow(&["https://api.example.com"]), &names);
    for url in [
        "http://api.example.com:8080/v1?token=secret",
        "https://hunter2.evil.example/",
        "http://me:pw@2130706433/",
        "https://api.example.com/",
        "https://api.example.com/",
    ] {
        assert!(rig.get(url).await.is_err());
    }
    insta::assert_snapshot!("refusals", rig.told().join("\n"));
}

#[tokio::test]
async fn refusal_of_a_dropped_in_job_names_its_sidecar() {
    let names = Names::saying(&[&["10.1.2.3"]]);
    let mut rig = Rig::dropped(&allow(&["https://api.example.com"]), &names);
    for url in ["http://other.example/", "https://api.example.com/"] {
        assert!(rig.get(url).await.is_err());
    }
    insta::assert_snapshot!(rig.told().join("\n"));
}
